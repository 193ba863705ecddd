"""``distilvo evaluate``: models and trajectory files against ground truth, in one table."""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from distilvo.errors import DistilvoError
from distilvo.files import write_json, write_text
from distilvo.output_folders import claim_folder
from distilvo.paths import check_distinct
from distilvo.progress import console, silence
from distilvo.settings import Scoring

if TYPE_CHECKING:
    from distilvo.report.results import ModelRow, ReportTable
    from distilvo.sequences import Sequence as Frames
    from distilvo.trajectory.estimates import Truths
    from distilvo.trajectory.scores import Score


@dataclass(frozen=True)
class Evaluate:
    """Score models and trajectory files against ground truth; models beside always predicting the mean motion."""

    models: Positional[tuple[Path, ...]] = ()
    """Model folders, or teacher and student, which are bundled; the first is what the others' parameters are compared
    with. Trajectory files (KITTI, with or without a leading frame number, or TUM) and folders of them."""
    data: Path | None = None
    """Data set in KITTI odometry layout: what models are run on."""
    out: Path | None = None
    """Folder for metrics and trajectories."""
    sequences: tuple[str, ...] = ()
    """Names of the sequences; all where not given."""
    camera_height: float | None = None
    """Metres of the camera above the road, instead of the sequences' own; all lengths of a model grow with it."""
    truth: tuple[Path, ...] = ()
    """Ground truth for trajectory files: files, or a folder of them, where it is not --data."""
    estimate: tuple[Path, ...] = ()
    """More trajectory files. With several sequences a file is called like its sequence."""
    scoring: Annotated[Scoring, arg(name="")] = field(default_factory=Scoring)
    json: bool = False
    """Print one JSON object instead of the table."""

    def run(self) -> None:
        """Print one table of all models and trajectory files on all sequences; files alone need no torch.

        Models alone, by the paper's measures, stand there with their size and latency.
        """
        if self.json:
            silence()
        folders, files = self._sorted()
        if not folders and not files:
            raise DistilvoError("evaluate: nothing to score; expected one or more model folders or trajectory files")
        if not folders:
            if self.camera_height is not None:
                raise DistilvoError(
                    "evaluate: --camera-height is for models; a trajectory file has its lengths already"
                )
            scores = self._score_files(files)
            self._claim(folders, files)
            self._publish(scores)
            self._report(scores, files)
            return
        from distilvo.models.teacher import named_model

        folders = tuple(named_model(path) for path in folders)
        for path in folders:
            if not (path / "config.json").exists():
                reason = "no trajectory file and no config.json in it" if path.exists() else "no such file or folder"
                raise DistilvoError(f"{path}: {reason}; expected trajectory files or a model folder")
        if self.data is None:
            raise DistilvoError(f"evaluate: {folders[0]} is a model and needs --data, the data set that it is run on")
        if self.truth and not files:
            raise DistilvoError(
                "evaluate: --truth is for trajectory files; models are compared with the truth of --data"
            )
        self._evaluate_models(folders, files, self.data)

    def _evaluate_models(self, folders: tuple[Path, ...], files: tuple[Path, ...], data: Path) -> None:
        from distilvo.bench.latency import TIMER, latencies_ms
        from distilvo.geometry.camera import DEFAULT_CAMERA_HEIGHT
        from distilvo.pipeline.evaluation import write_trajectories
        from distilvo.pipeline.model_scores import assumed_times, open_drives, open_models, score_models
        from distilvo.report.model_report import model_row
        from distilvo.report.model_table import model_table

        models = open_models(folders)
        places = {name: re.sub(r"[/\\:]|^\.+$", "_", name.strip("/")) for name in models}
        check_distinct(places.values(), "models")
        drives = open_drives(data, self.sequences, self.scoring, self.camera_height)
        scored_files = self._score_files(files, taken=("mean_motion", *models)) if files else []
        self._claim(folders, files)
        with_size = not files and not self.json and self.scoring == Scoring()
        with tempfile.TemporaryDirectory() as scratch:
            scored = score_models(models, drives, self.scoring, Path(scratch), export=with_size)
            latency = dict(zip(scored.exported, latencies_ms(list(scored.exported.values())), strict=True))
        if self.out is not None:
            for name in models:
                folder = self.out / "trajectories" / places[name]
                write_trajectories(scored.evaluations[name], folder, assumed_times(drives))
        scores = scored.scores + scored_files
        self._publish(scores, table=not with_size)
        if not with_size:
            self._report(scores, files)
            return
        shapes = {name: network.architecture for name, (network, _) in models.items()}
        first = next(iter(shapes.values()))
        rows = [
            model_row(name, evaluation.total, shapes.get(name), first, latency.get(name, 0.0))
            for name, evaluation in scored.evaluations.items()
        ]
        notes = [TIMER, "The mean motion is that of these sequences."]
        self._publish_models(
            rows, notes, {drive.name: drive.camera_height or DEFAULT_CAMERA_HEIGHT for drive in drives}
        )
        self._report(scores, files, [model_table(rows)], notes)

    def _sorted(self) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """Model folders, and trajectory files with folders of them."""
        from distilvo.trajectory.estimates import is_trajectory

        named = dict.fromkeys(path for path in self.models if is_trajectory(path))
        files = tuple(named | dict.fromkeys(self.estimate))
        return tuple(path for path in self.models if path not in named), files

    def _score_files(self, files: tuple[Path, ...], taken: Sequence[str] = ()) -> list[Score]:
        from distilvo.trajectory.estimates import score_files

        return score_files(files, self._truths(), self.scoring, taken)

    def _truths(self) -> Truths:
        """Ground truth by sequence: of files, folders of files, or the sequences of a data set."""
        from distilvo.trajectory.estimates import open_truths

        if self.truth:
            return open_truths(self.truth, self.sequences)
        if self.data is None:
            raise DistilvoError("evaluate: no ground truth; give --truth with a trajectory file, or --data")
        if (self.data / "sequences").is_dir() or not (self.data / "poses").is_dir():
            return _truths_of_data(self.data, self.sequences)
        return open_truths((self.data / "poses",), self.sequences)  # alone, as KITTI offers them for download

    def _claim(self, folders: tuple[Path, ...], files: tuple[Path, ...]) -> None:
        if self.out is None:
            return
        settings: dict[str, Any] = {"models": [str(path) for path in folders], "data": str(self.data)}
        if files:
            settings |= {"files": list(map(str, files)), "truth": list(map(str, self.truth))}
        if files or self.sequences:
            settings["sequences"] = list(self.sequences)
        if self.camera_height is not None:
            settings["camera_height"] = self.camera_height
        if self.scoring != Scoring():
            settings["scoring"] = asdict(self.scoring)
        claim_folder(self.out, "evaluate", settings)

    def _publish(self, scores: list[Score], table: bool = True) -> None:
        """Print the scores, as a table or as JSON, and write them as JSON, CSV and LaTeX where a folder is given."""
        from distilvo.report.score_table import count_table, csv_table, latex_table, score_table
        from distilvo.trajectory.scores import with_totals

        rows = with_totals(scores)
        objects = [row.to_dict() for row in rows]
        if self.out is not None:
            write_json(self.out / "scores.json", {"scores": objects})
            write_text(self.out / "scores.csv", csv_table(rows))
            write_text(self.out / "scores.tex", latex_table(rows))
        if self.json:
            print(json.dumps(objects[0] if len(objects) == 1 else {"scores": objects}, indent=2, allow_nan=False))
        elif table:
            console.print(score_table(rows))
            console.print()
            console.print(count_table(rows))
            for row in rows:
                if note := row.note():
                    console.print(f"{row.name}, {row.sequence}: {note}")

    def _publish_models(self, rows: list[ModelRow], notes: list[str], heights: dict[str, float]) -> None:
        """Print the table of models with their size and latency, and write it with the camera's height, m, by drive."""
        from distilvo.report.model_table import markdown_table, results_table

        console.print(results_table(rows))
        console.print(" ".join(notes))
        if self.out is not None:
            write_text(self.out / "table.md", markdown_table(rows))
            write_json(
                self.out / "summary.json", {"models": [row.to_dict() for row in rows], "camera_heights_m": heights}
            )

    def _report(
        self,
        scores: list[Score],
        files: tuple[Path, ...],
        tables: Sequence[ReportTable] = (),
        notes: Sequence[str] = (),
    ) -> None:
        """Write page and plots where a folder is given; ``tables`` and ``notes`` stand first."""
        from distilvo.report.report_files import write_report
        from distilvo.report.score_report import score_report

        if self.out is None:
            return
        settings = {name: str(value) for name, value in asdict(self).items() if name not in ("scoring", "json")}
        settings |= {"files": str(files), "scoring": json.dumps(asdict(self.scoring))}
        sequences = {one.name: one for one in self._frames()}
        page = score_report("distilvo evaluate", scores, settings, sequences=sequences, tables=tables, notes=notes)
        if write_report(self.out, page) and not self.json:
            console.print(f"Report: {self.out / 'report.html'}   plots: {self.out / 'plots'}")

    def _frames(self) -> Sequence[Frames]:
        """Where images come from: the data set, unless it holds poses alone, as KITTI offers them for download."""
        if self.data is None:
            return []
        from distilvo.sequences import choose

        with warnings.catch_warnings(), suppress(DistilvoError):
            warnings.simplefilter("ignore")  # they were shown when it was opened to be scored
            return choose(self.data, self.sequences)
        return []


def _truths_of_data(data: Path, names: tuple[str, ...]) -> Truths:
    from distilvo.sequences import choose
    from distilvo.trajectory.formats import Trajectory

    sequences = choose(data, names)
    truths: Truths = {
        one.name: Trajectory.of_frames(one.poses, None if one.assumed_times else one.times)
        for one in sequences
        if one.poses is not None
    }
    if missing := [one.name for one in sequences if one.poses is None]:
        warnings.warn(f"{data}: no ground truth for {', '.join(missing)}; left out", stacklevel=3)
    if not truths:
        raise DistilvoError(f"{data}: no sequence has ground truth; expected {data / 'poses' / '00.txt'} or the like")
    return truths
