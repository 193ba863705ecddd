"""Trust over a training set, as a report shows it: spread, reliability, the frames trusted least and most."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilvo.data import FrameCache
from distilvo.distill.error_prediction import rank_correlation
from distilvo.distill.trust import Trust
from distilvo.report.results import Reliability, TrustResult, TrustSample

SAMPLES = 4
PARTS = {1: ("translation and rotation",), 2: ("translation", "rotation")}


def trust_result(store: FrameCache, teacher: Tensor, trust: Trust) -> TrustResult:
    """What to show of a trust in a teacher.

    Args:
        store: the training set, of P frame pairs; those without a label have NaN for a motion.
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
    return TrustResult(phi.numpy(), trust.eta, least, most, trust.kind, trust.note, _reliability(trust, pairs))


def _reliability(trust: Trust, pairs: int) -> tuple[Reliability, ...]:
    """Of each part whose error was predicted, on the pairs whose true error is known."""
    if trust.predicted is None:
        return ()
    predicted, true = (values[:pairs].reshape(pairs, -1) for values in (trust.predicted, trust.errors))
    parts = []
    for number, name in enumerate(PARTS[true.shape[1]]):
        known = ~(predicted[:, number].isnan() | true[:, number].isnan())
        if int(known.sum()) > 1:
            one, other = predicted[known, number].sqrt(), true[known, number].sqrt()
            parts.append(Reliability(name, one.numpy(), other.numpy(), rank_correlation(one, other)))
    return tuple(parts)


def _sample(store: FrameCache, pair: int, phi: float, off: NDArray[np.float32]) -> TrustSample:
    """The second frame of a pair, and ``off`` (6,), how far the teacher was off on it; NaN where that is not known."""
    index = max(k for k, drive in enumerate(store.drives) if drive.first - k <= pair)
    drive = store.drives[index]
    frame = pair + index + 1
    image = np.array(store.frames[frame])
    degrees = float(np.rad2deg(np.linalg.norm(off[3:])))
    label = f"{drive.name} frame {frame - drive.first}"
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    return TrustSample(pixels, phi, float(np.linalg.norm(off[:3])), degrees, label)
