"""The studies of a study file: where they are, and which file a study was trained from.

A file's digest and a copy of its text stay with its studies, so that a later change can be named.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fluidrelu_cli.declaration import ENDING, TUNING, Declaration, shown
from fluidrelu_cli.errors import FluidReluError, StorageError, UsageError
from fluidrelu_cli.files import read_bytes, write_whole
from fluidrelu_cli.protocol import Protocol
from fluidrelu_cli.run import Run, find_runs
from fluidrelu_cli.study import ASKED, Study, find_folder, find_study, load_study
from fluidrelu_cli.study_file import parse_declaration, read_declaration

if TYPE_CHECKING:
    from fluidrelu_cli.analysis.tuning import Tuned


def open_declared(results: Path, declaration: Declaration, name: str, protocol: Protocol) -> Study:
    """A study of a file: the one that is there, or a new one, which is saved when locked.

    Raises:
        UsageError: if the study that is there has another protocol.
        DamagedFileError, StorageError: if its study.json cannot be read.
    """
    folder = (declaration.home or results) / name
    if not (folder / "study.json").exists() and not find_runs(folder / "runs"):
        return Study(folder, protocol, name=name)
    study = replace(load_study(folder), name=name)
    _check_protocol(declaration, study, protocol)
    return study


def _check_protocol(declaration: Declaration, study: Study, protocol: Protocol) -> None:
    """Refuse a file that says of a study that it was trained otherwise than it was."""
    differences = study.protocol.differences(protocol)
    if differences:
        found = ", ".join(f"{field} {shown(old)}, not {shown(new)}" for field, (old, new) in differences.items())
        raise UsageError(
            f"{declaration.path}: the study in {study.folder} was trained with {found}: put that back in the file, or"
            " give the file another name for another study."
        )


def keep_declaration(declaration: Declaration, folder: Path) -> None:
    """Keep a copy of a study file in the folder of its study, or of its cells; StorageError if that fails."""
    path = folder / "declared" / f"{declaration.sha256}{ENDING}"
    if not path.exists() or read_bytes(path) != declaration.text.encode():
        write_whole(path, declaration.text)


def recall_declaration(folder: Path, sha256: object, path: Path) -> Declaration | None:
    """The study file of this digest as it was, from the copy in a study's folder or the one above it.

    None if there is none, it was changed, or it cannot be read as a study file.
    """
    if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256):  # it comes from a study.json
        return None
    for kept in (folder, folder.absolute().parent):
        try:
            declaration = parse_declaration(read_bytes(kept / "declared" / f"{sha256}{ENDING}"), path)
        except (StorageError, UsageError):
            continue
        if declaration.sha256 == sha256:
            return declaration
    return None


def find_declaration(study: Study) -> Declaration | None:
    """The study file that a study was last trained from, as it was then; None if it was never declared.

    Its studies are those beside this one, whatever the file and the folder are called by now.
    """
    for entry in reversed(study.log):
        if entry.what == ASKED and entry.sha256 is not None:
            found = recall_declaration(study.folder, entry.sha256, Path(entry.file or f"{study.name}{ENDING}"))
            if found is None:
                return None
            below = found.is_grid or (found.tuning is not None and study.folder.name == TUNING)
            own = study.folder if len(study.folder.parts) > 1 + below else study.folder.absolute()
            folder = own.parent if below else own
            return replace(found, name=folder.name, home=folder.parent)
    return None


def find_settled(study: Study) -> tuple[Declaration | None, Tuned | None]:
    """The file that a study was last trained from, as :func:`settle` gives it.

    None if it was never declared, or what a file declares is chosen by it: its runs answer no question.
    """
    declaration = find_declaration(study)
    if declaration is None or (declaration.tuning is not None and study.folder.name == TUNING):
        return None, None
    return settle(declaration, study.folder)


def find_question(results: Path, typed: str) -> Declaration | None:
    """The study file that is meant: the one of that path, or the one that a study of that name was last trained from.

    None if a study is meant that was never declared, or nothing that is there. For a study that is one cell of a
    file's, it is the file of all.

    Raises UsageError, StorageError as :func:`read_declaration`.
    """
    if typed.endswith(ENDING):
        return read_declaration(Path(typed))
    folder = find_folder(results, typed)
    if folder is not None:
        return find_declaration(load_study(folder))
    homes = [home for home in (results / typed, Path(typed)) if typed and (home / "declared").is_dir()]
    cells = [path for home in homes for path in sorted(home.glob("*/study.json"))]
    if not cells:
        return None
    found = find_declaration(load_study(cells[0].parent))
    if found is None:
        raise UsageError(
            f"The copies of its study file in {homes[0] / 'declared'} are gone or were changed: name the file itself."
        )
    return found


def find_studies(results: Path, typed: str) -> list[Study]:
    """The studies that are meant: one by its name or folder, or those of a study file or of a grid's name.

    Raises:
        UsageError, StorageError: as :func:`find_question` and study.find_study.
        FluidReluError: if a file's studies have no run yet.
    """
    declaration = None if find_folder(results, typed) is not None else find_question(results, typed)
    if declaration is None:
        return [find_study(results, typed)]
    results = declaration.home or results
    named = [declaration.study_name(cell) for cell in declaration.cells]
    trained = [name for name in named if find_runs(results / name / "runs")]
    if not trained:
        raise lacks_runs(declaration)
    return [find_study(results, name) for name in trained]


def lacks_runs(declaration: Declaration) -> FluidReluError:
    """The error that nothing of a study file has been trained."""
    return FluidReluError(f"{declaration.path} has no run yet: train it with `{_run_command(declaration)}`.")


def _run_command(declaration: Declaration) -> str:
    return shlex.join(["fluidrelu", "run", str(declaration.path)])


def settle(declaration: Declaration, results: Path) -> tuple[Declaration, Tuned | None]:
    """The declaration whose arms are spelled as its studies have them, with the settings that were chosen for them.

    Args:
        declaration: a study file.
        results: the folder of all studies, where it was read from its file.

    Returns:
        It, and what its tuning showed; None where it tunes nothing.

    Raises:
        UsageError: if it says of a study that it was trained otherwise than it was.
        FluidReluError: if it tunes something, and that is not finished.
    """
    results = declaration.home or results
    names = set[str]()
    for cell in declaration.cells:
        study = _load_if_there(results / declaration.study_name(cell))
        if study is not None:
            _check_protocol(declaration, study, cell.protocol)
            names |= study.known
    if declaration.tuning is None:
        return declaration.spelled(names), None
    from fluidrelu_cli.analysis.tuning import list_chosen

    tried = _load_if_there(results / declaration.tuning_name)
    if tried is None:
        raise lacks_runs(declaration)
    _check_protocol(declaration, tried, declaration.tuning_protocol)
    spelled = declaration.spelled(tried.known)
    tuned = tune_declared(spelled, tried.read().runs)
    chosen = list_chosen(tuned.table)
    if len(chosen) < len(spelled.activations):
        finished, asked = int(tuned.table["n"].sum()), len(tuned.table) * declaration.tuning.seeds
        raise FluidReluError(
            f"{declaration.path} is not tuned yet: {finished} of {asked} runs on held-out images are finished. Go on"
            f" with `{_run_command(declaration)}`."
        )
    return spelled.settled(chosen), replace(tuned, log=tried.log)


def tune_declared(declaration: Declaration, runs: Iterable[Run]) -> Tuned:
    """What the runs of a file's tuning show, by those of the settings and seeds that it declares."""
    from fluidrelu_cli.analysis.inference import final_accuracies
    from fluidrelu_cli.analysis.tuning import Tuned, tune
    from fluidrelu_cli.run import tabulate_runs

    seeds = declaration.tuning.seed_range if declaration.tuning else range(0)
    arms = {name: [arm for arm, _ in settings] for name, settings in declaration.tuning_arms().items()}
    finals = final_accuracies(tabulate_runs(run for run in runs if run.trial.seed in seeds))
    return Tuned(tune(finals, arms, len(seeds)), finals)


def _load_if_there(folder: Path) -> Study | None:
    return load_study(folder) if (folder / "study.json").exists() else None
