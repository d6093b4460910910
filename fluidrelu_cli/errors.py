"""Everything that can go wrong for a user; each message is one sentence that says what to do next."""

import re


class FluidReluError(Exception):
    """A failure that the user can mend; the command line prints its message and exits with 1."""

    exit_code = 1


class UsageError(FluidReluError):
    """The request itself is wrong (an unknown name, a value out of range); exit code 2."""

    exit_code = 2


class StorageError(FluidReluError):
    """A file or folder cannot be read or written."""


class DamagedFileError(StorageError):
    """A file of a study is there, but is not what this program wrote."""


class ContradictoryRunError(DamagedFileError):
    """A run of a study contradicts others: not all of them can be what they say."""

    def __init__(self, message: str, seed: int, others: frozenset[int]) -> None:
        super().__init__(message)
        self.seed = seed
        self.others = others
        """The seeds of the runs that it contradicts."""


class OtherProtocolError(StorageError):
    """A run lies in a study of another protocol."""


class DataError(FluidReluError):
    """A data set is damaged, or cannot be read or kept."""


class BadArraysError(DataError):
    """A file is there, but does not hold the arrays of a data set."""


class MissingDataError(DataError):
    """A data set that can be downloaded is not there."""


def one_line(error: BaseException) -> str:
    """The error's class and message on one line, for a sentence that quotes it."""
    message = re.sub(r"\s+", " ", str(error)).strip()
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def printable(text: str) -> str:
    """The text with what cannot be seen (escapes, line breaks, marks of direction) written out, such as ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
