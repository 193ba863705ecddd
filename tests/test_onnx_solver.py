"""Linear equations in an exported network, against numpy's solver."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from distilvo.models.onnx_solver import translations
from distilvo.models.pose_solver import solve


class Solving(nn.Module):
    def forward(self, matrix: Tensor, right: Tensor) -> Tensor:
        return solve(matrix, right[:, :, None])[:, :, 0]


@pytest.mark.parametrize("unknowns", [8, 10])
def test_solves_as_numpy_does(tmp_path: Path, unknowns: int) -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, unknowns, unknowns))
    matrix, right = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(unknowns), rng.normal(size=(3, unknowns))
    inputs = {name: values.astype(np.float32) for name, values in (("matrix", matrix), ("right", right))}
    path = tmp_path / "solver.onnx"
    torch.onnx.export(
        Solving().eval(),
        tuple(torch.from_numpy(values) for values in inputs.values()),
        path,
        input_names=list(inputs),
        dynamo=True,
        external_data=False,
        verbose=False,
        custom_translation_table=translations(),
    )
    (solution,) = onnxruntime.InferenceSession(path).run(None, inputs)
    np.testing.assert_allclose(solution, np.linalg.solve(matrix, right[:, :, None])[:, :, 0], rtol=1e-3, atol=1e-4)
    assert len(onnx.load(path).graph.node) <= 20  # written out there would be more than a hundred
