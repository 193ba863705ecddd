"""Checkpoints of FlowNet that are damaged, foreign, or run code: refused in one line."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from distilvo.errors import DistilvoError
from distilvo.models.flownet import load_flownet
from distilvo.models.network import PoseNetwork
from test_flownet import SMALL, FlowNetS, State, safe, tar, zipped


class Command:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_pickle_that_runs_code_is_refused_and_not_run(legacy: bool, tmp_path: Path) -> None:
    path, made = tmp_path / "evil.pth.tar", tmp_path / "made"
    content = {"state_dict": FlowNetS(SMALL).state_dict(), "arch": Command(made)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(DistilvoError, match=r"evil.pth.tar: refused: it needs (posix|nt).mkdir.*safetensors"):
        load_flownet(PoseNetwork(SMALL), path)
    assert not made.exists()
    torch.load(path, weights_only=False)
    assert made.exists(), "the trap itself does not work"


def test_bare_pickle_is_not_run(tmp_path: Path) -> None:
    path, made = tmp_path / "evil.pth", tmp_path / "made"
    path.write_bytes(pickle.dumps(Command(made)))
    with pytest.raises(DistilvoError, match="no whole PyTorch checkpoint"):
        load_flownet(PoseNetwork(SMALL), path)
    assert not made.exists()
    pickle.loads(path.read_bytes())
    assert made.exists(), "the trap itself does not work"


def test_the_way_out_that_the_refusal_names_works(tmp_path: Path) -> None:
    """A numpy number is harmless, but needs a function from numpy."""
    state, path = FlowNetS(SMALL).state_dict(), tmp_path / "numpy.pth"
    torch.save({"state_dict": state, "best_EPE": np.float64(1.951)}, path)
    with pytest.raises(DistilvoError, match=r"it needs numpy.*save torch.load\(FILE, weights_only=False\)") as error:
        load_flownet(PoseNetwork(SMALL), path)
    assert "\n" not in str(error.value)
    save_file(torch.load(path, weights_only=False)["state_dict"], tmp_path / "numpy.safetensors")
    assert len(load_flownet(PoseNetwork(SMALL), tmp_path / "numpy.safetensors")) == 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pth", None, "no such file; expected a FlowNetS checkpoint"),
        ("a.pth", b"", "no whole PyTorch checkpoint"),
        ("a.pth", b"<!DOCTYPE html><title>Quota exceeded", "no whole PyTorch checkpoint"),
        ("a.safetensors", b"12345678901234567890", "no whole safetensors file"),
    ],
)
def test_no_checkpoint_at_all(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DistilvoError, match=message) as error:
        load_flownet(PoseNetwork(SMALL), tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("write", [tar, zipped, safe])
def test_half_a_download(write: Callable[[Path, State], Path], tmp_path: Path) -> None:
    path = write(tmp_path, FlowNetS(SMALL).state_dict())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DistilvoError, match=r"flownets\.\w+.*: "):
        load_flownet(PoseNetwork(SMALL), path)


def test_a_tensor_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save(torch.ones(3), tmp_path / "a.pth")
    with pytest.raises(DistilvoError, match="found no tensor"):
        load_flownet(PoseNetwork(SMALL), tmp_path / "a.pth")
