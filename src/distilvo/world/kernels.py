"""Numba kernels of the rasteriser: geometry. Colours are made in ``shading.py``.

An image is made in three steps: ``project`` clips and projects triangles and computes their light terms once each;
``rasterise`` writes the nearest triangle's index into a grid of 2x2 samples per pixel; ``shading.resolve`` shades every
pixel once per triangle that it shows. No fastmath and one thread: the same input gives the same bytes.

Sample coordinates: pixel centre u lies at 2u + 1 and sample k at k + 0.5, so a pixel owns samples 2u and 2u + 1.
"""

# numba infers the types of arguments:
# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

import numpy as np
from numba import njit

U = np.uint64  # unsigned indices spare numba the test for negative ones
F = np.float32
PAGE = 64  # texels along one side of a shadow page; neighbours share one row so that a 2x2 lookup stays in one page
TRIANGLE = 20  # y0, y1, three edges (a, b, c), then the planes of 1/z, u/z, v/z
HOLE = np.uint8(110)  # a cut-out is open where its alpha is at most this
MATERIAL = 11  # ambient rgb, sun rgb, shadow bias, normal xyz towards the camera, 1 where alpha means gloss


@njit(cache=True, error_model="numpy")
def _plane_equations(screen, row, width, height):
    """Fill ``row`` from three projected corners (x, y, 1/z, u/z, v/z); False where no sample row is touched."""
    x0, y0, x1, y1, x2, y2 = screen[0, 0], screen[0, 1], screen[1, 0], screen[1, 1], screen[2, 0], screen[2, 1]
    if max(x0, x1, x2) <= 0 or min(x0, x1, x2) >= width:
        return False
    first = max(0.0, math.ceil(min(y0, y1, y2) - 0.5))
    last = min(float(height), math.ceil(max(y0, y1, y2) - 0.5))
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    if not first < last or not abs(area) > 1e-9:
        return False
    s = 1.0 if area > 0 else -1.0
    row[0] = first
    row[1] = last
    row[2] = s * (y1 - y2)
    row[3] = s * (x2 - x1)
    row[4] = s * (x1 * y2 - x2 * y1)
    row[5] = s * (y2 - y0)
    row[6] = s * (x0 - x2)
    row[7] = s * (x2 * y0 - x0 * y2)
    row[8] = s * (y0 - y1)
    row[9] = s * (x1 - x0)
    row[10] = s * (x0 * y1 - x1 * y0)
    scale = s / area
    for m in range(3):
        q0, q1, q2 = screen[0, 2 + m] * scale, screen[1, 2 + m] * scale, screen[2, 2 + m] * scale
        row[11 + 3 * m] = row[2] * q0 + row[5] * q1 + row[8] * q2
        row[12 + 3 * m] = row[3] * q0 + row[6] * q1 + row[9] * q2
        row[13 + 3 * m] = row[4] * q0 + row[7] * q1 + row[10] * q2
    return True


@njit(cache=True, error_model="numpy")
def _light_terms(normal, corner, eye, rotation, colour, cutout, sun, sun_colour, ambient, texel, out):
    """Fill one row of ``materials``. ``normal``, ``corner``, ``eye``: in the body's frame; ``out``: the world's."""
    facing = 0.0
    for k in range(3):
        facing += normal[k] * (corner[k] - eye[k])
    sign = -1.0 if facing > 0 else 1.0
    nx = sign * (rotation[0, 0] * normal[0] + rotation[0, 1] * normal[1] + rotation[0, 2] * normal[2])
    ny = sign * (rotation[1, 0] * normal[0] + rotation[1, 1] * normal[1] + rotation[1, 2] * normal[2])
    nz = sign * (rotation[2, 0] * normal[0] + rotation[2, 1] * normal[1] + rotation[2, 2] * normal[2])
    cosine = max(0.0, nx * sun[0] + ny * sun[1] + nz * sun[2])
    if cutout:  # leaves let light through and point everywhere
        cosine = 0.35 + 0.45 * cosine
    hemisphere = 0.72 + 0.28 * nz
    for k in range(3):
        out[k] = colour[k] * ambient[k] * hemisphere
        out[3 + k] = colour[k] * sun_colour[k] * cosine
    out[6] = 0.08 + min(2.5, (abs(nx) + abs(ny)) * sun[2] / max(cosine, 0.05) * texel)
    out[7], out[8], out[9] = nx, ny, nz
    out[10] = 0.0 if cutout else 1.0


@njit(cache=True, error_model="numpy")
def project(
    corners, normals, colours, texture, cutout, spans, matrix, eye, rotation, near, width, height,
    sun, sun_colour, ambient, texel, triangles, materials, textures, cutouts, count,
):  # fmt: skip
    """Append the triangles of ``spans`` that the camera can see to ``triangles``; return the new count.

    ``matrix`` (3, 4) takes body coordinates to (x z, y z, z) in samples; ``eye`` (3,): the camera in the body's frame.
    """
    cam = np.empty((3, 3))
    poly = np.empty((4, 5))
    screen = np.empty((3, 5))
    for s in range(spans.shape[0]):
        for t in range(spans[s, 0], spans[s, 1]):
            ahead = 0
            left = right = above = below = 0
            for k in range(3):
                px, py, pz = corners[t, k, 0], corners[t, k, 1], corners[t, k, 2]
                z = matrix[2, 0] * px + matrix[2, 1] * py + matrix[2, 2] * pz + matrix[2, 3]
                x = matrix[0, 0] * px + matrix[0, 1] * py + matrix[0, 2] * pz + matrix[0, 3]
                y = matrix[1, 0] * px + matrix[1, 1] * py + matrix[1, 2] * pz + matrix[1, 3]
                cam[k, 0], cam[k, 1], cam[k, 2] = x, y, z
                ahead += z >= near
                left += x < 0
                above += y < 0
                right += x > width * z
                below += y > height * z
            if ahead == 0 or (ahead == 3 and (left == 3 or right == 3 or above == 3 or below == 3)):
                continue
            n = 0
            for k in range(3):
                j = (k + 1) % 3
                if cam[k, 2] >= near:
                    poly[n, 0], poly[n, 1], poly[n, 2] = cam[k, 0], cam[k, 1], cam[k, 2]
                    poly[n, 3], poly[n, 4] = corners[t, k, 3], corners[t, k, 4]
                    n += 1
                if (cam[k, 2] >= near) != (cam[j, 2] >= near):
                    # always cut from the far side: the neighbour that shares this edge finds the same point
                    p, q = (j, k) if cam[k, 2] > cam[j, 2] else (k, j)
                    w = (near - cam[p, 2]) / (cam[q, 2] - cam[p, 2])
                    poly[n, 0] = cam[p, 0] + w * (cam[q, 0] - cam[p, 0])
                    poly[n, 1] = cam[p, 1] + w * (cam[q, 1] - cam[p, 1])
                    poly[n, 2] = near
                    poly[n, 3] = corners[t, p, 3] + w * (corners[t, q, 3] - corners[t, p, 3])
                    poly[n, 4] = corners[t, p, 4] + w * (corners[t, q, 4] - corners[t, p, 4])
                    n += 1
            for k in range(1, n - 1):
                for e in range(3):
                    i = 0 if e == 0 else k + e - 1
                    iz = 1.0 / poly[i, 2]
                    screen[e, 0], screen[e, 1], screen[e, 2] = poly[i, 0] * iz, poly[i, 1] * iz, iz
                    screen[e, 3], screen[e, 4] = poly[i, 3] * iz, poly[i, 4] * iz
                if _plane_equations(screen, triangles[count], width, height):
                    _light_terms(
                        normals[t], corners[t, 0], eye, rotation, colours[t], cutout[t],
                        sun, sun_colour, ambient, texel, materials[count],
                    )  # fmt: skip
                    textures[count] = texture[t]
                    cutouts[count] = cutout[t]
                    count += 1
    return count


@njit(inline="always", error_model="numpy")
def _row_span(row, yc, lo, hi):
    """The half-open span of samples in [lo, hi) whose centres lie inside the triangle on the line y = yc."""
    for e in range(3):
        a = row[2 + 3 * e]
        k = row[3 + 3 * e] * yc + row[4 + 3 * e]
        if a > 0:
            lo = max(lo, int(min(math.ceil(max(-k / a - 0.5, -1.0)), hi + 1.0)))
        elif a < 0:
            hi = min(hi, int(max(math.ceil(min(-k / a - 0.5, hi + 1.0)), -1.0)))
        elif k < 0:
            hi = -1
    return lo, hi


@njit(cache=True, error_model="numpy")
def _cutout_level(row, levels, log_w, log_h, width):
    """Mip level for the alpha test: one for the whole triangle, from the texel density in its middle."""
    y = 0.5 * (row[0] + row[1])
    lo, hi = _row_span(row, math.floor(y) + 0.5, 0, width)
    x = 0.5 * (lo + hi) if lo < hi else 0.5 * width
    iz = row[13] + row[12] * y + row[11] * x
    if not iz > 1e-9:
        return 0
    z = 1.0 / iz
    u = (row[16] + row[14] * x + row[15] * y) * z
    v = (row[19] + row[17] * x + row[18] * y) * z
    du = max(abs(row[14] - u * row[11]), abs(row[15] - u * row[12])) * z * (1 << log_w)
    dv = max(abs(row[17] - v * row[11]), abs(row[18] - v * row[12])) * z * (1 << log_h)
    level = int(max(0.0, math.log2(max(du, dv, 1e-6)) + 0.5))
    return max(0, min(level, levels - 2))


@njit(inline="always", error_model="numpy")
def _fill_opaque(row, t, inverse_depth, index):
    dx = row[11]
    for y in range(int(row[0]), int(row[1])):
        yc = y + 0.5
        lo, hi = _row_span(row, yc, 0, index.shape[1])
        start = row[13] + row[12] * yc + dx * 0.5
        zs, ids = inverse_depth[y], index[y]
        for x in range(lo, hi):
            d = F(start + dx * x)
            if d > zs[U(x)]:
                zs[U(x)] = d
                ids[U(x)] = t


@njit(inline="always", error_model="numpy")
def _fill_cutout(row, t, opacity, base, log_w, log_h, inverse_depth, index):
    mask_w, mask_h = (1 << log_w) - 1, (1 << log_h) - 1
    scale_w, scale_h = float(1 << log_w), float(1 << log_h)
    dx, du, dv = row[11], row[14] * scale_w, row[17] * scale_h
    for y in range(int(row[0]), int(row[1])):
        yc = y + 0.5
        lo, hi = _row_span(row, yc, 0, index.shape[1])
        start = row[13] + row[12] * yc + dx * 0.5
        ur = (row[16] + row[15] * yc + row[14] * 0.5) * scale_w
        vr = (row[19] + row[18] * yc + row[17] * 0.5) * scale_h
        zs, ids = inverse_depth[y], index[y]
        for x in range(lo, hi):
            iz = start + dx * x
            if F(iz) > zs[U(x)]:
                z = 1.0 / iz
                iu = math.floor((ur + du * x) * z) & mask_w
                iv = math.floor((vr + dv * x) * z) & mask_h
                if opacity[U(base + (iv << log_w) + iu)] > HOLE:
                    zs[U(x)] = F(iz)
                    ids[U(x)] = t


@njit(cache=True, error_model="numpy")
def rasterise(triangles, textures, cutouts, count, opacity, offsets, sizes, inverse_depth, index):
    """Write the nearest triangle of every sample into ``index`` and its 1/z into ``inverse_depth``."""
    for t in range(count):
        if not cutouts[t]:
            _fill_opaque(triangles[t], t, inverse_depth, index)
    for t in range(count):  # after the walls, which hide many a tree
        if cutouts[t]:
            tx = textures[t]
            level = _cutout_level(triangles[t], sizes[tx, 2], sizes[tx, 0], sizes[tx, 1], index.shape[1])
            log_w, log_h, base = sizes[tx, 0] - level, sizes[tx, 1] - level, offsets[tx, level]
            _fill_cutout(triangles[t], t, opacity, base, log_w, log_h, inverse_depth, index)


@njit(cache=True, error_model="numpy")
def mark_shadow_pages(casters, table):
    """Number the pages that the casters (F, 3, 5; x and y in texels) may touch, into ``table`` (-1 elsewhere)."""
    pages = 0
    step = PAGE - 1
    for t in range(casters.shape[0]):
        c = casters[t]
        x0 = max(0, int((min(c[0, 0], c[1, 0], c[2, 0]) - 1) // step))
        y0 = max(0, int((min(c[0, 1], c[1, 1], c[2, 1]) - 1) // step))
        x1 = min(table.shape[1] - 1, int(max(c[0, 0], c[1, 0], c[2, 0]) // step))
        y1 = min(table.shape[0] - 1, int(max(c[0, 1], c[1, 1], c[2, 1]) // step))
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                if table[y, x] < 0:
                    table[y, x] = pages
                    pages += 1
    return pages


@njit(cache=True, error_model="numpy")
def cast_shadows(casters, texture, cutout, opacity, offsets, sizes, table, pages):
    """Keep in every texel of ``pages`` (n, PAGE, PAGE) the greatest height of what stands between it and the sun."""
    step = PAGE - 1
    row = np.empty(TRIANGLE)
    local = np.empty((3, 5))
    for t in range(casters.shape[0]):
        c = casters[t]
        tx = texture[t]
        level = max(0, min(2, sizes[tx, 2]))
        log_w, log_h = sizes[tx, 0] - level, sizes[tx, 1] - level
        mask_w, mask_h, base = (1 << log_w) - 1, (1 << log_h) - 1, offsets[tx, level]
        x0 = max(0, int((min(c[0, 0], c[1, 0], c[2, 0]) - 1) // step))
        y0 = max(0, int((min(c[0, 1], c[1, 1], c[2, 1]) - 1) // step))
        x1 = min(table.shape[1] - 1, int(max(c[0, 0], c[1, 0], c[2, 0]) // step))
        y1 = min(table.shape[0] - 1, int(max(c[0, 1], c[1, 1], c[2, 1]) // step))
        for py in range(y0, y1 + 1):
            for px in range(x0, x1 + 1):
                for k in range(3):
                    local[k] = c[k]
                    local[k, 0] -= px * step
                    local[k, 1] -= py * step
                if not _plane_equations(local, row, PAGE, PAGE):
                    continue
                page = pages[table[py, px]]
                for y in range(int(row[0]), int(row[1])):
                    yc = y + 0.5
                    lo, hi = _row_span(row, yc, 0, PAGE)
                    for x in range(lo, hi):
                        xc = x + 0.5
                        height = F(row[13] + row[12] * yc + row[11] * xc)
                        if height > page[y, x]:
                            if cutout[t]:
                                u = row[16] + row[15] * yc + row[14] * xc
                                v = row[19] + row[18] * yc + row[17] * xc
                                iu = math.floor(u * (1 << log_w)) & mask_w
                                iv = math.floor(v * (1 << log_h)) & mask_h
                                if opacity[U(base + (iv << log_w) + iu)] <= HOLE:
                                    continue
                            page[y, x] = height
