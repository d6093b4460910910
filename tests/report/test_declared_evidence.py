"""What counts in a declared study, and when it has a verdict."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from factories import make_declaration, make_study

from fluidrelu_cli.analysis import published
from fluidrelu_cli.analysis.planning import pairs_to_decide, planning_sd
from fluidrelu_cli.declaration import Changes
from fluidrelu_cli.declared import find_declaration, keep_declaration
from fluidrelu_cli.report import wording
from fluidrelu_cli.report.compose import build_document
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.study import ASKED, LOOKED, Entry

RUNS = [[0.5, 0.6], [0.5, 0.7], [0.5, 0.65]]


@pytest.mark.parametrize(
    ("seeds", "lacking", "not_counted", "interim"), [(4, 2, 0, True), (3, 0, 0, False), (2, 0, 2, False)]
)
def test_only_declared_seeds_count_and_all_are_needed_for_a_verdict(
    tmp_path: Path, seeds: int, lacking: int, not_counted: int, interim: bool
) -> None:
    study = make_study(tmp_path, {"relu": RUNS, "fluid": RUNS[::-1]})
    declaration = make_declaration(
        f'activations = ["relu", "fluid"]\ncompare = ["fluid", "relu"]\nseeds = {seeds}\nmargin = 0.5\n'
        "[protocol]\nepochs = 2\n"
    )
    evidence = Evidence(study, declaration=declaration)
    assert (evidence.lacking, evidence.not_counted) == (lacking, not_counted)
    assert (set(evidence.comparisons["verdict"]) == {"interim"}) is interim
    standing = str(build_document(evidence).standing)
    assert ("exploratory" in standing) is bool(not_counted)


DECLARED = 'activations = ["relu", "fluid", "elu"]\ncompare = ["fluid", "relu"]\nseeds = 3\n'
TABLE = """
[protocol]
epochs = 2
[published]
source = "somebody, Table 7"
runs = 2
best = { fluid = 0.7, relu = 0.6 }
worst = { FluidReLU = 0.6, relu = 0.5 }
"""


def test_what_a_file_publishes_is_set_beside_its_runs(tmp_path: Path) -> None:
    study = make_study(tmp_path / "mine", {"relu": RUNS * 2, "fluid": RUNS[::-1] * 2, "elu": RUNS * 2})
    evidence = Evidence(study, declaration=make_declaration(DECLARED.replace("= 3", "= 6") + TABLE))
    assert evidence.published is not None
    assert evidence.published.best == {"fluid": 0.7, "relu": 0.6}
    assert evidence.published.worst == {"fluid": 0.6, "relu": 0.5}
    assert evidence.follows_published
    document = build_document(evidence)
    assert {"table2", "predictive"} <= {section.name for section in document.sections}
    assert document.sections[0].title == "somebody, Table 7: best and worst accuracy of two runs"
    assert document.sections[0].remarks[0].startswith("A table of two runs each would rank")
    captions = {picture.name: picture.caption for picture in document.pictures}
    assert captions["best-of-three"].endswith("all sets of two of our runs.")
    heads = [section.cells[0][0] for section in document.sections]
    assert not re.search(r"\bthree\b", f"{heads} {document.remarks} {[*captions.values()]}")

    means = TABLE.replace("runs = 2", "runs = { relu = 2, fluid = 5 }").replace("best", "mean").replace("worst", "sd")
    last = DECLARED.replace('"fluid", "elu"', '"elu", "fluid"').replace('compare = ["fluid", "relu"]\n', "")
    evidence = Evidence(study, declaration=make_declaration(last.replace("= 3", "= 6") + means))
    document = build_document(evidence)
    assert document.sections[0].title == "somebody, Table 7: mean accuracy and SD of two or five runs"
    assert [row[0] for row in document.sections[0].cells[1]] == ["mean", "SD"]
    assert document.sections[0].footnotes == ()
    [predictive] = (section for section in document.sections if section.name == "predictive")
    assert predictive.title == "The paper's numbers beside what two or five more runs of ours would give"
    assert [row[0] for row in predictive.cells[1]] == [
        *("level, FluidReLU", "spread, FluidReLU", "level, ReLU", "spread, ReLU", "lead, FluidReLU")
    ]
    assert predictive.table["runs"].tolist() == [5, 5, 2, 2, 5]
    drawn = {picture.name: picture.draw for picture in document.pictures}
    assert "best-of-three" not in drawn
    assert "the paper" not in drawn["accuracies"]().axes[0].get_title(loc="left")

    own = make_study(tmp_path / "own", {"relu": RUNS, "fluid": RUNS}, lr=0.5)
    by_name = make_declaration('published = "paper"\n' + DECLARED + "[protocol]\nepochs = 2\nlr = 0.5\n")
    paper = Evidence(own, declaration=by_name)
    assert paper.published is published.PAPER
    assert not paper.follows_published
    nothing = Evidence(own, declaration=make_declaration(DECLARED + "[protocol]\nepochs = 2\nlr = 0.5\n"))
    assert nothing.published is None
    fluid_alone = make_study(tmp_path / "fluid", {"fluid": RUNS})
    assert Evidence(fluid_alone, declaration=make_declaration(DECLARED + TABLE)).published is None


def test_changes_are_those_since_the_first_use(tmp_path: Path) -> None:
    texts = [DECLARED, DECLARED.replace("seeds = 3", "seeds = 2\nmargin = 0.1"), f'question = "Why?"\n{DECLARED}']
    first, second, now = map(make_declaration, texts)
    study = make_study(tmp_path, {"relu": RUNS, "fluid": RUNS})
    assert Evidence(study, declaration=now).changes == Changes()  # it was never trained from a file
    for each in (first, second, now):
        study.record(Entry(ASKED, {"relu": 3}, sha256=each.sha256))
        keep_declaration(each, tmp_path)
    assert Evidence(study, declaration=first).changes == Changes()
    fewer = dict.fromkeys(["relu", "fluid", "elu"], (3, 2))
    assert Evidence(study, declaration=second).changes == Changes(fewer, ("margin nothing → 0.1",), of_primary=True)
    assert Evidence(study, declaration=now).changes == Changes(others=('question nothing → "Why?"',), of_primary=True)
    said = make_declaration(f'{DECLARED}tuned = "nothing"\n# and why\n')
    assert Evidence(study, declaration=said).changes == Changes()
    kept = tmp_path / "declared" / f"{first.sha256}.toml"
    kept.write_text(f"# tampered with\n{DECLARED}")
    assert Evidence(study, declaration=now).changes is None
    assert Evidence(study, declaration=first).changes == Changes()  # it is the same text


def test_the_primary_comparison_is_judged_by_the_declared_margin_and_by_itself(tmp_path: Path) -> None:
    values = [[0.9], [0.91], [0.92], [0.9], [0.93], [0.94]]
    evidence = Evidence(
        make_study(tmp_path / "mine", {"relu": values, "fluid": values, "elu": values}),
        declaration=make_declaration(MARGIN),
    )
    assert evidence.margin == 0.001
    columns = ["activation", "family", "margin_declared", "verdict"]
    assert evidence.comparisons[columns].values.tolist() == [
        ["fluid", "primary", True, "equal"],
        ["elu", "secondary", True, "equal"],
    ]
    document = build_document(evidence)
    [table] = (section for section in document.sections if section.name == "comparisons")
    assert table.remarks[0].startswith("p: as they are, FluidReLU's as the primary one")
    assert document.answer == (
        "On MNIST with the paper's network after 1 epoch, FluidReLU and ReLU are equal within 0.0001 (6 seeds, mean"
        " difference +0.00000, 90 % interval +0.00000 to +0.00000), which is less than the margin of 0.001 (declared)."
        " No tuning was declared. Of the others, ELU is equal to ReLU within the margin."
    )
    other = Evidence(evidence.study, declaration=make_declaration(MARGIN), baseline="elu")
    assert set(other.comparisons["family"]) == {"secondary"}  # which no file declares


def test_what_would_decide_is_planned_for_the_verdicts_own_test(tmp_path: Path) -> None:
    relu = [[0.9], [0.91], [0.92], [0.9], [0.93], [0.94]]
    fluid = [[0.901], [0.909], [0.922], [0.899], [0.9305], [0.94]]
    study = make_study(tmp_path, {"relu": relu, "fluid": fluid, "elu": relu})
    evidence = Evidence(study, declaration=make_declaration(MARGIN))
    [row] = evidence.comparisons[evidence.comparisons["activation"] == "fluid"].to_dict("records")
    assert row["verdict"] == "undecided"
    planned = planning_sd(row["sd_difference"], 6)
    assert evidence.needed == {"fluid": pairs_to_decide(planned, 0.001, alpha=0.05, ties=1 / 6)}
    asked = f"A plan for 80 % power asks for about {evidence.needed['fluid']} seeds of each."
    assert asked in build_document(evidence).answer
    assert Evidence(study).needed == {}  # within the margin of 42 images, a twentieth of the errors


MARGIN = """
activations = ["relu", "fluid", "elu"]
compare = ["fluid", "relu"]
seeds = 6
margin = 0.001
[protocol]
epochs = 1
"""


FIRST = Entry(ASKED, {"relu": 3}, "2026-11-25T07:10:59Z", 0, "mine.toml", make_declaration(DECLARED).sha256)
OTHER = replace(FIRST, when="2026-11-25T06:00:00Z", sha256="f" * 64)
LOOK = replace(OTHER, what=LOOKED, when="2026-11-25T06:30:00Z", finished=None)


FEWER = Changes(dict.fromkeys(["relu", "fluid", "elu"], (3, 2)), of_primary=True)
CHANGED = "The file was changed after its first use (2026-11-25 06:00 UTC)"
SEEN = (
    f"Declared in mine.toml. {CHANGED}, by 2026-11-25 07:10 UTC: {{}}. Its report had been looked at before that{{}}."
)
ALL = ", so p-values and verdicts are exploratory"


@pytest.mark.parametrize(
    ("log", "not_counted", "changes", "said"),
    [
        ([FIRST], 0, Changes(), "Declared in mine.toml."),
        (
            [],
            0,
            Changes(),
            "Described afterwards in mine.toml: the runs are older than its first use, so it does not register them.",
        ),
        (
            [replace(FIRST, sha256=None), replace(FIRST, finished=1), replace(FIRST, finished=9)],
            0,
            Changes(),
            "Declared in mine.toml when 1 run was finished already: it is no plan for that one.",
        ),
        (
            [OTHER],
            1,
            replace(FEWER, others=("margin 1 → 2",)),
            f"Declared in mine.toml. {CHANGED}: seeds 3 → 2; margin 1 → 2. 1 run beyond what it declares is"
            " exploratory, and not counted.",
        ),
        ([OTHER, LOOK, FIRST], 0, FEWER, SEEN.format("seeds 3 → 2", ALL)),
        (
            [OTHER, LOOK, FIRST],
            0,
            Changes({"elu": (2, 3)}),
            SEEN.format("seeds of ELU 2 → 3", ", so the comparison of ELU with ReLU is exploratory"),
        ),
        (
            [OTHER, LOOK, FIRST],
            0,
            Changes({"elu": (0, 3), "prelu": (0, 3), "tanh": (3, 0)}),
            SEEN.format("with ELU and PReLU; without Tanh", ", so the comparison of ELU with ReLU is exploratory"),
        ),
        ([OTHER, LOOK, FIRST], 0, Changes({"relu": (2, 3)}, (), True), SEEN.format("seeds of ReLU 2 → 3", ALL)),
        (
            [FIRST, LOOK, FIRST],
            0,
            Changes(),
            "Declared in mine.toml. The file was changed after its first use, and back by 2026-11-25 07:10 UTC. Its"
            " report had been looked at before that, so p-values and verdicts are exploratory.",
        ),
        (
            [OTHER, LOOK, FIRST],
            0,
            Changes(),
            f"Declared in mine.toml. {CHANGED}, by 2026-11-25 07:10 UTC, in nothing that is trained or judged.",
        ),
        (
            [OTHER],
            0,
            None,
            f"Declared in mine.toml. {CHANGED}; what it said then is not known, because the copy is gone or was"
            " changed.",
        ),
        (
            [FIRST],
            2,
            Changes(),
            "Declared in mine.toml. 2 runs beyond what it declares are exploratory, and not counted.",
        ),
    ],
)
def test_standing_in_sentences(log: list[Entry], not_counted: int, changes: Changes | None, said: str) -> None:
    assert wording.standing(make_declaration(DECLARED), log, not_counted, changes) == said


def test_what_concerns_one_of_the_other_comparisons_concerns_all() -> None:
    more = make_declaration(DECLARED.replace('"elu"', '"elu", "tanh"'))
    log = [OTHER, LOOK, replace(FIRST, sha256=more.sha256)]
    assert wording.standing(more, log, 0, Changes({"elu": (2, 3)})) == SEEN.format(
        "seeds of ELU 2 → 3", ", so the comparisons of ELU and Tanh with ReLU are exploratory"
    )


def test_a_study_whose_copy_was_tampered_with_says_so(tmp_path: Path) -> None:
    declaration = make_declaration(DECLARED)
    study = make_study(tmp_path, {"relu": RUNS, "fluid": RUNS})
    assert build_document(Evidence(study)).standing == wording.EXPLORATORY
    keep_declaration(declaration, tmp_path)
    study.record(Entry(ASKED, {"relu": 3}, file="mine.toml", sha256=declaration.sha256))
    assert find_declaration(study) == replace(declaration, name=tmp_path.name)
    (tmp_path / "declared" / f"{declaration.sha256}.toml").write_text(DECLARED.replace("3", "2"))
    assert find_declaration(study) is None
    assert build_document(Evidence(study)).standing == (
        "It was trained from mine.toml, but its copy of that file is gone or was changed: name the file itself to have"
        " what it declares reported."
    )
