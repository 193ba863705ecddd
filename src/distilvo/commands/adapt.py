"""``distilvo adapt``: fit a student to film of one's own camera that nobody has labelled."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from distilvo import parallel
from distilvo.errors import DistilvoError
from distilvo.output_folders import claim_folder
from distilvo.progress import console
from distilvo.settings import FilmTrusting, Recipe, SourceOptions

if TYPE_CHECKING:
    from distilvo.data import FrameCache
    from distilvo.models.motion_network import MotionNetwork
    from distilvo.pipeline.adaptation import Adapted, Film
    from distilvo.sequences import Sequence

RECIPE = Recipe(epochs=10, learning_rate=1e-4)


@dataclass(frozen=True)
class Adapt:
    """Fit a student to film of your own camera, without labels, by what a teacher gives there."""

    model: Positional[Path]
    """Model folder of the student to begin with; it stays as it is. 'student': the bundled one."""
    film: Positional[tuple[Path, ...]]
    """Film of the camera: videos, folders or 'patterns' of images, sequences, data sets, bags; poses are not used."""
    out: Path
    """Model folder to write."""
    teacher: Path | None = None
    """The teacher's model folder; the shipped one where not given."""
    trust: FilmTrusting = "consistency"
    """How far the teacher is trusted: less where its motions contradict each other; or wholly (none), which leaves out
    the longest part of the work: docs/adapt.md."""
    source: Annotated[SourceOptions, arg(name="")] = field(default_factory=SourceOptions)
    recipe: Annotated[Recipe, arg(name="")] = field(default_factory=lambda: RECIPE)

    def run(self) -> None:
        """Fit the student, or go on where it was interrupted, and say how near its teacher it came."""
        from distilvo.models.kinds import rate_of
        from distilvo.models.model_folder import load_model, save_model
        from distilvo.models.teacher import SHIPPED_TEACHER, named_model
        from distilvo.pipeline.adaptation import adapt
        from distilvo.pipeline.recipes import about
        from distilvo.pipeline.unlabelled import open_unlabelled

        if not self.film:
            raise DistilvoError("adapt: no film; expected a video, a folder of images or a data set behind MODEL")
        parallel.share(self.recipe.batch_size)  # before any work, rather than when the training begins
        start, config = load_model(named_model(self.model))
        teacher, about_teacher = load_model(named_model(self.teacher or SHIPPED_TEACHER))
        rate_hz = rate_of(teacher.architecture, about_teacher)
        sequences = open_unlabelled(self.film, self.source, rate_hz=rate_hz)
        settings = self._settings(start, teacher)
        claim_folder(self.out, "adapt", settings)
        cache = self.out / "cache"
        film, seen_by_teacher = _films(sequences, start, teacher, cache, self.recipe.clip_length)
        made = adapt(
            start, teacher, film, seen_by_teacher, self.recipe, self.out / "checkpoints",
            outputs=cache, trust=self.trust, label=start.architecture.name,
        )  # fmt: skip
        known_rate = rate_of(start.architecture, config) if rate_hz is None else rate_hz
        began = {"model": str(self.model), "training": config.get("training")}
        kept = about(film.cache, self.recipe, method="adapted to film without labels", began=began)
        parallel.on_main(lambda: save_model(made.student, self.out, kept | {"rate_hz": known_rate}))
        parallel.on_main(lambda: _report(self.out, made, film, settings))

    def _settings(self, start: MotionNetwork, teacher: MotionNetwork) -> dict[str, Any]:
        """What the run is made from; the weights too: a model may be trained anew under the same name."""
        from distilvo.distill.teacher_pass import outputs_key

        settings: dict[str, Any] = {"model": str(self.model), "film": [str(path) for path in self.film]}
        settings |= {
            "teacher": str(self.teacher),
            "trust": self.trust,
            "weights": [outputs_key(start), outputs_key(teacher)],
        }
        options = {name: str(value) for name, value in vars(self.source).items() if value is not None}
        return settings | options | {"recipe": asdict(self.recipe)}


def _films(
    sequences: list[Sequence], start: MotionNetwork, teacher: MotionNetwork, cache: Path, length: int
) -> tuple[Film, FrameCache]:
    """The film as the student sees it, and as the teacher does: the same where they see images of one kind."""
    from distilvo.data import open_cache
    from distilvo.pipeline.adaptation import cut_films, look_through

    frames = open_cache(sequences, start.preprocessing, cache, need_poses=False)
    film = look_through(frames, length)
    if teacher.preprocessing == start.preprocessing:
        return film, film.cache
    other = open_cache(sequences, teacher.preprocessing, cache, "decode for the teacher", need_poses=False)
    return film, cut_films(other, length)


def _report(out: Path, made: Adapted, film: Film, settings: dict[str, Any]) -> None:
    """Write the page, and print where it is."""
    from distilvo.files import write_json
    from distilvo.report import write_report
    from distilvo.report.adaptation_report import adaptation_page, headline, warnings_of

    heights = {part.name: float(film.cache.camera_heights[2 * number]) for number, part in enumerate(film.parts)}
    summary = {"before": asdict(made.before), "after": asdict(made.after), "camera_heights_m": heights}
    write_json(out / "summary.json", summary)
    write_report(out, adaptation_page(f"distilvo adapt {out.name}", made, film, settings))
    for line in (f"{out}: {headline(made)} report.html", *warnings_of(made)):
        console.print(line)
