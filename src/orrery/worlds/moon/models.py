"""Elevation models as they come with real scenes: the coarse SLDEM and a photogrammetric model of the NAC team's kind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from orrery.raster.grid import AffineMap, Grid
from orrery.world_params import SldemParams
from orrery.worlds.common.maps import sampled
from orrery.worlds.moon.places import DTM_POSTING_PX

Array = NDArray[np.float32]

NOISE_POSTINGS = 1.0
STRIPED_SHARE = 0.25
STRIPE_POSTINGS = 12.0

# A stereo model against the laser altimeter: 0.4 to 1.0 m root mean square on different tracks (README of
# NAC_DTM_ARISTARCHU2, LROC team), precision near half a pixel's size (Henriksen et al. 2017, Icarus 283, 122).
DTM_BIAS_M = 1.0
DTM_NOISE_PX = 0.15
# Its window of correlation blurs a post or so; spacecraft jitter ripples it along track; its matcher leaves boxes of
# half a metre to a metre and, rarely, gross errors (known artefacts in the same README).
DTM_SMOOTHING_POSTS = 1.2
JITTER_M = 0.4
JITTER_WAVES_M = (120.0, 450.0)
BOXES = 6
BOX_M = (0.5, 1.0)
BLUNDERS = 5
BLUNDER_M = (5.0, 20.0)


def record_sldem(
    height_m: Array,
    ground: Grid,
    written: Grid,
    displacement: AffineMap,
    params: SldemParams,
    rng: np.random.Generator,
) -> Array:
    """Coarse heights, m, on the grid as written.

    Args:
        height_m: true heights, (H, W).
        ground: their grid.
        written: the coarse grid.
        displacement: from written to true positions.
        params: blur and noise.
        rng: stream of the noise.
    """
    blurred = ndimage.gaussian_filter(height_m, params.smoothing_m / ground.gsd_m, mode="nearest", truncate=3)
    coarse = sampled(blurred, ground, written, displacement, order=1)
    noise = ndimage.gaussian_filter(
        rng.standard_normal(written.shape, np.float32), NOISE_POSTINGS, mode="wrap"
    )
    # The orbit is polar, so the altimeter's tracks run up the map: some columns are off by an offset that drifts.
    drift = ndimage.gaussian_filter1d(rng.standard_normal(written.shape, np.float32), STRIPE_POSTINGS, axis=0)
    tracks = (rng.random(written.width) < STRIPED_SHARE) * drift / drift.std()
    return np.asarray(coarse + params.noise_m * noise / noise.std() + params.stripes_m * tracks, np.float32)


def record_dtm(height_m: Array, gsd_m: float, rng: np.random.Generator) -> Array:
    """Stereo heights, m, at three times the pixel size, (H // 3, W // 3).

    Args:
        height_m: true heights of the mosaic, (H, W).
        gsd_m: their pixel size.
        rng: stream of the errors.
    """
    n = DTM_POSTING_PX
    rows, columns = (length // n for length in height_m.shape)
    posts = height_m[: rows * n, : columns * n].reshape(rows, n, columns, n).mean((1, 3))
    model = ndimage.gaussian_filter(posts, DTM_SMOOTHING_POSTS, mode="nearest")
    model += (
        ndimage.gaussian_filter(rng.standard_normal(model.shape, np.float32), 1) * DTM_NOISE_PX * gsd_m * 3.5
    )
    model += _jitter(rows, gsd_m * n, rng)[:, None] + rng.normal(0, DTM_BIAS_M)
    for count, span, size in ((BOXES, BOX_M, (8, 30)), (BLUNDERS, BLUNDER_M, (2, 6))):
        for _ in range(count):
            high, wide = rng.integers(*size, 2)
            top, left = rng.integers(0, rows - high), rng.integers(0, columns - wide)
            model[top : top + high, left : left + wide] += rng.choice([-1, 1]) * rng.uniform(*span)
    return np.asarray(model, np.float32)


def _jitter(rows: int, posting_m: float, rng: np.random.Generator) -> Array:
    """Ripple along the track, m, (rows,)."""
    along = np.arange(rows) * posting_m
    waves = [np.sin(2 * np.pi * (along / rng.uniform(*JITTER_WAVES_M) + rng.random())) for _ in range(3)]
    return np.asarray(JITTER_M * np.sum(waves, axis=0) / np.sqrt(1.5), np.float32)
