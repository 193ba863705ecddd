"""Trajectory files to score: which file is an estimate of which sequence, and its name in a table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from distilvo.errors import DistilvoError
from distilvo.settings import Scoring
from distilvo.trajectory.formats import Trajectory, read_trajectory
from distilvo.trajectory.scores import Score, score

SUFFIXES = (".txt", ".kitti", ".tum", ".csv")
"""Suffixes of trajectory files in a folder; where one sequence has several files, the first of these counts."""

Truths = dict[str, Path | Trajectory]
"""Ground truth by the name of its sequence; a file is read when it is needed."""


def is_trajectory(path: Path) -> bool:
    """Whether a path is a trajectory file or a folder of such, rather than a model folder."""
    if path.is_dir():
        return not (path / "config.json").exists() and bool(_files_in(path))
    return path.exists() or path.suffix in SUFFIXES


def open_truths(truth: Sequence[Path], sequences: Sequence[str]) -> Truths:
    """Ground truth by sequence, of files and folders of files; all sequences where none is named.

    Raises:
        DistilvoError: there is none, a sequence is not there, or two files have one name.
    """
    truths: Truths = {}
    for path in truth:
        for name, file in (_files_in(path) if path.is_dir() else {path.stem: path}).items():
            if name in truths:
                raise DistilvoError(f"{file}: a second ground truth called {name}; give each sequence once")
            truths[name] = file
    if not truths:
        raise DistilvoError(f"{truth[0]}: no trajectory file in it ({', '.join(SUFFIXES)}); expected e.g. 09.txt")
    if missing := [name for name in sequences if name not in truths]:
        raise DistilvoError(f"{truth[0]}: has no sequence {', '.join(missing)}; it has {', '.join(truths)}")
    return {name: truths[name] for name in sequences} if sequences else truths


def score_files(files: Sequence[Path], truths: Truths, how: Scoring, taken: Collection[str] = ()) -> list[Score]:
    """Score trajectory files and folders of them; one whose name is ``taken`` goes by its path."""
    rows = [row for path in files for row in _pair_up(path, truths)]
    scores = []
    for name, (_, sequence, path) in zip(_names(rows, taken), rows, strict=True):
        estimate, truth = read_trajectory(path), truths[sequence]
        if isinstance(truth, Path):
            truth = truths[sequence] = read_trajectory(truth)
        scores.append(score(name, sequence, estimate, truth, how, str(path)))
    return scores


def _files_in(folder: Path) -> dict[str, Path]:
    """Trajectory files by name of sequence; times that ``convert`` wrote beside them are none."""
    names = (file for file in folder.iterdir() if file.suffix in SUFFIXES and not file.name.startswith("."))
    files = (file for file in names if not file.name.endswith(".times.txt"))
    ranked = sorted(files, key=lambda file: (file.stem, -SUFFIXES.index(file.suffix)))
    return {file.stem: file for file in ranked}


def _pair_up(path: Path, truths: Truths) -> list[tuple[str, str, Path]]:
    """Name, sequence and file of the estimates that a trajectory file, or a folder of them, holds.

    With one truth each file is an estimate of it; otherwise a file ``09.txt`` is one of the sequence 09.
    """
    if path.is_dir():
        files = _files_in(path)
        if common := [name for name in truths if name in files]:
            return [(path.name or str(path), name, files[name]) for name in common]
        raise DistilvoError(f"{path}: no estimate of {_listed(truths)}; expected files named like the ground truth")
    if len(truths) > 1 and path.stem not in truths:
        raise DistilvoError(
            f"{path}: named like none of the sequences {_listed(truths)}; name it like one, or give one --truth"
        )
    sequence = path.stem if path.stem in truths else next(iter(truths))
    return [(path.parent.name if path.stem == sequence and path.parent.name else path.stem, sequence, path)]


def _listed(truths: Truths) -> str:
    return ", ".join(list(truths)[:12]) + (", ..." if len(truths) > 12 else "")


def _names(rows: list[tuple[str, str, Path]], taken: Collection[str]) -> list[str]:
    """A name for each estimate: the short one where nobody else has it, else that of its folder, else its path."""
    folders = [str(path.parent if path.stem == sequence else path) for _, sequence, path in rows]
    owners: dict[str, set[str]] = {}
    for (name, _, _), folder in zip(rows, folders, strict=True):
        owners.setdefault(name, set()).add(folder)
    names = []
    for (name, sequence, path), folder in zip(rows, folders, strict=True):
        # A folder may hold one sequence in two formats.
        same = [f for f, (_, s, _) in zip(folders, rows, strict=True) if (f, s) == (folder, sequence)]
        short = len(owners[name]) == 1 and name not in taken
        names.append(str(path) if len(same) > 1 else name if short else folder)
    return names
