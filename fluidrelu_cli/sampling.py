"""A balanced sample of all combinations of some settings, the same on every machine and with every Python."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

ATTEMPTS = 100
"""How many times a sample is begun anew before it counts as impossible."""


def sample_combinations(sizes: Sequence[tuple[str, int]], n: int) -> list[tuple[int, ...]] | None:
    """Different combinations of levels, n of them, in which each field has each level equally often, up to one.

    Each field's column repeats its levels in a random order until there are n, and is shuffled. Of two equal rows one
    then exchanges a level with another row, as long as that makes both new. All orders are those of SHA-256 digests of
    what is ordered, so the sample depends on the names, the numbers of levels and n alone.

    Args:
        sizes: the name of each field, and how many levels it has.
        n: at most the number of all combinations.

    Returns:
        The place of each level among its field's, row by row in ascending order; None where no sample is found, because
        n is too near that number.
    """
    for attempt in range(ATTEMPTS):
        columns = [_fill(name, levels, n, attempt) for name, levels in sizes]
        rows = [list(row) for row in zip(*columns, strict=True)]
        if all(_make_unique(rows, place) for place in range(n)):
            return sorted(map(tuple, rows))
    return None


def _fill(name: str, levels: int, n: int, attempt: int) -> list[int]:
    first = _shuffle(levels, f"{attempt} levels of {name}")
    return [first[place % levels] for place in _shuffle(n, f"{attempt} rows of {name}")]


def _shuffle(count: int, words: str) -> list[int]:
    return sorted(range(count), key=lambda place: hashlib.sha256(f"{words} {place}".encode()).digest())


def _make_unique(rows: list[list[int]], place: int) -> bool:
    """Exchange a level of a row with another's where there is a row like it; whether there is none now."""
    row = rows[place]
    if rows.count(row) == 1:
        return True
    for other in rows:
        for field in range(len(row)):
            mine, theirs = row[:], other[:]
            mine[field], theirs[field] = other[field], row[field]
            if mine != theirs and mine not in rows and theirs not in rows:
                row[:], other[:] = mine, theirs
                return True
    return False
