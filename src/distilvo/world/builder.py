"""Puts meshes together from whole arrays of quads and boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distilvo.world.mesh import TEXTURES, Mesh

UNIT_UV = np.array([(0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
"""Texture corners of a quad whose corners run bottom left, bottom right, top right, top left."""

UP = np.array([0.0, 0.0, 1.0])


class MeshBuilder:
    """Collects quads; every call takes arrays of many primitives at once."""

    def __init__(self) -> None:
        self._vertices: list[NDArray[np.float64]] = []
        self._uv: list[NDArray[np.float64]] = []
        self._texture: list[NDArray[np.int32]] = []
        self._normals: list[ArrayLike | None] = []
        self._colour: list[NDArray[np.float64]] = []
        self._cutout: list[NDArray[np.uint8]] = []

    def quads(
        self,
        corners: ArrayLike,
        uv: ArrayLike,
        texture: str | NDArray[np.int32],
        colour: ArrayLike = (1.0, 1.0, 1.0),
        cutout: bool = False,
        normal: ArrayLike | None = None,
    ) -> None:
        """Add N quads.

        Args:
            corners: (N, 4, 3) metres, going round; a quad may have two equal corners (a triangle).
            uv: (N, 4, 2) or (4, 2) texture coordinates.
            texture: a name for all of them, or (N,) indices into ``TEXTURES``.
            colour: (N, 3) or (3,) factors on the texture's RGB.
            cutout: whether the texture's alpha cuts holes.
            normal: (3,) instead of the geometric normal, e.g. to light foliage evenly.
        """
        points = np.asarray(corners, dtype=np.float64).reshape(-1, 4, 3)
        count = len(points)
        if count == 0:
            return
        index = TEXTURES.index(texture) if isinstance(texture, str) else texture
        self._vertices.append(points)
        self._uv.append(np.broadcast_to(uv, (count, 4, 2)))
        self._texture.append(np.full(count, index, dtype=np.int32))
        self._normals.append(normal)
        self._colour.append(np.broadcast_to(colour, (count, 3)))
        self._cutout.append(np.full(count, cutout, dtype=np.uint8))

    def boxes(
        self,
        origin: NDArray[np.float64],
        edges: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
        side: str | NDArray[np.int32],
        top: str | None,
        tile: tuple[float, float] = (1.0, 1.0),
        colour: ArrayLike = (1.0, 1.0, 1.0),
    ) -> None:
        """Add N boxes: four sides, and a lid unless ``top`` is None.

        Args:
            origin: (N, 3) one bottom corner.
            edges: three (N, 3) edge vectors from it: along, across, up.
            side: texture of the sides (name or (N,) indices); its lower edge lies at the box's bottom.
            top: texture of the lid.
            tile: metres of one texture repeat, across and up.
            colour: (N, 3) or (3,).
        """
        origin = np.asarray(origin, dtype=np.float64).reshape(-1, 3)
        along, across, up = (np.broadcast_to(np.asarray(e, dtype=np.float64), origin.shape) for e in edges)
        if len(origin) == 0:
            return
        starts = np.concatenate([origin, origin + along, origin + along + across, origin + across])
        sides = np.concatenate([along, across, -along, -across])
        rise = np.concatenate([up] * 4)
        extents = np.linalg.norm(sides, axis=1) / tile[0], np.linalg.norm(rise, axis=1) / tile[1]
        corners = np.stack([starts, starts + sides, starts + sides + rise, starts + rise], axis=1)
        skin = side if isinstance(side, str) else np.tile(side, 4)
        paint = np.tile(np.broadcast_to(colour, origin.shape), (4, 1))
        self.quads(corners, _scaled_uv(*extents), skin, paint)
        if top is not None:
            lid = origin + up
            corners = np.stack([lid, lid + along, lid + along + across, lid + across], axis=1)
            extents = np.linalg.norm(along, axis=1) / tile[0], np.linalg.norm(across, axis=1) / tile[0]
            self.quads(corners, _scaled_uv(*extents), top, colour)

    def instances(self, mesh: Mesh, body_to_world: NDArray[np.float64]) -> None:
        """Add a copy of ``mesh`` (one made by a builder, so of whole quads) for each of the (N, 4, 4) rigid poses."""
        count, quads = len(body_to_world), len(mesh.faces) // 2
        if count == 0:
            return
        rotation, shift = body_to_world[:, None, :3, :3], body_to_world[:, None, :3, 3]
        self._vertices.append(
            ((rotation @ mesh.vertices[None, :, :, None])[..., 0] + shift).reshape(count * quads, 4, 3)
        )
        self._uv.append(np.tile(mesh.uv.reshape(quads, 4, 2), (count, 1, 1)))
        self._texture.append(np.tile(mesh.texture[::2], count))
        self._normals.append(None)
        self._colour.append(np.tile(mesh.colour[::2], (count, 1)))
        self._cutout.append(np.tile(mesh.cutout[::2], count))

    def build(self) -> Mesh:
        """The mesh of everything added so far; each quad is two consecutive faces and four vertices of its own."""
        vertices = np.concatenate(self._vertices).reshape(-1, 3)
        normals = _normals(vertices.reshape(-1, 4, 3))
        ends = np.cumsum([len(part) for part in self._vertices])
        for part, end, normal in zip(self._vertices, ends, self._normals, strict=True):
            if normal is not None:
                normals[end - len(part) : end] = normal
        first = 4 * np.arange(len(vertices) // 4, dtype=np.int32)[:, None, None]
        faces = first + np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
        return Mesh(
            vertices=vertices,
            uv=np.concatenate(self._uv).astype(np.float64).reshape(-1, 2),
            faces=np.ascontiguousarray(faces.reshape(-1, 3)),
            texture=np.repeat(np.concatenate(self._texture), 2),
            normals=np.repeat(normals, 2, axis=0),
            colour=np.repeat(np.concatenate(self._colour).astype(np.float64), 2, axis=0),
            cutout=np.repeat(np.concatenate(self._cutout), 2),
        )


def _scaled_uv(width: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    return UNIT_UV * np.stack([width, height], axis=-1)[:, None, :]


def _normals(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit normals (N, 3) of quads (N, 4, 3); written out because ``np.cross`` is slow on wide arrays."""
    (ax, ay, az), (bx, by, bz) = (corners[:, 2] - corners[:, 0]).T, (corners[:, 3] - corners[:, 1]).T
    normals = np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)
    return np.asarray(normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12))
