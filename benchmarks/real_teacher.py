"""A pretrained network from PyPI as the teacher of a small one: SwiftF0 (MIT licence) hears the pitch of a voice.

    pip install -c constraints.txt '.[train]' swift-f0
    python benchmarks/real_teacher.py

The ONNX file lies in the package. Clips of 0.38 s are synthetic voices in noise, so that their true pitch is known; the
teacher has never heard them, and the student is given the truth of 100 of 3,000. Prints the tables.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from distilvo import DistilvoError, TrainingSettings, distill_regressor
from distilvo.study.statistics import mean_interval

RATE, HOP, FRAMES = 16_000, 256, 24
LENGTH = HOP * FRAMES
"""Samples of a clip; the teacher's middle frame sees 2,815 to each side."""
CLIPS, LABELLED, TEST_CLIPS = 3000, 100, 1500
LOWEST, HIGHEST = 80.0, 640.0
LOWEST_BAND, BANDS = 65.0, 160
SEEDS, STEPS = 5, 1500


def voices(count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Clips (N, LENGTH) and the pitch in their middle (N, 1), in semitones above 55 Hz.

    Up to 40 harmonics with a random tilt under three formants; vibrato and glide; noise of a random colour, from 30 dB
    below the voice to 10 dB above it; three in ten clips lack all below 400 Hz, as on a telephone.
    """
    clips, pitches = zip(*(_voice(rng) for _ in range(count)), strict=True)
    return torch.from_numpy(np.stack(clips)).float(), torch.tensor(pitches, dtype=torch.float32)[:, None]


def _voice(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    seconds = (np.arange(LENGTH) - LENGTH / 2) / RATE
    middle = LOWEST * (HIGHEST / LOWEST) ** rng.uniform()
    speed = rng.uniform(4, 7)
    bend = rng.uniform(-6, 6) * seconds + rng.uniform(0, 0.5) * np.sin(2 * np.pi * speed * seconds)  # semitones
    frequency = middle * 2 ** (bend / 12)
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    order = np.arange(1, min(40, int(7000 / frequency.max())) + 1)
    formants = np.log2(rng.uniform((300, 900, 2300), (900, 2300, 3500)))
    peaks = np.exp(-0.5 * ((np.log2(middle * order)[:, None] - formants) / 0.35) ** 2).sum(1)
    strength = order ** -rng.uniform(0.5, 2.0) * (0.1 + peaks)
    voice = (strength[:, None] * np.sin(order[:, None] * phase + rng.uniform(0, 2 * np.pi, (len(order), 1)))).sum(0)
    bins = np.fft.rfftfreq(LENGTH, 1 / RATE)
    if rng.uniform() < 0.3:
        voice = np.fft.irfft(np.fft.rfft(voice) * (bins > 400), LENGTH)
    colour = np.maximum(bins, 20.0) ** -rng.uniform(0, 1)
    noise = np.fft.irfft(np.fft.rfft(rng.normal(size=LENGTH)) * colour, LENGTH)
    mixed = voice / voice.std() + noise / noise.std() * 10 ** (rng.uniform(-30, 10) / 20)
    return 0.1 * mixed / mixed.std(), semitones(middle)


def semitones(hertz: Any) -> Any:
    """Above 55 Hz."""
    return 12 * np.log2(hertz / 55)


class Teacher:
    """SwiftF0's network, run by ONNX Runtime on one thread."""

    def __init__(self) -> None:
        found = find_spec("swift_f0")
        if found is None or found.origin is None:
            raise DistilvoError("teacher: the package swift_f0 is not installed; pip install swift-f0")
        self.path = Path(found.origin).with_name("model.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        self.range = {"fmin": np.float32(LOWEST / 1.1), "fmax": np.float32(HIGHEST * 1.1)}

    def frames(self, audio: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Pitch in semitones and confidence of each frame of one recording (samples,)."""
        feed = {"audio": audio[None].numpy(), **{name: np.array(value) for name, value in self.range.items()}}
        pitch, confidence = self.session.run(["pitch", "confidence"], feed)
        return semitones(pitch[0]), confidence[0]

    def middles(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Pitch (N, 1) in semitones and confidence (N,) in the middle of each clip."""
        both = [[values[FRAMES // 2] for values in self.frames(clip)] for clip in clips]
        pitch, confidence = torch.tensor(np.array(both), dtype=torch.float32).T
        return pitch[:, None], confidence

    @property
    def parameters(self) -> int:
        """Weights and biases of its convolutions."""
        graph = onnx.load(self.path).graph
        sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
        return sum(sizes[name] for node in graph.node if node.op_type == "Conv" for name in node.input[1:])


class Spectrum:
    """Log magnitudes of the middle 128 ms of a clip in bands of half a semitone, 65 Hz to 6.5 kHz: no weights."""

    def __init__(self) -> None:
        octaves = torch.log2(LOWEST_BAND * 2 ** (torch.arange(BANDS) / 24))[:, None]
        distance = (torch.log2(torch.fft.rfftfreq(8192, 1 / RATE).clamp_min(1.0)) - octaves).abs() * 24
        nearest = distance == distance.amin(1, keepdim=True)  # low bands are narrower than a step of the transform
        weights = (1 - distance).clamp_min(0) + 1e-3 * nearest
        self.weights = (weights / weights.sum(1, keepdim=True)).T.contiguous()
        self.window = torch.hann_window(2048)

    def __call__(self, clips: Tensor) -> Tensor:
        """(B, BANDS) of clips (B, LENGTH), without the mean of each clip."""
        middle = clips[:, LENGTH // 2 - 1024 : LENGTH // 2 + 1024]
        logs = (torch.fft.rfft(middle * self.window, 8192).abs() @ self.weights + 1e-3).log()
        return logs - logs.mean(1, keepdim=True)


class Student(nn.Module):
    """A score for each of 88 pitches from the bands up to three octaves above it; their mean by the scores."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Sequential(
            nn.Conv1d(1, 8, 9, padding=4), nn.ReLU(), nn.Conv1d(8, 8, 9, padding=4), nn.ReLU(), nn.Conv1d(8, 1, 73)
        )
        self.register_buffer("pitches", semitones(LOWEST_BAND) + torch.arange(BANDS - 72) / 2, persistent=False)

    def forward(self, spectra: Tensor) -> Tensor:
        """Semitones (B, 1) of spectra (B, BANDS)."""
        return (self.scores(spectra[:, None])[:, 0].softmax(1) * self.pitches).sum(1, keepdim=True)


ROWS = {
    "labels": "ground truth of 100 clips",
    "none": "the same, and the teacher's outputs on all 3,000, without trust",
    "learned": "the same with learned trust",
    "confidence": "the same with the teacher's own confidence as trust",
    "all": "ground truth of all 3,000 (limit)",
}


def errors_of(outputs: Tensor, truth: Tensor) -> tuple[float, float, float]:
    """RMS and median of the error in semitones, and the share (%) of clips with less than half a semitone."""
    errors = (outputs - truth)[:, 0].abs()
    return float(errors.square().mean().sqrt()), float(errors.median()), 100 * float((errors < 0.5).float().mean())


def run_seed(seed: int, train: tuple[Tensor, Tensor], taught: tuple[Tensor, Tensor]) -> dict[str, Student]:
    """The student of each row, from the same weights, for the same number of steps; the seed chooses the labels too."""
    spectra, truth = train
    outputs, confidence = taught
    known = torch.from_numpy(np.random.default_rng(seed).permutation(CLIPS) < LABELLED)
    partly = torch.where(known[:, None], truth, torch.nan)
    students = {}
    for row in ROWS:
        torch.manual_seed(seed)
        students[row] = Student()
        chosen = known if row == "labels" else torch.ones_like(known)
        supervised = row in ("labels", "all")
        distill_regressor(
            outputs[chosen],
            students[row],
            (spectra[chosen], (truth if supervised else partly)[chosen]),
            alpha=1.0 if supervised else 0.5,
            trust={"learned": "learned", "confidence": confidence}.get(row, "none"),
            training=TrainingSettings(steps=STEPS, learning_rate=1e-2, seed=seed),
        )
    return students


def milliseconds(run: Callable[[], object], repeats: int = 50) -> float:
    """Median time of a call, after five that do not count."""
    times = []
    for _ in range(repeats + 5):
        begin = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times[5:])


def main() -> None:
    """Run the teacher once, train all students, print."""
    torch.set_num_threads(1)
    teacher, spectrum, rng = Teacher(), Spectrum(), np.random.default_rng(1)
    train, test = voices(CLIPS, rng), voices(TEST_CLIPS, rng)
    taught = teacher.middles(train[0])
    seeds = [run_seed(seed, (spectrum(train[0]), train[1]), taught) for seed in range(SEEDS)]
    print(
        f"swift-f0 {version('swift-f0')}; {SEEDS} seeds, mean ± 95 % interval; {TEST_CLIPS:,} clips that nobody saw\n"
    )
    print(
        "| | RMSE (semitones) | against ground truth of 100 (%) | median error (semitones) | within 0.5 semitones (%) |"
    )
    print("|---|---|---|---|---|")
    own = errors_of(teacher.middles(test[0])[0], test[1])
    print(f"| the teacher itself | {own[0]:.2f} | | {own[1]:.3f} | {own[2]:.1f} |")
    with torch.no_grad():
        found = {row: np.array([errors_of(s[row](spectrum(test[0])), test[1]) for s in seeds]) for row in ROWS}
    for row, values in found.items():
        change = mean_interval(100 * (values[:, 0] / found["labels"][:, 0] - 1)).show(1, True)
        rms, median, share = (mean_interval(values[:, n]).show(digits) for n, digits in enumerate((2, 2, 1)))
        print(f"| {ROWS[row]} | {rms} | {'' if row == 'labels' else change} | {median} | {share} |")
    student, (clip, recording) = seeds[0]["none"].eval(), (test[0][:1], test[0][:100].flatten())
    print("\n| | parameters | one clip (ms) | one of the frames of a recording of 38 s (ms) |\n|---|---|---|---|")
    at_once = milliseconds(lambda: teacher.frames(recording), 10) / (len(recording) // HOP)
    print(f"| teacher | {teacher.parameters:,} | {milliseconds(lambda: teacher.frames(clip[0])):.2f} | {at_once:.3f} |")
    with torch.inference_mode():
        size, windows = sum(p.numel() for p in student.parameters()), recording.unfold(0, LENGTH, HOP)
        at_once = milliseconds(lambda: student(spectrum(windows)), 10) / len(windows)
        print(f"| student | {size:,} | {milliseconds(lambda: student(spectrum(clip))):.2f} | {at_once:.3f} |")


if __name__ == "__main__":
    main()
