"""Study files: what they may say, and the sentence about each mistake."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluidrelu_cli.declaration import Declaration
from fluidrelu_cli.errors import StorageError, UsageError
from fluidrelu_cli.protocol import SETTINGS, Protocol
from fluidrelu_cli.study_file import STARTING_FILE, TOP, _Reader, find_files, parse_declaration, read_declaration

PATH = Path("mine.toml")
START = 'activations = ["relu", "fluid"]\nseeds = 3\n'
TUNE = "[tune]\nseeds = 2\nvalidation_images = 50\n"
PUBLISHED = '[published]\nsource = "a paper"\nruns = 3\n'


def parse(text: str) -> Declaration:
    return parse_declaration(text.encode(), PATH)


def test_the_file_to_start_from_reads() -> None:
    read = parse(STARTING_FILE)
    assert (read.name, read.activations, read.compare) == ("mine", ("relu", "fluid"), ("fluid", "relu"))
    assert (dict(read.seeds), read.margin, read.stops_when_decided) == ({"relu": 10, "fluid": 10}, 0.001, False)
    assert {"mine:Swish", "`fluidrelu plan`"} <= {*re.findall(r"mine:Swish|`fluidrelu plan`", STARTING_FILE)}


@pytest.mark.parametrize("part", ["stop", "[vary]", "[tune]"])
def test_what_it_has_as_a_comment_reads(part: str) -> None:
    blocks = STARTING_FILE.split("\n\n")
    chosen = [
        re.sub(r"^# (?=\[?[\w.]+(\]| =))", "", block, flags=re.MULTILINE) if part in block else block
        for block in blocks
    ]
    read = parse("\n\n".join(chosen))
    assert [cell.name for cell in read.cells] == (["lr=0.0005", "lr=0.001", "lr=0.002"] if part == "[vary]" else [""])
    assert read.stops_when_decided == (part == "stop")
    assert (read.tuning and read.tuning.fields) == ((("lr",), ("lr", "beta")) if part == "[tune]" else None)
    assert read.tuned == ("the rate, on ReLU alone" if part == "stop" else None)


EXAMPLE = """
question = "Is FluidReLU better than ReLU on MNIST, by the paper's protocol?"
activations = ["relu", "fluid", "elu"]
compare = ["fluid", "relu"]          # the primary comparison: the verdict is about it
seeds = 60
margin = 0.0010                      # a difference smaller than this matters to nobody

[protocol]                           # any field of the protocol; left out: the defaults
epochs = 2
batch_size = 20

[published]                          # what a paper printed, to be set among ours
source = "the paper, Table 2"
runs = 3
best  = { relu = 0.9784, fluid = 0.9800 }
worst = { relu = 0.9721, fluid = 0.9753 }
"""
STRANGER = """
question = "Which of these suits my images?"
activations = ["relu", "elu", "my_act:Soft"]
seeds = 20
[protocol]
dataset = "data/mine.npz"
epochs = 5
[vary]
lr = [0.001, 0.003, 0.01, 0.03]
"""


@pytest.mark.parametrize(
    ("listed", "arms"),
    [
        ('"common"', "relu 3, leaky-relu 3, prelu 3, elu 3, GELU 3, SiLU 3, Mish 3"),
        ('["fluid", "common"]', "fluid 3, relu 3, leaky-relu 3, prelu 3, elu 3, GELU 3, SiLU 3, Mish 3"),
        (
            '[{name = "common", seeds = 5}, {name = "gelu", seeds = 9}]',
            "relu 5, leaky-relu 5, prelu 5, elu 5, SiLU 5, Mish 5, gelu 9",
        ),
        (
            '[{name = "common", lr = 0.1}, "relu"]',
            "relu@lr=0.1 3, leaky-relu@lr=0.1 3, prelu@lr=0.1 3, elu@lr=0.1 3, GELU@lr=0.1 3, SiLU@lr=0.1 3,"
            " Mish@lr=0.1 3, relu 3",
        ),
    ],
)
def test_a_cast_is_the_activations_that_it_stands_for(listed: str, arms: str) -> None:
    read = parse(f"activations = {listed}\nseeds = 3")
    assert ", ".join(f"{name} {n}" for name, n in read.seeds.items()) == arms
    assert tuple(read.seeds) == read.activations


def test_a_file_with_all_that_one_may_say_reads_as_it_should() -> None:
    read = parse(EXAMPLE + "[vary]\nlr = [0.0005, 0.001, 0.002]\n")
    assert (read.activations, read.compare) == (("relu", "fluid", "elu"), ("fluid", "relu"))
    assert (set(read.seeds.values()), read.margin, read.stops_when_decided) == ({60}, 0.001, False)
    assert [cell.protocol for cell in read.cells] == [
        Protocol(epochs=2, batch_size=20, lr=lr) for lr in (0.0005, 0.001, 0.002)
    ]
    published = read.find_published()
    assert published is not None
    assert (published.runs["relu"], published.best) == (3, {"relu": 0.9784, "fluid": 0.98})
    tuned = parse(EXAMPLE + "[tune]\nlr = [0.001, 0.003, 0.01, 0.03]\nseeds = 2\nvalidation_images = 5000\n")
    assert len(tuned.tuning_arms()["elu"]) == 4
    assert tuned.tuning_protocol == Protocol(epochs=2, batch_size=20, validation_images=5000)
    assert [tuned.study_name(cell) for cell in tuned.cells] == ["mine"]


def test_a_strangers_file_reads_as_it_should() -> None:
    read = parse(STRANGER)
    assert (read.activations, read.compare) == (("relu", "elu", "my_act:Soft"), ("elu", "relu"))
    assert [read.study_name(cell) for cell in read.cells] == [
        "mine/lr=0.001",
        "mine/lr=0.003",
        "mine/lr=0.01",
        "mine/lr=0.03",
    ]
    assert {(cell.protocol.dataset, cell.protocol.epochs) for cell in read.cells} == {("data/mine.npz", 5)}


def test_what_is_left_out_has_defaults() -> None:
    read = parse(START)
    assert read.compare == ("fluid", "relu")
    assert (read.question, read.margin, read.tuning, read.published, read.is_grid) == (None, None, None, None, False)
    assert parse('activations = ["relu"]\nseeds = 1\n').compare is None


def test_arms_are_tables_or_names() -> None:
    read = parse('activations = ["relu@lr=0.01", {name = "fluid", lr = 1, seeds = 5}, "elu"]\nseeds = 3\n')
    assert dict(read.seeds) == {"relu@lr=0.01": 3, "fluid@lr=1": 5, "elu": 3}


def test_a_table_varies_by_every_combination() -> None:
    read = parse(START + "[vary]\nlr = [1, 0.01]\nbatch_size = [10, 20]\n")
    assert [(cell.protocol.lr, cell.protocol.batch_size) for cell in read.cells] == [
        (1.0, 10),
        (1.0, 20),
        (0.01, 10),
        (0.01, 20),
    ]
    assert (read.is_grid, read.varied) == (True, ("lr", "batch_size"))


def test_a_network_is_a_name_or_a_table_with_its_options() -> None:
    read = parse(START + '[protocol]\nmodel = { name = "paper", pooling = "average", hidden = 128 }\n')
    assert read.protocol.model == "paper:hidden=128,pooling=average"
    assert read.protocol == parse(START + '[protocol]\nmodel = "paper:pooling=average,hidden=128"\n').protocol
    usual = parse(START + '[protocol]\nmodel = { name = "paper", pooling = "max", hidden = 0 }\n').protocol
    assert usual == parse(START + '[protocol]\nmodel = "paper:padding=none"\n').protocol == Protocol()
    mine = parse(START + '[protocol]\nmodel = { name = "mine:Net" }\n')
    assert mine.protocol.model == "mine:Net"
    varied = parse(START + '[vary]\nmodel = ["cnn3", { name = "paper", padding = "same" }, "paper:pooling=max"]\n')
    assert [cell.protocol.model for cell in varied.cells] == ["cnn3", "paper:padding=same", "paper"]
    assert [cell.name for cell in varied.cells] == ["model=cnn3", "model=paper-padding-same", "model=paper"]
    spread = parse(
        START + '[vary]\nmodel = [{ name = "paper", padding = ["same", "none"], hidden = [0, 8] }, "cnn3"]\n'
    )
    assert [cell.protocol.model for cell in spread.cells] == [
        *("paper:padding=same", "paper:hidden=8,padding=same", "paper", "paper:hidden=8", "cnn3")
    ]


@pytest.mark.parametrize(("standardise", "pixels"), [("always", "standardised"), ("never", "unit")])
def test_pixels_were_called_standardise(standardise: str, pixels: str) -> None:
    assert parse(START + f'[protocol]\nstandardise = "{standardise}"').protocol == Protocol(pixels=pixels)


def test_a_table_varies_by_a_balanced_sample_with_seeds_of_its_own() -> None:
    axes = {"momentum": 10, "lr": 8, "weight_decay": 10, "batch_size": 4}  # 3,200 combinations
    lists = [f"{name} = {[(place + 1) / 20 for place in range(levels)]}" for name, levels in axes.items()]
    lists[-1] = "batch_size = [10, 20, 50, 100]"
    text = START + "[vary]\nsample = 64\ndisjoint_seeds = true\n" + "\n".join(lists)
    read = parse(text)
    assert len({cell.name for cell in read.cells}) == 64
    assert Counter(cell.protocol.batch_size for cell in read.cells) == dict.fromkeys((10, 20, 50, 100), 16)
    assert set(Counter(cell.protocol.momentum for cell in read.cells).values()) == {6, 7}
    assert read.varied == tuple(axes)
    assert read.list_seeds(read.cells[2]) == {"relu": range(6, 9), "fluid": range(6, 9)}
    assert read.find_first_seed(Path("results/mine") / read.cells[63].name) == 189
    assert [cell.settings for cell in parse(text).cells] == [cell.settings for cell in read.cells]
    same = parse(text.replace("disjoint_seeds = true\n", ""))
    assert {cell.first_seed for cell in same.cells} == {0}


def test_tables_of_an_array_are_cells_with_names() -> None:
    read = parse(START + '[[vary]]\nname = "slow"\nlr = 0.0001\n[[vary]]\nlr = 0.01\n')
    assert [read.study_name(cell) for cell in read.cells] == ["mine/slow", "mine/lr=0.01"]


def test_what_was_tuned_elsewhere_is_told_in_words() -> None:
    said = "the rate, on ReLU alone"
    assert parse(f'tuned = "{said}"\n{START}').tuned == said
    assert parse(START).tuned is None


def test_what_is_tuned_and_published() -> None:
    rows = "best = { ReLU = 1, fluid = 0.9 }\nworst = { relu = 0, fluid = 0.8 }\n"
    read = parse(START + TUNE + "lr = [0.001, 1]\n" + PUBLISHED + rows)
    assert read.tuning is not None
    assert read.tuning.settings == (({"lr": 0.001}, {"lr": 1.0}),) * 2
    assert read.published == {
        "source": "a paper",
        "runs": {"relu": 3, "fluid": 3},
        "best": {"relu": 1.0, "fluid": 0.9},
        "worst": {"relu": 0.0, "fluid": 0.8},
    }
    assert parse('published = "paper"\n' + START).published == "paper"
    rows = "sd = { fluid = 0, relu = 0.001 }\nmean = { relu = 1, fluid = 0.9 }\n"
    assert parse(START + PUBLISHED.replace("3", "{ ReLU = 3, fluid = 5 }") + rows).published == {
        "source": "a paper",
        "runs": {"relu": 3, "fluid": 5},
        "mean": {"relu": 1.0, "fluid": 0.9},
        "sd": {"relu": 0.001, "fluid": 0.0},
    }


def test_a_mark_of_order_and_windows_line_ends_are_read_over() -> None:
    windows = b"\xef\xbb\xbf" + START.replace("\n", "\r\n").encode()
    assert parse_declaration(windows, PATH) == parse(START)


def test_nothing_named_is_imported(folder: Path) -> None:
    (folder / "effect_of_reading.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    parse('activations = ["relu", "effect_of_reading:Soft"]\nseeds = 1\n[protocol]\nmodel = "effect_of_reading:Net"\n')
    assert not (folder / "imported").exists()
    assert "effect_of_reading" not in sys.modules


FIELDS = (
    "dataset, model, epochs, batch_size, lr, momentum, beta, train_images, test_images, precision, schedule,"
    " weight_decay, pixels, augment, validation_images, init, loss, optimizer or evaluations."
)
NO_DATA = (
    "dataset: There is no data set 'mnits'. Did you mean mnist? Name one of mnist, fashion-mnist, kmnist, cifar10,"
    " cifar100, svhn, or an .npz file of your own."
)
WRONG = [
    ("seeds = 3", "activations is missing: add it."),
    ('activations = ["relu"]', "seeds is missing: add it."),
    (START + "sedes = 3", 'there is no key "sedes": did you mean seeds?'),
    (START + "lr = 1", "lr is a setting of the protocol: write it below [protocol]."),
    (START + "question = 3", "question must be text on one line, of at most 1,000 characters."),
    (
        START + "margin = true",
        "margin must be a difference of accuracies between 0 and 1, such as 0.001, not true.",
    ),
    (START + 'stop = "never"', 'stop must be "seeds" or "decided", not "never".'),
    (START + 'stop = "decided"', 'stop = "decided" needs a margin: write one, such as margin = 0.001.'),
    (
        'activations = ["relu"]\nseeds = 3\nstop = "decided"',
        'stop = "decided" needs two activations to compare: name another.',
    ),
    (
        START + 'margin = 0.1\nstop = "decided"\n[vary]\nlr = [0.1]',
        'stop = "decided" is for one study: leave [vary] out, or write a file for each cell.',
    ),
    (
        START + TUNE + "lr = [0.1]\n[vary]\nbatch_size = [10]",
        "[vary] and [tune] cannot stand in one file: write a file for each.",
    ),
    (START + "protocol = 3", "protocol must be a table: write what belongs to it below a line [protocol]."),
    ('activations = "relu"\nseeds = 3', 'activations must be a list of names, such as ["relu", "fluid"].'),
    ("activations = []\nseeds = 3", 'activations must be a list of names, such as ["relu", "fluid"].'),
    ('activations = ["relu", "relu"]\nseeds = 3', "activations: relu is named twice: leave one out."),
    (
        'activations = ["leaky-relu", {name = "nn.LeakyReLU", seeds = 3}, "relu"]\nseeds = 3',
        "activations: leaky-relu and nn.LeakyReLU are the same: leave one out.",
    ),
    (
        'activations = ["nn.GELU@lr=1", "gelu@lr=1.0"]\nseeds = 3',
        "activations: nn.GELU@lr=1 and gelu@lr=1 are the same: leave one out.",
    ),
    ("activations = [3]\nseeds = 3", "activations must have names of printable characters on one line, not 3."),
    ("activations = [{lr = 1}]\nseeds = 3", "activations: name is missing: add it."),
    (
        'activations = [{name = "relu@lr=1", lr = 1}]\nseeds = 3',
        "activations: relu@lr=1 and lr = ... both set lr: leave one out.",
    ),
    (
        START + 'compare = ["fluid"]',
        'compare must be an activation and its baseline, such as ["fluid", "relu"].',
    ),
    (
        START + 'compare = ["elu", "relu"]',
        'compare: "elu" is not among the activations: name relu or fluid.',
    ),
    (
        START + 'compare = ["relu", "relu"]',
        "compare names relu twice: name an activation and its baseline.",
    ),
    (
        START + "[protocol]\nlr = 0.1\n[vary]\nlr = [0.1]",
        "lr is both below [protocol] and below [vary]: leave one out.",
    ),
    (
        START + "[protocol]\nmodel = { pooling = 'max' }",
        '[protocol] model: name is missing: add it, such as name = "paper".',
    ),
    (
        START + "[protocol]\nmodel = { name = 3 }",
        "[protocol] model must be a name of printable characters on one line, not 3.",
    ),
    (
        START + '[protocol]\nmodel = { name = "paper", poolin = "max" }',
        "[protocol] model: The network paper has no option 'poolin'. Did you mean pooling? Its options are padding,"
        " pooling, hidden, hidden_activation; `fluidrelu models` shows them.",
    ),
    (
        START + '[protocol]\nmodel = { name = "paper", hidden = 1.5 }',
        "[protocol] model: The network's hidden must be a whole number from 0 to 100,000, not '1.5'.",
    ),
    (
        START + '[protocol]\nmodel = { name = "paper", hidden = [8] }',
        "[protocol] model: The network's hidden must be a whole number from 0 to 100,000, not '[8]'.",
    ),
    (
        START + '[protocol]\nmodel = { name = "paper:hidden=8", hidden = 8 }',
        "[protocol] model: The network's hidden is set twice: leave one out.",
    ),
    (
        START + '[protocol]\nmodel = { name = "lenet", hidden = 8 }',
        "[protocol] model: There is no model 'lenet'. Use model paper, cnn3, resnet20, or module:Class for one of your"
        " own.",
    ),
    (
        START + '[protocol]\nmodel = { name = "mine:Net", hidden = 8 }',
        "[protocol] model: Only a built-in network has options, not 'mine:Net': leave hidden out.",
    ),
    (
        START + f"[vary]\nmodel = [{{ name = 'paper', hidden = {[*range(501)]}, padding = ['same', 'none'] }}]",
        "[vary] model makes 1,002 combinations: 1,000 at most; leave values out.",
    ),
    (
        START + "[vary]\nmodel = [{ name = 'paper', hidden = [0, 8] }, 'paper:hidden=8']",
        '[vary] model has "paper:hidden=8" twice: leave one out.',
    ),
    (
        START + "[vary]\nmodel = [{ name = 'paper', hidden = [] }]",
        '[vary] model: the list of "hidden" is empty: add values, or leave it out.',
    ),
    (START + '[vary]\nmodel = ["paper", "paper:hidden=0"]', '[vary] model has "paper" twice: leave one out.'),
    (START + "[vary]\nlr = 3", "[vary] lr must be a list of values, not 3: write lr = [..., ...]."),
    (START + "result = 1", 'result must be "last" or "nearest", not 1.'),
    (
        START + 'result = "nearest"\npublished = "paper"',
        'result = "nearest" is for the cells of [vary]: add it, or leave result out.',
    ),
    (
        START + 'result = "nearest"\n[vary]\nlr = [1, 2]\n' + PUBLISHED + "best = { relu = 0.9, fluid = 0.9 }",
        'result = "nearest" needs what was published of relu: its mean, or its best and worst.',
    ),
    (
        START + 'result = "nearest"\npublished = "paper"\n[vary]\nschedule = ["constant", "cosine"]',
        'result = "nearest" needs a constant learning rate: leave schedule out.',
    ),
    (
        START + "[vary]\nsample = 9\nlr = [0.1, 0.2]\nbatch_size = [10, 20]",
        "[vary] sample = 9 is too many of 4 combinations for each value to come equally often: make it smaller, or"
        " leave it out.",
    ),
    (START + "[vary]\nsample = 1\nlr = [1, 2]", "[vary] sample must be a whole number from 2 to 1,000, not 1."),
    (START + "[vary]\ndisjoint_seeds = 1\nlr = [1]", "[vary] disjoint_seeds must be true or false, not 1."),
    (
        START.replace("3", "60_000") + "[vary]\ndisjoint_seeds = true\nlr = [1, 2]",
        "[vary] disjoint_seeds takes 120,000 seeds: 100,000 at most; ask for fewer.",
    ),
    (START + "[vary]\nlr = [0.1, 0.1]", "[vary] lr has 0.1 twice: leave one out."),
    (
        START + "vary = [3]",
        "vary must be lists of values below [vary], or settings below each of several [[vary]].",
    ),
    (
        START + '[[vary]]\nname = "a/b"\nlr = 1',
        '[[vary]] name must be a name for a folder, without /, not "a/b".',
    ),
    (START + "[vary]", "[vary] varies nothing: name a setting and its values, such as lr = [0.001, 0.01]."),
    (
        START + '[[vary]]\nname = "a"\nlr = 1\n[[vary]]\nname = "A"\nlr = 2',
        "[vary] two studies would be called A: give each a name of its own in [[vary]].",
    ),
    (
        START + '[[vary]]\nname = "Tuning"\nlr = 1',
        '[vary] "Tuning" cannot be the name of a folder (`tuning` is another folder): name it otherwise below'
        " [[vary]].",
    ),
    (START + TUNE, "[tune] tries nothing: name a setting and its values, such as lr = [0.001, 0.01]."),
    (
        'activations = ["relu@lr=0.01"]\nseeds = 3\n' + TUNE + "lr = [0.1]",
        "[tune] chooses lr, which relu@lr=0.01 has already: leave it out of one of them.",
    ),
    (
        START + TUNE + "lr = [0.1]\n[protocol]\nvalidation_images = 50",
        "[protocol] validation_images belongs below [tune]: move it there.",
    ),
    (
        START + TUNE + "lr = [0.1]\n[protocol]\ntest_images = 50",
        "[protocol] test_images cannot stand beside [tune], which holds images out: leave it out.",
    ),
    (
        START + 'published = "mine"',
        'published must be a table, or "paper" for the numbers that come with the program.',
    ),
    (
        START + PUBLISHED.replace('"a paper"', "3") + "best = {}\nworst = {}",
        '[published] source must be a name on one line, such as "the paper, Table 2".',
    ),
    (
        START + PUBLISHED.replace("3", "1") + "best = {}\nworst = {}",
        "[published] runs must be a whole number from 2 to {most}, not 1.",
    ),
    (
        START + PUBLISHED + "best = {}\nworst = {}",
        "[published] best must give numbers by activation, such as {{ relu = 0.9784 }}.",
    ),
    (
        START + PUBLISHED + "best = {relu = 1}\nworst = {fluid = 1}",
        "[published] best and worst must name the same activations: add those that one lacks.",
    ),
    (
        START + PUBLISHED + "best = {elu = 1}\nworst = {relu = 1}",
        '[published] best: "elu" is not among the activations: name relu or fluid.',
    ),
    (
        START + PUBLISHED + "best = {relu = 2}\nworst = {relu = 1}",
        "[published] best: relu must be a number from 0 to 1, not 2: write 0.98 for 98 %.",
    ),
    (START + PUBLISHED, "[published] gives no accuracies: add best, worst, mean or sd, by activation."),
    (
        START + PUBLISHED + "sd = 0.002",
        "[published] sd must give numbers by activation, such as {{ relu = 0.002 }}.",
    ),
    (
        START + PUBLISHED + "mean = {relu = 0.9}\nsd = {fluid = 0.1}",
        "[published] mean and sd must name the same activations: add those that one lacks.",
    ),
    (
        START + PUBLISHED.replace("3", "{relu = 3}") + "mean = {relu = 0.9, fluid = 0.9}",
        "[published] mean and runs must name the same activations: add those that one lacks.",
    ),
    (
        START + PUBLISHED.replace("3", "{relu = 1}") + "mean = {relu = 0.9}",
        "[published] runs: relu must be a whole number from 2 to {most}, not 1.",
    ),
    (
        START + PUBLISHED.replace("3", "{}") + "mean = {relu = 0.9}",
        "[published] runs must give numbers by activation, such as {{ relu = 3 }}.",
    ),
    (
        START + PUBLISHED + "worst = {relu = 0.8}\nbest = {relu = 0.7}",
        "[published] relu: its worst is above its best: correct one of them.",
    ),
    (
        START + PUBLISHED + "mean = {relu = 0.8}\nbest = {relu = 0.7}",
        "[published] relu: its mean is above its best: correct one of them.",
    ),
    (
        START + PUBLISHED + "best = {relu = 1, ReLU = 1}\nworst = {relu = 1}",
        "[published] best: relu is named twice: leave one out.",
    ),
    (
        START + "xyz = 3",
        'there is no key "xyz": use question, activations, compare, seeds, margin, stop, result, tuned, protocol, vary,'
        " tune or published.",
    ),
    *(
        (
            f"tuned = {said}\n{START}",
            "tuned must be text on one line, of at most 1,000 characters: what was tuned, and on what.",
        )
        for said in ("true", '"two\\nlines"', f'"{"x" * 1001}"', "{ lr = 0.1 }")
    ),
    (START + "[protocol]\nxyz = 3", f'[protocol] there is no key "xyz": use {FIELDS}'),
    (START + "[protocol]\nepoch = 3", '[protocol] there is no key "epoch": did you mean epochs?'),
    (START + '[vary]\nstandardise = ["never"]', '[vary] there is no key "standardise": did you mean pixels?'),
    (START + '[protocol]\nstandardise = "no"', f'[protocol] pixels must be {SETTINGS["pixels"].wanted}, not "no".'),
    (START + "[vary]\nxyz = [3]", f'[vary] there is no key "xyz": use sample, disjoint_seeds, {FIELDS}'),
    (START + "[[vary]]\nxyz = 3", f'[[vary]] there is no key "xyz": use name, {FIELDS}'),
    (
        START + TUNE + "rate = [1]",
        '[tune] there is no key "rate": use beta, lr, momentum, weight_decay, sample, seeds or validation_images.',
    ),
    (
        START + TUNE + "[tune.fluid]\nseeds = 3",
        '[tune.fluid] there is no key "seeds": use beta, lr, momentum, weight_decay or sample.',
    ),
    (
        START + TUNE + '[tune."the elu"]\nlr = [1]',
        '[tune."the elu"]: "the elu" is not among the activations: name relu or fluid.',
    ),
    (START + TUNE + "[tune.ReLU]\nlr = [1]\n[tune.relu]\nlr = [1]", "[tune] has two tables for relu: leave one out."),
    (
        START + TUNE + "lr = [1, 2]\n[tune.fluid]\nbeta = [1, 2]",
        "[tune] tries 2 settings of relu and 4 of fluid: list as many for each activation, or let `sample` take as many"
        " of all combinations.",
    ),
    (
        START + TUNE + "lr = [1, 2]\n[tune.fluid]\nlr = [1]\nbeta = [1, 2]\nsample = 3",
        "[tune.fluid] sample = 3 is too many of 2 combinations for each value to come equally often: make it smaller,"
        " or leave it out.",
    ),
    (
        START + TUNE + "lr = [1, 2, 3]\nsample = 2",
        "[tune] sample = 2 leaves out some of the 3 values of lr: make it 3 or more, or leave values out.",
    ),
    (
        'activations = ["fluid", "fluid@beta=2"]\nseeds = 3\n'
        + TUNE
        + "lr = [1, 2]\n[tune.fluid]\nlr = [1]\nbeta = [1, 2]",
        "[tune] tries fluid@beta=2@lr=1 for fluid and for fluid@beta=2: leave one out.",
    ),
    *(
        (f"{START}{TUNE}lr = [1, 2]\nfluid = {rows}", said)
        for rows, said in (
            ("[1]", "[[tune.fluid]] must be tables of settings, such as {{ lr = 0.01, beta = 1000 }}."),
            ("[{lr = 1, beta = 2}, {lr = 1}]", "[[tune.fluid]] beta is missing: add it."),
            ("[{beta = 1}, {beta = 2}]", "[[tune.fluid]] lr is missing: add it."),
            ("[{lr = 1}, {lr = 1, beta = 2}, {lr = 1}]", "[[tune.fluid]] has {{lr = 1.0}} twice: leave one out."),
            ("[{epochs = 1}]", '[[tune.fluid]] there is no key "epochs": use beta, lr, momentum or weight_decay.'),
            ("[]", "[tune] tries nothing: name a setting and its values, such as lr = [0.001, 0.01]."),
        )
    ),
    (
        START + TUNE + "[tune.relu]\nlr = [1]",
        "[tune] tries nothing: name a setting and its values, such as lr = [0.001, 0.01].",
    ),
    (START + PUBLISHED + "xyz = 1", '[published] there is no key "xyz": use source, runs, best, worst, mean or sd.'),
    (START + "[protocol]\nlr = 0", "[protocol] lr must be a number above 0, not 0."),
    (
        START + "[protocol]\nepochs = true",
        "[protocol] epochs must be a whole number from 1 to 1,000,000,000, not true.",
    ),
    (
        START + '[protocol]\nschedule = "linear"',
        '[protocol] schedule must be constant, cosine or step, not "linear".',
    ),
    (
        START + "[protocol]\ntest_images = 5\nvalidation_images = 5",
        "[protocol] validation_images takes the place of the test images: leave test_images out.",
    ),
    (START + '[protocol]\ndataset = "mnits"', f"[protocol] {NO_DATA}"),
    (START + '[vary]\ndataset = ["mnits"]', f"[vary] {NO_DATA}"),
    (START + "[vary]\nlr = [-1]", "[vary] lr must be a number above 0, not -1."),
    (START + "[[vary]]\nlr = 1\n[[vary]]\nlr = -1", "[[vary]] lr must be a number above 0, not -1."),
    (
        START + "[[vary]]\nlr = 1\n[[vary]]",
        "[vary] varies nothing: name a setting and its values, such as lr = [0.001, 0.01].",
    ),
    (
        START + '[vary]\nmodel = ["a:b", "a-b"]',
        "[vary] two studies would be called model=a-b: give each a name of its own in [[vary]].",
    ),
    *(
        (
            f'{START}[[vary]]\nname = "{name}"\nlr = 1',
            f'[vary] "{name if len(name) < 60 else name[:60] + "…"}" cannot be the name of a folder ({fault}): name it'
            " otherwise below [[vary]].",
        )
        for name, fault in {
            ".hidden": "begin it, and what follows each '/', with a letter, a digit, '_' or '-'",
            "runs": "`runs` is a folder of a study",
            "a b": "use letters, digits, '.', '_', '-' and '/', not ' '",
            "é" * 101: "it is too long",
        }.items()
    ),
    (
        'activations = ["relu@size=1"]\nseeds = 3',
        "activations: An activation cannot have its own 'size' ('relu@size=1'): only beta, lr, momentum and"
        " weight_decay, as in NAME@lr=0.01.",
    ),
    ('activations = [{name = "relu", lr = -1}]\nseeds = 3', "activations: lr must be a number above 0, not -1."),
    (
        'activations = [{name = "relu", seeds = 0}]\nseeds = 3',
        "activations: seeds must be a whole number from 1 to {most}, not 0.",
    ),
    (
        START.replace("fluid", "relu@lr=1e-3") + 'compare = ["relu", "RELU"]',
        "compare names relu twice: name an activation and its baseline.",
    ),
    *(
        (
            f"{START}{table}lr = {list(range(1, 100))}\nmomentum = {[n / 100 for n in range(99)]}\n"
            f"weight_decay = {list(range(100))}",
            f"{where} makes 980,100 combinations: 1,000 at most; leave values out.",
        )
        for where, table in {"[vary]": "[vary]\n", "[tune]": TUNE}.items()
    ),
    (
        START + "[[vary]]\nlr = 1\n" * 1001,
        "[[vary]] makes 1,001 combinations: 1,000 at most; leave some out.",
    ),
    (
        f"activations = {['relu'] * 101}\nseeds = 1",
        "activations names 101 activations: 100 at most; leave some out.",
    ),
    (
        START.replace("3", "100_000") + f"[vary]\nlr = {list(range(1, 101))}",
        "the file asks for 20,000,000 trials: 1,000,000 at most; ask for fewer seeds.",
    ),
    (
        START + TUNE.replace("2", "100_000") + "lr = [1, 2, 3, 4, 5, 6]",
        "the file asks for 1,200,006 trials: 1,000,000 at most; ask for fewer seeds.",
    ),
    (
        f'activations = ["relu"]\nseeds{".a" * 3000} = 1',
        "seeds must be a whole number from 1 to {most}, not {{a = {{a = {{a = …}}}}}}.",
    ),
    (
        START.replace("3", "0"),
        "seeds must be a whole number from 1 to {most}, not 0.",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_a_mistake_gets_a_sentence_with_file_and_key(text: str, sentence: str) -> None:
    from fluidrelu_cli.study import MOST_SEEDS

    with pytest.raises(UsageError) as raised:
        parse(text)
    assert str(raised.value) == f"mine.toml: {sentence.format(most=f'{MOST_SEEDS:,}')}"


def test_files_are_found_in_folders_once(folder: Path) -> None:
    for name in ("b.toml", "a.toml", ".hidden.toml", "other.txt"):
        (folder / name).write_text(START)
    assert find_files([folder, folder / "b.toml"]) == [folder / "a.toml", folder / "b.toml"]
    (folder / "empty").mkdir()
    with pytest.raises(UsageError, match="has no study file: name one, or write one with `fluidrelu new empty/mine"):
        find_files([Path("empty")])


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("runs", "`runs` is a folder of a study"),
        (".hidden", "begin it, and what follows each '/', with a letter, a digit, '_' or '-'"),
        ("a b", "use letters, digits, '.', '_', '-' and '/', not ' '"),
        ("a" * 201, "it is too long"),
    ],
)
def test_a_file_whose_name_no_study_can_have_is_refused(name: str, fault: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_declaration(START.encode(), Path(f"{name}.toml"))
    assert str(raised.value) == (
        f"{name}.toml: the study is called what its file is called, so rename the file ({fault})."
    )


def test_a_file_that_is_none_is_refused(folder: Path) -> None:
    for path, sentence in {
        "mine.txt": "mine.txt is no study file: its name has to end in .toml.",
        "none.toml": "There is no study file none.toml: `fluidrelu new none.toml` writes one to start from.",
    }.items():
        with pytest.raises(UsageError) as raised:
            read_declaration(Path(path))
        assert str(raised.value) == sentence
    (folder / "folder.toml").mkdir()
    with pytest.raises(StorageError, match=": name another study file"):
        read_declaration(Path("folder.toml"))
    with pytest.raises(UsageError, match="is not text in UTF-8: save it so with your editor"):
        parse_declaration(b"\xff", PATH)
    with pytest.raises(UsageError, match=r"is not TOML .*: correct it there"):
        parse_declaration(b"seeds = ", PATH)


KEYS = (
    *TOP,
    "lr",
    "name",
    "seeds",
    "validation_images",
    "source",
    "runs",
    "best",
    "worst",
    "batch_size",
    "dataset",
    "model",
)
LEAVES = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text("aé\n\x1b/.:@=", max_size=8),
    st.sampled_from(["relu", "fluid", "relu@lr=0.01", "mnist", "decided", "paper", "paper:hidden=3"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


def outcome(content: dict[str, Any]) -> object:
    try:
        return _Reader(PATH, content).read("")
    except (UsageError, StorageError) as error:
        assert "\n" not in str(error)  # noqa: PT017 - it may as well be read
        return str(error)


@given(st.dictionaries(st.sampled_from(TOP), VALUES))
def test_whatever_a_file_says_it_reads_or_gets_one_sentence(content: dict[str, Any]) -> None:
    content = {"activations": ["relu", "fluid"], "seeds": 3, **content}
    assert repr(outcome(content)) == repr(outcome(content))


@given(st.binary())
def test_any_bytes_are_read_or_get_one_sentence(text: bytes) -> None:
    try:
        parse_declaration(text, PATH)
    except (UsageError, StorageError) as error:
        assert "\n" not in str(error)  # noqa: PT017 - it may as well be read
