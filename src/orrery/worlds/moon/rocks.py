"""Rocks large enough to be seen, thrown out by fresh craters or fallen from steep walls."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orrery.worlds.common.craters import Craters

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

# Rocks cover this share of a blocky crater's ejecta when fresh (upper end of what Diviner sees: Bandfield et al. 2011,
# J. Geophys. Res. 116, E00H02); half of those of a metre or more are gone after 40 to 80 million years (Basilevsky et
# al. 2013, Planet. Space Sci. 89, 118).
FRESH_ABUNDANCE = 0.10
HALF_LIFE_GA = 0.05
# Smaller craters do not reach below the regolith and throw out none (regolith some metres thick).
SMALLEST_BLOCKY_M = 40.0
WALL_ABUNDANCE = 0.05
HEIGHT_OVER_DIAMETER = 0.5
STAMP_PX = 3


def rocks_per_m2(diameter_m: ArrayLike, abundance: float) -> Floats:
    """Cumulative number of rocks of at least a diameter per m2.

    From the covered area F(D) = k exp(-q D), q = 1.79 + 0.152 / k (Golombek and Rapp 1997, J. Geophys. Res. 102, 4117):
    each size covers -dF/dD, a rock covers pi D^2 / 4, and the sum over larger sizes is an exponential integral, taken
    here by its midpoint rule.

    Args:
        diameter_m: smallest.
        abundance: k, area covered by rocks of all sizes.
    """
    q = 1.79 + 0.152 / abundance
    above = np.linspace(0, 30 / q, 3001)
    middle = (above[1:] + above[:-1]) / 2 + np.asarray(diameter_m, float)[..., None]
    density = abundance * q * np.exp(-q * middle) / (np.pi * middle**2 / 4)
    return np.asarray(density.sum(-1) * (above[1] - above[0]))


def add_rocks(
    height_m: Array, gsd_m: float, craters: Craters, steepness: Array | None, rng: np.random.Generator
) -> int:
    """Put rocks of at least half a pixel on a height field, in place; returns how many.

    Args:
        height_m: (H, W).
        gsd_m: pixel size.
        craters: of the field; the fresh ones throw rocks.
        steepness: share of steep wall at each pixel, (H, W), if there is a wall.
        rng: stream of the rocks.
    """
    smallest = gsd_m / 2
    parts = [_thrown(craters, smallest, rng)]
    if steepness is not None:
        parts.append(_fallen(steepness, gsd_m, smallest, rng))
    x, y, diameter = (np.concatenate(values) for values in zip(*parts, strict=True))
    _stamp(height_m, gsd_m, x, y, diameter)
    return int(x.size)


def _thrown(craters: Craters, smallest_m: float, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Positions and diameters, m, of rocks around fresh craters, thinning outwards to three radii."""
    fresh = craters.where((craters.diameter_m > SMALLEST_BLOCKY_M) & (craters.age_ga < 6 * HALF_LIFE_GA))
    abundance = FRESH_ABUNDANCE * 0.5 ** (fresh.age_ga / HALF_LIFE_GA)
    radius = fresh.diameter_m / 2
    density = np.array([rocks_per_m2(smallest_m, float(k)) for k in abundance])
    numbers = rng.poisson(density * np.pi * (3 * radius) ** 2) if len(fresh) else np.zeros(0, int)
    owner = np.repeat(np.arange(len(fresh)), numbers)
    distance = radius[owner] * 3 * rng.random(owner.size)  # evenly in radius: density falls with distance
    bearing = rng.uniform(0, 2 * np.pi, owner.size)
    x = fresh.x_m[owner] + distance * np.cos(bearing)
    y = fresh.y_m[owner] + distance * np.sin(bearing)
    return x, y, _diameters(abundance[owner], smallest_m, rng)


def _fallen(
    steepness: Array, gsd_m: float, smallest_m: float, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Positions and diameters, m, of rocks on a steep wall."""
    height, width = steepness.shape
    number = rng.poisson(rocks_per_m2(smallest_m, WALL_ABUNDANCE) * height * width * gsd_m**2)
    x, y = rng.random(number) * width * gsd_m, rng.random(number) * height * gsd_m
    rows, columns = (y / gsd_m).astype(int), (x / gsd_m).astype(int)
    kept = rng.random(number) < steepness[rows, columns]
    return x[kept], y[kept], _diameters(np.full(int(kept.sum()), WALL_ABUNDANCE), smallest_m, rng)


def _diameters(abundance: Floats, smallest_m: float, rng: np.random.Generator) -> Floats:
    """Diameters above the smallest; the tail of the law above half a pixel is nearly exponential with rate q."""
    return np.asarray(smallest_m + rng.exponential(1, abundance.size) / (1.79 + 0.152 / abundance))


def _stamp(height_m: Array, gsd_m: float, x_m: Floats, y_m: Floats, diameter_m: Floats) -> None:
    """Half ellipsoids as bumps of the same volume, at least a pixel wide."""
    sigma_px = np.maximum(0.5, diameter_m / gsd_m / 4)
    volume_m3 = np.pi * HEIGHT_OVER_DIAMETER * diameter_m**3 / 6
    peak_m = volume_m3 / (2 * np.pi * (sigma_px * gsd_m) ** 2)
    row, column = y_m / gsd_m - 0.5, x_m / gsd_m - 0.5
    for down in range(-STAMP_PX, STAMP_PX + 1):
        for right in range(-STAMP_PX, STAMP_PX + 1):
            rows, columns = np.rint(row).astype(int) + down, np.rint(column).astype(int) + right
            bump = peak_m * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma_px**2))
            inside = (rows >= 0) & (rows < height_m.shape[0]) & (columns >= 0) & (columns < height_m.shape[1])
            np.add.at(height_m, (rows[inside], columns[inside]), bump[inside].astype(np.float32))
