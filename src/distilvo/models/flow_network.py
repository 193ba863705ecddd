"""A network that sees optical flow first: flow, inverse depth and confidence, and from them the motion by geometry.

The two frames' features are compared by correlation at an eighth of the image's size; where there is a fine stage, the
second frame's features are moved by that flow and compared again at a quarter (as in PWC-Net, Sun et al., CVPR 2018).
The motion is not regressed: ``pose_solver`` finds it from the three maps. Lengths are camera heights inside, so that
the inverse depth of a road is known by its row alone; the motions that come out are metres as from the default height.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from distilvo.data.flow_cells import CELL
from distilvo.geometry.camera import DEFAULT_CAMERA_HEIGHT
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.constants import beside
from distilvo.models.correlation import Correlation, moved_by
from distilvo.models.direct_alignment import DirectAlignment, Look
from distilvo.models.flow_maps import UNITS, Maps, field_of, maps_of
from distilvo.models.gradients import evened
from distilvo.models.motion_network import MotionNetwork, State
from distilvo.models.pose_solver import UNKNOWNS, Points, diagonal, solve_flow, tilted
from distilvo.models.space_to_depth import SpaceToDepth

ERROR_UNIT = torch.tensor([0.1 * DEFAULT_CAMERA_HEIGHT] * 3 + [0.003] * 3)
"""What counts as one unit of a motion's error, (6,): 0.165 m and 0.17 degrees."""

TRAINED_RATE_HZ = 10.0
"""Frames per second of the built-in streets, where a configuration names no other."""

_FLOW_ITERATIONS = 2  # the alignment behind it makes up for the third: 0.001 m on streets and real film
_LEAST_KNOWN = 1e-6  # of the diagonal of the normal equations: float32 can lose its sign
_METRES = torch.tensor([DEFAULT_CAMERA_HEIGHT] * 3 + [1.0] * 3)
_KEPT = 2  # from this part on what is encoded of a frame is needed for the next pair, too
_FIRM = 0.3  # weight of a road without tilt, as long as nothing is learned


@dataclass(frozen=True)
class FlowArchitecture:
    """The shape of a network that sees flow first; saved as JSON beside the weights.

    Attributes:
        name: for tables.
        size: height and width of the frames, pixels.
        patch: blocks of so many pixels squared become channels before the first convolution (space-to-depth).
        encoder: (output channels, kernel, stride) of the convolutions that see each frame alone, down to cells.
        fine: so many of them end at half a cell, where the fine stage compares the frames; 0 for no fine stage.
        reach: the correlation's largest displacement in cells, (rows, columns).
        fine_reach: that of the fine stage, in half cells.
        squeeze: output channels of a 1x1 convolution right behind the correlation; 0 for none.
        comparison: output channels of the layers behind that.
        context: output channels of the layers that see the cells at half their resolution.
        refinement: output channels of the layers in front of the maps.
        block: pixels squared, of which the one of largest gradient is a point of the alignment.
    """

    name: str
    size: tuple[int, int]
    encoder: tuple[tuple[int, int, int], ...]
    comparison: tuple[int, ...]
    context: tuple[int, ...]
    refinement: tuple[int, ...]
    squeeze: int = 0
    patch: int = 1
    fine: int = 0
    reach: tuple[int, int] = (3, 6)
    fine_reach: tuple[int, int] = (3, 3)
    block: int = 4

    @property
    def preprocessing(self) -> Preprocessing:
        """How a camera's image becomes a frame of this network: grey, with its optical axis in the middle column."""
        return Preprocessing(self.size, 1, centred=True)

    @property
    def channels(self) -> int:
        """Of a frame: it is grey."""
        return 1

    @property
    def last_layer(self) -> str:
        """The maps of flow, inverse depth and confidence, which the motion follows from."""
        return "field"

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the maps."""
        return self.size[0] // CELL, self.size[1] // CELL

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"kind": "flow", **asdict(self)}


class FlowEstimate(NamedTuple):
    """What is estimated of B clips of T pairs.

    Attributes:
        motion: (B, T, 6) m as from the default height, and rad.
        error: (B, T, 6) logarithms of the scales of its errors, in ``ERROR_UNIT``.
        flow_motion: (B, T, 6) the motion by the flow alone, before the alignment.
        maps: of all B T pairs, the road tilted.
    """

    motion: Tensor
    error: Tensor
    flow_motion: Tensor
    maps: Maps


class FlowNetwork(MotionNetwork):
    """Sees flow, inverse depth and confidence between consecutive frames, and solves for the camera's motion.

    Frames hold 0..255 (any dtype), motions are ``[tx, ty, tz (m), rx, ry, rz (rad)]`` as ``geometry.se3`` defines them,
    metres as from the default camera height. ``mean`` and ``scale`` are the unit of losses alone.
    """

    architecture: FlowArchitecture
    rays: Tensor
    unit: Tensor
    map_units: Tensor

    def __init__(self, architecture: FlowArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.features = 3 if a.fine else 2
        self.space_to_depth = SpaceToDepth(a.patch)
        self.encoder = nn.ModuleList(_layers(a.patch**2, a.encoder))
        width = a.encoder[-1][0]
        self.correlation = Correlation(a.reach)
        compared = _displacements(a.reach) + width + 2
        squeezed = ((a.squeeze, 1, 1),) if a.squeeze else ()
        self.comparison = nn.Sequential(*_layers(compared, (*squeezed, *_plain(a.comparison))))
        own = a.comparison[-1]
        strided = ((a.context[0], 3, 2), *_plain(a.context[1:]))
        self.context = nn.Sequential(*_layers(own, strided))
        self.whole = nn.Sequential(nn.Linear(a.context[-1], own), nn.LeakyReLU(0.1), nn.Linear(own, own))
        self.merge = nn.Sequential(*_layers(own + a.context[-1], _plain((own,))))
        self.coarse_flow = _map(own, 2)
        seen = own + width + 4
        if a.fine:
            self.fine_correlation = Correlation(a.fine_reach)
            self.fine_comparison = nn.Sequential(*_layers(_displacements(a.fine_reach) + 2, ((own, 3, 2),)))
            seen += own
        self.refinement = nn.Sequential(*_layers(seen, _plain(a.refinement)))
        self.maps = _map(a.refinement[-1], len(UNITS))
        self.field = nn.Identity()  # the layer of hints: one unit matters alike in all of its maps
        self.uncertainty = nn.Sequential(nn.Linear(own + UNKNOWNS, 64), nn.LeakyReLU(0.1), nn.Linear(64, 6))
        self.firmness = nn.Parameter(torch.full((2,), _FIRM).log())
        self.alignment = DirectAlignment(a.preprocessing, a.block)
        rays, focal = a.preprocessing.rays(CELL), a.preprocessing.intrinsics.diagonal()[:2]
        self.register_buffer("rays", torch.from_numpy(rays).float(), persistent=False)
        self.register_buffer("unit", torch.from_numpy(CELL / focal).float(), persistent=False)
        self.register_buffer("map_units", torch.tensor(UNITS)[:, None, None], persistent=False)
        super().set_motion_scale(torch.zeros(6), ERROR_UNIT)

    def set_motion_scale(self, mean: Tensor, scale: Tensor) -> None:
        """Nothing: its unit is ``ERROR_UNIT``, whatever the training set."""

    def rescale(self, mean: Tensor, scale: Tensor) -> None:
        """Nothing, likewise."""

    def forward(self, frames: Tensor) -> Tensor:
        """Motions of whole clips, (B, T + 1, 1, H, W) of 0..255 -> (B, T, 6) m and rad."""
        return self.estimate(frames).motion

    def estimate(self, frames: Tensor) -> FlowEstimate:
        """Motions of clips, (B, T + 1, 1, H, W) of 0..255, their errors, and what they follow from."""
        batch, length = frames.shape[:2]
        features = [f.unflatten(0, (batch, length)) for f in self.encode(frames.flatten(0, 1))]
        before, after = ([f[:, part].flatten(0, 1) for f in features] for part in (slice(0, -1), slice(1, None)))
        motion, error, flow_motion, maps = self.solve(before, after)
        motion, error, flow_motion = (part.unflatten(0, (batch, -1)) for part in (motion, error, flow_motion))
        return FlowEstimate(motion, error, flow_motion, maps)

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """The motion (B, 6) of one frame (B, 1, H, W) of a live stream since the last, and the next state."""
        motion, _, after = self.uncertain_step(frame, state)
        return motion, after

    def uncertain_step(self, frame: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """As ``step``, with the standard deviation (B, 6) of the motion's error, m and rad, behind the motion."""
        motion, error, *_ = self.solve(state, features := self.encode(frame))
        return motion, error.exp() * ERROR_UNIT.to(error.device), features[_KEPT:]

    def start(self, frame: Tensor) -> State:
        """The state after the first frame of a stream, (B, 1, H, W)."""
        return self.encode(frame)[_KEPT:]

    def predict(self, frames: Tensor, chunk: int = 32) -> Tensor:
        """Motions of one whole drive, (N, 1, H, W) -> (N - 1, 6); images are encoded ``chunk`` at a time."""
        return self.with_deviation(frames, chunk)[0]

    @torch.no_grad()
    def with_deviation(self, frames: Tensor, chunk: int = 32) -> tuple[Tensor, Tensor]:
        """Motions of one whole drive, and the standard deviation of the error of each, (N - 1, 6) m and rad."""
        solved = []
        last = self.encode(frames[:1])
        for part in frames[1:].split(chunk):
            features = [torch.cat([old[-1:], new]) for old, new in zip(last, self.encode(part), strict=True)]
            solved.append(self.solve([f[:-1] for f in features], [f[1:] for f in features])[:2])
            last = tuple(features)
        motions, errors = (torch.cat(part) for part in zip(*solved, strict=True))
        return motions, errors.exp() * ERROR_UNIT.to(errors.device)

    @torch.no_grad()
    def scale_deviation(self, factors: Tensor) -> None:
        """Multiply all standard deviations by the factors (6,) of a calibration."""
        last = self.uncertainty[-1]
        assert isinstance(last, nn.Linear)
        last.bias.add_(factors.log())

    def encode(self, frames: Tensor) -> State:
        """Frames (N, 1, H, W) -> the parts of a ``Look``, features in half cells if there are such, and in cells."""
        grey = frames.to(self.mean.dtype) - 127.5
        features = self.space_to_depth(grey / 127.5)
        fine: State = ()
        for number, layer in enumerate(self.encoder, start=1):
            features = layer(features)
            if number == self.architecture.fine:
                fine = (features,)
        return *self.alignment.look(grey), *fine, features

    def see(self, before: Sequence[Tensor], after: Sequence[Tensor]) -> Maps:
        """The features of P first and P second frames -> what is seen of the pairs."""
        own, pairs = before[-1], len(before[-1])
        rays = self.rays.to(own.dtype).expand(pairs, -1, -1, -1)
        compared = self.comparison(torch.cat([self.correlation(own, after[-1]), own, rays], 1))
        context = self.context(compared)
        whole = self.whole(context.mean((2, 3)))
        wide = interpolate(context, scale_factor=2.0, mode="nearest")
        merged = self.merge(torch.cat([compared, wide], 1)) + whole[:, :, None, None]
        coarse = self.coarse_flow(merged).float()
        seen = [own, merged, coarse.to(own.dtype) / 4, rays]
        if self.architecture.fine:
            seen.append(self._look_again(before[-2], after[-2], coarse))
        field = field_of(self.maps(self.refinement(torch.cat(seen, 1))).float(), coarse, self.rays)
        return maps_of(self.field(field / self.map_units) * self.map_units, coarse, whole.float())

    def solve(self, before: Sequence[Tensor], after: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Maps]:
        """From the features of P first and P second frames: motions (P, 6), errors, motions by flow alone, and maps."""
        maps = self.see(before, after)
        with torch.autocast(maps.flow.device.type, enabled=False):
            flow, flow_weight, depth, grey_weight = self._for_the_solver(maps)
            firmness = evened(self.firmness.exp().expand(len(flow), -1))
            points = Points(self.rays.flatten(1)[None], *depth.flatten(2).split(1, 1))
            flow = (flow * self.unit[:, None, None]).flatten(2)
            by_flow, normal = solve_flow(flow, flow_weight.flatten(2), points, firmness, _FLOW_ITERATIONS)
            grey_maps, look = torch.cat([depth, grey_weight], 1), Look(*(part.float() for part in after[: _KEPT + 1]))
            pose, normal = self.alignment(before[-self.features].float(), look, grey_maps, by_flow, normal)
            known = diagonal(normal)[:, :, 0].detach().clamp_min(_LEAST_KNOWN).log()
            error = self.uncertainty(torch.cat([maps.context.detach(), known], 1))
            inverse_depth = tilted(points, pose.tilt).unflatten(2, self.architecture.cells)
        metres = beside(_METRES, error)
        return pose.motion * metres, error, by_flow.motion * metres, maps._replace(inverse_depth=inverse_depth)

    def _for_the_solver(self, maps: Maps) -> list[Tensor]:
        """Flow (P, 2, h, w), its weights, inverse depth with road and doubt, and weights of grey values."""
        parts = [maps.flow, maps.flow_weight, maps.inverse_depth, maps.road, maps.doubt, maps.grey_weight]
        return list(evened(torch.cat(parts, 1)).split([2, 2, 3, 1], 1))

    def _look_again(self, before: Tensor, after: Tensor, coarse: Tensor) -> Tensor:
        """Compare in half cells, with the second frame's features moved by the coarse flow; back to cells."""
        flow = 2 * interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
        compared = self.fine_correlation(before, moved_by(after, flow).to(before.dtype))
        own: Tensor = self.fine_comparison(torch.cat([compared, flow.to(before.dtype) / 8], 1))
        return own


def _displacements(reach: tuple[int, int]) -> int:
    return (2 * reach[0] + 1) * (2 * reach[1] + 1)


def _plain(widths: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
    return tuple((width, 3, 1) for width in widths)


def _layers(inputs: int, shapes: Iterable[tuple[int, int, int]]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for outputs, kernel, stride in shapes:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        layers.append(nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1)))
        inputs = outputs
    return layers


def _map(inputs: int, outputs: int) -> nn.Conv2d:
    """A last convolution, that begins with hardly any output: no flow, a flat road, confidence 1."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.normal_(convolution.weight, std=1e-3)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return convolution
