"""A student on film of another camera, without labels: what it learns from, what is held back, how near it comes.

The end of each film is held back: no frame of it is trained on. A frame pair is left out where one of its frames is
doubted by its time or its image (``runtime.frame_quality``). Static images are left out, too: the tracker gives zero
motion for them and does not run the network, so a student has nothing to learn there; a camera that stands shows the
noise of its sensor, and is not static.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilvo.data import Clips, FrameCache
from distilvo.data.frame_cache import Drive
from distilvo.distill.checkpoint import Curve
from distilvo.distill.trust import Trust
from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.models.motion_network import MotionNetwork
from distilvo.pipeline.evaluation import network_motions
from distilvo.pipeline.frame_teacher import drive_of_pair
from distilvo.pipeline.frame_trust import ROTATION, TRANSLATION, teacher_outputs
from distilvo.pipeline.recipes import distill_student
from distilvo.progress import progress
from distilvo.runtime import Status
from distilvo.runtime.frame_quality import Seen, judge
from distilvo.settings import FilmTrusting, Method, Recipe

HELD_BACK = 0.2
"""Share of the clips of each film."""

METHOD = Method(hint="none", inherit=False)
"""Imitation of the teacher's motions alone."""


@dataclass(frozen=True)
class FilmPart:
    """The frame pairs of one film.

    Attributes:
        name: of the film.
        pairs: which of all P they are.
        frames: (n,) number in the film of the second frame of each pair.
        held_from: number of the first frame that is held back.
    """

    name: str
    pairs: slice
    frames: NDArray[np.intp]
    held_from: int


@dataclass(frozen=True)
class Film:
    """Films without labels, each cut in two: drive ``2 k`` is learned from, drive ``2 k + 1`` is held back.

    Attributes:
        cache: of all frames, with P pairs; none of them has a frame on either side of a cut.
        reasons: (P,) why a frame pair is left out; ``ok`` where it is not.
    """

    cache: FrameCache
    reasons: tuple[Status, ...]

    @property
    def used(self) -> NDArray[np.bool_]:
        """Whether a frame pair is not left out, (P,)."""
        return np.array([reason == "ok" for reason in self.reasons])

    @property
    def held_back(self) -> NDArray[np.bool_]:
        """Whether a frame pair is held back, (P,)."""
        return drive_of_pair(self.cache).numpy() % 2 == 1

    @property
    def parts(self) -> list[FilmPart]:
        """The frame pairs film by film."""
        drives, parts = self.cache.drives, []
        for index in range(0, len(drives), 2):
            learned, held = drives[index], drives[index + 1]
            begin, count = learned.first - index, learned.frames + held.frames - 2
            frames = np.delete(np.arange(1, count + 2), learned.frames - 1)  # no pair lies across the cut
            parts.append(FilmPart(learned.name, slice(begin, begin + count), frames, learned.frames))
        return parts


@dataclass(frozen=True)
class Distance:
    """RMS distance of a student's motions from its teacher's, a frame: over all frame pairs, and weighed by trust."""

    translation_m: float
    rotation_deg: float
    trusted_translation_m: float
    trusted_rotation_deg: float


@dataclass(frozen=True)
class Adapted:
    """A student that was fitted to film.

    Attributes:
        student: the fitted one.
        trust: in its teacher's motions, (P, 6); 0 where a frame pair is left out.
        curves: of the training.
        before, after: distance from the teacher on the frame pairs that are held back and not left out.
    """

    student: MotionNetwork
    trust: Trust
    curves: dict[str, Curve]
    before: Distance
    after: Distance

    @property
    def worse(self) -> list[str]:
        """The distances that grew."""
        return [name for name, value in vars(self.after).items() if value > vars(self.before)[name]]


def cut_films(cache: FrameCache, length: int) -> FrameCache:
    """The same frames, each drive cut in two: its last fifth, in whole clips of ``length`` pairs, is one of its own.

    Raises:
        DistilvoError: a film has fewer frames than two clips.
    """
    drives: list[Drive] = []
    for drive in cache.drives:
        clips = max(1, round(HELD_BACK * (drive.frames - 1) / length))
        kept = drive.frames - (clips * length + 1)
        if kept < length + 1:
            raise DistilvoError(
                f"{drive.name}: {drive.frames} frames; expected at least {2 * (length + 1)}, a clip to learn from and "
                "one to hold back; give longer film, or a smaller --clip-length"
            )
        drives.append(Drive(drive.name, drive.first, kept))
        drives.append(Drive(drive.name, drive.first + kept, drive.frames - kept))
    other = copy.copy(cache)
    other.drives = drives
    other.camera_heights = np.repeat(cache.camera_heights, 2)
    other.motions = np.full((len(cache.frames) - len(drives), 6), np.nan, np.float32)
    other.key = other.frames_key = f"{cache.key}-cut-{length}"
    return other


def look_through(cache: FrameCache, length: int) -> Film:
    """Judge all frames of films, and cut each film in two.

    Args:
        cache: the films, none of them cut.
        length: frame pairs of a clip.

    Raises:
        DistilvoError: a film is too short; or all frame pairs that are learned from, or held back, are left out.
    """
    parts = cut_films(cache, length)
    statuses: list[Status] = []
    with progress("look at frames", len(cache.frames)) as bar:
        for index in range(len(cache.drives)):
            seen: Seen | None = None
            for image, time in zip(_images(cache, index), cache.drive_times(index), strict=True):
                status, seen = judge(seen, image, float(time))
                statuses.append(status)
                bar.advance()
    first = np.arange(len(parts.motions)) + drive_of_pair(parts).numpy()
    film = Film(parts, tuple(_reason(statuses[frame], statuses[frame + 1]) for frame in first))
    for held, part in ((False, "learned from"), (True, "held back")):
        chosen = film.held_back == held
        if not (film.used & chosen).any():
            reasons = Counter(reason for reason, one in zip(film.reasons, chosen, strict=True) if one)
            counted = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
            raise DistilvoError(
                f"film: none of {chosen.sum()} frame pairs that are {part} can be used ({counted}); give other film, "
                "or leave such parts out with --start and --end"
            )
    return film


def adapt(
    start: MotionNetwork,
    teacher: MotionNetwork,
    film: Film,
    seen_by_teacher: FrameCache,
    recipe: Recipe,
    folder: Path,
    *,
    outputs: Path,
    trust: FilmTrusting = "consistency",
    label: str = "student",
) -> Adapted:
    """Fit a student to film by what a teacher gives there.

    Args:
        start: the student to begin with; it stays as it is.
        teacher: trained.
        film: as the student sees it.
        seen_by_teacher: the same film, cut alike, as the teacher sees it.
        recipe: of the training.
        folder: of the checkpoints.
        outputs: folder of the teacher's outputs.
        trust: in them; ``consistency`` or ``none`` need no label.
        label: for the progress bar.

    Raises:
        DistilvoError: there is less film than one batch.
    """
    learned = range(0, len(film.cache.drives), 2)
    Clips(film.cache, recipe, learned)  # before the teacher is run
    method = replace(METHOD, trust=trust)
    known, measured = teacher_outputs(teacher, seen_by_teacher, method, outputs)
    phi = measured.phi * torch.from_numpy(film.used)[:, None]
    made = distill_student(
        known.outputs,
        start.architecture,
        film.cache,
        recipe,
        folder,
        method=method,
        label=label,
        phi=phi.repeat(1 + recipe.mirror, 1),
        init=start,
        drives=learned,
    )
    student = made.student.eval()
    before, after = (_distance(network, known.outputs, phi, film) for network in (start, student))
    return Adapted(student, replace(measured, phi=phi), made.curves, before, after)


def distance(motions: Tensor, teacher: Tensor, phi: Tensor) -> Distance:
    """How far motions (P, 6) [m, rad] are from a teacher's; ``phi`` (P, 2): trust in its translation and rotation."""
    left = se3.between(*(se3.matrices_from_motions(some.numpy()) for some in (teacher, motions)))
    metres = np.linalg.norm(left[:, :3, 3], axis=1)
    degrees = np.rad2deg(se3.rotation_angle(left[:, :3, :3]))
    weights = phi.numpy().astype(np.float64)
    return Distance(
        _rms(metres, np.ones(len(metres))), _rms(degrees, np.ones(len(degrees))),
        _rms(metres, weights[:, 0]), _rms(degrees, weights[:, 1]),
    )  # fmt: skip


def by_part(phi: Tensor) -> Tensor:
    """Trust (P, 6) of each component -> (P, 2) of translation and rotation."""
    return phi[:, [TRANSLATION[0], ROTATION[0]]]


def _distance(network: MotionNetwork, teacher: Tensor, phi: Tensor, film: Film) -> Distance:
    """On the frame pairs that are held back and not left out."""
    predict = network_motions(network)
    held = [predict(film.cache, index) for index in range(1, len(film.cache.drives), 2)]
    used = film.used[film.held_back]
    rows = torch.from_numpy(film.held_back & film.used)
    return distance(torch.from_numpy(np.concatenate(held)[used]), teacher[rows], by_part(phi[rows]))


def _rms(errors: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.average(np.square(errors), weights=weights)))


def _images(cache: FrameCache, index: int) -> NDArray[np.uint8]:
    """The frames of one drive, (n, C, H, W), as they lie in the cache."""
    drive = cache.drives[index]
    return cache.frames[drive.first : drive.first + drive.frames]


def _reason(first: Status, second: Status) -> Status:
    """Why the pair of two frames is left out; ``ok`` where it is not."""
    return first if second == "ok" else second
