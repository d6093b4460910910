"""Every format has the numbers of the document, and is one that others can read."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from every_report import make_every_report
from factories import make_study
from hypothesis import example, given, settings
from markdown_it import MarkdownIt
from rich.console import Console
from strange_names import NAMES

from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.report import tables, wording
from fluidrelu_cli.report.compose import build_document
from fluidrelu_cli.report.document import Document, Section
from fluidrelu_cli.report.evidence import Evidence
from fluidrelu_cli.report.formats import (
    FORMATS,
    LATEX,
    NOTHING,
    latex_table,
    to_csv,
    to_json,
    to_latex,
    to_markdown,
    to_parts,
)
from fluidrelu_cli.report.page import render_page

BOTH = {"relu": [(0.5, 0.975), (0.5, 0.97), (0.5, 0.98)], "fluid": [(0.5, 0.9765), (0.5, 0.981), (0.5, 0.9715)]}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    return build_document(Evidence(make_study(tmp_path_factory.mktemp("study"), BOTH, batch_size=50)))


def loaded(document: Document) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(to_json(document), parse_constant=pytest.fail)
    return content


def test_the_terminal_shows_protocol_answer_and_every_table(document: Document) -> None:
    console = Console(width=300, file=io.StringIO())
    for part in to_parts(document):
        console.print(part, markup=False)
    assert isinstance(console.file, io.StringIO)
    text = " ".join(console.file.getvalue().split())
    assert text.startswith(
        f"{document.question} {document.answer} {document.standing} {document.where}: data set mnist, the paper's"
        " network, 2 epochs, batch size 50"
    )
    for section in document.sections:
        assert section.title in text
        assert all(remark in text for remark in section.footnotes)
    assert "ReLU 3/3 0.97500 ± 0.01242 0.00500" in text
    assert "best 0.9784 0.9800 0.9800 0.9810 worst 0.9721 0.9700 0.9753 0.9715" in text


def test_the_terminal_explains_on_request(document: Document) -> None:
    parts = list(to_parts(document, explain=False))
    assert all(section.explanations for section in document.sections)
    assert {part for part in parts if isinstance(part, str)} == {
        *(document.question, document.answer, document.standing, ""),
        *(remark for section in document.sections for remark in section.remarks),
        f"{document.where}: {wording.where(document.facts)}",
    }


def test_every_block_on_the_terminal_ends_with_an_empty_line(document: Document) -> None:
    console = Console(width=500, file=io.StringIO())
    unexplained = replace(document.sections[0], remarks=(), explanations=())
    for part in to_parts(replace(document, sections=(unexplained, *document.sections))):
        console.print(part, markup=False)
    assert isinstance(console.file, io.StringIO)
    lines = [line.strip() for line in console.file.getvalue().splitlines()]
    ends = [lines[3], lines[5], lines[-1]]
    for section in document.sections:
        first = lines.index(section.title)
        last = max(index for index, line in enumerate(lines) if line and section.footnotes[-1].endswith(line))
        ends += [lines[first - 1], lines[last + 1]]
        assert "" not in lines[last - len(section.footnotes) + 1 : last]
    assert ends == [""] * len(ends)
    titles = [index for index, line in enumerate(lines) if line == unexplained.title]
    assert len(titles) == 2
    assert lines[titles[1] - 1] == ""
    assert lines[titles[1] - 2] != ""


def test_markdown_has_every_section(document: Document) -> None:
    text = to_markdown(document)
    assert f"\n{document.answer}\n" in text
    for section in document.sections:
        assert f"\n## {section.title}\n\n{tables.markdown(*section.cells)}" in text
        assert all(remark in text for remark in section.footnotes)


def test_csv_is_a_row_per_activation(document: Document) -> None:
    text = to_csv(document)
    wide = pd.read_csv(io.StringIO(text)).set_index("activation")
    assert list(wide.index) == ["relu", "fluid"]
    assert wide.columns.is_unique
    assert wide.loc["fluid", "mean"] == pytest.approx(0.97633, abs=1e-5)
    assert wide.loc["fluid", "mean_difference"] == pytest.approx(0.00133, abs=1e-5)
    assert wide.loc["fluid", "pairs"] == 3
    assert pd.isna(wide.loc["relu", "mean_difference"])
    assert ",2,0,1," in text  # wins, ties and losses are whole numbers, though relu has none


def test_csv_of_one_activation_has_the_same_columns(document: Document, tmp_path: Path) -> None:
    alone = build_document(Evidence(make_study(tmp_path, {"relu": BOTH["relu"]})))
    assert to_csv(alone).splitlines()[0] == to_csv(document).splitlines()[0]


def test_json_has_everything(document: Document) -> None:
    content = loaded(document)
    assert list(content) == [
        *("study", "protocol", "cells", "test_images", "question", "answer", "standing", "sequential"),
        *("remarks", "notes"),
        *("summary", "comparisons", "studies", "by_epoch", "table2", "rankings", "runs", "conditions"),
        *("activations", "network", "commands"),
    ]
    assert content["protocol"] == Protocol(epochs=2, batch_size=50).to_dict()
    assert content["answer"] == document.answer
    assert content["test_images"] == 10_000
    assert content["remarks"] == document.remarks
    assert [row["activation"] for row in content["summary"]] == ["relu", "fluid"]
    assert content["comparisons"][0]["p_holm"] == 0.75
    assert content["table2"][0]["accuracy"] == 0.9784
    assert (content["studies"], content["rankings"], content["cells"]) == ([], [], {})
    assert content["conditions"]["device"] == {"None": 6}
    assert content["activations"][1] == {
        "name": "fluid",
        "title": "FluidReLU",
        "formula": "v for v ≥ 0, v / (1 - γ) for v < 0, γ = v / (2 exp(a))",
        "origin": "the paper, eq. (4), as reconstructed here",
        "sources": {},
        "learned": {"a": 4},
        "betas": {},
    }
    assert content["network"]["name"] == "paper"
    assert content["commands"][1].startswith("fluidrelu report --study study")


def test_json_has_null_where_there_is_no_number_and_the_paper_s_where_they_belong(tmp_path: Path) -> None:
    content = loaded(build_document(Evidence(make_study(tmp_path, {"relu": BOTH["relu"][:1]}, dataset="cifar10"))))
    assert content["summary"][0]["sd"] is None
    assert content["comparisons"] == []
    assert not {"table2", "predictive", "rankings"} & content.keys()


def test_no_format_brings_a_paper_into_a_study_of_other_activations(tmp_path: Path) -> None:
    runs = [[value] for value in (0.97, 0.971, 0.972, 0.973, 0.974, 0.975)]
    other = build_document(Evidence(make_study(tmp_path, {"relu": runs, "mine:Soft": runs, "mine:Hard": runs})))
    assert not {"best-of-three", "figure1"} & {picture.name for picture in other.pictures}
    for text in (*(write(other) for write in FORMATS.values()), render_page(other)):
        shown = re.sub("the paper(, Table 1|('|&#39;)s network)", "", text, flags=re.IGNORECASE)  # whose network it is
        assert not re.search(r"table ?2|figure ?1|rankings|predict|published|the paper", shown, flags=re.IGNORECASE)


def test_latex_has_a_table_per_section_and_the_remarks_as_comments(document: Document) -> None:
    text = to_latex(document)
    assert text.count("\\begin{tabular}{l") == text.count("\\caption{") == len(document.sections) == 4
    assert text.startswith("% needs \\usepackage{booktabs}\n")
    assert all(f"\\label{{tab:{document.study}-{section.name}}}" in text for section in document.sections)
    assert f"% {document.where}: dataset mnist, model paper" in text
    assert all(f"% {printed}\n" in text for printed in (remark.replace("%", "\\%") for remark in document.remarks))


def strange(name: str) -> Document:
    """A report in which everything that somebody may have named is named so."""
    cells = ([name, "n"], [[name, "1"]] * 2)
    section = Section("summary", name, pd.DataFrame(), cells, (name,), explanations=(name,))
    return Document(name, name, name, Protocol(), 1, (section,), (), pd.DataFrame(), {}, ())


@settings(deadline=None)
@given(NAMES)
@example("- a")
@example("1. a")
@example("---")
@example("+")
@example("> a")
def test_markdown_shows_any_name_as_it_is(name: str) -> None:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    parsed, plain = (parser.parse(to_markdown(strange(text))) for text in (name, "relu"))
    assert [token.type for token in parsed] == [token.type for token in plain]
    head, *shown = [token.children or [] for token in parsed if token.type == "inline"]
    texts = ["".join(child.content for child in children) for children in shown]
    assert {child.type for children in (head, *shown) for child in children} == {"text"}
    assert "".join(child.content for child in head).startswith(f"{name.lstrip()}: dataset mnist")
    assert texts == [text.strip() for text in (name, name, name, "n", name, "1", name, "1", name, name)]


COMMANDS = {str(command): character for character, command in LATEX.items()}
COMMAND = re.compile("|".join(map(re.escape, sorted(COMMANDS, key=len, reverse=True))))
RARE = re.compile(r"\\rarecharacter\{(.)\}\{([0-9A-F]{4,})\}")


def printed(text: str) -> str:
    """What LaTeX prints; fails if it has a command that is none of ours."""
    assert all(ord(character) == int(code, 16) for character, code in RARE.findall(text))
    text = RARE.sub(r"\1", text)
    assert not re.search(r"[\\&%$#_{}^~`<>|\[*]", COMMAND.sub("", text))
    return COMMAND.sub(lambda found: COMMANDS[found[0]], text).replace(NOTHING, "")


@settings(deadline=None)
@given(NAMES)
@example("a--b–-–c")
@example("\\input{x} ^^41 ~ %")
@example("[1ex]")
@example("β µ 研究 é ''")
def test_latex_prints_any_name_as_it_is(name: str) -> None:
    made = to_latex(strange(name))
    assert "---" not in made
    lines = made[made.index("\\begin{table}") :].splitlines()
    caption, head, row = lines[2], lines[6], lines[8]
    assert caption == f"\\caption{{{caption[9:-1]}}}"
    assert printed(caption[9:-1]) == name
    assert printed(head.removesuffix(r" & n \\")) == printed(row.removesuffix(r" & 1 \\")) == name
    assert not lines[9].startswith(("[", "*"))  # which would belong to the line above
    assert [printed(line[2:]) for line in lines[-2:]] == [name] * 2
    assert len(lines) == 15
    assert ("\\providecommand" in made) is ("\\rarecharacter{" in "".join(lines))


NASTY = (
    *(
        "_&%#~^\\{}$",
        '<>|"\'`"',
        "[*]",
        "--–−±→←≤≥",
        "βγω Ω µ",
        "αᾱ",
        "ÀéïñÿÐþ",
        "Łódź ąęı «š»",
        "研究 ひら",
        "½²·×…“”‘’",
        "🙂",
        "\\input{x}",
    ),
    *("\\end{document}", "^^41", "%", "?`!`,,''"),
)
"""What LaTeX takes for more than itself, has no font for, or makes something else of."""


@pytest.mark.slow
@pytest.mark.parametrize("latex", ["pdflatex", "lualatex", "xelatex", "tectonic"])
def test_latex_compiles(latex: str, tmp_path: Path) -> None:
    """A paper with every table that there is, as it is and with nasty names in all places."""
    if shutil.which(latex) is None:
        pytest.skip(f"{latex} is not installed")
    documents = [*make_every_report(tmp_path).values(), *(strange(name) for name in NASTY)]
    names = [f"made{number}" for number in range(len(documents))]
    for name, made in zip(names, documents, strict=True):
        (tmp_path / f"{name}.tex").write_text(to_latex(made), encoding="utf-8")
    packages = re.findall(r"^% needs (.*)", to_latex(documents[0]), flags=re.MULTILINE)
    inputs = [rf"\input{{{name}}}\clearpage" for name in names]
    lines = [r"\documentclass{article}", *packages, r"\begin{document}\listoftables", *inputs, r"\end{document}"]
    (tmp_path / "paper.tex").write_text("\n".join(lines), encoding="utf-8")
    options = [] if latex == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]
    for _ in range(2):  # the second time with the list of tables
        run = subprocess.run([latex, *options, "paper.tex"], cwd=tmp_path, capture_output=True, check=False)
        assert run.returncode == 0, run.stdout.decode(errors="replace")[-3000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000


def test_heads_of_columns_have_the_lines_that_they_have_on_a_terminal() -> None:
    made = latex_table("t", ["a\nb", "[c\n[d_\ne", "f"], [["1", "2", "3"]], "l")
    assert (
        "\\toprule\n"
        r"\begin{tabular}[b]{@{}l@{}}a \\ b\end{tabular} & \begin{tabular}[b]{@{}r@{}}{[}c \\ {[}d\_ \\ e\end{tabular}"
        " & f \\\\\n\\midrule\n1 & 2 & 3 \\\\\n"
    ) in made


def test_lines_of_a_name_are_one_line() -> None:
    made = strange("a\r\n\n\\end{table}")
    assert all(line.startswith(("\\", "%", "a")) for line in filter(None, to_latex(made).splitlines()))
    assert to_markdown(made).count("\n\n") == to_markdown(strange("a")).count("\n\n")
