"""A report of every kind of study, which together have every table that a report can have."""

from __future__ import annotations

from pathlib import Path

from factories import make_cost, make_declaration, make_study

from fluidrelu_cli.declaration import FIRST_TUNING_SEED
from fluidrelu_cli.declared import settle
from fluidrelu_cli.report.compose import build_document
from fluidrelu_cli.report.document import Document
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.grid import build_grid_document
from fluidrelu_cli.report.overview import build_overview_document
from fluidrelu_cli.study import load_study

TABLES = {
    *("summary", "comparisons", "other_comparisons", "studies", "agreement", "cost"),
    *("table2", "rankings", "predictive", "looks", "tuning", "by_epoch", "images", "spread", "regression"),
    *(
        "multiverse",
        "multiverse_learned",
        "choices",
        "choices_learned",
        "weights",
        "weighted",
        "fits",
        "stops",
        "verdicts",
        "ranks",
    ),
}
"""Their names."""

QUESTION = r"Is _β_ & {%} #1 ~ ^2 \\input worse by ± 1 µs, $x$ − 1 → <0, 研究?"

RUNS = {"relu": [(0.5, 0.975), (0.5, 0.97), (0.5, 0.98)], "fluid": [(0.5, 0.9765), (0.5, 0.981), (0.5, 0.9715)]}
FILE = f'question = \'{QUESTION}\'\nactivations = ["relu", "fluid"]\ncompare = ["fluid", "relu"]\nseeds = 3\n'
EPOCHS = "[protocol]\nepochs = 2\n"
PUBLISHED = '[published]\nsource = "A_Paper & Söhne"\nruns = 2\nbest.fluid = 0.7\nbest.relu = 0.6\n'
WORST = "worst.fluid = 0.6\nworst.relu = 0.5\n"
NEAREST = 'result = "nearest"\n'
VARIED = "[vary]\nlr = [0.001, 0.1]\nbatch_size = [10, 20, 50]\n"
TUNED = "[tune]\nlr = [0.01, 0.1]\nseeds = 2\nvalidation_images = 5000\n"


def make_every_report(folder: Path) -> dict[str, Document]:
    """The reports by what they are of, from studies in a folder that has none yet."""
    study = make_study(folder / "undeclared", {**RUNS, "mine:My_β": RUNS["relu"]})
    other = make_study(folder / "other", RUNS, dataset="fashion-mnist")
    again = make_study(folder / "again", RUNS)
    twice = make_study(folder / "published", {name: [*runs, *runs] for name, runs in RUNS.items()}, bits=True)
    more = make_study(folder / "more", {"relu": RUNS["relu"] * 3, "fluid": RUNS["fluid"] * 2})
    make_cost({"relu": [0.001] * 6, "mine:My_β": [0.002] * 6}, [0.001] * 6, epochs=2).write(study.cost_path)
    of_file = make_declaration(FILE + EPOCHS, folder / "a_declared-study.toml")
    published = make_declaration(FILE.replace("= 3", "= 6") + EPOCHS + PUBLISHED + WORST)
    sequential = make_declaration(FILE + 'margin = 0.01\nstop = "decided"\n' + EPOCHS)
    return {
        "undeclared": build_document(Evidence(study, beside=[Evidence(other)], against=Evidence(again))),
        "declared": build_document(Evidence(again, declaration=of_file)),
        "published": build_document(Evidence(twice, declaration=published)),
        "sequential": build_document(Evidence(again, declaration=sequential)),
        "more seeds of the baseline": build_document(Evidence(more)),
        "tuned": _make_tuned(folder),
        "grid": _make_grid(folder),
        "overview": _make_overview(folder),
    }


def _make_tuned(folder: Path) -> Document:
    arms = {f"{name}@lr={lr}": [(0.9 - lr,)] * 2 for name in RUNS for lr in (0.01, 0.1)}
    make_study(folder / "tuned" / "tuning", arms, FIRST_TUNING_SEED, validation_images=5000)
    make_study(folder / "tuned", {f"{name}@lr=0.01": [run[1:] for run in runs] for name, runs in RUNS.items()})
    declaration, tuned = settle(make_declaration(FILE + EPOCHS.replace("2", "1") + TUNED, Path("tuned.toml")), folder)
    return build_document(Evidence(load_study(folder / "tuned"), declaration=declaration, tuned=tuned))


def _make_overview(folder: Path) -> Document:
    data = ("mnist", "fashion-mnist", "kmnist", "cifar10", "svhn")
    accuracies = {**RUNS, "elu": RUNS["relu"]}
    return build_overview_document(
        [Evidence(make_study(folder / "of" / each, accuracies, dataset=each)) for each in data]
    )


def _make_grid(folder: Path) -> Document:
    declaration = make_declaration(
        FILE.replace('"fluid"]\nc', '"fluid", "elu"]\nc').replace("seeds = 3", "seeds = 4")
        + NEAREST
        + EPOCHS
        + PUBLISHED.replace("0.6", "0.99")
        + WORST
        + VARIED,
        Path("grid.toml"),
    )
    four = {name: [*runs, runs[0]] for name, runs in {**RUNS, "elu": RUNS["relu"]}.items()}
    unlearned = {**four, "fluid": [(0.1, 0.1), *four["fluid"][1:]]}
    cells = {
        cell: Evidence(
            make_study(
                folder / declaration.study_name(cell),
                unlearned if cell == declaration.cells[-1] else four,
                **cell.settings,
            ),
            declaration=declaration,
        )
        for cell in declaration.cells
    }
    return build_grid_document(declaration, cells)
