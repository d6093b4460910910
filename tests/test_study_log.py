from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fluidrelu_cli.study import Entry, load_study
from tests.factories import make_study


def test_lines_written_at_once_are_all_kept_and_none_twice(tmp_path: Path) -> None:
    make_study(tmp_path, {"relu": [[0.5]]})
    entries = [Entry("looked", {"relu": seeds}) for seeds in range(1, 7)] * 2
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda entry: load_study(tmp_path).record(entry), entries))
    log = load_study(tmp_path).log
    assert sorted(line.seeds["relu"] for line in log if line.what == "looked") == [1, 2, 3, 4, 5, 6]
    assert all(line.when for line in log)
