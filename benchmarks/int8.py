"""Int8 convolutions: speed at 192 x 640, and other ways to quantise a trained model.

    python benchmarks/int8.py speed                         # random weights; OpenVINO beside it where it is installed
    python benchmarks/int8.py ways MODEL DATASET            # at the model's own size

One thread, all models interleaved. Times do not depend on weights; errors do, so ``ways`` takes a trained model and
held-out drives.
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
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_dynamic

from distilvo.bench.engines import OnnxEngine, TorchEngine
from distilvo.bench.int8_comparison import open_drives
from distilvo.bench.latency import interleaved, noise
from distilvo.commands.export import export_model
from distilvo.data import FrameCache
from distilvo.models.fast_student import fast_architecture
from distilvo.models.model_folder import load_model, save_model
from distilvo.models.network import PoseNetwork
from distilvo.models.onnx_export import onnx_motions
from distilvo.models.quantisation import OPTIONS, quantise
from distilvo.models.step_model import StepModel
from distilvo.models.student import student_architecture
from distilvo.models.teacher import PAPER
from distilvo.pipeline.evaluation import evaluate
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
    "8-bit weights": {"reduce_range": False},
    "first layer in fp32": {"nodes_to_exclude": 0},
    "behind the correlation in fp32": {"nodes_to_exclude": 2},
    "activations too": {"op_types_to_quantize": ["Conv", "LeakyRelu"]},
    "correlation too": {"op_types_to_quantize": ["Conv", "MatMul"]},
    "FC layers too": {"op_types_to_quantize": ["Conv", "Gemm"]},
}


def main() -> None:
    """Print the times, or the costs of each way to quantise."""
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
        networks |= {"student 92.95 %": PoseNetwork(student_architecture(92.95, PAPER)), "teacher": PoseNetwork(PAPER)}
        for name, network in networks.items():
            speed(name, save_model(network.eval(), Path(scratch) / name, {}), Path(scratch))


def speed(name: str, model: Path, scratch: Path) -> None:
    """Print the milliseconds of a step in every runtime and precision."""
    preprocessing = load_model(model)[0].preprocessing
    render_streets(scratch / "streets", range(2), 6, preprocessing.size, workers=1)
    drives = open_drives(preprocessing, scratch / "streets", (), scratch)
    fp32, int8, dynamic = (model / f"{kind}.onnx" for kind in ("fp32", "int8", "dynamic"))
    export_model(model, fp32)
    quantise(fp32, int8, drives.calibration)
    quantize_dynamic(fp32, dynamic, op_types_to_quantize=["Conv"])
    steps = {"torch": TorchEngine(model).stepper(1)}
    steps |= {path.stem: OnnxEngine(path).stepper(1) for path in (fp32, int8)}
    if not name.startswith(("student", "teacher")):  # these would take minutes
        steps["dynamic int8"] = OnnxEngine(dynamic).stepper(1)
    if find_spec("openvino"):
        steps |= {f"OpenVINO {path.stem}": openvino(path) for path in (fp32, int8)}
    rounds = 200 if fp32.stat().st_size < 2e6 else 20
    times = 1000 * np.median(interleaved(list(steps.values()), rounds), axis=0)
    sizes = f"fp32 {fp32.stat().st_size / 1e6:.2f} MB, int8 {int8.stat().st_size / 1e6:.2f} MB"
    print(
        f"{name}: {sizes}; ms: {', '.join(f'{key} {ms:.2f}' for key, ms in zip(steps, times, strict=True))}", flush=True
    )


def openvino(path: Path) -> Callable[[], object]:
    """A step in OpenVINO, with its state; OpenVINO may not replace 32-bit floats of the file by bf16."""
    import openvino as ov

    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = ov.Core().compile_model(str(path), "CPU", settings).create_infer_request()
    model = StepModel(path)
    feed = list(model.inputs(noise((model.channels, *model.size))).values())

    def step() -> None:
        outputs = request.infer(feed, share_inputs=True, share_outputs=True)
        feed[1:] = [outputs[k].copy() for k in range(1, len(feed))]

    return step


def ways(model: Path, data: Path, scratch: Path) -> None:
    """Print the cost in error, the distance to fp32 and the time of each way to quantise."""
    drives = open_drives(load_model(model)[0].preprocessing, data, (), scratch)
    exported = scratch / "fp32.onnx"
    export_model(model, exported)
    expected, motions = measure(exported, drives.check)
    steps = {"fp32": OnnxEngine(exported).stepper(1)}
    lines = {"fp32": "RMS-RPE {:.4f} m, {:.4f} deg, ATE {:.3f} m".format(*expected)}
    for number, (name, changed) in enumerate(WAYS.items()):
        path = scratch / f"{number}.onnx"
        if "nodes_to_exclude" in changed:
            changed = {"nodes_to_exclude": [convolutions(exported)[changed["nodes_to_exclude"]]]}
        quantise(exported, path, drives.calibration, OPTIONS | changed)
        errors, int8_motions = measure(path, drives.check)
        off = np.sqrt(np.square(int8_motions - motions).mean(0))
        costs = ", ".join(f"{100 * (int8 / fp32 - 1):+.1f} %" for int8, fp32 in zip(errors, expected, strict=True))
        lines[name] = f"{costs}; off fp32 by {1000 * off[2]:.1f} mm forwards, {np.degrees(off[4]):.4f} deg of yaw"
        steps[name] = OnnxEngine(path).stepper(1)
    times = 1000 * np.median(interleaved(list(steps.values()), 100), axis=0)
    for (name, line), ms in zip(lines.items(), times, strict=True):
        print(f"{name:32} {line}; {ms:.3f} ms")


def convolutions(path: Path) -> list[str]:
    """Names of the convolutions, in order."""
    import onnx

    return [node.name for node in onnx.load(path).graph.node if node.op_type == "Conv"]


def measure(path: Path, cache: FrameCache) -> tuple[list[float], NDArray[np.float32]]:
    """RMS-RPE (m, deg) and ATE (m) of a file on the drives of a cache, and its motions (P, 6)."""
    motions = [onnx_motions(path, cache.drive_frames(index)) for index in range(len(cache.drives))]
    errors = evaluate(lambda _, index: motions[index], cache).total
    return [errors.rms_rpe_t_m, errors.rms_rpe_r_deg, errors.ate_m], np.concatenate(motions)


if __name__ == "__main__":
    main()
