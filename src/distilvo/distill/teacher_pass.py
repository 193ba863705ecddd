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
from distilvo.distill.nested import tensor_bytes
from distilvo.errors import DistilvoError
from distilvo.files import write_tensors
from distilvo.paths import check_regular, check_utf8
from distilvo.progress import progress

Tables = dict[str, Tensor]
"""Tensors by name, each with one row a sample: ``outputs``, and those of hint layers, ``hints.0``, ``hints.1``, ..."""

Run = Callable[[int], Tables]
"""Runs a teacher over one part of a training set."""


def teacher_pass(run: Run, sizes: Sequence[int], path: Path) -> Tables:
    """What a teacher gives over a whole training set of N samples, or what ``path`` has kept of it.

    Several processes each take their share of the parts, the largest first; rank 0 puts the results together.

    Args:
        run: runs the teacher over one part.
        sizes: samples of each part; N is their sum.
        path: the file to keep it in; name it by ``outputs_key``.

    Raises:
        DistilvoError: the file is damaged, or holds outputs of other samples.
    """
    if not path.exists():
        _run_shares(run, sizes, path)
    check_utf8(path)
    check_regular(path, "outputs of a teacher")
    try:
        tables = load_file(path)
    except SafetensorError as error:
        raise DistilvoError(f"{path}: not a whole file ({error}); remove it, the teacher is run again") from None
    if "outputs" not in tables or any(not t.ndim or len(t) != sum(sizes) for t in tables.values()):
        raise DistilvoError(f"{path}: holds no outputs of {sum(sizes)} samples; remove it, the teacher is run again")
    return tables


def check_outputs(tables: Tables, who: str) -> None:
    """Raise DistilvoError where something that a teacher gave is infinite, or NaN in a part of a sample alone.

    A sample that is NaN as a whole is one that the teacher gave nothing for.
    """
    for name, table in tables.items():
        rows = table.flatten(1) if table.ndim > 1 else table[:, None]
        torn = rows.isinf().any(1) | (rows.isnan().any(1) & ~rows.isnan().all(1))
        if torn.any():
            raise DistilvoError(
                f"{who}: {int(torn.sum())} of {len(rows)} samples have {name} that are not finite; expected numbers, "
                "or NaN for a whole sample where there is none"
            )


def outputs_key(teacher: nn.Module, *settings: object) -> str:
    """Hash of a teacher's layers and weights and of all else that its outputs depend on: data, hint layers."""
    digest = hashlib.sha256(repr((settings, teacher)).encode())
    for name, tensor in sorted(teacher.state_dict().items()):
        digest.update(name.encode() + tensor_bytes(tensor))
    return digest.hexdigest()[:16]


def _run_shares(run: Run, sizes: Sequence[int], path: Path) -> None:
    """A process leaves what it has run in a file of its own, for rank 0 to collect."""
    order = sorted(range(len(sizes)), key=lambda part: -sizes[part])
    own: Tables = {}
    share = sorted(order[parallel.rank() :: parallel.size()])
    with progress("teacher pass", sum(sizes[part] for part in share)) as bar:
        for part in share:
            own |= {f"{part} {name}": table.contiguous() for name, table in run(part).items()}
            bar.advance(sizes[part])
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


def _in_order(tables: Tables, count: int) -> Tables:
    names = sorted({name.partition(" ")[2] for name in tables})
    return {name: concatenate([tables[f"{part} {name}"] for part in range(count)]) for name in names}
