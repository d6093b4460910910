"""The JSON of the committed studies' reports, against what recompute.py makes of their CSVs."""

from __future__ import annotations

import functools
import json
from fractions import Fraction
from typing import Any

import findings
import numpy as np
import pandas as pd
import pytest
import recompute
from scipy import stats

from fluidrelu_cli.report.formats import to_json

COMPARED = [name for name in findings.QUESTIONS if not recompute.recompute(name).empty]


@functools.cache
def read_report(question: str) -> dict[str, Any]:
    """`fluidrelu report QUESTION --format json`."""
    content: dict[str, Any] = json.loads(to_json(findings.report(question)))
    return content


def assert_equal(found: list[dict[str, Any]], expected: pd.DataFrame, key: str) -> None:
    """That rows of a JSON have what is expected, to twelve digits; a NaN is null there."""
    assert sorted(row[key] for row in found) == sorted(expected[key])
    by_key = {row[key]: row for row in found}
    for row in expected.to_dict("records"):
        for column, value in row.items():
            number = isinstance(value, (float, Fraction))
            wanted = None if number and np.isnan(float(value)) else value
            if number and wanted is not None:
                wanted = pytest.approx(float(value), rel=1e-9, abs=1e-12)
            assert by_key[row[key]][str(column)] == wanted, (row[key], column)


def test_there_is_something_to_compare() -> None:
    assert {"paper", "mnist-activations", "fashion-mnist", "cifar10-cnn3", "learning-rate", "longer"} <= {*COMPARED}


@pytest.mark.parametrize("question", COMPARED)
def test_comparisons(question: str) -> None:
    """Of a grid cell by cell: the committed ones compare one activation in each."""
    expected = recompute.recompute(question)
    if any(expected["cell"]):
        assert_equal(read_report(question)["comparisons"], expected, "cell")
    else:
        assert_equal(read_report(question)["comparisons"], expected.drop(columns="cell"), "activation")


@pytest.mark.parametrize("question", [name for name in COMPARED if "" in recompute.find_cells(name)])
def test_means(question: str) -> None:
    expected = recompute.summarise(recompute.read_accuracies(recompute.RESULTS / question))
    assert_equal(read_report(question)["summary"], expected, "activation")


def test_regression_on_all_seeds_of_relu() -> None:
    accuracies = recompute.read_accuracies(recompute.RESULTS / findings.MAIN)
    assert_equal(read_report(findings.MAIN)["regression"], recompute.regress(accuracies), "activation")


@pytest.mark.parametrize("study", ["longer", "cifar10-cnn3", "learning-rate/lr=0.01"])
def test_counted_signs_are_those_of_scipys_permutations(study: str) -> None:
    accuracies = recompute.read_accuracies(recompute.RESULTS / study)
    images = ((accuracies["fluid"] - accuracies["relu"]) * recompute.IMAGES).round().astype(int).tolist()
    far, high = recompute.flip(images)
    enough = 2 ** len(images)  # for all of them
    tests = [
        stats.permutation_test((images,), np.sum, permutation_type="samples", n_resamples=enough, alternative=each)
        for each in ("two-sided", "greater")
    ]
    assert [float(far), float(high)] == pytest.approx([test.pvalue for test in tests], rel=1e-12)
