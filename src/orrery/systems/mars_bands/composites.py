"""CRISM's colour composites: which bands they show, and how they are stretched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orrery.instruments.crism import EVC_NM, FC_NM

Array = NDArray[np.float32]
COMPOSITES = {"evc": EVC_NM, "fc": FC_NM}  # red, green and blue
NAMES = {"evc": "enhanced visible", "fc": "false colour"}
TOLERANCE_NM = 8.0  # a little more than the step of CRISM's bands
SIGMAS = 3.0  # stretch of CRISM's browse products


def composites_of(wavelengths_nm: Sequence[float]) -> dict[str, list[int]]:
    """Composite -> positions of its red, green and blue band, for those whose bands are all there."""
    found = {}
    for name, wanted in COMPOSITES.items():
        distance = np.abs(np.subtract.outer(np.array(wanted), np.asarray(wavelengths_nm, float)))
        if (distance.min(axis=1) <= TOLERANCE_NM).all():
            found[name] = [int(index) for index in distance.argmin(axis=1)]
    return found


def stretched(bands: Array, like: Array | None = None) -> NDArray[np.uint8]:
    """Red, green, blue and opacity, (H, W, 4), of (3, H, W) bands: from mean - 3 to mean + 3 standard deviations.

    Args:
        bands: a pixel without one of them is transparent.
        like: (3, H, W) whose valid pixels tell the mean and the standard deviation; the bands themselves if not given.
    """
    like, valid = bands if like is None else like, np.isfinite(bands).all(axis=0)
    out = np.zeros((*valid.shape, 4), np.uint8)
    for channel, (band, model) in enumerate(zip(bands, like, strict=True)):
        known = model[np.isfinite(model)].astype(np.float64)
        if known.size:
            low, span = known.mean() - SIGMAS * known.std(), max(2 * SIGMAS * known.std(), 1e-12)
            out[valid, channel] = np.rint(np.clip((band[valid] - low) / span, 0, 1) * 255)
    out[valid, 3] = 255
    return out
