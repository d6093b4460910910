"""Damage a study's files, one at a time, and count how many faults a report notices."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from measuring import console

from fluidrelu_cli.declared import find_settled
from fluidrelu_cli.errors import FluidReluError
from fluidrelu_cli.report.compose import build_document
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.formats import to_json
from fluidrelu_cli.report.tables import rich_table
from fluidrelu_cli.study import load_study

OUTCOMES = ("noticed", "without effect", "unnoticed", "crashed")
"""A sentence or a note; the same report; another report without a word; an error that nobody foresaw."""


def flip_bit(content: bytes, draw: random.Random, _suffix: str) -> bytes:
    at = draw.randrange(8 * len(content))
    changed = bytearray(content)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def truncate(content: bytes, draw: random.Random, _suffix: str) -> bytes:
    return content[: draw.randrange(len(content))]


def edit_cell(content: bytes, draw: random.Random, suffix: str) -> bytes:
    """Put another value into a cell of a CSV, or a field of a JSON file, and leave the rest as it is written."""
    if suffix == ".json":
        value = json.loads(content)
        parent, key = draw.choice(list(_find_fields(value)))
        parent[key] = draw.choice([_vary(parent[key], draw), None, "", [], {}, -1, 1e300, "abc"])
        return json.dumps(value, indent=2).encode()
    rows = list(csv.reader(io.StringIO(content.decode())))
    row = draw.randrange(1, len(rows))
    column = draw.randrange(len(rows[row]))
    rows[row][column] = draw.choice([str(_vary(rows[row][column], draw)), "", "nan", "-1", "inf", "abc", '"', "1e400"])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _find_fields(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each object or list within a JSON value, with each of its keys."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _find_fields(value[key])


def _vary(value: object, draw: random.Random) -> object:
    """A value near this one, of the same kind."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return f"{value}x"
    return int(number) + draw.choice([-1, 1]) if number.is_integer() else number + draw.choice([-1e-4, 1e-4])


def read_report(folder: Path) -> tuple[list[str], str]:
    """What a report says of a study: its notes, and everything else but timings, which nothing protects."""
    study = load_study(folder)
    declaration, tuned = find_settled(study)
    document = build_document(Evidence(study, declaration=declaration, tuned=tuned))
    runs = document.runs.drop(columns=["train_seconds", "test_seconds"])
    return [*document.notes, document.standing], to_json(replace(document, runs=runs))


def judge(folder: Path, intact: tuple[list[str], str]) -> str:
    """What comes of a study in which one file is damaged: one of OUTCOMES."""
    try:
        notes, report = read_report(folder)
    except FluidReluError:
        return "noticed"
    except Exception:  # whatever it is, a user would see a traceback
        console.print_exception()
        return "crashed"
    if notes != intact[0]:
        return "noticed"
    return "without effect" if report == intact[1] else "unnoticed"


def main(
    study: Annotated[Path, typer.Argument(help="The study's folder; it is copied.")] = Path("results/paper"),
    flips: Annotated[int, typer.Option(help="Single bits to flip.")] = 200,
    edits: Annotated[int, typer.Option(help="Cells and fields to edit.")] = 200,
    truncations: Annotated[int, typer.Option(help="Files to cut short.")] = 100,
    seed: Annotated[int, typer.Option(help="Determines all faults.")] = 0,
) -> None:
    """Damage the files of a study's copy, one at a time, and read it; exit with 1 if a fault goes unnoticed."""
    draw = random.Random(seed)
    kinds: Mapping[str, tuple[int, Callable[[bytes, random.Random, str], bytes]]] = {
        "single bits flipped": (flips, flip_bit),
        "cells and fields edited": (edits, edit_cell),
        "files cut short": (truncations, truncate),
    }
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / study.name
        shutil.copytree(study, copy, ignore=shutil.ignore_patterns("report", ".*"))
        intact = read_report(copy)
        paths = sorted(path for path in copy.rglob("*") if path.is_file())
        for kind, (number, damage) in kinds.items():
            for _ in range(number):
                path = draw.choice(paths)
                content = path.read_bytes()
                changed = damage(content, draw, path.suffix)
                path.write_bytes(changed)
                outcome = judge(copy, intact)
                path.write_bytes(content)
                counts[kind][outcome] += 1
                if outcome in OUTCOMES[2:]:
                    console.print(f"{outcome}: {kind} in {path.relative_to(copy)}: {_show_change(content, changed)}")
    rows = [[kind, str(number), *(str(counts[kind][name]) for name in OUTCOMES)] for kind, (number, _) in kinds.items()]
    console.print(rich_table(f"Faults in a copy of {study}", ["fault", "played", *OUTCOMES], rows))
    if any(found[outcome] for found in counts.values() for outcome in OUTCOMES[2:]):
        raise typer.Exit(1)


def _show_change(content: bytes, changed: bytes) -> str:
    """The first place where two contents differ."""
    at = next((i for i, (a, b) in enumerate(zip(content, changed, strict=False)) if a != b), len(changed))
    return f"{content[max(0, at - 30) : at + 30]!r} became {changed[max(0, at - 30) : at + 30]!r}"


if __name__ == "__main__":
    typer.run(main)
