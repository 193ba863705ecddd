"""Where a training stands, in one file: it goes on from there after an interruption.

On CPUs to the last bit; on a GPU dropout draws other numbers, since the random state of the CPU alone is kept.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from distilvo import parallel
from distilvo.distill.task import Task
from distilvo.distill.validation import Best
from distilvo.errors import DistilvoError
from distilvo.files import write_tensors
from distilvo.paths import check_regular, check_utf8

EVERY_S = 30.0
CURVE_POINTS = 200

Curve = list[tuple[int, float]]
"""(step, mean loss since the last point) along a training."""


class Checkpoint:
    """Where a training stands: one safetensors file, tensors and a JSON header, whole or not there.

    All processes read it and rank 0 writes it; nothing in it depends on how many there are.
    """

    def __init__(
        self,
        path: Path,
        identity: dict[str, Any],
        task: Task,
        optimiser: torch.optim.Optimizer,
        best: Best | None = None,
    ) -> None:
        """Load the file where there is one.

        Args:
            path: of the file.
            identity: settings, data and task, as JSON can hold them; a checkpoint of others is refused.
            task: whose weights are kept.
            optimiser: whose moments are kept.
            best: the best weights so far, where a training is validated.

        Raises:
            DistilvoError: the file is damaged, or of another training.
        """
        self.path, self.task, self.optimiser, self.identity, self.best = path, task, optimiser, identity, best
        self.step = 0
        self.curve: Curve = []
        self._sum, self._count = 0.0, 0
        self._saved = time.monotonic()
        if path.exists():
            self._load()

    def record(self, loss: float, steps: int) -> bool:
        """Count one step and its loss; gives whether the curve has a new point."""
        self.step += 1
        self._sum, self._count = self._sum + loss, self._count + 1
        if self._count >= max(1, steps // CURVE_POINTS) or self.step == steps:
            self.curve.append((self.step, self._sum / self._count))
            self._sum, self._count = 0.0, 0
            return True
        return False

    def save_now_and_then(self) -> None:
        """Save where the last time was long ago; rank 0 alone."""
        if parallel.is_main() and time.monotonic() - self._saved > EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the file."""
        tensors = {f"task.{name}": tensor for name, tensor in self.task.state_dict().items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        tensors["random"] = torch.get_rng_state()
        if self.best is not None:
            tensors |= {f"best.{name}": tensor for name, tensor in self.best.weights.items()}
        header = {
            "step": self.step,
            "curve": self.curve,
            "identity": self.identity,
            "loss": [self._sum, self._count],
            "validation": [] if self.best is None else self.best.curve,
        }
        write_tensors(self.path, tensors, {"training": json.dumps(header)})
        self._saved = time.monotonic()

    def _load(self) -> None:
        check_utf8(self.path)
        check_regular(self.path, "a checkpoint")
        try:
            self._restore()
        except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise DistilvoError(f"{self.path}: not a whole checkpoint ({reason}); remove it to begin anew") from None

    def _restore(self) -> None:
        with safe_open(self.path, "pt") as file:
            header = json.loads(file.metadata()["training"])
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        task = _strip(tensors, "task.")
        shapes = {name: tensor.shape for name, tensor in self.task.state_dict().items()}
        if header.get("identity") != self.identity or {name: t.shape for name, t in task.items()} != shapes:
            raise DistilvoError(
                f"{self.path}: is of a training with other settings, data or network; choose another folder"
            )
        self.task.load_state_dict(task)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _strip(tensors, "optimiser.").items():
            index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = tensor
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        torch.set_rng_state(tensors["random"])
        self.step, self.curve = header["step"], [tuple(point) for point in header["curve"]]
        self._sum, self._count = header["loss"]
        if self.best is not None:
            self.best.restore([tuple(point) for point in header["validation"]], _strip(tensors, "best."))


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
