"""What the NeurIPS checklist asks, from the runs: each sentence by a literal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import make_declaration, make_run

from fluidrelu_cli.report.checklist import write_checklist
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.run import Provenance, Run
from fluidrelu_cli.study import ASKED, Contents, Entry, Study

MADE = Provenance(
    versions={"torch": "2.15.0", "python": "3.11.7", "cuda": None},
    cpu="AMD EPYC",
    cpu_capability="AVX2",
    threads=1,
    wall_seconds=30.0,
    peak_memory=500_000_000,
    test_images=10_000,
)


def read(
    accuracies: Mapping[str, Sequence[float]],
    made: Provenance = MADE,
    text: str | None = None,
    entry: Entry | None = None,
    **protocol: Any,
) -> Evidence:
    """Evidence of runs in memory, of one epoch each, made under one condition."""
    runs = [
        replace(make_run(name, seed, (value,), **protocol), provenance=made)
        for name, values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    return gather(runs, text, entry)


def gather(runs: Sequence[Run], text: str | None = None, entry: Entry | None = None) -> Evidence:
    study = Study(Path("nowhere/mine"), runs[0].trial.protocol)
    study.log = () if entry is None else (entry,)
    declaration = None if text is None else make_declaration(text)
    return Evidence(study, Contents(tuple(runs)), declaration=declaration)


RELU = [0.97, 0.972, 0.974, 0.976, 0.978, 0.98]
FLUID = [0.971, 0.972, 0.9745, 0.978, 0.977, 0.981]
WHAT = (
    "Runs of one activation differ in their seed, which sets the initial weights and the order of the training images,"
    " in the same way for each activation. All were tested on the same 10,000 test images. A run's result is its"
    " accuracy after the last of 1 epoch. No run and no epoch was chosen by test accuracy. No tuning was declared."
)
TEST = (
    "Each activation is compared with ReLU in pairs of runs with the same seed. The p-values are those of the exact"
    " two-sided sign-flip test of the paired differences; a 95 % interval of a mean difference has the values that this"
    " test does not reject at 5 %, and is not adjusted."
)
ASSUMED = (
    "The test assumes that seeds are independent of each other and that differences are symmetric about their centre,"
    " not that they are normally distributed."
)
SCOPE = "Nothing is said about other test images, other data, networks or settings."
PLUS_MINUS = (
    "In tables, ± is half the width of a 95 % interval, neither a standard deviation nor a standard error; that of a"
    " mean accuracy is Student's, which assumes that accuracies are normally distributed over seeds."
)


def test_two_paragraphs_say_all_that_is_asked() -> None:
    assert write_checklist([read({"relu": RELU, "fluid": FLUID})], "Exploratory.") == (
        f"Statistical significance. {WHAT} Number of runs: ReLU 6, FluidReLU 6. Sample standard deviation of the"
        f" accuracy over seeds: ReLU 0.00374, FluidReLU 0.00380. {TEST} Equal means that the"
        " 90 % interval lies within ±0.0013, 5 % of the baseline's errors. The only comparison is one test at 5 %."
        f" {ASSUMED} {SCOPE} {PLUS_MINUS} Exploratory.\n\n"
        "Compute resources. 12 runs on processor AMD EPYC with AVX2; CPU threads per run: 1. A run took 30 seconds"
        " (median); all together took 0.10 hours, summed over runs whether or not they ran side by side. Peak memory of"
        " a process: 0.50 GB. Software: torch 2.15.0, python 3.11.7.\n"
    )


FILE = 'activations = ["relu", "fluid", "elu"]\ncompare = ["fluid", "relu"]\n[protocol]\nepochs = 1\n'
THREE = {"relu": RELU, "fluid": FLUID, "elu": RELU}


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (
            read(THREE, text="seeds = 6\nmargin = 0.0005\n" + FILE),
            "Equal means that the 90 % interval lies within ±0.0005, the margin that was declared. The primary"
            " comparison, of FluidReLU with ReLU, is one test at 5 %. The only other comparison is one test at"
            f" 5 %. {ASSUMED}",
        ),
        (read(THREE), f"The p-values of the 2 comparisons are adjusted for each other by Holm's method. {ASSUMED}"),
        (
            read(THREE, text="seeds = 7\n" + FILE),
            "ELU 6. 3 of the declared runs are not finished. Sample",
        ),
        (
            read(THREE, text="seeds = 7\n" + FILE),
            "As declared runs are missing, there are no p-values and no verdicts yet.",
        ),
        (
            read({"relu": RELU[:3], "fluid": FLUID[:3]}),
            "With fewer than 6 pairs (here 3) no p-value can reach 5 %.",
        ),
        (read(THREE, text="seeds = 4\n" + FILE), "Not included: 6 runs beyond those that were declared. Software"),
        (
            read({"relu": RELU}, augment="flip-crop"),
            "which sets the initial weights, the order of the training images and their augmentation, in the same way",
        ),
        (
            read({"relu": RELU}, replace(MADE, test_images=1000), validation_images=1000),
            "tested on the same 1,000 training images, held out for choosing settings. A run's",
        ),
        (
            read({"relu": RELU}, replace(MADE, gpu="NVIDIA H100", batched_seeds=3, wall_seconds=5400.0)),
            "6 runs on GPU NVIDIA H100, in a machine with AMD EPYC; CPU threads per run: 1. A run took 30 minutes"
            " (median); all together took 3.00 hours, summed",
        ),
        (
            read({"relu": RELU}, Provenance()),
            "6 runs on processor not recorded; CPU threads per run: not recorded. How long the runs took is not"
            " recorded. Software: versions not recorded.\n",
        ),
    ],
)
def test_each_sentence_is_of_these_runs(evidence: Evidence, said: str) -> None:
    assert said in write_checklist([evidence])


def test_one_activation_is_compared_with_nothing() -> None:
    text = write_checklist([read({"relu": RELU[:1]})])
    assert not re.search("sign-flip|Holm|symmetric|Sample standard", text)
    assert "Number of runs: ReLU 1. Nothing is said about" in text


def test_a_study_that_ends_once_it_is_decided_has_no_p_values() -> None:
    until = {"compare": ["fluid", "relu"], "margin": 0.002, "max": 20}
    entry = Entry(ASKED, {"relu": 20, "fluid": 20}, "2026-11-25T07:10:00Z", until=until)
    text = write_checklist([read({"relu": RELU, "fluid": FLUID}, entry=entry)])
    assert (
        "Training was to end once the comparison of FluidReLU with ReLU was decided, after at most 20 pairs. The"
        " verdict and its 95 % confidence sequence hold at every number of pairs; the other comparisons have no"
        " p-values. Equal means that the 90 % confidence sequence lies within ±0.002. The confidence sequence assumes"
        " that seeds are independent"
    ) in text
    assert "sign-flip" not in text


def test_conditions_that_differ_are_counted() -> None:
    older = replace(MADE, versions={"torch": "2.14.0"}, wall_seconds=None, peak_memory=None, threads=2)
    runs = [
        replace(make_run("relu", seed, (value,)), provenance=older if seed == 0 else MADE)
        for seed, value in enumerate(RELU)
    ]
    text = write_checklist([gather(runs)])
    assert "CPU threads per run: 1 (5 runs) and 2 (1 run)." in text
    assert (
        "side by side, without 1 run whose time is not recorded. Peak memory of a process, of the 5 runs that" in text
    )
    assert (
        "Software: torch 2.15.0 (5 runs) and 2.14.0 (1 run), python 3.11.7 (5 runs) and not recorded (1 run)." in text
    )


def test_a_run_that_diverged_is_counted_and_said_to_be() -> None:
    run = make_run("relu", 0, (0.1,))
    lost = replace(run, epochs=(replace(run.epochs[0], train_loss=float("nan")),), provenance=MADE)
    assert "ReLU 1. 1 run diverged and is counted." in write_checklist([gather([lost])])


def test_runs_that_say_which_images_are_right_cover_other_images() -> None:
    """Two seeds and four images: D has rows (1, 0, 0, 0) and (1, 1, 0, 0)."""
    right = {"fluid": ([1, 1, 1, 0], [1, 1, 1, 0]), "relu": ([0, 1, 1, 0], [0, 0, 1, 0])}
    runs = [
        replace(
            make_run(name, seed, (sum(bits) / 4,)),
            provenance=replace(MADE, test_images=4),
            correct=np.packbits(np.array(bits, np.uint8)).tobytes(),
        )
        for name, rows in right.items()
        for seed, bits in enumerate(rows)
    ]
    text = write_checklist([gather(runs)])
    # Means of images 1, 1/2, 0, 0 and of seeds 1/4, 1/2: MS_i = 0.4583, MS_s = MS_si = 0.125, so only images count:
    # V = MS_i / 8 = 0.05729, 3 degrees of freedom, and 0.375 ± 3.18245 * 0.239357.
    assert (
        "For other test images of the same kind, too, the 95 % interval of FluidReLU's mean difference from ReLU is"
        " −0.38674 to +1.13674 (seeds and images as crossed random effects, with Satterthwaite's degrees of freedom)."
        " All else is about these test images, and nothing about other data, networks or settings."
    ) in text
    assert SCOPE not in text
    assert SCOPE in write_checklist([gather([replace(run, correct=None) for run in runs])])


GRID = FILE.replace("[protocol]\nepochs = 1\n", "seeds = 6\n[protocol]\nepochs = 1\n[vary]\nlr = [0.001, 0.1]\n")


def test_a_grid_has_one_paragraph_over_all_cells() -> None:
    cells = [read(THREE, text=GRID, lr=lr) for lr in (0.001, 0.1)]
    fewer = [cells[0], read({name: values[:5] for name, values in THREE.items()}, text=GRID, lr=0.1)]
    text = write_checklist(cells)
    assert text.count("\n\n") == 1
    assert "Those of one setting were tested on the same 10,000 test images." in text
    assert "Number of runs in each of 2 settings: ReLU 6, FluidReLU 6, ELU 6." in text
    assert (
        "The primary comparison, of FluidReLU with ReLU, is adjusted for the 2 settings by Holm's method."
        " The p-values of the 2 other comparisons are adjusted for each other by Holm's method."
    ) in text
    assert "36 runs on processor AMD EPYC" in text
    assert "all together took 0.30 hours" in text
    assert "ReLU 5 to 6, FluidReLU 5 to 6, ELU 5 to 6. 3 of the declared runs are not finished." in write_checklist(
        fewer
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('tuned = "the epochs, on ReLU alone"\n', "last of 1 epoch. Tuned: the epochs, on ReLU alone. Number"),
        (
            'published = "paper"\nresult = "nearest"\n',
            "A run's result is its accuracy at the test at which ReLU's mean is nearest to what was published. No"
            " tuning was declared. Number",
        ),
    ],
)
def test_what_was_chosen_by_results_is_told_and_not_denied(more: str, said: str) -> None:
    text = write_checklist([read(THREE, text=more + GRID, lr=lr) for lr in (0.001, 0.1)])
    assert said in text
    assert "was chosen by" not in text
