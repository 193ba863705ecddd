"""The teacher runs once over the training set; its outputs and hints are kept in one file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch import cat as concatenate

from distilvo import parallel
from distilvo.errors import DistilvoError
from distilvo.files import write_tensors
from distilvo.paths import check_regular, check_utf8
from distilvo.progress import progress

Run = Callable[[int], tuple[Tensor, Tensor]]
"""Runs a teacher over one part of a training set: outputs (n, D) and hints (n, K)."""


def teacher_pass(run: Run, sizes: Sequence[int], path: Path) -> tuple[Tensor, Tensor]:
    """Outputs (N, D) and hints (N, K) of a teacher over a training set, or what ``path`` has kept of them.

    Several processes each take their share of the parts, the largest first; rank 0 puts the results together.

    Args:
        run: runs the teacher over one part.
        sizes: samples of each part; N is their sum.
        path: the file to keep them in; name it by ``outputs_key``.

    Raises:
        DistilvoError: the file is damaged, or holds outputs of other samples.
    """
    if not path.exists():
        _run_shares(run, sizes, path)
    check_utf8(path)
    check_regular(path, "outputs of a teacher")
    try:
        tensors = load_file(path)
        outputs, hints = tensors["outputs"], tensors["hints"]
    except (SafetensorError, KeyError) as error:
        raise DistilvoError(f"{path}: not a whole file ({error}); remove it, the teacher is run again") from None
    fits = len(outputs) == len(hints) == sum(sizes) and outputs.ndim == hints.ndim == 2
    if not fits or not (outputs.isfinite().all() and hints.isfinite().all()):
        raise DistilvoError(f"{path}: holds no outputs of {sum(sizes)} samples; remove it, the teacher is run again")
    return outputs, hints


def outputs_key(teacher: nn.Module, *settings: object) -> str:
    """Hash of a teacher's weights and of what else its outputs depend on: data, hint layer, preprocessing."""
    digest = hashlib.sha256(repr(settings).encode())
    for name, tensor in sorted(teacher.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _run_shares(run: Run, sizes: Sequence[int], path: Path) -> None:
    """A process leaves what it has run in a file of its own, for rank 0 to collect."""
    order = sorted(range(len(sizes)), key=lambda part: -sizes[part])
    own: dict[str, Tensor] = {}
    with progress("teacher pass", len(order[parallel.rank() :: parallel.size()])) as bar:
        for part in sorted(order[parallel.rank() :: parallel.size()]):
            own[f"outputs.{part}"], own[f"hints.{part}"] = run(part)
            bar.advance()
    if parallel.size() == 1:
        write_tensors(path, _in_order(own, len(sizes)))
        return
    files = [path.with_name(f"{path.stem}.part-{k}-of-{parallel.size()}") for k in range(parallel.size())]
    write_tensors(files[parallel.rank()], own)
    parallel.barrier()

    def collect() -> None:
        together = {name: tensor for file in files for name, tensor in load_file(file).items()}
        write_tensors(path, _in_order(together, len(sizes)))
        for file in path.parent.glob(f"{path.stem}.part-*"):  # those of an interrupted run, too
            file.unlink()

    parallel.on_main(collect, makes=path)


def _in_order(tensors: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    return {name: concatenate([tensors[f"{name}.{part}"] for part in range(count)]) for name in ("outputs", "hints")}
