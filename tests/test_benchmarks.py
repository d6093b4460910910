"""The benchmarks start, and compare like with like. What they measure depends on the machine and is not tested."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import faults
import measuring
import peer
import pytest
import simulations
import step
import study
import torch
import train
import typer
from typer.testing import CliRunner

from fluidrelu_cli.networks.build import build_model
from fluidrelu_cli.networks.named import resolve
from fluidrelu_cli.protocol import Protocol

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize(
    ("script", "option"),
    [
        ("step.py", "--rounds"),
        ("peer.py", "--rounds"),
        ("study.py", "--rounds"),
        ("faults.py", "--flips"),
        ("simulations.py", "--replications"),
    ],
)
def test_each_script_says_how_to_use_it(
    script: str, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(BENCHMARKS / script), run_name="__main__")
    assert left.value.code == 0
    assert option in capsys.readouterr().out


def invoke(command: Callable[..., None], *options: str) -> str:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, options, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_no_fault_in_a_studys_files_goes_unnoticed_or_crashes(capsys: pytest.CaptureFixture[str]) -> None:
    """A part of what docs/reliability.md shows."""
    faults.main(BENCHMARKS.parent / "results" / "paper", flips=10, edits=10, truncations=5, seed=4)
    table = capsys.readouterr().out
    for fault, played in (("single bits flipped", 10), ("cells and fields edited", 10), ("files cut short", 5)):
        assert re.search(rf"{fault} +{played} +\d+ +\d+ +0 +0", table)


def test_faults_that_go_unnoticed_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(faults, "judge", lambda *_: "unnoticed")
    with pytest.raises(typer.Exit):
        faults.main(BENCHMARKS.parent / "results" / "paper", flips=1, edits=0, truncations=0, seed=0)
    assert re.search(r"unnoticed: single bits flipped in \S+: b.* became b", " ".join(capsys.readouterr().out.split()))


def test_statistics_are_simulated() -> None:
    output = invoke(simulations.main, "results/mnist-activations", "--replications=20", "--pairs=40")
    assert re.search(r"normal +\d\.\d% \(\S+\) +\d\.\d% ", output)
    assert re.search(r"20 images +\d+ +\d+ +\d+ +100\.0% better", output)
    assert re.search(r"0 images, margin 20 +\d+ +\d+ +\d+ +100\.0% equal", output)
    assert re.search(r"images differ much +10 +200 +\d+\.\d% \(\S+\) +\d+\.\d% ", output)
    assert re.search(r"skewness 2 \(gamma\), no guarantee +\d+\.\d% / \d+\.\d% +\d+\.\d% / \d+\.\d%", output)
    assert re.search(r"90% +0\.0% / \d+\.\d% +0\.0% / 100\.0% ", output)  # ties, and no difference
    assert re.search(r"MNIST's +8 +\d+\.\d% +\d+\.\d% +\d+\.\d% +\d+\.\d%", output)
    assert re.search(r"60 % ties +1 SD +8 +10: \d+\.\d% +28: \d+\.\d% +28: \d+\.\d%", output)
    assert re.search(r"10 +upper 80 % limit +\d+ +\d+\.\d% +\d+\.\d%", output)
    assert re.search(r"6 +0\.2 +\d+\.\d% \(0\.\d\d\) +\d+\.\d% \(\d\.\d\d\) ", output)


def test_a_table_can_be_simulated_alone_and_is_the_same() -> None:
    alone = invoke(simulations.main, "--replications=20", "--only=shares", "--seed=1")
    assert alone.startswith("P(above) not a half in 20 studies")
    assert invoke(simulations.main, "--replications=20", "--only=shares", "--only=shares", "--seed=1") == 2 * alone


def test_a_step_is_set_against_its_floor() -> None:
    output = invoke(step.main, "--batch-size", "4", "--rounds", "2", "--steps", "1")
    for text in ("fluid-coth", "naive fluid", "GEMM peak", "fluid's step / floor, channels last"):
        assert text in output


@pytest.mark.slow
def test_a_study_is_trained_from_its_start() -> None:
    output = invoke(study.main, "--workers=1", "-n1", "--epochs=1", "--train-images=100", "--rounds=1")
    assert re.search(r"1 +1.00 \(1.00–1.00\) +1.00 \(1.00–1.00\) +\d\.\d\d GB", output)
    assert "resident memory of the largest process" in output


@pytest.mark.slow
def test_one_trial_is_compared_with_the_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same options as in processes of their own, but in this one."""

    def run_here(script: str, *options: str | float) -> measuring.Command:
        if script == peer.__file__:
            assert "test accuracy" in invoke(peer.main, *map(str, options))
            return measuring.Command(3.0, 0, "")
        [settings] = map(str, options)
        assert len(train.train(train.Settings(**json.loads(settings)))) == 1
        return measuring.Command(2.0, 0, "")

    monkeypatch.setattr(peer, "run", run_here)
    monkeypatch.setattr(peer, "PAIR", ("relu",))
    output = invoke(peer.main, "--train-images=100", "--rounds=1")
    assert re.search(r"relu +1\.50 \(1\.50–1\.50\)", output)


@pytest.mark.parametrize("activation", ["relu", "fluid"])
def test_the_peer_computes_the_same_network(activation: str) -> None:
    ours = build_model(Protocol(), resolve(activation), 0, (1, 28, 28), 10).module
    theirs = peer.PeerCNN(activation)
    theirs.load_state_dict(ours.state_dict())
    images = torch.rand(7, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(theirs(images), ours(images))


@pytest.mark.slow
def test_the_peer_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the package has all that is needed")

    monkeypatch.setattr("socket.socket.connect", refuse)
    peer.unpack(tmp_path)
    torch.manual_seed(0)
    accuracy = peer.train_peer("fluid", 3, 10, lr=0.01, beta=100, train_images=500, test_images=500, data_dir=tmp_path)
    assert accuracy > 0.6


def test_the_floors_operations_are_counted_for_a_batch() -> None:
    forward = 2 * (16 * 1 * 5 * 5 * 24 * 24), 2 * (32 * 16 * 5 * 5 * 8 * 8)
    assert measuring.convolution_flops(7) == 7 * (2 * forward[0] + 3 * forward[1])


def test_a_missed_goal_is_named_and_only_checked_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    goals = [measuring.Goal("kept", 1, 2), measuring.Goal("too few", 1, 2, at_least=True)]
    measuring.judge(goals, check=False)
    with pytest.raises(SystemExit):
        measuring.judge(goals, check=True)
    assert "MISSED too few" in capsys.readouterr().out


def test_a_command_that_fails_ends_the_benchmark_with_its_words() -> None:
    with pytest.raises(SystemExit, match="no good"):
        measuring.run("-c", "import sys; sys.exit('no good')")


def test_a_command_is_measured_with_the_processes_that_it_waits_for() -> None:
    large = "bytearray(300_000_000)"
    alone = measuring.run("-c", f"print('done'); {large}")
    assert alone.output == "done\n"
    assert alone.peak_bytes > 300_000_000
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{large}'], check=True)"
    assert measuring.run("-c", parent).peak_bytes > 300_000_000
    assert measuring.run("-c", "").peak_bytes < 100_000_000  # this process, which has torch, does not count


@pytest.mark.slow
def test_a_study_that_fails_ends_the_benchmark(tmp_path: Path) -> None:
    settings = train.Settings(["relu"], {"dataset": str(tmp_path / "none.npz")})
    with pytest.raises(SystemExit, match=r"none\.npz"):
        next(study.train_again(settings))
