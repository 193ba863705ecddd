"""A saved model is a folder: ``model.safetensors`` and ``config.json``. It is never a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from distilvo.errors import DistilvoError
from distilvo.files import read_json, write_json, write_tensors
from distilvo.models.network import Architecture, PoseNetwork

POSE_CONVENTION = (
    "motion [tx, ty, tz (m), rx, ry, rz (rad)] = inv(T_k) @ T_k+1 of camera-to-world poses; camera x right, y down, "
    "z forward; R = Ry(ry) @ Rx(rx) @ Rz(rz)"
)

FORMAT = 2
"""Of model folders. Up to format 1, which was not written down, the correlation was a mean, not a sum over sqrt(C)."""


def save_model(network: PoseNetwork, folder: Path, about: dict[str, Any]) -> Path:
    """Write weights and configuration; the configuration last, so that a folder that has it is whole.

    Args:
        network: what to save.
        folder: where; made where missing.
        about: what else to keep with it, as JSON can hold it (training data, expected metrics, camera).
    """
    write_tensors(folder / "model.safetensors", network.state_dict())
    shape = network.architecture.to_dict()
    config = {"format": FORMAT, "architecture": shape, "pose_convention": POSE_CONVENTION, **about}
    write_json(folder / "config.json", config)
    return folder


def load_model(folder: Path) -> tuple[PoseNetwork, dict[str, Any]]:
    """Read a model folder.

    Returns:
        The network in evaluation mode, and its configuration.

    Raises:
        DistilvoError: a file is missing, damaged, or does not fit the other.
    """
    config, architecture = read_config(folder)
    network = PoseNetwork(architecture)
    path = folder / "model.safetensors"
    if not path.exists():
        raise DistilvoError(f"{path}: no such file; a model folder has config.json and model.safetensors")
    try:
        tensors = load_file(path)
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


def read_config(folder: Path) -> tuple[dict[str, Any], Architecture]:
    """Read a model folder's configuration alone.

    Raises:
        DistilvoError: the folder is no model folder.
    """
    if not folder.is_dir():
        raise DistilvoError(f"{folder}: no such folder; expected a model folder with config.json and model.safetensors")
    config = read_json(folder / "config.json")
    if config.get("format", 1) not in range(1, FORMAT + 1):
        raise DistilvoError(
            f"{folder / 'config.json'}: format {config['format']}; this version reads 1 to {FORMAT}; update distilvo"
        )
    try:
        return config, Architecture.from_dict(config["architecture"])
    except (KeyError, TypeError) as error:
        raise DistilvoError(
            f"{folder / 'config.json'}: no architecture that this version knows ({error}); train the model anew"
        ) from None


def _divide_correlation(architecture: Architecture, tensors: dict[str, Tensor]) -> None:
    """Make weights of format 1 fit: what reads the correlation, now sqrt(C) times as large, is divided by that."""
    if not architecture.shared:
        return
    places = architecture.displacements
    if architecture.shared == len(architecture.convolutions):  # it goes to the vector part as it is
        name = "lstm.0.weight_ih_l0" if architecture.lstm else "fc.0.0.weight"
        places *= architecture.grid[0] * architecture.grid[1]
    else:
        name = f"convolutions.{architecture.shared}.0.weight"
    if name in tensors:  # else the network says what is missing
        tensors[name][:, -places:] /= architecture.convolutions[architecture.shared - 1][0] ** 0.5
