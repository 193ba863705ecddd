"""The one network family: convolutions on frame pairs, optional LSTM, fully connected (FC) layers, two pose branches.

A teacher and the students made from it are the same class with another ``Architecture``: as in the paper (Section
4.1), a student is its teacher with layers taken away.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.correlation import Correlation
from distilvo.models.motion_network import MotionNetwork, State
from distilvo.models.space_to_depth import SpaceToDepth


@dataclass(frozen=True)
class Architecture:
    """The shape of a network; saved as JSON beside the weights.

    Attributes:
        name: for tables ("teacher-paper", "student-92.95").
        size: height and width of the frames, pixels.
        channels: 1 for luminance, 3 for RGB.
        convolutions: (output channels, kernel, stride) of each convolution.
        shared: so many convolutions see each frame alone with the same weights, and a correlation layer compares
            their features (as in FlowNetC); 0 stacks the two frames before the first one (as in FlowNetS).
        reach: the correlation's largest displacement, (rows, columns) of the feature map.
        grid: the feature map is averaged to this many (rows, columns) before the vector part.
        lstm: hidden size of each LSTM layer, empty for none.
        fc: width of each FC layer; the last one is the hint of a teacher and the guided layer of a student.
        branch: width of the hidden FC layer in each of the two branches, translation and rotation.
        dropout: share of the activations dropped after LSTM and FC layers in training.
        batch_norm: normalise after each convolution: training from scratch needs far fewer steps.
        patch: blocks of so many pixels squared become channels before the first convolution (space-to-depth), which
            then costs little on a large image.
        student_grid: grid of students made by taking layers away, which see larger feature maps; ``grid`` where not
            given.
        centred: the frames' optical axis is in their middle column, so that mirrored frames are of the same camera.
    """

    name: str
    size: tuple[int, int]
    channels: int
    convolutions: tuple[tuple[int, int, int], ...]
    grid: tuple[int, int]
    fc: tuple[int, ...]
    branch: int
    shared: int = 0
    reach: tuple[int, int] = (3, 5)
    lstm: tuple[int, ...] = ()
    dropout: float = 0.25
    batch_norm: bool = False
    patch: int = 1
    student_grid: tuple[int, int] | None = None
    centred: bool = False

    @property
    def preprocessing(self) -> Preprocessing:
        """How a camera's image becomes a frame of this network."""
        return Preprocessing(self.size, self.channels, self.centred)

    @property
    def last_layer(self) -> str:
        """The last FC layer in front of the branches."""
        return f"fc.{len(self.fc) - 1}"

    @property
    def displacements(self) -> int:
        """Channels of the correlation."""
        return (2 * self.reach[0] + 1) * (2 * self.reach[1] + 1)

    @property
    def feature_channels(self) -> int:
        """Channels of the feature map of a frame pair: behind the correlation, where no convolution follows it."""
        width = self.convolutions[-1][0]
        return width + self.displacements if self.shared == len(self.convolutions) else width

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


class PoseNetwork(MotionNetwork):
    """Regresses the camera's motion between consecutive frames.

    Frames hold 0..255 (any dtype), motions are ``[tx, ty, tz (m), rx, ry, rz (rad)]`` as
    ``distilvo.geometry.se3`` defines them. The network works in units of ``scale`` around ``mean``, both set by
    ``set_motion_scale``.
    """

    architecture: Architecture

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.space_to_depth = SpaceToDepth(architecture.patch)
        self.convolutions = nn.ModuleList(_convolutions(architecture))
        self.correlation = Correlation(architecture.reach) if architecture.shared else None
        self.pool = _GridPool(architecture)
        width = architecture.grid[0] * architecture.grid[1] * architecture.feature_channels
        self.lstm = nn.ModuleList()
        for hidden in architecture.lstm:
            self.lstm.append(nn.LSTM(width, hidden, batch_first=True))
            width = hidden
        self.fc = nn.ModuleList()
        for units in architecture.fc:
            self.fc.append(nn.Sequential(nn.Linear(width, units), nn.LeakyReLU(0.1)))
            width = units
        self.dropout = nn.Dropout(architecture.dropout)
        self.translation, self.rotation = (_branch(width, architecture.branch) for _ in range(2))

    @torch.no_grad()
    def rescale(self, mean: Tensor, scale: Tensor) -> None:
        """Change the output's origin and unit, (6,) each, without changing the motions that come out."""
        factor, offset = self.scale / scale, (self.mean - mean) / scale
        for branch, part in ((self.translation, slice(0, 3)), (self.rotation, slice(3, 6))):
            last = branch[-1]
            assert isinstance(last, nn.Linear)
            last.weight.mul_(factor[part, None])
            last.bias.mul_(factor[part]).add_(offset[part])
        self.set_motion_scale(mean, scale)

    def forward(self, frames: Tensor) -> Tensor:
        """Motions of whole clips; the LSTM layers start from zero.

        Args:
            frames: (B, T + 1, C, H, W), values 0..255.

        Returns:
            (B, T, 6) motions, m and rad.
        """
        batch, length = frames.shape[:2]
        features = self.encode(frames.flatten(0, 1)).unflatten(0, (batch, length))
        pairs = self.relate(features[:, :-1].flatten(0, 1), features[:, 1:].flatten(0, 1))
        vectors = pairs.unflatten(0, (batch, length - 1))
        for layer in self.lstm:
            vectors = self.dropout(layer(vectors)[0])
        return self.regress(vectors)

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """The motion of one frame of a live stream; each frame is encoded once.

        The state holds the features of the last frame, then (hidden, cell) of each LSTM layer.

        Args:
            frame: (B, C, H, W), values 0..255.
            state: from the last step; from ``start`` after the first frame.

        Returns:
            The motion since the last frame, (B, 6), and the state for the next step.
        """
        features = self.encode(frame)
        vector = self.relate(state[0], features)
        carried: list[Tensor] = [features]
        for index, layer in enumerate(self.lstm):
            hidden = state[1 + 2 * index], state[2 + 2 * index]
            output, hidden = layer(vector[:, None], hidden)
            vector = output[:, 0]
            carried += hidden
        return self.regress(vector), tuple(carried)

    def start(self, frame: Tensor) -> State:
        """The state after the first frame of a stream, (B, C, H, W)."""
        state = [self.encode(frame)]
        for hidden in self.architecture.lstm:
            state += [torch.zeros(1, len(frame), hidden, device=self.mean.device) for _ in range(2)]
        return tuple(state)

    @torch.no_grad()
    def predict(self, frames: Tensor, chunk: int = 32) -> Tensor:
        """Motions of one whole drive, (N, C, H, W) -> (N - 1, 6); images are encoded ``chunk`` at a time."""
        related = []
        features = self.encode(frames[:1])
        for part in frames[1:].split(chunk):
            features = torch.cat([features[-1:], self.encode(part)])  # not of the whole drive at once: gigabytes
            related.append(self.relate(features[:-1], features[1:]))
        vectors = torch.cat(related)[None]
        for layer in self.lstm:
            vectors = layer(vectors)[0]
        return self.regress(vectors)[0]

    def encode(self, frames: Tensor) -> Tensor:
        """Frames (N, C, H, W) -> features of each alone (N, C', H', W'); the scaled pixels where no layer is shared."""
        features = self.space_to_depth(frames.to(self.mean.dtype) / 127.5 - 1)
        for layer in self.convolutions[: self.architecture.shared]:
            features = layer(features)
        return features

    def relate(self, before: Tensor, after: Tensor) -> Tensor:
        """Two frames' features (N, C', H', W') -> one vector for the pair, (N, V)."""
        features = self.compare(before, after)
        if features.is_cuda:
            features = features.to(memory_format=torch.channels_last)  # as tensor cores take them
        for layer in self.convolutions[self.architecture.shared :]:
            features = layer(features)
        return self.pool(features)

    def compare(self, before: Tensor, after: Tensor) -> Tensor:
        """Two frames' features (N, C', H', W') -> what the convolutions that see the pair begin with."""
        if self.correlation is None:
            return torch.cat([before, after], 1)
        return torch.cat([after, self.correlation(before, after)], 1)

    def regress(self, vectors: Tensor) -> Tensor:
        """(..., V) -> (..., 6) motions, m and rad."""
        for layer in self.fc:
            vectors = self.dropout(layer(vectors))
        standard = torch.cat([self.translation(vectors), self.rotation(vectors)], -1)
        return self.mean + self.scale * standard


def _convolutions(architecture: Architecture) -> list[nn.Module]:
    """Each convolution with its activation, He initialised."""
    layers: list[nn.Module] = []
    inputs = architecture.channels * architecture.patch**2 * (1 if architecture.shared else 2)
    for index, (outputs, kernel, stride) in enumerate(architecture.convolutions):
        if architecture.shared and index == architecture.shared:
            inputs += architecture.displacements
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
        nn.init.kaiming_normal_(convolution.weight, a=0.1)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        normalisation = [nn.BatchNorm2d(outputs)] if architecture.batch_norm else []
        layers.append(nn.Sequential(convolution, *normalisation, nn.LeakyReLU(0.1)))
        inputs = outputs
    return layers


def _branch(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.LeakyReLU(0.1), nn.Linear(width, 3))


class _GridPool(nn.Module):
    """Averages a feature map to a grid of fixed size and flattens it: an ONNX AveragePool with a fixed kernel."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        rows, columns = (pixels // architecture.patch for pixels in architecture.size)
        for _, _, stride in architecture.convolutions:
            rows, columns = -(-rows // stride), -(-columns // stride)
        kernel = rows // architecture.grid[0], columns // architecture.grid[1]
        if (kernel[0] * architecture.grid[0], kernel[1] * architecture.grid[1]) != (rows, columns):
            raise ValueError(f"grid {architecture.grid} does not divide the feature map ({rows}, {columns})")
        self.average = nn.AvgPool2d(kernel)

    def forward(self, features: Tensor) -> Tensor:
        return self.average(features).flatten(1)
