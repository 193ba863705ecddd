"""``distilvo train-flow``: a teacher that sees optical flow first, on streets with true flow."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from distilvo import parallel
from distilvo.commands.train import report_training
from distilvo.errors import DistilvoError
from distilvo.output_folders import claim_folder
from distilvo.settings import FlowRecipe

if TYPE_CHECKING:
    from distilvo.models.flow_network import FlowNetwork


@dataclass(frozen=True)
class TrainFlow:
    """Train a network that sees optical flow first, on streets of 'distilvo render --flow'."""

    data: Positional[Path]
    """Streets with true flow: DATA/sequences/NN with flow/ and depth/."""
    held_out: Path
    """Other such streets: the weights that do best there are kept, and the uncertainty is calibrated on them."""
    out: Path
    """Model folder to write."""
    architecture: str = "flow-teacher"
    """Which one: flow-teacher, or a student, flow-nano."""
    init: Path | None = None
    """Go on from the weights of this model folder, and its network: --architecture does not count."""
    recipe: Annotated[FlowRecipe, arg(name="")] = field(default_factory=FlowRecipe)

    def run(self) -> None:
        """Train, or go on where it was interrupted."""
        import numpy as np

        from distilvo.data import open_cache
        from distilvo.models.flow_family import flow_architecture
        from distilvo.models.model_folder import save_model
        from distilvo.pipeline.flow_training import new_network, train_flow
        from distilvo.pipeline.uncertainty import calibrate
        from distilvo.sequences import open_dataset

        parallel.share(self.recipe.batch_size)  # before any work, rather than when the training begins
        start = None if self.init is None else _load(self.init)
        architecture = flow_architecture(self.architecture) if start is None else start.architecture
        settings = {"data": str(self.data), "held_out": str(self.held_out), "architecture": architecture.to_dict()}
        settings |= {"recipe": asdict(self.recipe), "init": str(self.init)}
        train_set, held_out = open_dataset(self.data), open_dataset(self.held_out)
        claim_folder(self.out, "train-flow", settings)
        form = architecture.preprocessing
        cache = open_cache(train_set, form, self.out / "cache", "training streets", flow=True)
        test = open_cache(held_out, form, self.out / "cache", "held-out streets", flow=True)
        network = start or new_network(architecture, self.recipe)
        curve, errors = train_flow(network, cache, self.recipe, self.out / "checkpoint.safetensors", test)
        if not parallel.is_main():
            return
        factors = calibrate(network, test)
        training = {
            "recipe": asdict(self.recipe),
            "data": {"sequences": len(cache.drives), "frames": len(cache.frames)},
        }
        rate = 1 / float(np.median(np.concatenate([np.diff(cache.drive_times(k)) for k in range(len(cache.drives))])))
        about = {
            "rate_hz": round(rate, 3),
            "training": training | {"calibration": factors.tolist(), "held_out": errors},
        }
        save_model(network, self.out, about)
        headline = f"{architecture.name}, mean error on held-out streets {min(error for _, error in errors):.4f} units"
        report_training(self.out, "train-flow", headline, {"teacher": curve}, settings)


def _load(folder: Path) -> FlowNetwork:
    """Raises DistilvoError where the network does not see flow first."""
    from distilvo.models.flow_network import FlowNetwork
    from distilvo.models.model_folder import load_model

    network = load_model(folder)[0]
    if not isinstance(network, FlowNetwork):
        raise DistilvoError(f"{folder}: its network sees no flow; expected a model of 'distilvo train-flow'")
    return network
