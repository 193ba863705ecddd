"""What a run can be told. Plain data, so that the command line need not wait for torch."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the defaults suit the demo's size.

    Attributes:
        epochs: passes over the training set, all stages together.
        clip_length: motions in a clip.
        batch_size: clips in a batch.
        learning_rate: of Adam, at its highest.
        precision: ``no`` for 32-bit floats, ``bf16`` for mixed precision.
        seed: of weights, order of clips and dropout.
        mirror: flip half of the clips left to right (without a teacher only).
        hint_share: share of the steps that go to stage 1, the hints.
        alpha: weight of the ground truth in stage 2, the rest is imitation.
    """

    epochs: int = 3
    clip_length: int = 8
    batch_size: int = 8
    learning_rate: float = 2e-3
    precision: str = "no"
    seed: int = 0
    mirror: bool = False
    hint_share: float = 0.85
    alpha: float = 0.5


@dataclass(frozen=True)
class DemoSettings:
    """What the demo does; the defaults take at most 10 minutes on two cores.

    Attributes:
        from_scratch: train the teacher too, instead of taking the shipped one (at most 40 minutes more).
        train_streets: streets to distil on.
        train_frames: frames in each of them.
        test_streets: held-out streets.
        test_frames: frames in each of them.
        rate: at least so many per cent of the teacher's parameters go.
        student: how both students are trained.
        teacher_streets: streets that a teacher from scratch is trained on, beside those of the student.
        teacher: how a teacher from scratch is trained.
    """

    from_scratch: bool = False
    train_streets: int = 400
    train_frames: int = 100
    test_streets: int = 10
    test_frames: int = 200
    rate: float = 92.95
    student: Recipe = field(default_factory=Recipe)
    teacher_streets: int = 400
    teacher: Recipe = field(default_factory=lambda: Recipe(epochs=8, batch_size=16, mirror=True))
