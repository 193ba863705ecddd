"""The teacher runs once over the training set; what it said is kept in one file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from distilvo import parallel
from distilvo.clips import MIRROR, FrameStore
from distilvo.distill.hints import Tap, per_sample
from distilvo.errors import DistilvoError
from distilvo.files import write_tensors
from distilvo.models.network import PoseNetwork
from distilvo.progress import progress


@dataclass(frozen=True)
class Answers:
    """What a teacher says of each of the P frame pairs of a store, of the mirrored ones after them where asked.

    Attributes:
        motions: p_T, (P or 2 P, 6).
        hints: Psi_T, (P or 2 P, K).
        truth: p_gt of the same pairs, (P or 2 P, 6).
    """

    motions: Tensor
    hints: Tensor
    truth: Tensor


def teacher_pass(teacher: PoseNetwork, hint: str, store: FrameStore, cache: Path, mirror: bool = False) -> Answers:
    """Ask the teacher about every frame pair of a store, or read what it said before.

    Several processes each ask about their share of the drives; rank 0 puts the answers together.

    Args:
        teacher: the trained teacher.
        hint: path of the layer whose output is the hint; any layer, flattened to one vector for each pair.
        store: the training set.
        cache: folder of the answers; their file is named by the hash of weights, hint and data.
        mirror: ask about every pair flipped left to right, too.

    Raises:
        DistilvoError: the layer is not there, or the answers' file is damaged.
    """
    path = cache / f"teacher-{_key(teacher, hint, store, mirror)}.safetensors"
    if not path.exists():
        _ask_together(teacher, hint, store, mirror, path)
    try:
        said = load_file(path)
        motions, hints = said["motions"], said["hints"]
    except (SafetensorError, KeyError) as error:
        raise DistilvoError(f"{path}: not a whole file ({error}); remove it, the teacher is asked again") from None
    truth = torch.from_numpy(store.motions)
    truth = torch.cat([truth, truth * MIRROR]) if mirror else truth
    right = motions.shape == truth.shape and hints.shape == (len(truth), hints.shape[-1])
    if not right or not (motions.isfinite().all() and hints.isfinite().all()):
        raise DistilvoError(f"{path}: holds no answers to {len(truth)} pairs; remove it, the teacher is asked again")
    return Answers(motions, hints, truth)


def _ask_together(teacher: PoseNetwork, hint: str, store: FrameStore, mirror: bool, path: Path) -> None:
    """Drives are shared out longest first; a process leaves its answers in a file of its own, for rank 0 to collect."""
    sides = (False, True) if mirror else (False,)
    drives = [(index, flipped) for flipped in sides for index in range(len(store.drives))]
    order = sorted(range(len(drives)), key=lambda k: -store.drives[drives[k][0]].frames)
    own = {k: drives[k] for k in order[parallel.rank() :: parallel.size()]}
    answers = _ask(teacher, hint, store, own)
    if parallel.size() == 1:
        write_tensors(path, _in_order(answers, len(drives)))
        return
    parts = [path.with_name(f"{path.stem}.part-{k}-of-{parallel.size()}") for k in range(parallel.size())]
    write_tensors(parts[parallel.rank()], answers)
    parallel.barrier()

    def collect() -> None:
        together = {name: tensor for part in parts for name, tensor in load_file(part).items()}
        write_tensors(path, _in_order(together, len(drives)))
        for part in path.parent.glob(f"{path.stem}.part-*"):  # those of an interrupted run, too
            part.unlink()

    parallel.on_main(collect, makes=path)


@torch.no_grad()
def _ask(teacher: PoseNetwork, hint: str, store: FrameStore, drives: dict[int, tuple[int, bool]]) -> dict[str, Tensor]:
    """Args ``drives``: (index, flipped left to right) by the number that their answers are named with."""
    answers = {}
    teacher.eval()
    with (
        parallel.on_device(teacher) as device,
        Tap(teacher, hint) as tap,
        progress("teacher pass", len(drives)) as bar,
    ):
        for number, (index, flipped) in drives.items():
            frames = store.drive_frames(index).to(device)
            tap.values.clear()
            answers[f"motions.{number}"] = teacher.predict(frames.flip(-1) if flipped else frames).cpu()
            answers[f"hints.{number}"] = per_sample(tap.value, (1, len(frames) - 1))[0].cpu().clone()
            bar.advance()
    return answers


def _in_order(answers: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    return {name: torch.cat([answers[f"{name}.{k}"] for k in range(count)]) for name in ("motions", "hints")}


def _key(teacher: PoseNetwork, hint: str, store: FrameStore, mirror: bool) -> str:
    digest = hashlib.sha256(f"{store.key} {hint} {mirror}".encode())
    for name, tensor in sorted(teacher.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
