"""Renderer of the built-in world: triangles to RGB images and depth, on one CPU core.

Pixel convention: the centre of pixel (column u, row v) has the integer coordinates (u, v), as in OpenCV, so a point
(x, y, z) in camera axes (x right, y down, z forward) appears at u = fx * x / z + cx and v = fy * y / z + cy. The
image covers u from -0.5 to W - 0.5; scaled by s it has cx' = (cx + 0.5) * s - 0.5, and cy likewise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.world.body_index import bodies_seen
from distilvo.world.kernels import MATERIAL, TRIANGLE, project, rasterise
from distilvo.world.lighting import Light
from distilvo.world.mesh import TEXTURES, Mesh
from distilvo.world.shading import resolve
from distilvo.world.shadows import shadow_map
from distilvo.world.textures import TextureSet
from distilvo.world.triangles import Geometry, geometry

_WATER = {"road": 1.0, "asphalt": 1.0, "lane": 1.0, "line": 1.0, "sidewalk": 0.6, "gravel": 0.3}  # how well it stands
_SPECIAL = ("cloud", "glass", "car_front", "car_back", "truck_back")  # textures that the shading treats apart
NEAR = 0.1  # metres
MAX_SAMPLES = 8  # of anisotropic filtering
FOG_STEPS = 4096  # quarter metres
WETTABLE = np.array([_WATER.get(name, 0.0) for name in TEXTURES], np.float32)
MAX_MOVING = 256  # prepared meshes kept


def check_camera(size: tuple[int, int], intrinsics: NDArray[np.float64]) -> None:
    """Raise DistilvoError unless ``size`` (H, W) and the 3x3 ``intrinsics`` make a pinhole camera."""
    if len(size) != 2 or min(size) < 1:
        raise DistilvoError(f"camera: size is {size}, expected (height, width), both at least 1")
    if intrinsics.shape != (3, 3) or not np.isfinite(intrinsics).all():
        raise DistilvoError(f"camera: intrinsics of shape {intrinsics.shape}, expected a finite 3x3 matrix")
    zeros = intrinsics[[0, 1, 2, 2], [1, 0, 0, 1]]
    if intrinsics[0, 0] <= 0 or intrinsics[1, 1] <= 0 or zeros.any() or intrinsics[2, 2] != 1:
        rows = np.array2string(intrinsics, precision=3).replace("\n", "")
        raise DistilvoError(f"camera: intrinsics {rows}, expected [fx 0 cx; 0 fy cy; 0 0 1] with fx, fy > 0")


def _transform(name: str, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    if np.shape(matrix) != (4, 4) or not np.isfinite(matrix).all():
        raise DistilvoError(f"render: {name} of shape {np.shape(matrix)}, expected a finite 4x4 matrix")
    if abs(np.linalg.det(matrix)) < 1e-9:
        raise DistilvoError(f"render: {name} is singular, expected rotation and translation; check its rows")
    return np.asarray(matrix, np.float64)


class Renderer:
    """Draws one static mesh, and moving ones with it, under one light. Deterministic; not for several threads at once.

    Attributes:
        depth: (H, W) float32, distance along the optical axis in metres in the last image; 0 where the sky is.
        body: (H, W) int16, which element of ``moving`` each pixel of the last image shows; -1 where it shows the static
            mesh or the sky.
    """

    depth: NDArray[np.float32]
    body: NDArray[np.int16]
    _triangles: NDArray[np.float64]
    _materials: NDArray[np.float32]
    _texture: NDArray[np.int32]
    _cutout: NDArray[np.uint8]

    def __init__(
        self,
        mesh: Mesh,
        textures: TextureSet,
        light: Light,
        size: tuple[int, int],
        intrinsics: NDArray[np.float64],
    ) -> None:
        """``size`` is (H, W); ``intrinsics`` is 3x3 for pixel centres at integers.

        Raises DistilvoError for an impossible camera or mesh.
        """
        self.intrinsics = np.array(intrinsics, np.float64)
        check_camera(size, self.intrinsics)
        self.size = int(size[0]), int(size[1])
        self._textures, self._light = textures, light
        self._static = geometry(mesh)
        self._moving: dict[int, tuple[Mesh, Geometry]] = {}
        self._sun = np.array(light.sun, np.float64)
        self._sun_colour, self._ambient = np.array(light.sun_colour), np.array(light.ambient)
        s = self._static
        self._shadows = shadow_map(s.corners, s.texture, s.cutout, textures, self._sun)
        self._weather = light.weather()
        self._special = np.array([TEXTURES.index(name) for name in _SPECIAL])
        self._sky = [np.array(c, np.float32) for c in (light.zenith, light.horizon, light.cloud_colour)]
        self._fog = (1 - np.exp(-light.fog * np.arange(FOG_STEPS) / 4)).astype(np.float32)
        self._tone = light.response()
        self._planes = self._frustum()
        height, width = self.size
        self._inverse_depth = np.zeros((2 * height, 2 * width), np.float32)
        self._index = np.zeros((2 * height, 2 * width), np.int32)
        self.depth = np.zeros(self.size, np.float32)
        self.body = np.full(self.size, -1, np.int16)
        self._reserve(2 * len(s.corners), 0)

    def render(
        self,
        pose: NDArray[np.float64],
        moving: Sequence[tuple[Mesh, NDArray[np.float64]]] = (),
    ) -> NDArray[np.uint8]:
        """The image from ``pose`` (4, 4), camera-to-world with camera axes x right, y down, z forward.

        ``moving`` gives further meshes, each in its own frame, with their body-to-world transforms (4, 4).
        Returns (H, W, 3) uint8 RGB and leaves ``depth`` and ``body``. Raises DistilvoError for a matrix that is none.
        """
        pose = _transform("camera-to-world", pose)
        self._inverse_depth.fill(0)
        self._index.fill(-1)
        count = 0
        ends = np.empty(len(moving), np.int32)
        for number, (mesh, body) in enumerate(moving):
            count = self._project(self._prepared(mesh), _transform("body-to-world", body), pose, count)
            ends[number] = count
        count = self._project(self._static, np.eye(4), pose, count)
        t, height, width = self._textures, *self.size
        rasterise(
            self._triangles, self._texture, self._cutout, count, t.opacity, t.offsets, t.sizes,
            self._inverse_depth, self._index,
        )  # fmt: skip
        bodies_seen(self._index, ends, self.body)
        out = np.empty((height, width, 3), np.uint8)
        shadows, zenith, horizon, cloud = self._shadows, *self._sky
        rays = pose[:3, :3] @ np.linalg.inv(self.intrinsics)
        resolve(
            self._triangles, self._materials, self._texture, self._index, rays, np.linalg.inv(rays), pose[:3, 3].copy(),
            t.texels, t.offsets, t.sizes, self._special, WETTABLE,
            self._sun, zenith, horizon, cloud, self._weather, self._fog,
            shadows.origin, shadows.scale, shadows.table, shadows.pages,
            np.float32(self._light.saturation), self._tone, MAX_SAMPLES, out, self.depth,
        )  # fmt: skip
        return out

    def _prepared(self, mesh: Mesh) -> Geometry:
        """``mesh`` as geometry, kept for the next image; the mesh is kept too so that its id stays its own."""
        if id(mesh) not in self._moving:
            if len(self._moving) >= MAX_MOVING:
                self._moving.clear()
            self._moving[id(mesh)] = mesh, geometry(mesh)
        return self._moving[id(mesh)][1]

    def _frustum(self) -> NDArray[np.float64]:
        """(5, 4) inward planes (unit normal, distance) of what the camera sees, in camera axes."""
        height, width = self.size
        (fx, _, cx), (_, fy, cy) = self.intrinsics[:2]
        right, below = width - 0.5 - cx, height - 0.5 - cy
        sides = np.array([[fx, 0, cx + 0.5], [-fx, 0, right], [0, fy, cy + 0.5], [0, -fy, below]])
        sides /= np.linalg.norm(sides, axis=1, keepdims=True)
        return np.vstack([np.column_stack([sides, np.zeros(4)]), [0, 0, 1, -NEAR]])

    def _reserve(self, capacity: int, kept: int) -> None:
        """Make room for ``capacity`` projected triangles; the first ``kept`` stay."""
        capacity += 1  # the kernel may try a row before it decides against it
        triangles, materials = np.empty((capacity, TRIANGLE)), np.empty((capacity, MATERIAL), np.float32)
        texture, cutout = np.empty(capacity, np.int32), np.empty(capacity, np.uint8)
        if kept:
            triangles[:kept], materials[:kept] = self._triangles[:kept], self._materials[:kept]
            texture[:kept], cutout[:kept] = self._texture[:kept], self._cutout[:kept]
        self._triangles, self._materials, self._texture, self._cutout = triangles, materials, texture, cutout

    def _project(self, shape: Geometry, body: NDArray[np.float64], pose: NDArray[np.float64], count: int) -> int:
        """Append what the camera sees of ``shape``, nearest chunks first; return the new count of triangles."""
        to_camera = np.linalg.inv(pose) @ body
        centres = shape.centres @ to_camera[:3, :3].T + to_camera[:3, 3]
        reach = centres @ self._planes[:, :3].T + self._planes[:, 3]
        seen = np.flatnonzero((reach > -shape.radii[:, None]).all(1))
        distance = np.linalg.norm(centres[seen], axis=1) - shape.radii[seen]
        spans = shape.spans[seen[np.argsort(distance, kind="stable")]]
        need = count + 2 * int((spans[:, 1] - spans[:, 0]).sum())
        if need >= len(self._triangles):
            self._reserve(2 * need, count)
        height, width = self.size
        (fx, _, cx), (_, fy, cy) = self.intrinsics[:2]
        samples = np.array([[2 * fx, 0, 2 * cx + 1], [0, 2 * fy, 2 * cy + 1], [0, 0, 1]])
        eye = np.linalg.solve(body, pose[:, 3])[:3]
        return int(
            project(
                shape.corners, shape.normals, shape.colours, shape.texture, shape.cutout, spans,
                samples @ to_camera[:3], eye, body[:3, :3].copy(), NEAR, 2 * width, 2 * height,
                self._sun, self._sun_colour, self._ambient, 1.3 / self._shadows.scale,
                self._triangles, self._materials, self._texture, self._cutout, count,
            )
        )  # fmt: skip
