"""Shapes of small networks that see flow first: what each learns in the same short training, and how long a step takes.

    python benchmarks/search_shapes.py train STREETS HELD_OUT OUT [--steps 1500] [--shapes nano fine ...]
    python benchmarks/search_shapes.py compare HELD_OUT OUT shapes.json shapes.png

Streets are those of 'distilvo render --flow'. All shapes begin at random weights and have at most 7.05 % of the shipped
teacher's parameters. The first quarter of the held-out streets chooses the weights, the others measure the errors.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.ticker import NullFormatter

from distilvo.bench.latency import latencies_ms
from distilvo.data import open_cache
from distilvo.files import write_json
from distilvo.models.flow_family import FLOW_STUDENTS
from distilvo.models.flow_network import FlowNetwork
from distilvo.models.kinds import count_parameters
from distilvo.models.model_folder import load_model, save_model
from distilvo.models.onnx_export import export_onnx, moving_blobs
from distilvo.models.teacher import SHIPPED_STUDENT, SHIPPED_TEACHER
from distilvo.pipeline.evaluation import evaluate, network_motions
from distilvo.pipeline.flow_training import new_network, train_flow
from distilvo.sequences import open_dataset
from distilvo.settings import FlowRecipe

NANO = FLOW_STUDENTS["nano"]
SHAPES = {
    "nano": NANO,
    "narrow": replace(NANO, squeeze=16, comparison=(24,), context=(24, 16), refinement=(16, 16)),
    "wide": replace(NANO, comparison=(40,), context=(40, 32), refinement=(24, 24)),
    "8 x 8 folded": replace(NANO, patch=8, encoder=((32, 3, 1), (24, 3, 1))),
    "2 x 2 folded": replace(NANO, patch=2, encoder=((12, 3, 2), (24, 3, 2))),
    "nothing folded": replace(NANO, patch=1, encoder=((8, 5, 2), (16, 3, 2), (24, 3, 2))),
    "deep encoder": replace(NANO, encoder=((16, 3, 1), (24, 3, 2), (24, 3, 1), (24, 3, 1))),
    "fine stage": replace(NANO, fine=1),
    "far": replace(NANO, reach=(4, 8)),
    "all points": replace(NANO, block=4),
}


def main() -> None:
    """Train shapes, or compare those that are trained."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    trains = commands.add_parser("train")
    trains.add_argument("streets", type=Path)
    trains.add_argument("held_out", type=Path)
    trains.add_argument("out", type=Path)
    trains.add_argument("--steps", type=int, default=1500)
    trains.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    trains.set_defaults(run=train)
    compares = commands.add_parser("compare")
    for name in ("held_out", "out", "results", "image"):
        compares.add_argument(name, type=Path)
    compares.set_defaults(run=compare)
    arguments = parser.parse_args()
    arguments.run(arguments)


def train(arguments: argparse.Namespace) -> None:
    """Train each shape that is not trained yet into a model folder of ``out``."""
    form, cache = NANO.preprocessing, arguments.out / "cache"
    streets = open_cache(open_dataset(arguments.streets), form, cache, "training streets", flow=True)
    held_out = open_dataset(arguments.held_out)
    chooses = open_cache(held_out[: len(held_out) // 4], form, cache, "held-out streets", flow=True)
    recipe = FlowRecipe(steps=arguments.steps, batch_size=16, learning_rate=1.5e-3, precision="no")
    for name in arguments.shapes:
        folder = arguments.out / name.replace(" ", "-")
        if (folder / "config.json").exists():
            continue
        network = new_network(SHAPES[name], recipe)
        curve, _ = train_flow(network, streets, recipe, folder / "checkpoint.safetensors", chooses)
        save_model(network, folder, {"training": {"steps": arguments.steps, "loss": curve[-1][1]}})


def compare(arguments: argparse.Namespace) -> None:
    """Measure errors and latency of what is trained, and of the models that come with the package."""
    held_out = open_dataset(arguments.held_out)
    measured = open_cache(
        held_out[len(held_out) // 4 :], NANO.preprocessing, arguments.out / "cache", "held-out streets"
    )
    folders = {name: arguments.out / name.replace(" ", "-") for name in SHAPES}
    folders = {name: folder for name, folder in folders.items() if (folder / "config.json").exists()}
    folders |= {"shipped student": SHIPPED_STUDENT, "shipped teacher": SHIPPED_TEACHER}
    models = {name: load_model(folder) for name, folder in folders.items()}
    models["shipped all points"] = with_all_points(*models["shipped student"])
    rows, files = {}, []
    for name, (network, config) in models.items():
        files.append(arguments.out / f"{name.replace(' ', '-')}.onnx")
        export_onnx(network, config, files[-1], moving_blobs(network.architecture))
        rows[name] = errors(network, measured)
    for row, latency in zip(rows.values(), latencies_ms(files, rounds=300), strict=True):
        row["latency_ms"] = latency
    write_json(arguments.results, rows)
    draw(rows, arguments.image)
    print("| shape | parameters | ms a step | translation RMS (m) | median | rotation RMS (deg) | median |")
    print("|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        print(
            f"| {name} | {row['parameters']:,} | {row['latency_ms']:.2f} | {row['rms_rpe_t_m']:.3f} | "
            f"{row['median_t_m']:.3f} | {row['rms_rpe_r_deg']:.3f} | {row['median_r_deg']:.3f} |"
        )


def with_all_points(network: FlowNetwork, config: dict[str, Any]) -> tuple[FlowNetwork, dict[str, Any]]:
    """The same weights, with one point in 4 x 4 pixels for the alignment."""
    more = FlowNetwork(replace(network.architecture, block=4)).eval()
    more.load_state_dict(network.state_dict())
    return more, config | {"architecture": more.architecture.to_dict()}


def errors(network: FlowNetwork, held_out) -> dict[str, float]:
    """Parameters, RMS and median errors of consecutive frames."""
    evaluation = evaluate(network_motions(network), held_out, network.architecture.name)
    pooled = evaluation.pooled
    return {
        "parameters": count_parameters(network.architecture),
        "rms_rpe_t_m": evaluation.total.rms_rpe_t_m,
        "median_t_m": float(torch.tensor(pooled.rpe_t_m).median()),
        "rms_rpe_r_deg": evaluation.total.rms_rpe_r_deg,
        "median_r_deg": float(torch.tensor(pooled.rpe_r_deg).median()),
    }


def draw(rows: dict[str, dict[str, float]], image: Path) -> None:
    """Latency against both median errors; a line joins what nothing of the same training beats in both."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
    panels = {"median_t_m": "translation error (median, m)", "median_r_deg": "rotation error (median, degrees)"}
    groups = [("o", "#0072b2", "-", {}), ("D", "#d55e00", "--", {})]
    for name, row in rows.items():
        groups[name.startswith("shipped")][3][name] = row
    numbers = {name: number for number, name in enumerate(rows, 1)}
    for axis, (measure, title) in zip(axes, panels.items(), strict=True):
        for mark, colour, line, group in groups:
            front = [row for row in group.values() if not any(beats(other, row, measure) for other in group.values())]
            front.sort(key=lambda row: row["latency_ms"])
            axis.plot([r["latency_ms"] for r in front], [r[measure] for r in front], line, color="0.6", zorder=0)
            for name, row in group.items():
                axis.plot(row["latency_ms"], row[measure], mark, color=colour, markersize=13)
                place = row["latency_ms"], row[measure]
                axis.annotate(numbers[name], place, ha="center", va="center", color="white", fontsize=8)
        axis.set(xscale="log", yscale="log", xlabel="ms a step of the network, one core", ylabel=title)
        axis.set_xticks([2, 3, 5, 10, 20], ["2", "3", "5", "10", "20"])
        for part in (axis.xaxis, axis.yaxis):
            part.set_minor_formatter(NullFormatter())
        ticks = [0.02, 0.03, 0.04, 0.06, 0.1, 0.15]
        axis.set_yticks([t for t in ticks if axis.get_ylim()[0] <= t <= axis.get_ylim()[1]])
        axis.yaxis.set_major_formatter("{x:g}")
        axis.grid(alpha=0.3)
    names = "\n".join(f"{number}  {name}" for name, number in numbers.items())
    figure.text(1.01, 0.5, names, va="center", fontsize=9)
    figure.suptitle("One short training of all (circles); trained until they shipped (diamonds)", fontsize=10)
    figure.savefig(image, dpi=100, bbox_inches="tight")


def beats(one: dict[str, float], other: dict[str, float], measure: str) -> bool:
    """Whether one is no worse in latency and error, and better in one of them."""
    pairs = [(one[key], other[key]) for key in ("latency_ms", measure)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


if __name__ == "__main__":
    main()
