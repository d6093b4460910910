"""What a report computes: from which runs, how often they are read, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from factories import make_run, make_study

from fluidrelu_cli import files
from fluidrelu_cli.errors import FluidReluError, UsageError
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.report.compose import build_document
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.run import Provenance
from fluidrelu_cli.study import Contents, Study, load_study

RELU = [(0.5, 0.975), (0.5, 0.97), (0.5, 0.98)]
FLUID = [(0.5, 0.9765), (0.5, 0.981), (0.5, 0.9715)]
BOTH = {"relu": RELU, "fluid": FLUID}
RESULTS = Path(__file__).parents[2] / "results"


def damage(study: Study, name: str) -> None:
    study.files(name).csv.write_text("damaged")


def test_each_run_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counted(path: Path) -> dict[str, Any]:
        read.append(path)
        return files.read_json(path)

    monkeypatch.setattr("fluidrelu_cli.run.read_json", counted)
    monkeypatch.setattr("fluidrelu_cli.study.read_json", counted)
    evidence = Evidence(load_study(RESULTS / "mnist-activations"))
    build_document(evidence)
    for activation in evidence.learners:
        evidence.parameters(activation, 3)
    *runs, _ = sorted(read)
    assert len(runs) == len(set(runs)) == len(evidence.runs) == sum(evidence.asked.values())
    assert read[0].name == "study.json"


def test_runs_in_memory_are_enough(tmp_path: Path) -> None:
    """`compare` has just trained them: nothing needs to be on disk."""
    runs = tuple(make_run(name, seed, epochs) for name, seeds in BOTH.items() for seed, epochs in enumerate(seeds))
    evidence = Evidence(Study(tmp_path / "nowhere", Protocol(), dict.fromkeys(BOTH, 4)), Contents(runs, {}))
    assert evidence.summary[["activation", "n", "asked"]].values.tolist() == [["relu", 3, 4], ["fluid", 3, 4]]
    assert evidence.comparisons["mean_difference"].tolist() == [pytest.approx(0.00133, abs=1e-5)]


def test_rows_are_arranged_as_they_were_asked_for(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"tanh": RELU, "elu": FLUID, "relu": RELU})
    study.asked = {"tanh": 3, "relu": 3}  # elu was trained one by one
    assert Evidence(study).order == ["relu", "tanh", "elu"]
    evidence = Evidence(study, baseline="elu")
    assert list(evidence.summary["activation"]) == ["elu", "tanh", "relu"]
    assert list(evidence.comparisons["activation"]) == ["tanh", "relu"]


@pytest.mark.parametrize("protocol", [{"dataset": "cifar10"}, {"model": "cnn3"}])
def test_published_numbers_belong_to_the_same_data_and_network(protocol: dict[str, Any], tmp_path: Path) -> None:
    evidence = Evidence(make_study(tmp_path, BOTH, **protocol))
    assert [evidence.published, evidence.table2, evidence.predictive, evidence.rankings] == [None] * 4
    assert evidence.distributions == {}


def test_predictions_belong_to_the_published_protocol(tmp_path: Path) -> None:
    four = {name: [*seeds, (0.5, 0.975)] for name, seeds in BOTH.items()}
    same, other = (
        Evidence(make_study(tmp_path / str(batch_size), four, batch_size=batch_size)) for batch_size in (20, 50)
    )
    assert same.follows_published
    assert same.predictive is not None
    assert same.predictive["about"].tolist() == ["level", "spread", "level", "spread", "lead"]
    assert not other.follows_published
    assert other.predictive is None
    assert other.table2 is not None
    assert set(other.table2["source"]) == {"published", "here"}
    assert other.rankings is not None
    assert other.rankings[["a", "b"]].values.tolist() == [["fluid", "relu"], ["relu", "fluid"]]


def test_a_study_without_the_baseline_has_no_comparison(tmp_path: Path) -> None:
    assert Evidence(make_study(tmp_path, {"fluid": FLUID, "elu": RELU})).comparisons.empty


def test_parameters_are_those_of_the_first_seeds(tmp_path: Path) -> None:
    evidence = Evidence(make_study(tmp_path, {"relu": RELU, "fluid": FLUID}))
    assert evidence.learners == ["fluid"]
    table = evidence.parameters("fluid", 2)
    assert sorted(set(table["seed"])) == [0, 1]
    assert len(table) == 2 * 3 * 2 * 2  # seeds, epochs from 0, layers, kernels
    assert evidence.count_seeds("fluid") == 3


def test_what_is_left_out_is_noted_and_counted(tmp_path: Path) -> None:
    study = make_study(tmp_path / "mine", BOTH)
    damage(study, "relu-seed1")
    evidence = Evidence(study)
    [note] = evidence.notes
    assert str(study.files("relu-seed1").csv) in note
    assert evidence.summary[["n", "asked"]].values.tolist() == [[2, 3], [3, 3]]
    assert evidence.comparisons["left_out"].tolist() == ["fluid 1"]
    mine = make_study(tmp_path / "other", BOTH)
    assert Evidence(mine, beside=[evidence]).notes == Evidence(mine, against=evidence).notes == [note]


def test_differences_are_counted_in_images_pair_by_pair(tmp_path: Path) -> None:
    study = make_study(tmp_path / "mine", {**BOTH, "elu": RELU[:1]})
    damage(study, "relu-seed1")
    evidence = Evidence(study)
    assert evidence.list_pairs("fluid").to_dict("list") == {"seed": [0, 2], "images": [15, -85]}
    assert evidence.list_pairs("tanh").to_dict("list") == {"seed": [], "images": []}
    assert evidence.growing["n"].tolist() == [2]
    assert evidence.growing["mean_difference"].tolist() == pytest.approx([-0.0035])  # of the first comparison
    assert evidence.spread.empty  # of fewer than six pairs
    assert {name: table["n"].tolist() for name, table in evidence.by_epoch.items()} == {"fluid": [2, 2], "elu": [1, 1]}
    assert evidence.by_epoch["fluid"]["mean_difference"].tolist() == pytest.approx([0, -0.0035])
    assert evidence.images.empty  # these runs say which images they have right:
    with_bits = make_study(tmp_path / "bits", BOTH, bits=True)
    assert Evidence(with_bits).images[["activation", "n"]].values.tolist() == [["fluid", 3]]
    alone = Evidence(make_study(tmp_path / "alone", {"relu": [(0.9,)]}))
    assert (alone.by_epoch, [alone.growing.empty, alone.images.empty, alone.spread.empty]) == ({}, [True] * 3)


def test_mixed_conditions_are_noted(tmp_path: Path) -> None:
    runs = (make_run("relu", 0), replace(make_run("relu", 1), provenance=Provenance(device="cuda")))
    [note] = Evidence(Study(tmp_path, Protocol()), Contents(runs, {})).notes
    assert "device" in note


def test_runs_are_compared_with_those_of_another_study(tmp_path: Path) -> None:
    mine = make_study(tmp_path / "mine", {"relu": RELU, "fluid": [*FLUID[:2], (0.5, 0.972)]})
    theirs = make_study(tmp_path / "theirs", BOTH)
    damage(theirs, "relu-seed0")
    evidence = Evidence(mine, against=Evidence(theirs))
    assert evidence.agreement is not None
    assert evidence.agreement["identical"].tolist() == [True, True, False, True, True]
    assert evidence.agreement["accuracy_difference"].tolist() == pytest.approx([0, 0, 0.0005, 0, 0])
    assert evidence.table2 is not None
    assert list(dict.fromkeys(evidence.table2["source"])) == ["published", "other study", "yours"]


def test_the_other_study_is_not_called_by_its_name(tmp_path: Path) -> None:
    """`report --against results/paper`: its runs are not the paper's."""
    theirs = Evidence(make_study(tmp_path / "paper", {"relu": [(0.5, 0.625)] * 3, "fluid": [(0.5, 0.75)]}))
    table = Evidence(make_study(tmp_path / "mine", {"relu": RELU, "fluid": FLUID}), against=theirs).table2
    assert table is not None
    relu = table[table["activation"] == "relu"]
    assert relu["source"].tolist() == ["published", "other study", "yours"] * 2
    assert relu["accuracy"].tolist() == [0.9784, 0.625, 0.98, 0.9721, 0.625, 0.97]


def test_studies_of_other_data_and_networks_stand_beside(tmp_path: Path) -> None:
    same = make_study(tmp_path / "longer", {"relu": [(0.5,)] * 8, "fluid": [(0.6,)] * 8}, dataset="svhn", model="cnn3")
    beside = Evidence(replace(same, name="group/longer"))
    studies = Evidence(make_study(tmp_path / "mine", BOTH), beside=[beside]).studies
    assert studies[["study", "dataset", "model", "n", "verdict"]].values.tolist() == [
        ["mine", "mnist", "paper", 3, "too few pairs"],
        ["group/longer", "svhn", "cnn3", 8, "better"],
    ]
    assert studies["p_holm"].tolist() == [0.75, 4 / 2**8]  # of the two p-values the smaller one is doubled


@pytest.mark.parametrize("runs", [{"relu": RELU}, {"fluid": FLUID}, {"relu": RELU, "elu": FLUID}])
def test_a_study_without_the_comparison_cannot_stand_beside(
    runs: Mapping[str, Sequence[Sequence[float]]], tmp_path: Path
) -> None:
    other = Evidence(make_study(tmp_path / "other", runs))
    with pytest.raises(UsageError, match="other has no pair of fluid and relu to compare with other studies: leave it"):
        Evidence(make_study(tmp_path / "mine", BOTH), beside=[other])


def test_validation_accuracies_cannot_stand_beside(tmp_path: Path) -> None:
    tuning = Evidence(make_study(tmp_path / "tuning", BOTH, validation_images=100))
    with pytest.raises(
        UsageError, match="tuning was tested on held-out training images, which do not count as results: leave"
    ):
        Evidence(make_study(tmp_path / "mine", BOTH), beside=[tuning])


def test_another_protocol_is_refused(tmp_path: Path) -> None:
    mine = make_study(tmp_path / "mine", {"relu": RELU}, lr=0.01, batch_size=10)
    theirs = Evidence(make_study(tmp_path / "theirs", {"relu": RELU}))
    with pytest.raises(
        UsageError, match=r"mine and .*theirs were trained by different protocols \(batch_size, lr\).*--against"
    ):
        Evidence(mine, against=theirs)


def test_factors_are_those_recorded_but_for_the_paper_s_alone() -> None:
    def factors(**betas: Mapping[str, float] | None) -> list[tuple[str, dict[str, float]]]:
        runs = [replace(make_run(name), provenance=Provenance(betas=mine)) for name, mine in betas.items()]
        return list(Evidence(Study(Path("nowhere"), Protocol()), Contents(tuple(runs), {})).factors.items())

    assert factors(relu={}, fluid={"a": 10000.0}) == factors(fluid=None) == []
    own = {"mine:Soft": {"a": 10000.0}}
    assert factors(fluid={"a": 10000.0}, relu={}, **own) == [("fluid", {"a": 10000.0}), *own.items()]
    assert factors(prelu={"weight": 1.0}) == [("prelu", {"weight": 1.0})]


def test_another_baseline_must_have_runs(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": RELU, "fluid": FLUID, "elu": RELU})
    with pytest.raises(UsageError, match=r"is the --baseline tanh: name one of relu, fluid, elu\.$"):
        Evidence(study, baseline="tanh")
    with pytest.raises(UsageError, match=r"is the --focus tanh: name one of relu, fluid, elu\.$"):
        Evidence(study, focus="tanh")
    with pytest.raises(UsageError, match="--focus and --baseline are both elu"):
        Evidence(study, baseline="elu", focus="ELU")


def test_the_focus_comes_first_after_the_baseline(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"relu": RELU, "mine:Soft": FLUID, "GELU": RELU, "fluid": RELU})
    assert Evidence(study).order == ["relu", "mine:Soft", "GELU", "fluid"]  # as they were named
    evidence = Evidence(study, baseline="nn.ReLU", focus="gelu")
    assert (evidence.baseline, evidence.focus) == ("relu", "GELU")
    assert evidence.order == ["relu", "GELU", "mine:Soft", "fluid"]
    document = build_document(evidence)
    assert document.question == "Is GELU better than ReLU?"
    assert document.answer.startswith(
        "On MNIST with the paper's network after 2 epochs, 3 seeds cannot tell GELU from ReLU"
    )
    assert "mine:Soft" not in document.answer


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        *(("FluidReLU", "fluid"), ("Fluidrelu@beta=10", "fluid@beta=10"), ("fluid@beta=1e1", "fluid@beta=10")),
        *(("Soft", "mine:Soft"), ("MINE:soft", "mine:Soft"), ("soft@beta=10", "mine:Soft@beta=10")),
    ],
)
def test_an_activation_is_named_in_any_spelling(typed: str, name: str, tmp_path: Path) -> None:
    names = ("relu", "mine:Soft", "fluid", "mine:Soft@beta=10", "fluid@beta=10")
    study = make_study(tmp_path, dict.fromkeys(names, RELU[:1]))
    assert Evidence(study, focus=typed).focus == Evidence(study, baseline=typed).baseline == name


def test_a_study_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FluidReluError, match="has no finished run"):
        Evidence(Study(tmp_path / "empty", Protocol()))
    study = make_study(tmp_path / "damaged", {"relu": RELU[:1]})
    damage(study, "relu-seed0")
    with pytest.raises(FluidReluError, match=r"has no finished run \(Left out: .*relu-seed0\.csv is damaged"):
        Evidence(study)


def test_a_paper_is_told_of_only_where_the_study_is_about_its_activations_first(tmp_path: Path) -> None:
    first = Evidence(make_study(tmp_path / "first", {**BOTH, "mine:Soft": RELU}))
    assert first.published is not None
    later = Evidence(make_study(tmp_path / "later", {"relu": RELU, "mine:Soft": RELU, "fluid": FLUID}))
    assert later.published is None
    assert "paper" not in " ".join(build_document(later).remarks)
    assert Evidence(make_study(tmp_path / "own", BOTH), baseline="fluid").published is not None


def test_how_near_to_guessing_counts_classes_and_how_far_is_what_was_learned(tmp_path: Path) -> None:
    """A quarter of the way from 1/3 to 1 is 0.5, and nearer than three times it."""
    runs = tuple(
        replace(make_run(name, 0, [accuracy], dataset="mine.npz"), provenance=Provenance(classes=3))
        for name, accuracy in (("relu", 0.4999), ("fluid", 0.5))
    )
    evidence = Evidence(Study(tmp_path, runs[0].trial.protocol), Contents(runs, {}))
    assert evidence.chance == 1 / 3
    assert evidence.untrained == {"relu": 0.4999}
    assert evidence.moves == {"fluid": 0.5}
