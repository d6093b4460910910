"""The schema of the JSON, docs/report.schema.json, is of every field that a report has, and of no other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from every_report import TABLES, make_every_report
from jsonschema import Draft202012Validator

from fluidrelu_cli.analysis.cost import COST_COLUMNS
from fluidrelu_cli.analysis.inference import COMPARISON_COLUMNS
from fluidrelu_cli.analysis.tuning import TUNING_COLUMNS
from fluidrelu_cli.protocol import SETTINGS
from fluidrelu_cli.report.document import Document
from fluidrelu_cli.report.formats import to_json
from fluidrelu_cli.run import RUN_COLUMNS

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Document]:
    return make_every_report(tmp_path_factory.mktemp("studies"))


def test_every_report_is_as_the_schema_says(reports: dict[str, Document]) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    validator = Draft202012Validator(SCHEMA)
    seen: set[str] = set()
    for name, document in reports.items():
        content = json.loads(to_json(document))
        assert (name, [error.message for error in validator.iter_errors(content)]) == (name, [])
        seen |= {field for field, value in content.items() if field in TABLES and value}
    assert seen == TABLES
    for spoiled in ({"new": 1}, {"summary": [{"new": 1}]}, {"comparisons": [{"new": 1}]}, {"studies": [{"new": 1}]}):
        [error] = validator.iter_errors({**content, **spoiled})
        assert "new" in error.message


@pytest.mark.parametrize(
    ("definition", "columns"),
    [
        ("comparison", ["cell", *COMPARISON_COLUMNS]),
        ("run", ["cell", *RUN_COLUMNS]),
        ("setting", TUNING_COLUMNS),
        ("cost", COST_COLUMNS),
        ("protocol", list(SETTINGS)),
    ],
)
def test_it_has_all_columns_of_a_table(definition: str, columns: Sequence[str]) -> None:
    assert {*SCHEMA["$defs"][definition]["properties"]} == {*columns}


def find_fields(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of all objects in a schema, by where they are."""
    if isinstance(schema, list):
        for inner in schema:
            yield from find_fields(inner, path)
    elif isinstance(schema, dict):
        for name, inner in schema.items():
            if name in ("properties", "$defs"):
                yield from ((f"{path}/{field}", its) for field, its in inner.items())
                for field, its in inner.items():
                    yield from find_fields(its, f"{path}/{field}")
            else:
                yield from find_fields(inner, path)


def test_every_field_is_described() -> None:
    fields = dict(find_fields(SCHEMA))
    assert len(fields) > 100
    assert [path for path, field in fields.items() if not {"description", "$ref"} & {*field}] == []
    loose = [path for path, field in fields.items() if "properties" in field and "additionalProperties" not in field]
    assert loose == ["/comparison"]  # with more columns in one table: there no other is evaluated
