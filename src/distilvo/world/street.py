"""One rendered drive along a made-up street."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.world.adverse import AdverseConditions, sample_adverse, sample_adverse_parts
from distilvo.world.course import sample_road
from distilvo.world.layout import make_map
from distilvo.world.lighting import sample_light
from distilvo.world.motion import START, LaneKeeping, camera_poses, ride, sample_mount, sample_stops, speed_limit
from distilvo.world.optical_flow import View, optical_flow
from distilvo.world.optics import glare, sample_bonnet
from distilvo.world.renderer import Renderer
from distilvo.world.retrace import CAMERA_HEIGHT, pace, road_along, to_world
from distilvo.world.road import SPACING, Hills, Road, RoadMap
from distilvo.world.scene import Scene
from distilvo.world.scenery import build_scenery
from distilvo.world.sensor import SensorModel, sample_sensor, shutter_flow
from distilvo.world.street_type import StreetType, sample_street_type, street_type_along
from distilvo.world.textures import TEXTURE_VARIANTS, texture_set
from distilvo.world.traffic import Traffic
from distilvo.world.vehicles import ParkedCars

RATE_HZ = 10.0
"""Images per second of streets that drive by themselves."""
_LOOKAHEAD = 3.0


class Street:
    """One drive: poses and, rendered on demand, its images. The same seed and size give the same bytes.

    Attributes:
        seed: everything is drawn from it.
        size: (H, W) of the images.
        intrinsics: (3, 3) float64, pixel centres at integers.
        poses: (N, 4, 4) float64 camera-to-world, axes as in KITTI (x right, y down, z forward); the first is identity.
        times: (N,) float64 seconds.
        camera_height: metres of the camera above the road, on springs at rest.
        depth: (H, W) float32 metres along the optical axis in the image rendered last; 0 where the sky is.
        own_car: (H, W) bool, the pixels of every image that show the own car's bonnet; ``depth`` is what it hides.
    """

    def __init__(
        self,
        seed: int,
        size: tuple[int, int],
        world_poses: NDArray[np.float64],
        times: NDArray[np.float64],
        scene: Scene,
        camera_height: float,
        adverse: Sequence[AdverseConditions] = (),
    ) -> None:
        """``world_poses`` (N, 4, 4) are camera-to-world in the z-up frame of the ``scene``'s meshes."""
        rng = np.random.default_rng([seed, 3])
        self.seed, self.size, self.times, self.camera_height = seed, size, times, camera_height
        self.intrinsics = sample_intrinsics(rng, size)
        self._scene, self._world_poses, self._adverse = scene, world_poses, adverse
        self.poses = np.linalg.inv(world_poses[0]) @ world_poses
        self.poses[0] = np.eye(4)
        ahead = world_poses[len(world_poses) // 2, :2, 2]
        self._light = sample_light(rng, float(np.arctan2(ahead[1], ahead[0])))
        self._sensor = sample_sensor(rng, night=self._light.lamps > 0)
        self._bonnet = sample_bonnet(seed, size)
        self.own_car = np.zeros(size, bool) if self._bonnet is None else self._bonnet.mask
        self._textures = texture_set(int(rng.integers(TEXTURE_VARIANTS)))
        self._part = -1
        self._views: dict[int, View] = {}  # of the two images rendered last
        self._load(0)

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def depth(self) -> NDArray[np.float32]:
        """(H, W) metres in the image rendered last."""
        return self._renderer.depth

    def render(self, index: int) -> NDArray[np.uint8]:
        """Image ``index`` as (H, W, 3) uint8 RGB, in any order; raises DistilvoError beyond the end."""
        if not 0 <= index < len(self):
            raise DistilvoError(f"street {self.seed}: no frame {index}; it has frames 0..{len(self) - 1}")
        self._load(self._scene.part_of(index))
        pose = self._world_poses[index]
        bodies = list(self._scene.moving(index))
        ahead = [(number, mesh, body) for number, mesh, body in bodies if _is_ahead(pose, body)]
        image = self._renderer.render(pose, [(mesh, body) for _, mesh, body in ahead])
        numbers = np.array([*(number for number, _, _ in ahead), -1], np.int16)  # place -1 is the static world
        seen = np.where(self.own_car, np.float32(0), self.depth)
        self._keep(index, View(pose, seen, numbers[self._renderer.body], {n: b for n, _, b in bodies}))
        sensor = self._sensor
        for adverse in self._adverse:
            image, sensor = adverse.on_view(image, self.depth, index), adverse.on_sensor(sensor, index)
        image = glare(image, self.depth, pose[:3, :3], self.intrinsics, self._light)
        if self._bonnet is not None:
            image = self._bonnet.over(image)
        return sensor.apply(image, index, self._blur(sensor, index))

    def flow(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """True flow (H, W, 2) float32, pixels, from image ``index`` to the next one, and where it is valid (H, W).

        Takes the images from those rendered last, else renders them. The own car is not valid, nor what
        ``optical_flow`` says. Raises DistilvoError where there is no next image.
        """
        first, second = self._view(index), self._view(index + 1)
        return optical_flow(first, second, self.intrinsics)

    def _view(self, index: int) -> View:
        if index not in self._views:
            self.render(index)
        return self._views[index]

    def _keep(self, index: int, view: View) -> None:
        """Of the views, the last two are kept: images that are written in order are rendered once."""
        self._views.pop(index, None)
        self._views = {**dict(list(self._views.items())[-1:]), index: view}

    def _load(self, part: int) -> None:
        """Make the renderer of one part of the scene, unless it is the current one; only one is kept."""
        if part != self._part:
            mesh = self._scene.mesh_of(part)
            self._renderer = Renderer(mesh, self._textures, self._light, self.size, self.intrinsics)
            self._part = part

    def _blur(self, sensor: SensorModel, index: int) -> NDArray[np.float32] | None:
        """Image motion (H, W, 2) over one frame interval, from the depth just rendered; None where it has no effect."""
        before = min(index, len(self) - 2)
        motion = np.linalg.inv(self.poses[before]) @ self.poses[before + 1]
        if max(sensor.shutter, sensor.readout) == 0.0 or np.abs(motion - np.eye(4)).max() < 1e-4:
            return None
        flow = shutter_flow(self.depth, self.intrinsics, motion, 1.0)
        flow[self.own_car] = 0
        return flow


def _is_ahead(pose: NDArray[np.float64], body: NDArray[np.float64]) -> bool:
    """Whether any of a car may be in front of the camera."""
    return float((body[:3, 3] - pose[:3, 3]) @ pose[:3, 2]) > -9.0


def sample_intrinsics(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    """Intrinsics for images of ``size`` (H, W): KITTI's fx / W and fy / H times one factor of 0.8 to 1.6, mostly 0.93
    to 1.15, and a principal point at most 3 % of the image from KITTI's."""
    height, width = size
    zoom = np.interp(rng.random(), (0.0, 0.1, 0.85, 1.0), (0.8, 0.93, 1.15, 1.6))
    shift = np.interp(rng.uniform(-1, 1, 2), (-1.0, -0.8, 0.8, 1.0), (-0.03, -0.015, 0.015, 0.03))
    cx, cy = (0.4897 + shift[0]) * width - 0.5, (0.4939 + shift[1]) * height - 0.5
    return np.array([[0.579 * zoom * width, 0.0, cx], [0.0, 1.912 * zoom * height, cy], [0.0, 0.0, 1.0]])


def make_street(seed: int, frames: int, size: tuple[int, int] = (96, 320), adverse: bool = False) -> Street:
    """A new street and a drive of ``frames`` images along it.

    Args:
        seed: chooses everything; the same seed and number of frames give the same drive in any size.
        frames: number of images, at least 2.
        size: (H, W) of the images in pixels.
        adverse: add darkness, blur, fog or traffic (see ``AdverseConditions``) to the very same drive.

    Raises:
        DistilvoError: for fewer than 2 frames, or an impossible size.
    """
    if frames < 2:
        raise DistilvoError(f"street: {frames} frames; expected at least 2")
    rng = np.random.default_rng([seed, 1])
    street_type = sample_street_type(rng)
    count = frames + int(np.ceil(_LOOKAHEAD * RATE_HZ))
    longest = START + count / RATE_HZ * street_type.cruise_speed * 1.2
    road = sample_road(rng, street_type, longest + street_type.view)
    stops = sample_stops(rng, longest, street_type)
    state = ride(rng, road, speed_limit(rng, road, street_type), stops, count, RATE_HZ)
    road = _shortened(road, float(state.s[-1]) + street_type.view)
    ground = Hills(rng, street_type.hill_height, street_type.cruise_speed)
    keeping = LaneKeeping(rng, street_type)
    filmed = replace(state, **{name: getattr(state, name)[:frames] for name in vars(state)})
    mount = sample_mount(rng)
    poses = camera_poses(ground, road, keeping, filmed, mount)
    road_map = make_map(rng, road, ground, street_type)
    conditions = (sample_adverse(seed, frames),) if adverse else ()
    scene = _scene(rng, road_map, street_type, state.s, poses[:, :2, 3], RATE_HZ, conditions)
    times = np.arange(frames) / RATE_HZ
    return Street(seed, size, poses, times, scene, mount.height, conditions)


def make_street_along(
    poses: NDArray[np.float64],
    seed: int,
    size: tuple[int, int] = (96, 320),
    times: NDArray[np.float64] | None = None,
    adverse: float = 0.0,
) -> Street:
    """A street built along given poses, e.g. those of a KITTI sequence; the camera follows them exactly.

    Args:
        poses: (N, 4, 4) camera-to-world, N >= 2, axes as in KITTI; they may cross their own track.
        seed: chooses scenery, light and sensor model.
        size: (H, W) of the images in pixels.
        times: (N,) seconds, increasing; 10 Hz if None.
        adverse: share of the drive's parts in adverse conditions, 0 to 1; see ``sample_adverse_parts``.

    Raises:
        DistilvoError: if the shapes do not fit or a value is not finite.
    """
    poses = np.asarray(poses, dtype=np.float64)
    if poses.ndim != 3 or poses.shape[1:] != (4, 4) or len(poses) < 2 or not np.isfinite(poses).all():
        raise DistilvoError(
            f"street: poses of shape {poses.shape}; expected at least two finite 4x4 matrices (N, 4, 4)"
        )
    times = np.arange(len(poses)) / 10.0 if times is None else np.asarray(times, dtype=np.float64)
    if times.shape != (len(poses),) or not (np.diff(times) > 0).all():
        raise DistilvoError(f"street: times of shape {times.shape}; expected {len(poses)} increasing seconds")
    rng = np.random.default_rng([seed, 2])
    world_poses = to_world(poses)
    street_type = street_type_along(rng, *pace(world_poses[:, :3, 3], times))
    road, s, laps = road_along(
        world_poses[:, :3, 3], street_type.half_width, street_type.driven_offset, street_type.view
    )
    road_map = make_map(rng, road, laps[0].ground, street_type)
    rate_hz = 1.0 / float(np.median(np.diff(times)))
    conditions = sample_adverse_parts(seed, len(poses), adverse)
    scene = _scene(rng, road_map, street_type, s, world_poses[:, :2, 3], rate_hz, conditions).over_laps(laps, s)
    return Street(seed, size, world_poses, times, scene, CAMERA_HEIGHT, conditions)


def _scene(
    rng: np.random.Generator,
    road_map: RoadMap,
    street_type: StreetType,
    s: NDArray[np.float64],
    camera: NDArray[np.float64],
    rate_hz: float,
    adverse: Sequence[AdverseConditions],
) -> Scene:
    parked = ParkedCars(rng, road_map, street_type)
    parked.keep_away(camera)
    traffic = Traffic(road_map, street_type, s, camera, rate_hz)
    movers = traffic.sample(rng)  # always drawn, so that the later draws do not depend on adverse conditions
    for conditions in adverse:
        if conditions.crowded:
            movers = conditions.traffic(traffic)
    for mover in movers:
        parked.keep_away(mover.ends())
    return Scene(build_scenery(road_map, street_type, rng, parked), movers)


def _shortened(road: Road, length: float) -> Road:
    """The first ``length`` metres."""
    count = min(len(road.xy), int(length / SPACING) + 1)
    rings = tuple(ring for ring in road.roundabouts if ring.s < length)
    return replace(
        road, xy=road.xy[:count], heading=road.heading[:count], covered=road.covered[:count], roundabouts=rings
    )
