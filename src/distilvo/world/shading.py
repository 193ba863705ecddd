"""Numba kernel that turns visible triangles into colours: textures, sun and shadow, gloss, water, lamps, fog, sky.

Kept apart from ``kernels.py`` with nothing but constants in common: numba's on-disk cache does not see edits made in
another file. So the checksum of ``weather.py``, whose functions the kernel calls, stands here. No fastmath: the same
input gives the same bytes.
"""

# numba infers the types of arguments:
# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

import numpy as np
from numba import njit

from distilvo.world.kernels import PAGE
from distilvo.world.weather import lamplight, mirror, mirrored, sheen, vehicle_lamp, window

U = np.uint64  # unsigned indices spare numba the test for negative ones
F = np.float32
LANES = U(0x00FF00FF00FF00FF)
ROUND = U(0x0080008000800080)
WEATHER = 0x9B1FC05E  # CRC-32 of weather.py


@njit(inline="always", error_model="numpy")
def _bilinear(texels, base, log_w, log_h, u, v):
    """One texel between its four neighbours. Four 16-bit lanes in a uint64 and weights that sum to 256: one multiply
    serves all four channels."""
    fx = int(u * (256 << log_w) + 268435328.0)  # 24.8 fixed point; 2^28 keeps it positive, less half a texel
    fy = int(v * (256 << log_h) + 268435328.0)
    ax, ay, ix, iy = fx & 255, fy & 255, fx >> 8, fy >> 8
    mask_w, mask_h = (1 << log_w) - 1, (1 << log_h) - 1
    i0, i1 = ix & mask_w, (ix + 1) & mask_w
    j0, j1 = base + ((iy & mask_h) << log_w), base + (((iy + 1) & mask_h) << log_w)
    w11 = (ax * ay) >> 8
    w10, w01 = ax - w11, ay - w11
    w00 = 256 - ax - w01
    top = texels[U(j0 + i0)] * U(w00) + texels[U(j0 + i1)] * U(w10)
    bottom = texels[U(j1 + i0)] * U(w01) + texels[U(j1 + i1)] * U(w11)
    return ((top + bottom + ROUND) >> U(8)) & LANES


@njit(inline="always", error_model="numpy")
def _filtered(row, z, u, v, tx, texels, offsets, sizes, max_samples):
    """Trilinear, anisotropic texture value (r, g, b, a in 0..1) over one pixel's footprint."""
    log_w, log_h, top = sizes[tx, 0], sizes[tx, 1], sizes[tx, 2]
    tw, th, k = float(1 << log_w), float(1 << log_h), 2 * z  # a pixel is two samples wide
    ux, uy = (row[14] - u * row[11]) * k, (row[15] - u * row[12]) * k
    vx, vy = (row[17] - v * row[11]) * k, (row[18] - v * row[12]) * k
    lx = ux * tw * ux * tw + vx * th * vx * th
    ly = uy * tw * uy * tw + vy * th * vy * th
    if lx > ly:
        major, minor, du, dv = lx, ly, ux, vx
    else:
        major, minor, du, dv = ly, lx, uy, vy
    n = 1
    while n < max_samples and major > minor * (n + 0.3) * (n + 0.3):
        n += 1
    inverse = 1.0 / n
    major *= inverse * inverse
    level = 0
    while major >= 4.0 and level < top:
        major *= 0.25
        level += 1
    blend = 0
    if major > 1.0 and level < top:
        blend = int((math.sqrt(major) - 1.0) * 256)  # linear inside the octave: a cheap log2
    if blend > 243:
        level += 1
        blend = 0
    uu, vv = u + du * (0.5 * inverse - 0.5), v + dv * (0.5 * inverse - 0.5)
    du *= inverse
    dv *= inverse
    total = U(0)
    b0, b1 = offsets[tx, level], offsets[tx, level + 1]
    w1, w0 = U(blend), U(256 - blend)
    for _ in range(n):
        c = _bilinear(texels, b0, log_w - level, log_h - level, uu, vv)
        if blend > 12:
            coarse = _bilinear(texels, b1, log_w - level - 1, log_h - level - 1, uu, vv)
            c = ((c * w0 + coarse * w1 + ROUND) >> U(8)) & LANES
        total += c
        uu += du
        vv += dv
    scale = F(inverse) * F(1 / 255.0)
    return (
        F(total & U(65535)) * scale,
        F((total >> U(16)) & U(65535)) * scale,
        F((total >> U(32)) & U(65535)) * scale,
        F(total >> U(48)) * scale,
    )


@njit(inline="always", error_model="numpy")
def _sunlit(x, y, z, bias, sun_x, sun_y, shadow_origin, shadow_scale, table, pages):
    """Share of the sun that reaches a point: 0 in shadow, 1 outside, between at a border."""
    gx = (x - z * sun_x - shadow_origin[0]) * shadow_scale - 0.5
    gy = (y - z * sun_y - shadow_origin[1]) * shadow_scale - 0.5
    lit = F(1)
    if gx >= 0 and gy >= 0 and gx < table.shape[1] * (PAGE - 1) and gy < table.shape[0] * (PAGE - 1):
        ix, iy = int(gx), int(gy)
        px, py = ix // (PAGE - 1), iy // (PAGE - 1)
        number = table[U(py), U(px)]
        if number >= 0:
            page = pages[U(number)]
            ax, ay, height = F(gx - ix), F(gy - iy), F(z + bias)
            i, j = U(ix - px * (PAGE - 1)), U(iy - py * (PAGE - 1))
            upper = F(0)
            lower = F(0)
            if page[j, i] > height:
                upper += F(1) - ax
            if page[j, i + U(1)] > height:
                upper += ax
            if page[j + U(1), i] > height:
                lower += F(1) - ax
            if page[j + U(1), i + U(1)] > height:
                lower += ax
            lit = F(1) - upper - ay * (lower - upper)
    return lit


@njit(inline="always", error_model="numpy")
def _sky(dx, dy, dz, texels, offsets, sizes, cloud_texture, sun, zenith, horizon, cloud_colour, clouds):
    """Linear sky colour along a direction: gradient, clouds on a flat ceiling, glow around the sun.

    ``clouds``: see ``Light.weather``.
    """
    scale = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
    up = max(dz * scale, 0.0)
    low = (1.0 - up) * (1.0 - up)
    high = F(1.0 - low * low)
    r = horizon[0] + high * (zenith[0] - horizon[0])
    g = horizon[1] + high * (zenith[1] - horizon[1])
    b = horizon[2] + high * (zenith[2] - horizon[2])
    k = 0.35 * scale / (up + 0.12)
    level = min(2, sizes[cloud_texture, 2])
    u, v = dx * k + clouds[1], dy * k + clouds[2]
    value = _bilinear(
        texels, offsets[cloud_texture, level], sizes[cloud_texture, 0] - level, sizes[cloud_texture, 1] - level, u, v
    )
    density = float(value & U(255)) * (1 / 255.0)
    m = F(min(1.0, max(0.0, (density - (0.8 - 0.75 * clouds[0])) * 2.4)) * min(1.0, up * 6))
    shade = F(1.12 - 0.3 * density)
    r += m * (cloud_colour[0] * shade - r)
    g += m * (cloud_colour[1] * shade - g)
    b += m * (cloud_colour[2] * shade - b)
    towards = (dx * sun[0] + dy * sun[1] + dz * sun[2]) * scale
    if towards > 0.9:
        glow = (towards - 0.9) * 10.0
        glow = glow * glow
        glow = F(glow * glow * clouds[3]) * (F(1) - F(0.6) * m)
        if towards > 0.9994:  # the disc
            glow *= F(6)
        r += glow
        g += glow * F(0.92)
        b += glow * F(0.75)
    return r, g, b


@njit(inline="always", error_model="numpy")
def _display(tone, radiance):
    """The 8-bit value of a linear radiance."""
    step = math.sqrt(radiance) * F(1024)
    return tone[int(step)] if step < F(2047) else tone[2047]


@njit(cache=True, error_model="numpy")
def resolve(
    triangles, materials, textures, index, rays, to_pixels, eye, texels, offsets, sizes, special, wettable,
    sun, zenith, horizon, cloud_colour, weather, fog, shadow_origin, shadow_scale, table, pages, saturation,
    tone, max_samples, out, depth,
):  # fmt: skip
    """Shade every pixel into ``out`` (H, W, 3) uint8 and ``depth`` (H, W) float32.

    ``rays`` (3, 3) takes (column, row, 1) of a pixel to its ray in the world, one metre long along the optical axis;
    ``to_pixels`` is its inverse, made outside: numba's own linear algebra would need scipy.
    ``special`` are the textures of clouds, glass, cars' front and back, and lorries' back; ``wettable`` (T,) 0..1 says
    how well water stands on each texture; ``weather``: see ``Light.weather``.
    """
    cloud_texture, wet, headlights, lamps = special[0], weather[4], weather[5], F(weather[6])
    radiance = np.empty((out.shape if wet > 0 else (1, 1, 3)), np.float32)
    sun_x, sun_y = sun[0] / sun[2], sun[1] / sun[2]
    ids = np.empty(4, np.int32)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            red = green = blue = F(0)
            ids[0], ids[1] = index[U(2 * y), U(2 * x)], index[U(2 * y), U(2 * x + 1)]
            ids[2], ids[3] = index[U(2 * y + 1), U(2 * x)], index[U(2 * y + 1), U(2 * x + 1)]
            whole = ids[0] == ids[1] and ids[0] == ids[2] and ids[0] == ids[3]
            done = most = 0
            nearest = 0.0
            for q in range(1 if whole else 4):
                if (done >> q) & 1:
                    continue
                t, n, px, py = ids[q], 4, float(x), float(y)
                if not whole:  # shade at the middle of the samples that this triangle covers
                    n = 0
                    sx = sy = 0.0
                    for p in range(q, 4):
                        if ids[p] == t:
                            done |= 1 << p
                            n += 1
                            sx += (p & 1) - 0.5
                            sy += (p >> 1) - 0.5
                    px += 0.5 * sx / n
                    py += 0.5 * sy / n
                dx = rays[0, 0] * px + rays[0, 1] * py + rays[0, 2]
                dy = rays[1, 0] * px + rays[1, 1] * py + rays[1, 2]
                dz = rays[2, 0] * px + rays[2, 1] * py + rays[2, 2]
                z = 0.0
                if t < 0:
                    r, g, b = _sky(
                        dx, dy, dz, texels, offsets, sizes, cloud_texture, sun, zenith, horizon, cloud_colour, weather
                    )
                else:
                    row, material = triangles[U(t)], materials[U(t)]
                    gx, gy = 2 * px + 1, 2 * py + 1
                    z = 1.0 / (row[13] + row[11] * gx + row[12] * gy)
                    u = (row[16] + row[14] * gx + row[15] * gy) * z
                    v = (row[19] + row[17] * gx + row[18] * gy) * z
                    r, g, b, a = _filtered(row, z, u, v, textures[U(t)], texels, offsets, sizes, max_samples)
                    lit = F(0)
                    wx, wy, wz = eye[0] + dx * z, eye[1] + dy * z, eye[2] + dz * z
                    if material[4] > 0:
                        lit = _sunlit(wx, wy, wz, material[6], sun_x, sun_y, shadow_origin, shadow_scale, table, pages)
                        if weather[3] > 1.0 and material[9] > 0.9:
                            lit *= sheen(dx, dy, dz, sun)
                    r, g, b = r * r, g * g, b * b  # squaring is the display's gamma undone
                    patch = film = F(0)
                    tx = textures[U(t)]
                    water = F(wet) * wettable[tx] if material[9] > 0.9 else F(0)
                    if lamps > 0 or water > 0:
                        value = _bilinear(
                            texels, offsets[cloud_texture, 2], sizes[cloud_texture, 0] - 2,
                            sizes[cloud_texture, 1] - 2, wx * 0.03, wy * 0.03,
                        )  # fmt: skip
                        patch = F(value & U(255)) * F(1 / 255.0)
                    shine = lamp = F(0)
                    if lamps > 0:
                        shine = lamplight(dx, dy, dz, z, material, rays, headlights)
                        shine += F(6) * lamps * max(F(0), patch - F(0.35))  # pools of light under street lamps
                        if tx == special[2] or tx == special[3] or tx == special[4]:
                            lamp = lamps * vehicle_lamp(u, v, tx == special[4])
                        elif a < 0.6 and tx != special[1] and material[10] > 0 and abs(material[9]) < 0.3:
                            lamp = (F(1) - a) * lamps * window(wx - material[7], wy - material[8], wz)
                    warm = F(0.08) if tx == special[3] or tx == special[4] else F(0.7)
                    if water > 0:
                        film = water * min(F(0.9), F(0.3) + F(2) * max(F(0), patch - F(0.4)))
                        ripple = (g - F(0.12)) * (F(1) - film)
                        dark = F(1) - F(0.5) * water
                        r, g, b = dark * r, dark * g, dark * b
                    r = r * (material[0] * (F(1) + shine) + lit * material[3]) + lamp
                    g = g * (material[1] * (F(1) + shine) + lit * material[4]) + warm * lamp
                    b = b * (material[2] * (F(1) + shine) + lit * material[5]) + warm * warm * lamp
                    if film > 0:
                        film, mx, my, mz = mirror(dx, dy, dz, material, film, ripple)
                        j, i = mirrored(wx, wy, wz, mx, my, mz, eye, to_pixels, y, depth)
                        if j >= 0:
                            mr, mg, mb = radiance[j, i, 0], radiance[j, i, 1], radiance[j, i, 2]
                        else:
                            mr, mg, mb = _sky(
                                mx, my, mz, texels, offsets, sizes, cloud_texture, sun, zenith, horizon, cloud_colour,
                                weather,
                            )  # fmt: skip
                        r, g, b = r + film * (mr - r), g + film * (mg - g), b + film * (mb - b)
                    gloss = (F(1) - a) * material[10]
                    if gloss > F(0.02):
                        length = math.sqrt(dx * dx + dy * dy + dz * dz)
                        cosine = -(dx * material[7] + dy * material[8] + dz * material[9]) / length
                        up = F(min(1.0, max(-0.3, dz / length + 2 * cosine * material[9])))
                        graze = F(1.0 - max(cosine, 0.0))
                        graze *= graze
                        gloss *= F(0.12) + F(0.88) * graze * graze
                        dim = F(1) if up > 0 else F(1) + F(2.2) * up  # below the horizon the street is mirrored
                        lift = max(up, F(0))
                        r += gloss * (dim * (horizon[0] + lift * (zenith[0] - horizon[0])) - r)
                        g += gloss * (dim * (horizon[1] + lift * (zenith[1] - horizon[1])) - g)
                        b += gloss * (dim * (horizon[2] + lift * (zenith[2] - horizon[2])) - b)
                    f = fog[int(min(z * 4, fog.shape[0] - 1.0))]
                    r += f * (horizon[0] - r)
                    g += f * (horizon[1] - g)
                    b += f * (horizon[2] - b)
                if n > most:
                    most, nearest = n, z
                weight = F(0.25) * F(n)
                red += weight * r
                green += weight * g
                blue += weight * b
            depth[y, x] = nearest
            if wet > 0:
                radiance[y, x, 0], radiance[y, x, 1], radiance[y, x, 2] = red, green, blue
            grey = F(0.3) * red + F(0.6) * green + F(0.1) * blue
            red = grey + saturation * (red - grey)
            green = grey + saturation * (green - grey)
            blue = grey + saturation * (blue - grey)
            out[y, x, 0] = _display(tone, red)
            out[y, x, 1] = _display(tone, green)
            out[y, x, 2] = _display(tone, blue)
