"""The command `fluidrelu`, also as `python -m fluidrelu_cli`: it answers Ctrl-C while it still imports the rest."""

from __future__ import annotations

import os
import signal
import sys
import time

PATIENCE_SECONDS = 3
"""How long an interrupted command may take to end; after that Ctrl-C ends it at once."""


def main() -> None:
    """Run the command line that this process was given."""
    _open_closed_streams()
    # nohup, say, has a command ignore Ctrl-C
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, _end)  # nothing is to be cleaned up yet
    from fluidrelu_cli.cli.app import app

    if interruptible:
        signal.signal(signal.SIGINT, _Interrupt())
    try:
        app(prog_name="fluidrelu")
    except KeyboardInterrupt:  # before a command began, or after its end
        sys.exit(130)
    finally:
        if interruptible:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own exit cannot be interrupted without a traceback


def _open_closed_streams() -> None:
    """Let no file of ours take the place of a closed stdout or stderr (`>&-`): writing there fails, as it should."""
    if sys.stdout is None or sys.stderr is None:
        while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= 2:
            os.set_inheritable(descriptor, True)
        os.close(descriptor)
        sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115  (no path)
        sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _end(*_: object) -> None:
    os._exit(130)


class _Interrupt:
    """Answers the first Ctrl-C with a KeyboardInterrupt; impatient ones must not disturb the cleaning up after it."""

    def __init__(self) -> None:
        self._first: float | None = None

    @property
    def came(self) -> bool:
        """Whether there was one, even if what was being imported then made another error of it, or none."""
        return self._first is not None

    def __call__(self, *_: object) -> None:
        if self._first is None:
            self._first = time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() > self._first + PATIENCE_SECONDS:
            _end()


# The guard matters: a spawned worker process imports this module again.
if __name__ == "__main__":
    main()
