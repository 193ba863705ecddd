"""Trust over a training set, as a report shows it: its spread, and the frames trusted least and most."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilvo.data import FrameCache
from distilvo.distill.trust import Trust
from distilvo.report.results import TrustResult, TrustSample

SAMPLES = 4


def trust_result(store: FrameCache, teacher: Tensor, trust: Trust) -> TrustResult:
    """What to show of a trust in a teacher.

    Args:
        store: the training set, of P frame pairs.
        teacher: its motions, (P or 2 P, 6); mirrored pairs are left out.
        trust: that follows from them.
    """
    pairs = len(store.motions)
    phi = trust.of_sample[:pairs]
    off = (teacher[:pairs] - torch.from_numpy(store.motions)).numpy()
    order = torch.argsort(phi).tolist()
    least, most = (
        [_sample(store, pair, float(phi[pair]), off[pair]) for pair in chosen]
        for chosen in (order[:SAMPLES], order[: -SAMPLES - 1 : -1])
    )
    return TrustResult(phi.numpy(), trust.eta, least, most)


def _sample(store: FrameCache, pair: int, phi: float, off: NDArray[np.float32]) -> TrustSample:
    """The second frame of a pair, and ``off`` (6,), how far the teacher was off on the pair."""
    index = max(k for k, drive in enumerate(store.drives) if drive.first - k <= pair)
    drive = store.drives[index]
    frame = pair + index + 1
    image = np.array(store.frames[frame])
    degrees = float(np.rad2deg(np.linalg.norm(off[3:])))
    label = f"{drive.name} frame {frame - drive.first}"
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    return TrustSample(pixels, phi, float(np.linalg.norm(off[:3])), degrees, label)
