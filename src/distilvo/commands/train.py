"""``distilvo train``: a teacher, or a student without one, on ground truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from distilvo import parallel
from distilvo.errors import DistilvoError
from distilvo.output_folders import claim_folder
from distilvo.progress import console
from distilvo.settings import Recipe

EVALUATE = "How good the model is on drives that it has not seen: distilvo evaluate."

if TYPE_CHECKING:
    from distilvo.models.network import Architecture, PoseNetwork
    from distilvo.report import Curves, TrustResult


@dataclass(frozen=True)
class Train:
    """Train a teacher, or a student without one, on ground truth."""

    data: Positional[Path]
    """Data set in KITTI odometry layout: DATA/sequences/NN and DATA/poses/NN.txt."""
    out: Path
    """Model folder to write."""
    architecture: str = "demo"
    """Which teacher's: paper, quarter or demo."""
    rate: float | None = None
    """Train the student with at least so many per cent fewer parameters instead of the teacher itself."""
    init: Path | None = None
    """Go on from this network, a model folder or encoder, which is bundled; --architecture and --rate do not count."""
    init_flownet: Path | None = None
    """Begin with the convolutions of this FlowNetS checkpoint (.pth.tar, .pth, .safetensors); fits teacher paper."""
    sequences: tuple[str, ...] = ()
    """Names of the sequences to train on; all where not given."""
    recipe: Annotated[Recipe, arg(name="")] = field(default_factory=Recipe)

    def run(self) -> None:
        """Train, or go on where it was interrupted."""
        from distilvo.data import motion_scale, open_cache
        from distilvo.distill.teacher_pass import outputs_key
        from distilvo.models.model_folder import load_model, save_model
        from distilvo.models.teacher import named_model
        from distilvo.pipeline.recipes import about, begin_in_unit, train_supervised
        from distilvo.sequences import choose

        if self.init is not None and self.init_flownet is not None:
            raise DistilvoError("train: --init and --init-flownet exclude each other; give one of them")
        parallel.share(self.recipe.batch_size)  # before any work, rather than when the training begins
        start, known = (None, {}) if self.init is None else load_model(named_model(self.init), to_train=True)
        architecture = self._architecture() if start is None else start.architecture
        filled: list[str] | None = None
        if self.init_flownet is not None:
            start, filled = _begin_with_flownet(architecture, self.init_flownet, self.recipe.seed)
        settings = {"data": str(self.data), "architecture": architecture.to_dict(), "recipe": asdict(self.recipe)}
        settings |= {"init": str(self.init), "init_flownet": str(self.init_flownet)}
        if start is not None:
            settings["init_weights"] = outputs_key(start)  # it may be trained anew under the same name
        sequences = choose(self.data, self.sequences)
        claim_folder(self.out, "train", settings)
        cache = open_cache(sequences, architecture.preprocessing, self.out / "cache")
        if start is not None and filled is not None:
            start.set_motion_scale(*motion_scale(cache))  # its output is random: it begins in that unit
        if start is not None:
            begin_in_unit(start, known, cache)
        network, curve = train_supervised(
            architecture, cache, self.recipe, self.out / "checkpoints", label=architecture.name, init=start
        )
        flownet = None if filled is None else {"file": str(self.init_flownet), "convolutions": filled}
        begun = {"init": str(self.init), "init_flownet": flownet}
        kept = about(cache, self.recipe, sequences, method="ground truth only", **begun)
        parallel.on_main(lambda: save_model(network, self.out, kept))
        headline = f"{architecture.name}, last training loss {curve[-1][1]:.4f}"
        curves = {"supervised" if self.rate is not None else "teacher": curve}
        report_training(self.out, "train", headline, curves, settings)

    def _architecture(self) -> Architecture:
        from distilvo.models.student import student_architecture
        from distilvo.models.teacher import teacher_architecture

        teacher = teacher_architecture(self.architecture)
        return teacher if self.rate is None else student_architecture(self.rate, teacher)


def report_training(
    out: Path,
    verb: str,
    headline: str,
    curves: Curves,
    settings: dict[str, Any],
    trust: TrustResult | None = None,
    note: str = EVALUATE,
) -> None:
    """Write the page of a training and print where it is; ``note`` says what to do next."""
    from distilvo.report import RunResults, write_report

    if not parallel.is_main():
        return
    shown = {key: value for key, value in settings.items() if key != "architecture"}
    title = f"distilvo {verb} {out.name}"
    write_report(out, RunResults(title, headline, curves=curves, trust=trust, settings=shown, notes=[note]))
    console.print(f"{out}: {headline}; report.html")


def _begin_with_flownet(architecture: Architecture, path: Path, seed: int) -> tuple[PoseNetwork, list[str]]:
    """A network with FlowNetS's convolutions, else as random as a fresh one of this seed, and what was filled."""
    import torch

    from distilvo.models.flownet import load_flownet
    from distilvo.models.network import PoseNetwork

    torch.manual_seed(seed)
    network = PoseNetwork(architecture)
    filled = load_flownet(network, path)
    for line in filled:
        console.print(f"{path.name}: {line}")
    return network, filled
