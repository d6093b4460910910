"""What a report says an activation or a network is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from factories import keep_source, make_run, make_study

from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.report.document import Definition
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.functions import LARGEST_SOURCE, define_activations, define_network
from fluidrelu_cli.run import Provenance
from fluidrelu_cli.study import Contents, Study

ONE = [(0.5, 0.6)]


def test_activations_of_a_name_have_a_formula_or_a_class(tmp_path: Path) -> None:
    evidence = Evidence(make_study(tmp_path, {"relu": ONE, "fluid": ONE, "Softsign": ONE}))
    relu, fluid, softsign = define_activations(evidence)
    assert (relu.title, relu.formula) == ("ReLU", "max(0, v)")
    assert fluid.formula == "v for v ≥ 0, v / (1 - γ) for v < 0, γ = v / (2 exp(a))"
    assert fluid.learned == {"a": 4}
    assert softsign == Definition("Softsign", "Softsign", None, "torch.nn.Softsign")
    assert "convolutions" in str(define_network(evidence).formula)


@pytest.mark.parametrize(
    ("model", "formula", "origin"),
    [
        ("paper:pooling=average", "2 convolutions 5x5 (16, 32), average pooling, linear", "the paper, Table 1"),
        ("paper:pooling=none", None, "not built in"),
        ("lenet", None, "not built in"),
    ],
)
def test_a_network_has_the_layers_that_its_options_choose(
    model: str, formula: str | None, origin: str, tmp_path: Path
) -> None:
    evidence = Evidence(make_study(tmp_path, {"relu": ONE}, model=model))
    assert define_network(evidence) == Definition(model, model, formula, origin)


def test_activations_of_somebody_s_own_have_the_source_that_was_trained(tmp_path: Path) -> None:
    kept = keep_source(tmp_path, b"raise SystemExit  # if it is run\nclass Net: pass\n\nclass Soft:\n    pass\n")
    protocol = Protocol(model="mine:Net")
    run = make_run("fluid", 0)
    conditions = Provenance(activation_sha256=kept, model_sha256=kept)
    runs = tuple(
        replace(run, trial=replace(run.trial, protocol=protocol, activation="mine:Soft", seed=seed), provenance=made)
        for seed, made in enumerate([conditions, replace(conditions, activation_sha256="0" * 64), Provenance()])
    )
    evidence = Evidence(Study(tmp_path, protocol), Contents(runs, {}))
    assert define_activations(evidence) == (
        Definition(
            *("mine:Soft", "mine:Soft", None, "own code"),
            sources={kept: "class Soft:\n    pass", "0" * 64: None},
            learned={"a": 4},
        ),
    )
    assert define_network(evidence).sources == {kept: "class Net: pass"}


def test_a_source_is_shown_as_text_if_it_is_what_was_trained_and_of_a_size_to_read(tmp_path: Path) -> None:
    kept, huge, changed = (
        keep_source(tmp_path, content)
        for content in (
            "\ufeffa = 1\r\n\tb = '\u202e\x1b\xe9'\r".encode() + b"\xff",
            b"#" * (LARGEST_SOURCE + 1),
            b"a = 1",
        )
    )
    (tmp_path / "sources" / f"{changed}.py").write_text("a = 2")
    (tmp_path / "secret.py").write_text("a = 1")
    (tmp_path / "sources" / f"{'1' * 64}.py").mkdir()
    run = make_run("fluid", 0)
    runs = tuple(
        replace(
            run, trial=replace(run.trial, activation="mine:A", seed=seed), provenance=Provenance(activation_sha256=one)
        )
        for seed, one in enumerate([kept, huge, changed, "1" * 64, "../secret"])
    )
    [own] = define_activations(Evidence(Study(tmp_path, run.trial.protocol), Contents(runs, {})))
    shown = "a = 1\n        b = '\\u202e\\x1bé'\n\ufffd"
    assert own.sources == {kept: shown, huge: None, changed: None, "1" * 64: None, "../secret": None}


def test_settings_in_a_name_change_no_formula(tmp_path: Path) -> None:
    run = make_run("fluid@beta=10@lr=0.01", 0)
    provenance = Provenance(betas={"a": 10.0})
    [fluid] = define_activations(
        Evidence(Study(tmp_path, run.trial.protocol), Contents((replace(run, provenance=provenance),), {}))
    )
    assert fluid.title == "FluidReLU (β = 10, lr = 0.01)"
    assert fluid.formula == "v for v ≥ 0, v / (1 - γ) for v < 0, γ = v / (2 exp(a))"
    assert fluid.betas == {"a": 10.0}
