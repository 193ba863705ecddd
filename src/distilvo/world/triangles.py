"""A mesh made ready for drawing: corners copied out per face, sorted into compact chunks that can be culled at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.world.mesh import TEXTURES, Mesh

CHUNK = 12.0  # metres


@dataclass(frozen=True)
class Geometry:
    """Attributes:
    corners: (F, 3, 5) float64 x, y, z [m], u, v; faces of one chunk are neighbours.
    normals: (F, 3) float64.
    colours: (F, 3) float64 linear factors.
    texture: (F,) int32.
    cutout: (F,) uint8.
    spans: (C, 2) int64 first and last + 1 face of each chunk.
    centres: (C, 3) float64 and radii: (C,) float64 of the chunks' bounding spheres [m].
    """

    corners: NDArray[np.float64]
    normals: NDArray[np.float64]
    colours: NDArray[np.float64]
    texture: NDArray[np.int32]
    cutout: NDArray[np.uint8]
    spans: NDArray[np.int64]
    centres: NDArray[np.float64]
    radii: NDArray[np.float64]


def check_mesh(mesh: Mesh) -> None:
    """Raise DistilvoError for a mesh that the kernels could not draw safely."""
    count, vertices = len(mesh.faces), len(mesh.vertices)
    if any(len(field) != count for field in (mesh.texture, mesh.normals, mesh.colour, mesh.cutout)):
        raise DistilvoError(f"mesh: its per-face arrays differ in length from its {count} faces; give one row per face")
    if len(mesh.uv) != vertices:
        raise DistilvoError(f"mesh: {len(mesh.uv)} uv rows for {vertices} vertices; give one row per vertex")
    if count and not (mesh.faces.min() >= 0 and mesh.faces.max() < vertices):
        raise DistilvoError(f"mesh: a face names a vertex outside 0..{vertices - 1}; check the faces' indices")
    if count and not (mesh.texture.min() >= 0 and mesh.texture.max() < len(TEXTURES)):
        raise DistilvoError(f"mesh: a texture index lies outside 0..{len(TEXTURES) - 1}; see TEXTURES in mesh.py")
    for name in ("vertices", "uv", "normals", "colour"):
        if not np.isfinite(getattr(mesh, name)).all():
            raise DistilvoError(f"mesh: its {name} are not all finite; look for quads without area")


def geometry(mesh: Mesh) -> Geometry:
    """Sort ``mesh`` into chunks. Raises DistilvoError where indices or numbers are impossible."""
    check_mesh(mesh)
    corners = np.concatenate([mesh.vertices, mesh.uv], axis=1)[mesh.faces]
    cell = np.floor(corners[:, :, :2].mean(1) / CHUNK)
    order = np.lexsort((cell[:, 1], cell[:, 0]))
    cell, corners = cell[order], np.ascontiguousarray(corners[order])
    fresh = np.ones(len(order), bool)
    fresh[1:] = (cell[1:] != cell[:-1]).any(1)
    first = np.flatnonzero(fresh)
    spans = np.stack([first, np.append(first[1:], len(order))], axis=1).reshape(-1, 2)
    if len(order):
        low = np.minimum.reduceat(corners[:, :, :3].min(1), first)
        high = np.maximum.reduceat(corners[:, :, :3].max(1), first)
    else:
        low = high = np.zeros((0, 3))
    return Geometry(
        corners=corners,
        normals=np.ascontiguousarray(mesh.normals[order], np.float64),
        colours=np.ascontiguousarray(mesh.colour[order], np.float64) ** 2,  # the display's gamma undone
        texture=np.ascontiguousarray(mesh.texture[order], np.int32),
        cutout=np.ascontiguousarray(mesh.cutout[order], np.uint8),
        spans=spans.astype(np.int64),
        centres=(low + high) / 2,
        radii=np.linalg.norm(high - low, axis=1) / 2,
    )
