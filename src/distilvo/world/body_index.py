"""Numba kernel that tells which moving body each pixel shows; a file of its own, as numba's cache wants it."""

# numba infers the types of arguments:
# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def bodies_seen(index, ends, body):
    """Write into ``body`` (H, W) which moving body each pixel shows: that of the triangle that gives its depth.

    Body k owns the triangles from ``ends[k - 1]`` (0 for the first) up to ``ends[k]``; -1 is the static world or sky.
    """
    ids = np.empty(4, np.int32)
    for y in range(body.shape[0]):
        for x in range(body.shape[1]):
            ids[0], ids[1] = index[2 * y, 2 * x], index[2 * y, 2 * x + 1]
            ids[2], ids[3] = index[2 * y + 1, 2 * x], index[2 * y + 1, 2 * x + 1]
            seen, most = ids[0], 0
            for q in range(4):  # as in shading.resolve: the largest group of samples, the first one of equals
                n = 0
                for p in range(q, 4):
                    n += ids[p] == ids[q]
                if n > most:
                    seen, most = ids[q], n
            body[y, x] = -1
            if seen >= 0:
                for k in range(ends.shape[0]):
                    if seen < ends[k]:
                        body[y, x] = k
                        break
