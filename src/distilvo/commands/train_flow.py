"""``distilvo train-flow``: networks that see optical flow first, or encoders that know it, from true flow."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from distilvo import parallel
from distilvo.commands.train import EVALUATE, report_training
from distilvo.errors import DistilvoError
from distilvo.output_folders import claim_folder
from distilvo.settings import FlowRecipe

if TYPE_CHECKING:
    from distilvo.data import FrameCache
    from distilvo.distill.checkpoint import Curve
    from distilvo.models.kinds import AnyArchitecture
    from distilvo.models.motion_network import MotionNetwork


@dataclass(frozen=True)
class TrainFlow:
    """Train a network that sees optical flow first, on streets of 'distilvo render --flow'.

    Or the convolutions of a teacher of the paper's kind, which 'distilvo train --init' then goes on from.
    """

    data: Positional[Path]
    """Streets with true flow: DATA/sequences/NN with flow/ and depth/."""
    held_out: Path
    """Other such streets: the weights that do best there are kept; an uncertainty is calibrated on them."""
    out: Path
    """Model folder to write."""
    architecture: str = "flow-teacher"
    """Which one: flow-teacher, or a student, flow-nano; of the paper's kind: quarter, demo or paper."""
    init: Path | None = None
    """Go on from the weights of this model folder, and its network: --architecture does not count."""
    recipe: Annotated[FlowRecipe, arg(name="")] = field(default_factory=FlowRecipe)

    def run(self) -> None:
        """Train, or go on where it was interrupted."""
        from distilvo.data import open_cache
        from distilvo.distill.teacher_pass import outputs_key
        from distilvo.models.flow_network import FlowNetwork
        from distilvo.models.model_folder import load_model
        from distilvo.models.network import Architecture
        from distilvo.models.teacher import named_model
        from distilvo.pipeline.encoder_flow import head_places, train_encoder
        from distilvo.pipeline.flow_training import new_network, train_flow
        from distilvo.pipeline.model_rate import data_rate
        from distilvo.sequences import open_dataset

        parallel.share(self.recipe.batch_size)  # before any work, rather than when the training begins
        start = None if self.init is None else load_model(named_model(self.init), to_train=True)[0]
        architecture = _architecture(self.architecture) if start is None else start.architecture
        if isinstance(architecture, Architecture):
            head_places(architecture)  # refused here, where it has none
        settings = {"data": str(self.data), "held_out": str(self.held_out), "architecture": architecture.to_dict()}
        settings |= {"recipe": asdict(self.recipe), "init": str(self.init)}
        if start is not None:
            settings["init_weights"] = outputs_key(start)  # it may be trained anew under the same name
        train_set, held_out = open_dataset(self.data), open_dataset(self.held_out)
        claim_folder(self.out, "train-flow", settings)
        form = architecture.preprocessing
        cache = open_cache(train_set, form, self.out / "cache", "training streets", flow=True)
        test = open_cache(held_out, form, self.out / "cache", "held-out streets", flow=True)
        network = start or new_network(architecture, self.recipe)
        learn: Any = train_flow if isinstance(network, FlowNetwork) else train_encoder
        curve, errors = learn(network, cache, self.recipe, self.out / "checkpoint.safetensors", test)
        if parallel.is_main():
            headline, note = self._save(network, cache, data_rate(cache, train_set), test, errors)
            report_training(self.out, "train-flow", headline, {"teacher": curve}, settings, note=note)

    def _save(
        self, network: MotionNetwork, cache: FrameCache, rate_hz: float | None, test: FrameCache, errors: Curve
    ) -> tuple[str, str]:
        """Write the model folder; gives the page's headline, and what to do next."""
        from distilvo.models.flow_network import FlowNetwork
        from distilvo.models.model_folder import FLOW_ALONE, save_model
        from distilvo.pipeline.uncertainty import calibrate

        data = {"sequences": len(cache.drives), "frames": len(cache.frames)}
        training: dict[str, Any] = {"recipe": asdict(self.recipe), "data": data}
        name, least = network.architecture.name, f"on held-out streets {min(error for _, error in errors):.4f}"
        if isinstance(network, FlowNetwork):
            training |= {"calibration": calibrate(network, test).tolist(), "held_out": errors}
            save_model(network, self.out, {"rate_hz": rate_hz, "training": training})
            return f"{name}, mean error {least} units", EVALUATE
        save_model(network, self.out, {"training": FLOW_ALONE | training | {"held_out": errors}})
        note = f"Only its convolutions are trained. To go on: distilvo train DATA --init {self.out} --out MODEL."
        return f"{name}, end-point error of the flow {least} px", note


def _architecture(name: str) -> AnyArchitecture:
    """Raises DistilvoError where there is none of this name."""
    from distilvo.models import flow_family, teacher

    by_name: dict[str, AnyArchitecture] = {**flow_family.FLOW_FAMILY, **teacher.TEACHERS}
    if name not in by_name:
        raise DistilvoError(f"architecture '{name}' is unknown; expected one of {', '.join(by_name)}")
    return by_name[name]
