"""Int8 convolutions: speed at 192 x 640, and other ways to quantise a trained model.

    python benchmarks/int8.py speed                         # random weights; OpenVINO beside it where it is installed
    python benchmarks/int8.py ways MODEL DATASET            # at the model's own size

One thread, everything in turns. No time depends on weights; errors do, so ``ways`` takes a trained model and drives
that it has not seen.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_dynamic

from distilvo import evaluation
from distilvo.bench.engines import OnnxEngine, TorchEngine, noise
from distilvo.bench.timing import take_turns
from distilvo.export import onnx_motions
from distilvo.models.fast import fast_architecture
from distilvo.models.files import load_model, save_model
from distilvo.models.network import PoseNetwork
from distilvo.models.student import student
from distilvo.models.teacher import teacher
from distilvo.quantise import OPTIONS, open_drives, quantise
from distilvo.runtime import StepModel
from distilvo.verbs import export_model
from distilvo.world.dataset import render_streets

WAYS: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "minimum and maximum": {"calibrate_method": CalibrationMethod.MinMax},
    "percentile 99.9": {"extra_options": OPTIONS["extra_options"] | {"CalibPercentile": 99.9}},
    "entropy": {"calibrate_method": CalibrationMethod.Entropy},
    "one scale for all channels": {"per_channel": False},
    "asymmetric uint8 activations": {
        "activation_type": QuantType.QUInt8,
        "extra_options": OPTIONS["extra_options"] | {"ActivationSymmetric": False},
    },
    "7-bit weights": {"reduce_range": True},
    "first layer in fp32": {"nodes_to_exclude": 0},
    "behind the correlation in fp32": {"nodes_to_exclude": 2},
    "activations too": {"op_types_to_quantize": ["Conv", "LeakyRelu"]},
    "correlation too": {"op_types_to_quantize": ["Conv", "MatMul"]},
    "FC layers too": {"op_types_to_quantize": ["Conv", "Gemm"]},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "ways"))
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("data", nargs="?", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.what == "ways":
            ways(arguments.model, arguments.data, Path(scratch))
            return
        networks = {name: PoseNetwork(fast_architecture(name)) for name in ("nano", "small")}
        networks |= {"student 92.95 %": student(92.95, "paper"), "teacher": teacher("paper")}
        for name, network in networks.items():
            speed(name, save_model(network.eval(), Path(scratch) / name, {}), Path(scratch))


def speed(name: str, model: Path, scratch: Path) -> None:
    """Milliseconds of a step in every runtime and precision."""
    config = load_model(model)[1]
    render_streets(scratch / "streets", range(2), 6, tuple(config["architecture"]["size"]), workers=1)
    drives = open_drives(config, scratch / "streets", (), scratch)
    fp32, int8, dynamic = (model / f"{kind}.onnx" for kind in ("fp32", "int8", "dynamic"))
    export_model(model, fp32)
    quantise(fp32, int8, drives.calibration)
    quantize_dynamic(fp32, dynamic, op_types_to_quantize=["Conv"])
    steps = {"torch": TorchEngine(model).stepper(1)}
    steps |= {path.stem: OnnxEngine(path).stepper(1) for path in (fp32, int8)}
    if not name.startswith(("student", "teacher")):  # minutes, else
        steps["dynamic int8"] = OnnxEngine(dynamic).stepper(1)
    if find_spec("openvino"):
        steps |= {f"OpenVINO {path.stem}": openvino(path) for path in (fp32, int8)}
    rounds = 200 if fp32.stat().st_size < 2e6 else 20
    times = 1000 * np.median(take_turns(list(steps.values()), rounds), axis=0)
    sizes = f"fp32 {fp32.stat().st_size / 1e6:.2f} MB, int8 {int8.stat().st_size / 1e6:.2f} MB"
    print(
        f"{name}: {sizes}; ms: {', '.join(f'{key} {ms:.2f}' for key, ms in zip(steps, times, strict=True))}", flush=True
    )


def openvino(path: Path) -> Callable[[], object]:
    """A step in OpenVINO, with its state; 32-bit floats where the file has them, not bf16."""
    import openvino as ov

    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = ov.Core().compile_model(str(path), "CPU", settings).create_infer_request()
    model = StepModel(path)
    feed = list(model.inputs(noise((model.channels, *model.size))).values())

    def step() -> None:
        found = request.infer(feed, share_inputs=True, share_outputs=True)
        feed[1:] = [found[k].copy() for k in range(1, len(feed))]

    return step


def ways(model: Path, data: Path, scratch: Path) -> None:
    """Cost in error, distance to fp32 and time of each way."""
    drives = open_drives(load_model(model)[1], data, (), scratch)
    fp32 = scratch / "fp32.onnx"
    export_model(model, fp32)
    expected, motions = measure(fp32, drives.check)
    steps = {"fp32": OnnxEngine(fp32).stepper(1)}
    lines = {"fp32": "RMS-RPE {:.4f} m, {:.4f} deg, ATE {:.3f} m".format(*expected)}
    for number, (name, changed) in enumerate(WAYS.items()):
        path = scratch / f"{number}.onnx"
        if "nodes_to_exclude" in changed:
            changed = {"nodes_to_exclude": [convolutions(fp32)[changed["nodes_to_exclude"]]]}
        quantise(fp32, path, drives.calibration, OPTIONS | changed)
        found, others = measure(path, drives.check)
        off = np.sqrt(np.square(others - motions).mean(0))
        costs = ", ".join(f"{100 * (now / before - 1):+.1f} %" for now, before in zip(found, expected, strict=True))
        lines[name] = f"{costs}; off fp32 by {1000 * off[2]:.1f} mm forwards, {np.degrees(off[4]):.4f} deg of yaw"
        steps[name] = OnnxEngine(path).stepper(1)
    times = 1000 * np.median(take_turns(list(steps.values()), 100), axis=0)
    for (name, line), ms in zip(lines.items(), times, strict=True):
        print(f"{name:32} {line}; {ms:.3f} ms")


def convolutions(path: Path) -> list[str]:
    """Names of the convolutions, in order."""
    import onnx

    return [node.name for node in onnx.load(path).graph.node if node.op_type == "Conv"]


def measure(path: Path, store: Any) -> tuple[list[float], np.ndarray]:
    """Errors of a file (m, deg, m), and its motions."""
    drives = [onnx_motions(path, store.drive_frames(index)) for index in range(len(store.drives))]
    found = evaluation.evaluate(lambda _, index: drives[index], store)
    return [found.rms_rpe_t_m, found.rms_rpe_r_deg, found.ate_m], np.concatenate(drives)


if __name__ == "__main__":
    main()
