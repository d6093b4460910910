"""Worker processes: how many there are, the same numbers as in this process, and what one that dies costs."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
from small_trials import (
    PROTOCOL,
    counted_comparisons,
    ended_in,
    failures_in,
    make_job,
    runs_in,
    splits_in,
    train,
    without_timings,
)

import fluidrelu_cli
from fluidrelu_cli.workers import local
from fluidrelu_cli.workers.events import EpochDone, Finished, Job, Outcome
from fluidrelu_cli.workers.local import DEATH, default_workers, run_on_this_machine
from fluidrelu_cli.workers.pool import Pool

ACTIVATIONS = """
    import multiprocessing
    import os
    import sys
    import time
    from pathlib import Path
    import torch
    from fluidrelu_cli.seeding import stream_seed

    def building(seed):
        '''Whether the network of this seed is being built: torch's random numbers are those of its activations.'''
        return 0 <= torch.initial_seed() - stream_seed(seed, "activations") < 8

    class KillsFor1(torch.nn.ReLU):
        def __init__(self):
            super().__init__()
            if building(1):
                os._exit(1)

    class KillsFor0(torch.nn.ReLU):
        '''Two seeds together kill their worker at first, then raise; seed 0 by itself kills it too.'''

        def __init__(self):
            super().__init__()
            self.kills = building(0)

        def forward(self, v):
            together = torch._C._functorch.is_batchedtensor(v)
            if together and Path("killed").exists():
                raise ArithmeticError("one at a time")
            if together or self.kills:
                Path("killed").touch()
                os._exit(1)
            return super().forward(v)

    class Scaled(torch.nn.ReLU):
        '''It looks at what a worker has of the process that started it.'''

        def forward(self, v):
            assert "PYTHONSAFEPATH" not in os.environ
            if multiprocessing.parent_process():  # a worker, whom it would take a second and 150 MB
                assert "torchvision" not in sys.modules
            return super().forward(v) * float(os.environ["SCALE"])

    class Slow(torch.nn.ReLU):
        def forward(self, v):
            time.sleep(0.01 if len(v) < 10 else 5)
            return super().forward(v)
"""

needs_fork_server = pytest.mark.skipif(
    local._context().get_start_method() != "forkserver", reason="workers are spawned on this system"
)


@pytest.fixture
def own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of activations in the current folder, where worker processes find it, too."""
    monkeypatch.delitem(sys.modules, "worker_acts", raising=False)  # that of another test's folder
    (folder / "worker_acts.py").write_text(textwrap.dedent(ACTIVATIONS))


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("150000 100000\n", 2),
        ("400000 100000\n", 4),
        ("10000 100000\n", 0),
        ("max 100000\n", 2**16),
        (None, 2**16),
        ("", 2**16),
        ("\xff\xfe garbage", 2**16),
        ("1 2 3", 2**16),
    ],
)
def test_a_containers_limit_is_read(limit: str | None, cores: int, tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    if limit is not None:
        file.write_text(limit, encoding="latin-1")
    assert local._container_cores(file) == cores


def test_one_worker_per_core_within_the_containers_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)), raising=False)
    for cores, expected in ((2**16, 8), (3, 3), (0, 1)):
        monkeypatch.setattr(local, "_container_cores", lambda cores=cores: cores)
        assert default_workers("cpu") == expected
    assert default_workers("cuda") == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert default_workers("cpu") == 1


@pytest.mark.usefixtures("own")
def test_workers_give_the_runs_of_this_process(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have its folder and its environment, even if the fork server was started with others."""
    local.start_fork_server()
    monkeypatch.setenv("SCALE", "0.5")
    jobs = [make_job("fluid", 2), make_job("RReLU", [3]), make_job("worker_acts:Scaled")]
    events = list(run_on_this_machine(jobs, 2, data_dir, "cpu"))
    assert failures_in(events) == []
    assert sum(isinstance(event, EpochDone) for event in events) == PROTOCOL.epochs * len(jobs)
    runs = {run.trial: without_timings(run) for run in runs_in(events)}
    assert runs == {run.trial: without_timings(run) for job in jobs for run in train(job.trials, data_dir)}
    assert multiprocessing.active_children() == []


@pytest.mark.slow
@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("culprit", [0, 1])
def test_of_a_job_that_kills_its_worker_only_the_culprit_fails(culprit: int, data_dir: Path) -> None:
    """Seed 0 is made to kill the process in which its job has raised, where the other half waits."""
    job = make_job(f"worker_acts:KillsFor{culprit}", 2)
    events = list(run_on_this_machine([job], 1, data_dir, "cpu"))
    assert splits_in(events) == [2]
    [failed] = failures_in(events)
    assert (failed.trial, failed.error) == (job.trials[culprit], DEATH)
    assert sorted(trial.seed for trial in ended_in(events)) == [0, 1]


@pytest.mark.usefixtures("own")
def test_closing_the_iterator_ends_the_workers(data_dir: Path) -> None:
    with contextlib.closing(run_on_this_machine([make_job("worker_acts:Slow", [0])], 1, data_dir, "cpu")) as events:
        next(events)
        assert len(multiprocessing.active_children()) == 1
    assert multiprocessing.active_children() == []


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="this system cannot block signals")
def test_an_interrupt_that_another_thread_takes_waits_until_a_worker_is_noted() -> None:
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    noted: list[bool] = []

    def start_worker() -> None:
        with local._interrupts_blocked():
            signal.pthread_kill(other.ident or 0, signal.SIGINT)
            time.sleep(0.05)
            noted.append(True)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            start_worker()
    finally:
        signal.signal(signal.SIGINT, before)
        done.set()
        other.join()
    assert noted


class LastFirst(Pool):
    """It does one job at a time, the last that it was given."""

    def __init__(self, *_: object) -> None:
        self._jobs: list[tuple[Job, Future[Outcome]]] = []

    def submit(self, job: Job) -> Future[Outcome]:
        self._jobs.append((job, Future()))
        return self._jobs[-1][1]

    def next_update(self) -> None:
        job, future = self._jobs.pop()
        future.set_result(Finished(replace(job), ()))

    def close(self, *, abandon: bool) -> None:
        assert not abandon


def test_an_outcome_costs_the_same_however_many_jobs_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "ProcessPool", LastFirst)
    jobs = [make_job("relu", [seed]) for seed in range(2000)]
    with counted_comparisons(Job) as comparisons:
        events = list(run_on_this_machine(jobs, 2, None, "cpu"))
    assert [event.job for event in events] == jobs[::-1]
    assert comparisons.total() <= 4 * len(jobs)


@pytest.mark.slow
@needs_fork_server
def test_a_fork_server_that_was_killed_is_started_again(data_dir: Path) -> None:
    local.start_fork_server()
    server = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    os.kill(server, signal.SIGKILL)
    assert os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT) is not None
    events = list(run_on_this_machine([make_job("relu")], 1, data_dir, "cpu"))
    assert len(runs_in(events)) == 1


SCRIPT = """
import functools
import sys
from pathlib import Path

from fluidrelu_cli.experiment import conduct, prepare
from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.study import Study
from fluidrelu_cli.workers.local import run_on_this_machine

print("once")
study = Study(Path("study"), Protocol(epochs=1, batch_size=50, train_images=100, test_images=50))
experiment = prepare(study, [resolve("relu"), resolve("mine:Act")], data_dir=Path(sys.argv[1]), device="cpu")
run_jobs = functools.partial(run_on_this_machine, workers=2, data_dir=experiment.data_dir, device_name="cpu")
with conduct(experiment, range(1), run_jobs) as (_, events):
    print(sorted({type(event).__name__ for event in events}))
print(sorted(run.trial.activation for run in experiment.contents.runs))
"""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["scripts/script.py"], id="script", marks=pytest.mark.slow),
        pytest.param(["-m", "scripts.script"], id="module", marks=pytest.mark.slow),
    ],
)
def test_a_script_without_a_guard_runs_once(command: list[str], folder: Path, data_dir: Path) -> None:
    """Workers do not run it again, though they import from its folder, and not from a random.py of the current one."""
    (folder / "scripts").mkdir()
    (folder / "scripts" / "script.py").write_text(SCRIPT)
    home = folder if "-m" in command else folder / "scripts"  # which is first where modules are looked for
    (home / "mine.py").write_text("import torch\nclass Act(torch.nn.Softplus): pass\n")
    if home != folder and sys.version_info >= (3, 11):  # earlier Pythons look into the current folder first
        (folder / "random.py").write_text("raise AssertionError('not the library')\n")
    finished = subprocess.run(
        [sys.executable, *command, str(data_dir)],
        env={**os.environ, "PYTHONPATH": str(Path(fluidrelu_cli.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Error" not in finished.stderr
    assert finished.stdout.splitlines() == [
        "once",
        "['EpochDone', 'Finished', 'Started']",
        "['mine:Act', 'relu']",
    ]
