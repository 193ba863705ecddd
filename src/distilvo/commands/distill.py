"""``distilvo distill``: a student from a trained teacher."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from distilvo import parallel
from distilvo.commands.train import report_training
from distilvo.output_folders import claim_folder
from distilvo.settings import PAPER, Method, Recipe, Shape


@dataclass(frozen=True)
class Distill:
    """Distill a student from a trained teacher; by default by what did best in ``distilvo study``."""

    data: Positional[Path]
    """Data set in KITTI odometry layout."""
    out: Path
    """Model folder to write."""
    teacher: Path | None = None
    """The teacher's model folder; the shipped demo teacher where not given."""
    rate: float = 92.95
    """At least so many per cent of the teacher's parameters go."""
    shape: Shape = "cut"
    """cut: layers are taken away; slim: all are kept, but narrow; nano, small, base: made for speed, of any --rate."""
    sequences: tuple[str, ...] = ()
    """Names of the sequences to train on; all where not given."""
    preset: Literal["best", "paper"] = "best"
    """What the flags below begin with: the best known, or the paper's own method."""
    recipe: Annotated[Recipe, arg(name="")] = field(default_factory=Recipe)
    method: Annotated[Method, arg(name="")] = field(default_factory=Method)

    def run(self) -> None:
        """Distill, or go on where it was interrupted, and show the trust that the student was trained with."""
        from distilvo.data import open_cache
        from distilvo.models.model_folder import load_model, save_model
        from distilvo.models.student import shaped_architecture
        from distilvo.models.teacher import SHIPPED_TEACHER
        from distilvo.pipeline.recipes import about, distill_student
        from distilvo.report.trust_report import trust_result
        from distilvo.sequences import choose

        parallel.share(self.recipe.batch_size)  # before any work, rather than when the training begins
        teacher, _ = load_model(self.teacher or SHIPPED_TEACHER)
        architecture = shaped_architecture(self.shape, self.rate, teacher.architecture)
        settings = {"data": str(self.data), "teacher": str(self.teacher), "rate": self.rate, "shape": self.shape}
        settings |= {"recipe": asdict(self.recipe), "method": asdict(self.method)}
        sequences = choose(self.data, self.sequences)
        claim_folder(self.out, "distill", settings)
        cache = open_cache(sequences, architecture.preprocessing, self.out / "cache")
        made = distill_student(
            teacher,
            architecture,
            cache,
            self.recipe,
            self.out / "checkpoints",
            method=self.method,
            outputs=self.out / "cache",
            label=architecture.name,
        )
        kept = about(cache, self.recipe, method=asdict(self.method), eta=made.trust.etas)
        parallel.on_main(lambda: save_model(made.student, self.out, kept))
        phi = made.trust.of_sample
        headline = f"{architecture.name}; trust Φ mean {phi.mean():.3f}, lowest {phi.min():.3f}"
        trust = trust_result(cache, made.teacher.outputs, made.trust)
        report_training(self.out, "distill", headline, made.curves, settings, trust)


@dataclass(frozen=True)
class PaperDistill(Distill):
    """Distill a student by the paper's own method: attentive hints, then attentive imitation."""

    preset: Literal["best", "paper"] = "paper"
    """What the flags below begin with: the best known, or the paper's own method."""
    method: Annotated[Method, arg(name="")] = field(default_factory=lambda: PAPER)
