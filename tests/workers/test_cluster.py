"""The command line on a Dask cluster, mostly a real one: a scheduler and two workers, each in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from command_line import (
    ACTIVATIONS,
    SMALL,
    assert_same_numbers,
    fluidrelu,
    numbers,
    start_repeat,
    wait_for_first_run,
    words,
)
from distributed import Client
from small_trials import failures_in, make_job, runs_in, train, without_timings

import fluidrelu_cli
from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.workers import cluster
from fluidrelu_cli.workers.cluster import DaskPool, _unpack
from fluidrelu_cli.workers.events import Event, Failed, Job, Started, Update
from fluidrelu_cli.workers.pool import follow

pytestmark = pytest.mark.usefixtures("folder")
real_cluster = pytest.mark.slow

ROOT = Path(fluidrelu_cli.__file__).parents[1]
PROTOCOL = Protocol(epochs=2, batch_size=50, train_images=300, test_images=100)
ON_A_CPU = (*SMALL, "--device", "cpu")
ONLY_ON_TWO = "import torch\nclass Act(torch.nn.ReLU): pass\n"


class Cluster:
    """A scheduler and workers, each a process in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.address = ""
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def add_scheduler(self) -> None:
        file = self._folder / "scheduler.json"
        # If this process is killed it ends after a while, and its workers with it.
        plain = ("--host", "127.0.0.1", "--port", "0", "--idle-timeout", "300")
        self._start("scheduler", *plain, "--scheduler-file", file)
        wait_until(lambda: file.exists() and file.read_text().endswith("}"))
        self.address = json.loads(file.read_text())["address"]

    def add_worker(self, name: str, *options: object, files: Mapping[str, str] = MappingProxyType({})) -> None:
        """Start a worker; what it imports is looked for among these files first."""
        for path, text in files.items():
            file = self._folder / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        plain = ("--host", "127.0.0.1", "--no-nanny", "--name", name, "--death-timeout", "30", "--local-directory", ".")
        self._start("worker", self.address, *plain, *options, name=name)

    def kill(self, name: str) -> None:
        self._processes[name].kill()
        self._processes.pop(name).wait()

    def close(self) -> None:
        """Let them end by themselves, if they do: a killed process leaves no record of its coverage."""
        for process in reversed(self._processes.values()):
            process.terminate()
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            process.kill()
            process.wait()

    def _start(self, kind: str, *options: object, name: str | None = None) -> None:
        home = self._folder / (name or kind)
        home.mkdir(exist_ok=True)
        arguments = ["-m", f"distributed.cli.dask_{kind}", "--no-dashboard", *map(str, options)]
        with (home / "log.txt").open("ab") as log:
            self._processes[name or kind] = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=home,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(home), str(ROOT)])},
                stdout=log,
                stderr=log,
            )


PATIENCE = 120
"""Seconds after which something will not happen any more, even on a busy machine."""


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Cluster]:
    """A scheduler; all processes have ended afterwards, whatever happens."""
    cluster = Cluster(folder)
    try:
        cluster.add_scheduler()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    both = {"mine.py": ACTIVATIONS}
    with started(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.add_worker("one", "--nthreads", 1, files=both)
        cluster.add_worker(
            "two", "--nthreads", 2, "--resources", "GPU=1", files={**both, "only_on_two.py": ONLY_ON_TWO}
        )
        yield cluster


@pytest.fixture
def address(running: Cluster) -> str:
    with connected(running.address) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
    return running.address


@contextlib.contextmanager
def connected(address: str) -> Iterator[Client]:
    with Client(address, set_as_default=False) as client:
        yield client


def trains_nothing(client: Client) -> bool:
    """No task is waiting, nor is there a thread that still runs one."""
    busy = client.run(lambda dask_worker: len(dask_worker.active_threads))
    return not any(client.processing().values()) and not any(busy.values())


def runs_folder(folder: Path) -> Path:
    return folder / "results" / "local" / "runs"


def slow_jobs(folder: Path, count: int) -> list[Job]:
    """Jobs of a second each."""
    (folder / "mine.py").write_text(ACTIVATIONS)
    return [make_job("mine:Slow", [seed], replace(PROTOCOL, epochs=1, train_images=100)) for seed in range(count)]


@real_cluster
def test_a_cluster_gives_the_numbers_of_this_machine(address: str, undisturbed: Path, folder: Path) -> None:
    output = words(fluidrelu("repeat", "-n", 2, "--dask", address, *ON_A_CPU))
    assert f"{address}: 2 workers. 1/4" in output
    assert_same_numbers(runs_folder(folder), undisturbed)
    assert {path.name for path in runs_folder(folder).iterdir()} == {path.name for path in undisturbed.iterdir()}
    assert "0 to train" in fluidrelu("repeat", "-n", 2, "--dask", address, *ON_A_CPU)


@real_cluster
def test_seeds_together_on_a_cluster(address: str, undisturbed: Path, folder: Path) -> None:
    options = ("--act", "relu", "--batch-seeds", 2, "--save-weights", "--dask", address)
    output = fluidrelu("repeat", "-n", 2, *options, *ON_A_CPU)
    weights = {path.stem: path.read_bytes() for path in runs_folder(folder).glob("*.safetensors")}
    assert weights.keys() == {"relu-seed0", "relu-seed1"}
    assert len(set(weights.values())) == 2
    assert output.count("2 seeds together") == 2
    for name, table in numbers(runs_folder(folder)).items():
        expected = numbers(undisturbed)[name]["test_loss"].astype(float).to_list()
        assert table["test_loss"].astype(float).to_list() == pytest.approx(expected, rel=1e-3)
    assert len(numbers(runs_folder(folder))) == 2


@real_cluster
def test_of_a_workers_threads_one_trains_at_a_time(address: str, data_dir: Path) -> None:
    """RReLU draws from the random numbers of the whole process."""
    jobs = [make_job("RReLU", [seed]) for seed in range(6)]
    runs = runs_in(follow(DaskPool(address, None, "cpu"), jobs))
    assert sorted(run.trial.seed for run in runs) == list(range(6))
    for run in runs:
        [here] = train([run.trial], data_dir)
        assert without_timings(run).epochs == without_timings(here).epochs


@real_cluster
@pytest.mark.parametrize(("device", "expected"), [("cuda", {"two"}), ("cpu", {"one", "two"})])
def test_where_workers_declare_gpus_jobs_for_one_go_there(device: str, expected: set[str], address: str) -> None:
    def place() -> str:
        from distributed import get_worker

        time.sleep(0.05)
        return str(get_worker().name)

    pool = DaskPool(address, None, device)
    try:
        jobs = [pool._executor.submit(place) for _ in range(12)]
        assert {job.result(timeout=PATIENCE) for job in jobs} == expected
    finally:
        pool.close(abandon=True)


@real_cluster
def test_an_activation_that_workers_cannot_import_is_named_and_the_others_go_on(address: str, folder: Path) -> None:
    (folder / "only_here.py").write_text(ONLY_ON_TWO)
    acts = ("--act", "only_here:Act", "--act", "relu")
    output = words(fluidrelu("repeat", "-n", 2, *acts, "--batch-seeds", 2, "--dask", address, *ON_A_CPU, code=1))
    assert output.count("UsageError: The activation 'only_here:Act' cannot be imported (ModuleNotFoundError") == 3
    assert "cannot be trained together" in output
    assert "Error: 2 of 4 trials failed" in output
    assert numbers(runs_folder(folder)).keys() == {"relu-seed0.csv", "relu-seed1.csv"}


@real_cluster
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_is_stopped_leaves_no_task_running(
    end: signal.Signals, address: str, undisturbed: Path, folder: Path
) -> None:
    process = start_repeat(folder, "--dask", address, act="mine:Slower")
    with connected(address) as client:
        wait_for_first_run(process)
        assert not trains_nothing(client)
        os.kill(process.pid, end)
        output, errors = process.communicate(timeout=PATIENCE)
        wait_until(lambda: trains_nothing(client))
    if end == signal.SIGINT:
        assert process.returncode == 130
        assert "Go on with: python3 -m fluidrelu_cli repeat -n 1 --act relu --act mine:Slower" in errors
        assert f"--dask {address}" in errors
        assert "Traceback" not in output + errors
    [(name, kept)] = numbers(runs_folder(folder)).items()
    assert name == "relu-seed0.csv"
    assert kept.equals(numbers(undisturbed)[name])


@real_cluster
def test_a_worker_that_is_killed_costs_nothing_but_time(
    address: str, running: Cluster, data_dir: Path, folder: Path
) -> None:
    jobs = slow_jobs(folder, 3)
    events: list[Event] = []

    def threads_of_one() -> int:
        """How many are training, in mid-trial: each needs two seconds for its three steps."""
        found = client.run(lambda dask_worker: (dask_worker.name, len(dask_worker.active_threads)))
        return int(dict(found.values())["one"])

    with contextlib.closing(follow(DaskPool(address, None, "cpu"), jobs)) as following, connected(address) as client:
        events.append(next(following))
        wait_until(lambda: threads_of_one() == 1)
        running.kill("one")
        events.extend(following)
    running.add_worker("one", "--nthreads", 1)
    runs = runs_in(events)
    assert sorted(run.trial.seed for run in runs) == [0, 1, 2]
    for run in runs:
        [here] = train([replace(run.trial, activation="relu")], data_dir)  # Slow computes the same
        assert run.epochs[0].test_loss == pytest.approx(here.epochs[0].test_loss, rel=1e-5)


@contextlib.contextmanager
def listening(answer: bytes) -> Iterator[str]:
    """The address of something that answers every connection with the same bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(answer)
                        connection.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def refused(address: str, code: int) -> str:
    """The one sentence in answer to an address."""
    output = fluidrelu("repeat", "-n", 1, "--dask", address, *ON_A_CPU, code=code)
    [sentence] = [line for line in output.splitlines() if not line.endswith(("to train.", "(-n 6)."))]
    assert sentence.startswith("Error: ")
    return sentence


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody will answer there is no need to wait."""
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"], ids=["closed", "http"]
)
@pytest.mark.usefixtures("impatient")
def test_an_address_of_something_else_is_refused(answer: bytes) -> None:
    with listening(answer) as address:
        sentence = refused(address, 1)
    assert f"No Dask scheduler of this version answers at {address} (" in sentence


@pytest.mark.usefixtures("impatient")
def test_an_address_where_nobody_listens_is_refused() -> None:
    sentence = refused("tcp://127.0.0.1:1", 1)
    assert "No Dask scheduler of this version answers at tcp://127.0.0.1:1 (OSError: Timed out" in sentence
    assert "start one with `dask scheduler`, or correct the address of --dask." in sentence


@real_cluster
def test_the_address_of_a_worker_is_refused(address: str) -> None:
    """In a process of its own, because a client that is left behind complains when its process exits."""
    script = (
        "import sys\n"
        "from fluidrelu_cli.workers.cluster import DaskPool, FluidReluError\n"
        "try:\n    DaskPool(sys.argv[1], None, 'cpu')\nexcept FluidReluError as error:\n    print(error)"
    )
    with connected(address) as client:
        worker = next(iter(client.scheduler_info()["workers"]))
    finished = subprocess.run(
        [sys.executable, "-c", script, worker],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert finished.stdout.startswith(f"No Dask scheduler of this version answers at {worker} (")
    assert finished.stderr == ""


@pytest.mark.parametrize("address", ["nonsense", "tcp://localhost", "foo://localhost:8786", ""])
def test_a_malformed_address_is_refused(address: str) -> None:
    sentence = refused(address, 2)
    assert f"--dask needs the address of a scheduler, as tcp://host:8786, not '{address}'" in sentence


@real_cluster
def test_another_version_on_the_cluster_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = fluidrelu_cli.__version__
    monkeypatch.setattr(fluidrelu_cli, "__version__", "0.0.1")
    sentence = refused(address, 1)
    assert f"The Dask cluster at {address} does not fit: the scheduler has fluidrelu-cli {there}, " in sentence
    assert ", but this machine has fluidrelu-cli 0.0.1, Python " in sentence
    assert sentence.endswith(". Install the same on both; what is finished is kept.")


MISFITS = {
    "old": {"fluidrelu_cli/__init__.py": "__version__ = '0.0.1'"},
    "without": {"fluidrelu_cli/__init__.py": "raise ImportError"},
    "older Python": {"sitecustomize.py": "import platform\nplatform.python_version_tuple = lambda: ('3', '7', '17')"},
}


@real_cluster
def test_jobs_wait_for_workers_and_those_that_do_not_fit_get_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go on with the first that fits. The command stops only when others are the only ones left."""
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(cluster, "RESTART_SECONDS", 1)
    with started(folder) as late:
        with connected(late.address) as client:

            def wait_for_workers(count: int) -> None:
                wait_until(lambda: len(client.scheduler_info()["workers"]) == count)

            pool = DaskPool(late.address, None, "cpu")
            assert pool.workers == 0
            following = follow(pool, slow_jobs(folder, 8))
            late.add_worker("first", files={"mine.py": ACTIVATIONS})
            events = [next(following)]
            late.kill("first")
            wait_for_workers(0)
            late.add_worker("second", files={"mine.py": ACTIVATIONS})
            while len(runs_in(events)) < 1:
                events.append(next(following))
            for name, files in MISFITS.items():
                late.add_worker(name, files=files)
            wait_for_workers(1 + len(MISFITS))
            while len(runs_in(events)) < 4:
                events.append(next(following))
            assert sum(map(len, client.processing().values())) <= 2  # others would count the loss of a worker, too
            late.kill("second")
            words = r"does not fit: .* has fluidrelu-cli .* what is finished is kept\.$"
            with pytest.raises(FluidReluError, match=words):
                events.extend(following)
            assert failures_in(events) == []
            assert 4 <= len(runs_in(events)) < 8
            assert client.run_on_scheduler(lambda dask_scheduler: "fluid" not in str([*dask_scheduler.worker_plugins]))
            with pytest.raises(FluidReluError, match=r"does not fit: tcp://\S+ has fluidrelu-cli .*, but this machine"):
                DaskPool(late.address, None, "cpu")
            for name in MISFITS:
                late.kill(name)
            wait_for_workers(0)
        following = follow(DaskPool(late.address, None, "cpu"), [make_job("relu")])
        monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
        late.kill("scheduler")  # before there are workers
        with pytest.raises(FluidReluError, match="The workers can no longer be reached; what is finished is kept"):
            next(following)


@real_cluster
def test_a_result_that_cannot_be_read_here_is_a_failure_in_a_sentence(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send_nonsense(_job: Job, _data_dir: Path | None, _device_name: str, topic: str) -> bytes:
        from distributed import get_worker

        get_worker().log_event(topic, b"cnowhere\nUpdate\n.")
        return b"cnowhere\nOutcome\n."

    monkeypatch.setattr(cluster, "_work", send_nonsense)
    [failed] = follow(DaskPool(address, None, "cpu"), [make_job("relu")])
    assert isinstance(failed, Failed)
    assert failed.error == (
        "FluidReluError: What a worker sent cannot be read (ModuleNotFoundError: No module named 'nowhere')."
        " Install the same versions on all hosts."
    )


@real_cluster
def test_a_scheduler_that_is_lost_is_named_and_what_is_finished_is_kept(
    address: str, running: Cluster, data_dir: Path, folder: Path
) -> None:
    """The last test of this cluster."""
    process = start_repeat(folder, "--dask", address, "--data-dir", data_dir, act="mine:Slower")
    wait_for_first_run(process)
    running.kill("scheduler")
    output, errors = process.communicate(timeout=PATIENCE)
    for worker in ("one", "two"):
        running.kill(worker)
    assert process.returncode == 1
    [sentence] = errors.splitlines()
    assert sentence == (
        "Error: The workers can no longer be reached; what is finished is kept: the same command goes on."
    )
    assert "Traceback" not in output
    assert numbers(runs_folder(folder)).keys() == {"relu-seed0.csv"}


def test_only_the_kind_that_is_expected_is_unpacked() -> None:
    started = Started(make_job("relu"))
    assert _unpack(pickle.dumps(started), Update) == started
    with pytest.raises(FluidReluError, match=r"What a worker sent cannot be read \(a str\)\. Install"):
        _unpack(pickle.dumps("nonsense"), Update)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"install it with `pip install 'fluidrelu-cli\[dask\]'`"):
        DaskPool("tcp://127.0.0.1:8786", None, "cpu")


def test_a_number_of_workers_is_this_machines() -> None:
    output = words(fluidrelu("repeat", "--workers", 2, "--dask", "tcp://127.0.0.1:8786", code=2))
    assert "--workers is for this machine; a Dask cluster has its own: leave one of the two out." in output
