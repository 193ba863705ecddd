"""The teacher runs once over the training set; what it said is kept in one file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from distilvo.clips import FrameStore, Lessons
from distilvo.distill.hints import Tap
from distilvo.distill.trust import Trust
from distilvo.files import atomic_path
from distilvo.models.network import PoseNetwork
from distilvo.progress import progress


def teacher_pass(teacher: PoseNetwork, hint: str, store: FrameStore, cache: Path) -> tuple[Lessons, Trust]:
    """Ask the teacher about every frame pair of a store, or read what it said before.

    Args:
        teacher: the trained teacher; its ``scale`` is the unit of the errors.
        hint: path of the layer whose output is the hint.
        store: the training set.
        cache: folder of the answers; their file is named by the hash of weights, hint and data.

    Returns:
        The lessons for ``Clips`` and the trust that they follow from.
    """
    path = cache / f"teacher-{_key(teacher, hint, store)}.safetensors"
    if not path.exists():
        with atomic_path(path) as temporary:
            save_file(_ask(teacher, hint, store), temporary)
    said = load_file(path)
    trust = Trust.fit(said["motions"], torch.from_numpy(store.motions), teacher.scale)
    return Lessons(said["motions"], said["hints"], trust.phi), trust


def _ask(teacher: PoseNetwork, hint: str, store: FrameStore) -> dict[str, Tensor]:
    motions, hints = [], []
    teacher.eval()
    with Tap(teacher, hint) as tap, progress("teacher pass", len(store.drives)) as bar:
        for index in range(len(store.drives)):
            motions.append(teacher.predict(store.drive_frames(index)))
            hints.append(tap.value[0].clone())
            bar.advance()
    return {"motions": torch.cat(motions), "hints": torch.cat(hints)}


def _key(teacher: PoseNetwork, hint: str, store: FrameStore) -> str:
    digest = hashlib.sha256(f"{store.key} {hint}".encode())
    for name, tensor in sorted(teacher.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
