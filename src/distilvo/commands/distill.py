"""``distilvo distill``: a student from a trained teacher, on drives with poses and on film without."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from distilvo import parallel
from distilvo.commands.train import report_training
from distilvo.errors import DistilvoError
from distilvo.output_folders import claim_folder
from distilvo.settings import PAPER, Method, Recipe, Shape, SourceOptions, TrajectoryScale

if TYPE_CHECKING:
    from torch import Tensor

    from distilvo.models.motion_network import MotionNetwork
    from distilvo.sequences import Sequence


@dataclass(frozen=True)
class Distill:
    """Distill a student from a trained teacher; with --preset paper by the paper's own method."""

    data: Positional[Path]
    """Data set in KITTI odometry layout, with poses."""
    out: Path
    """Model folder to write."""
    unlabelled: tuple[Path, ...] = ()
    """Film to imitate the teacher on, without poses: data sets, sequences, folders of images, videos, bags."""
    teacher: Path | None = None
    """The teacher's model folder, or trajectories of another program: a file, or a folder with NAME.tum or .txt for
    each sequence (ORB-SLAM3, DPVO, COLMAP, GPS). The shipped one where not given."""
    teacher_scale: TrajectoryScale | None = None
    """Of trajectories, which do not say it: metric, as they are; truth, one factor for each sequence, by its poses."""
    rate: float = 92.95
    """At least so many per cent of the teacher's parameters go; of a teacher of the paper's kind."""
    shape: Shape | None = None
    """cut: layers are taken away; slim: all are kept, but narrow; nano, small, base: made for speed, of any --rate.
    Where not given: nano for a teacher that sees flow first, cut for others."""
    init: Path | None = None
    """Go on from the weights of this model folder ('student': the bundled one): --rate, --shape and --inherit
    do not count."""
    sequences: tuple[str, ...] = ()
    """Names of the sequences of DATA to train on; all where not given."""
    source: Annotated[SourceOptions, arg(name="")] = field(default_factory=SourceOptions)
    preset: Literal["best", "paper"] = "best"
    """What the flags below begin with: this project's default (best), or the paper's own method."""
    recipe: Annotated[Recipe, arg(name="")] = field(default_factory=Recipe)
    method: Annotated[Method, arg(name="")] = field(default_factory=Method)

    def run(self) -> None:
        """Distill, or go on where it was interrupted, and show the trust that the student was trained with."""
        from distilvo.data import open_cache
        from distilvo.models.model_folder import save_model
        from distilvo.models.student import shaped_architecture
        from distilvo.models.teacher import teacher_architecture
        from distilvo.pipeline.recipes import about, distill_student
        from distilvo.report.trust_report import trust_result

        parallel.share(self.recipe.batch_size)  # before any work, rather than when the training begins
        network, rate_hz = self._network()
        larger = teacher_architecture("demo") if network is None else network.architecture
        start = None if self.init is None else self._start(network)
        architecture = shaped_architecture(self.shape, self.rate, larger) if start is None else start.architecture
        sequences = self._sequences(rate_hz)
        teacher = self._motions(sequences) if network is None else network
        settings = self._settings(start)
        claim_folder(self.out, "distill", settings)
        cache = open_cache(sequences, architecture.preprocessing, self.out / "cache", need_poses=False)
        made = distill_student(
            teacher,
            architecture,
            cache,
            self.recipe,
            self.out / "checkpoints",
            method=self.method,
            outputs=self.out / "cache",
            label=architecture.name,
            init=start,
        )
        trust = made.trust
        kept = about(cache, self.recipe, sequences, method=asdict(self.method), trust=trust.facts)
        parallel.on_main(lambda: save_model(made.student, self.out, kept))
        headline = (
            f"{architecture.name}; {_of_labels(sequences)}; {_of_trust(trust.kind, trust.of_sample, trust.worth)}"
        )
        shown = trust_result(cache, made.teacher.outputs, trust)
        report_training(self.out, "distill", headline, made.curves, settings, shown)

    def _sequences(self, rate_hz: float | None) -> list[Sequence]:
        """Those with poses, then the film without, at the frame rate of the teacher where that is known."""
        from distilvo.pipeline.model_rate import warn_of_rate
        from distilvo.pipeline.unlabelled import open_unlabelled
        from distilvo.sequences import choose

        labelled = choose(self.data, self.sequences)
        for sequence in labelled:
            if sequence.poses is None:
                raise DistilvoError(
                    f"{sequence.name}: no ground-truth poses (poses/NN.txt); leave it out with --sequences, or give "
                    "it as --unlabelled"
                )
        if not self.unlabelled and self.source != SourceOptions():
            raise DistilvoError(
                "distill: flags of a source without --unlabelled; DATA is taken as it is: leave them out"
            )
        warn_of_rate(labelled, rate_hz, "the teacher")
        names = [sequence.name for sequence in labelled]
        return [*labelled, *open_unlabelled(self.unlabelled, self.source, names, rate_hz)]

    def _network(self) -> tuple[MotionNetwork | None, float | None]:
        """The teacher, unless trajectories are, and the frame rate that it was trained on."""
        from distilvo.models.kinds import rate_of
        from distilvo.models.model_folder import load_model
        from distilvo.models.teacher import SHIPPED_TEACHER, named_model

        path = named_model(self.teacher or SHIPPED_TEACHER)
        if path.exists() and not (path / "config.json").exists():
            return None, None
        if self.teacher_scale is not None:
            raise DistilvoError(f"--teacher-scale {self.teacher_scale}: is for trajectories, and {path} is a model")
        network, config = load_model(path)
        return network, rate_of(network.architecture, config)

    def _start(self, teacher: MotionNetwork | None) -> MotionNetwork:
        """The student of ``--init``; DistilvoError where it does not see the images that its teacher sees."""
        from distilvo.models.model_folder import load_model
        from distilvo.models.teacher import named_model

        assert self.init is not None
        start, _ = load_model(named_model(self.init))
        if teacher is not None and start.preprocessing != teacher.preprocessing:
            raise DistilvoError(
                f"{self.init}: sees images of {start.preprocessing}, the teacher {teacher.preprocessing}; expected a "
                "student that sees the same as its teacher"
            )
        return start

    def _motions(self, sequences: list[Sequence]) -> Tensor:
        """Motions of trajectories, (P, 6) [m, rad], for all pairs of frames; NaN where they have none."""
        assert self.teacher is not None
        return _motions_of(self.teacher, self.teacher_scale, sequences)

    def _settings(self, start: MotionNetwork | None) -> dict[str, Any]:
        """What the run is made from; first weights, too: a model may be trained anew under the same name."""
        from distilvo.distill.teacher_pass import outputs_key

        settings: dict[str, Any] = {"data": str(self.data), "teacher": str(self.teacher)}
        settings |= {"rate": self.rate, "shape": self.shape}
        if start is not None:
            settings |= {"init": str(self.init), "init_weights": outputs_key(start)}
        if self.unlabelled:
            options = {name: str(value) for name, value in vars(self.source).items() if value is not None}
            settings |= {"unlabelled": [str(path) for path in self.unlabelled], **options}
        if self.teacher_scale is not None:
            settings["teacher_scale"] = self.teacher_scale
        return settings | {"recipe": asdict(self.recipe), "method": asdict(self.method)}


@dataclass(frozen=True)
class PaperDistill(Distill):
    """Distill a student by the paper's own method: attentive hints, then attentive imitation."""

    preset: Literal["best", "paper"] = "paper"
    """What the flags below begin with: this project's default (best), or the paper's own method."""
    method: Annotated[Method, arg(name="")] = field(default_factory=lambda: PAPER)


def _motions_of(path: Path, scale: TrajectoryScale | None, sequences: list[Sequence]) -> Tensor:
    """Motions (P, 6) of trajectory files, for all pairs of frames of all sequences; NaN where a file has none."""
    import torch

    from distilvo.pipeline.trajectory_teacher import find_trajectories, trajectory_motions
    from distilvo.trajectory.formats import read_trajectory

    if scale is None:
        raise DistilvoError(
            f"{path}: no model folder (config.json), so taken for trajectories, which do not say their scale; give "
            "--teacher-scale metric where they are in metres (stereo, IMU, GPS), or truth to fit one factor to the "
            "poses of each sequence"
        )
    files = find_trajectories(path, [sequence.name for sequence in sequences])
    tolerance = 0.01  # s
    motions = [trajectory_motions(one, read_trajectory(files[one.name]), scale, tolerance) for one in sequences]
    return torch.cat([torch.from_numpy(some) for some in motions])


def _of_labels(sequences: list[Sequence]) -> str:
    labelled = [sequence.poses is not None for sequence in sequences]
    if all(labelled):
        return f"{len(labelled)} sequences with poses"
    return f"{sum(labelled)} sequences with poses, {len(labelled) - sum(labelled)} without"


def _of_trust(kind: str, phi: Tensor, worth: tuple[float, ...]) -> str:
    words = f"trust {kind}: Φ mean {phi.mean():.3f}, lowest {phi.min():.3f}"
    shown = ", ".join(f"{one:.2f}" for one in worth)
    return words + (f", rank correlation with the true error {shown}" if worth else "")
