"""How the uncertainties of motions add up to that of a pose: to first order, each motion's error by itself.

A covariance (6, 6) is of ``(x, y, z, rotation about x, y, z)`` [m, rad], as in ROS' geometry_msgs/PoseWithCovariance:
the true position is ``p + dp``, the true rotation is ``Exp(theta) @ R``, both along the fixed axes of the world, which
are those of the first camera (x right, y down, z forward). With the error in the axes of the camera itself, as in
``T @ Exp(xi)``, the step is the adjoint of the motion's inverse; here that is turned into the world, so that it reads

    dp' = dp + theta x (p' - p) + R dt            theta' = theta + R' w

with the error dt of a motion's translation, and w, its rotation's in the axes of the camera behind it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.geometry.se3 import Floats, matrices_from_motions


def propagated(
    covariance: NDArray[Any], pose: NDArray[Any], motion: NDArray[Any], deviation: NDArray[Any]
) -> NDArray[np.float64]:
    """The covariance of the next pose.

    Args:
        covariance: (6, 6) of ``pose``.
        pose: (4, 4) camera-to-world.
        motion: (6,) [m, rad] from there to the next pose, as ``geometry.se3`` defines it.
        deviation: (6,) [m, rad] standard deviations of the motion's components, independent of each other and of those
            of the motions before.
    """
    rotation = np.asarray(pose, np.float64)[:3, :3]
    step = matrices_from_motions(motion)
    forward = np.eye(6)
    forward[:3, 3:] = -_skew(rotation @ step[:3, 3])
    added = np.zeros((6, 6))
    added[:3, :3] = rotation
    added[3:, 3:] = rotation @ step[:3, :3] @ _turns(motion)
    total: Floats = forward @ covariance @ forward.T + (added * np.square(deviation, dtype=np.float64)) @ added.T
    return (total + total.T) / 2


def _turns(motion: NDArray[Any]) -> Floats:
    """Small turns in the axes of the camera behind a motion by small changes of its rx, ry, rz: a matrix (3, 3)."""
    (sx, sz), (cx, cz) = np.sin(motion[[3, 5]]), np.cos(motion[[3, 5]])
    return np.array([[cz, cx * sz, 0.0], [-sz, cx * cz, 0.0], [0.0, -sx, 1.0]], np.float64)


def _skew(vector: Floats) -> Floats:
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
