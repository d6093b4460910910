"""The log of study.json: what was asked for, and looked at."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from factories import forge, make_study

from fluidrelu_cli.errors import DamagedFileError
from fluidrelu_cli.study import Entry, load_study


def test_lines_written_at_once_are_all_kept(tmp_path: Path) -> None:
    make_study(tmp_path, {"relu": [[0.5]]})
    entries = [Entry("looked", {"relu": seeds}) for seeds in range(1, 7)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda entry: load_study(tmp_path).record(entry), entries))
    log = load_study(tmp_path).log
    assert sorted(line.seeds["relu"] for line in log if line.what == "looked") == [1, 2, 3, 4, 5, 6]
    assert all(line.when for line in log)


def test_a_line_is_not_written_twice_in_a_row(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": [[0.5]]})
    one, two = Entry("looked", {"relu": 1}), Entry("looked", {"relu": 2})
    asked = Entry("asked", {"relu": 2})
    for entry in (one, one, asked, one, two, asked, one):  # looks and requests are told apart
        study.record(entry)
    assert [(line.what, line.seeds["relu"]) for line in load_study(tmp_path).log] == [
        ("looked", 1),
        ("asked", 2),
        ("looked", 2),
        ("looked", 1),
    ]


@pytest.mark.parametrize(
    "log",
    [
        None,
        5,
        "looked",
        [5],
        [{}],
        [{"what": "looked"}],
        [{"what": "looked", "seeds": [1]}],
        [{"what": "looked", "seeds": {"relu": "1"}}],
        [{"what": "looked", "seeds": {}, "sha256": 5}],
        [{"what": "asked", "seeds": {}, "until": "decided"}],
    ],
)
def test_a_damaged_log_ends_in_a_sentence(tmp_path: Path, log: object) -> None:
    forge(make_study(tmp_path, {"relu": [[0.5]]}).path, log=log)
    with pytest.raises(DamagedFileError, match="is damaged"):
        load_study(tmp_path)


def test_a_study_without_a_log_and_one_with_later_fields_can_be_read(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": [[0.5]]})
    forge(study.path, log=[{"what": "looked", "seeds": {"relu": 1}, "later": 1}])
    assert load_study(tmp_path).log == (Entry("looked", {"relu": 1}),)
    forge(study.path, without=["log"])
    assert load_study(tmp_path).log == ()
