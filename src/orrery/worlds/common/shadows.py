"""Cast shadows of a height field, exact and in one pass: shear along the sun's azimuth, then a running maximum."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from orrery.instruments.photometry import Sun

Array = NDArray[np.float32]

NO_RAY = np.float32(-1e30)  # below all ground; an infinity would turn to NaN where it is weighted by 0


def shadow_depth(height_m: Array, gsd_m: float, sun: Sun) -> Array:
    """How far below the lowest ray from the sun's centre each point lies, m; 0 or less is lit.

    The ray over a point falls by tan(elevation) for each metre away from the sun, so the highest of all rays is known
    from the line before: one maximum a pixel, whatever the shadow's length. Ground outside the field casts none.
    """
    azimuth = math.radians(sun.azimuth_deg)
    right, up = math.sin(azimuth), math.cos(azimuth)
    if abs(right) > abs(up):
        return shadow_depth(height_m.T, gsd_m, _turned(sun)).T
    if up < 0:
        return shadow_depth(height_m[::-1], gsd_m, Sun(180 - sun.azimuth_deg, sun.elevation_deg))[::-1]
    # From here on the sun stands above the top row; per row down, a ray moves sideways by `shear` and falls by `fall`.
    shear = right / up
    fall = np.float32(gsd_m * math.tan(math.radians(sun.elevation_deg)) / up)
    return _swept(np.ascontiguousarray(height_m, np.float32), shear, fall)


def lit_fraction(height_m: Array, gsd_m: float, sun: Sun) -> Array:
    """Share of each pixel that no other ground shades, 0 to 1; edges are as soft as the pixel is wide."""
    edge_m = gsd_m * math.tan(math.radians(sun.elevation_deg))
    return np.asarray(1 - np.clip(shadow_depth(height_m, gsd_m, sun) / edge_m, 0, 1), np.float32)


def _turned(sun: Sun) -> Sun:
    """The sun over the transposed field: right becomes down."""
    return Sun(-90 - sun.azimuth_deg, sun.elevation_deg)


def _swept(height_m: Array, shear: float, fall: np.float32) -> Array:
    """Depth below the rays of all rows above, (H, W).

    `rays` is the running maximum on columns that run along the rays; a row's first column lies at `offset` among them.
    """
    rows, width = height_m.shape
    edged = np.pad(height_m, ((0, 0), (1, 1)), "edge")
    start = max(0, math.ceil(-shear * (rows - 1)))
    rays = np.full(width + int(abs(shear) * rows) + 3, NO_RAY, np.float32)
    depth = np.empty_like(height_m)
    for row in range(rows):
        offset = start + shear * row
        first = math.floor(offset)
        part = np.float32(offset - first)
        here = rays[first : first + width + 1]
        depth[row] = (here[:-1] * (1 - part) + here[1:] * part if part else here[:-1]) - height_m[row]
        # The same row's heights on the rays' columns, which lie `part` of a pixel to its left.
        np.maximum(here, edged[row, 1:] * (1 - part) + edged[row, :-1] * part, out=here)
        rays -= fall
    return depth
