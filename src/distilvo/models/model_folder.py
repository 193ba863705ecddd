"""A saved model is a folder: ``model.safetensors`` and ``config.json``. It is never a pickle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from distilvo.errors import DistilvoError
from distilvo.files import atomic_path, read_json, write_json, write_tensors
from distilvo.models.architecture_check import check_architecture
from distilvo.models.frame_rate import stated_rate
from distilvo.models.kinds import AnyArchitecture, architecture_from, network_of
from distilvo.models.motion_network import MotionNetwork
from distilvo.models.network import Architecture
from distilvo.paths import check_regular, check_utf8, near

POSE_CONVENTION = (
    "motion [tx, ty, tz (m), rx, ry, rz (rad)] = inv(T_k) @ T_k+1 of camera-to-world poses; camera x right, y down, "
    "z forward; R = Ry(ry) @ Rx(rx) @ Rz(rz)"
)

FORMAT = 3
"""Format of model folders. In format 1, which config.json does not name, the correlation was a mean over channels; in
format 2 no network saw flow first, and motions were metres of cameras of any height."""

FLOW_ALONE = {"knows": "optical flow"}
"""In the configuration, under ``training``: the convolutions know optical flow; what comes behind them is random, and
not kept."""
_CONVOLUTIONS = "convolutions."


def save_model(network: MotionNetwork, folder: Path, about: dict[str, Any]) -> Path:
    """Write weights and configuration; the configuration last, so that a folder that has it is whole.

    Args:
        network: what to save.
        folder: is created where missing.
        about: further content of the configuration, as JSON can hold it (training data, expected metrics, camera).
    """
    tensors = network.state_dict()
    if knows_flow_alone(about):
        tensors = {name: tensor for name, tensor in tensors.items() if name.startswith(_CONVOLUTIONS)}
    write_tensors(folder / "model.safetensors", tensors)
    shape = network.architecture.to_dict()
    config = {"format": FORMAT, "architecture": shape, "pose_convention": POSE_CONVENTION, **about}
    write_json(folder / "config.json", config)
    return folder


def copy_model(folder: Path, to: Path) -> None:
    """Copy weights and configuration of a model folder, and nothing else that lies there; the configuration last.

    Raises:
        DistilvoError: the folder is no model folder, or the copy cannot be written.
    """
    read_config(folder)
    for name in ("model.safetensors", "config.json"):
        check_regular(folder / name, "a model folder with config.json and model.safetensors")
        with atomic_path(to / name) as temporary:
            shutil.copyfile(folder / name, temporary)


def load_model(folder: Path, *, to_train: bool = False) -> tuple[MotionNetwork, dict[str, Any]]:
    """Read a model folder.

    Args:
        folder: of the model.
        to_train: its motions may be those of random weights, if it is to be trained; see ``knows_flow_alone``.

    Returns:
        The network in evaluation mode, and its configuration.

    Raises:
        DistilvoError: a file is missing or damaged, the two do not fit together, or its motions were never trained.
    """
    config, architecture = read_config(folder)
    if knows_flow_alone(config) and not to_train:
        raise DistilvoError(
            f"{folder}: knows optical flow alone, its motions are those of random weights; expected a model that was "
            f"trained on motions; train it first: distilvo train DATA --init {folder} --out MODEL"
        )
    path = folder / "model.safetensors"
    if not path.exists():
        raise DistilvoError(f"{path}: no such file; a model folder has config.json and model.safetensors")
    check_utf8(path)
    check_regular(path, "weights as safetensors")
    try:
        tensors = load_file(path)
        if knows_flow_alone(config):
            tensors = _random(architecture) | tensors
        with torch.device("meta"):
            network_of(architecture).load_state_dict(tensors, assign=True)  # a check that takes no memory
        network = network_of(architecture)
        if config.get("format", 1) < 2:
            _divide_correlation(architecture, tensors)
        network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise DistilvoError(
            f"{path}: does not fit config.json ({str(error).splitlines()[0]}); copy or train the model anew"
        ) from None
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise DistilvoError(f"{path}: holds weights that are not finite; train the model anew")
    return network.eval(), config


def knows_flow_alone(config: dict[str, Any]) -> bool:
    """Whether a configuration is of a network that was trained on optical flow alone, and never on motions."""
    training = config.get("training")
    return isinstance(training, dict) and training.items() >= FLOW_ALONE.items()


def read_config(folder: Path) -> tuple[dict[str, Any], AnyArchitecture]:
    """Read a model folder's configuration alone.

    Raises:
        DistilvoError: the folder is no model folder.
    """
    if not folder.is_dir():
        raise DistilvoError(
            f"{folder}: no such folder; {near(folder)}expected a model folder with config.json and model.safetensors"
        )
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise DistilvoError(f"{folder / 'config.json'}: holds no object; expected a file that distilvo wrote")
    if config.get("format", 1) not in range(1, FORMAT + 1):
        raise DistilvoError(
            f"{folder / 'config.json'}: format {config['format']}; this version reads 1 to {FORMAT}; update distilvo"
        )
    try:
        architecture = architecture_from(config["architecture"])
        check_architecture(architecture)
        stated_rate(config)
        return config, architecture
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, DistilvoError) as error:
        reason = str(error).partition("\n")[0]
        raise DistilvoError(
            f"{folder / 'config.json'}: no configuration of this version ({reason}); train the model anew"
        ) from None


def _random(architecture: AnyArchitecture) -> dict[str, Tensor]:
    """What comes behind the convolutions, the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tensors = network_of(architecture).state_dict()
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(_CONVOLUTIONS)}


def _divide_correlation(architecture: AnyArchitecture, tensors: dict[str, Tensor]) -> None:
    """Convert weights of format 1: the correlation is now sqrt(C) times as large, and the weights on it smaller."""
    if not isinstance(architecture, Architecture) or not architecture.shared:
        return
    places = architecture.displacements
    if architecture.shared == len(architecture.convolutions):  # no convolution follows
        name = "lstm.0.weight_ih_l0" if architecture.lstm else "fc.0.0.weight"
        places *= architecture.grid[0] * architecture.grid[1]
    else:
        name = f"convolutions.{architecture.shared}.0.weight"
    if name in tensors:  # else loading the network fails with a message
        tensors[name][:, -places:] /= architecture.convolutions[architecture.shared - 1][0] ** 0.5
