"""Adding craters to a height field. Creep is linear, so overlapping worn craters simply add."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from orrery.worlds.common.craters import Craters
from orrery.worlds.common.profiles import (
    CREEP_STATES,
    REACH_RADII,
    SAMPLES,
    fresh_depth_over_diameter,
    profile_table,
)

Array = NDArray[np.float32]

# Radii, px, that bound the classes stamped with one window size; larger craters are stamped one by one.
CLASS_EDGES_PX = (0.0, 1.8, 2.5, 3.5, 5.0, 7.0, 10.0, 14.0, 20.0)
PIXELS_AT_ONCE = 4_000_000


def add_craters(height_m: Array, gsd_m: float, craters: Craters) -> None:
    """Add every crater to a height field, in place.

    Args:
        height_m: (H, W).
        gsd_m: pixel size.
        craters: positions from the field's upper left corner.
    """
    radius_px = craters.diameter_m / (2 * gsd_m)
    for low, high in pairwise(CLASS_EDGES_PX):
        _add_class(height_m, gsd_m, craters.where((radius_px > low) & (radius_px <= high)))
    large = craters.where(radius_px > CLASS_EDGES_PX[-1])
    for index in range(len(large)):
        _add_one(height_m, gsd_m, large.where(np.arange(len(large)) == index))


def depth_m(craters: Craters) -> Array:
    """Rim to floor when fresh, (N,)."""
    return np.asarray(craters.diameter_m * fresh_depth_over_diameter(craters.diameter_m), np.float32)


def wear_state(craters: Craters) -> NDArray[np.int32]:
    """Row of `profile_table` for each crater: the nearest below, the first for fresher ones."""
    return np.asarray(np.maximum(np.searchsorted(CREEP_STATES, craters.creep, side="right") - 1, 0), np.int32)


def _add_class(height_m: Array, gsd_m: float, craters: Craters) -> None:
    """Craters of like size, thousands at a time, each in a window of its own."""
    if not len(craters):
        return
    reach = int(np.ceil(REACH_RADII * craters.diameter_m.max() / (2 * gsd_m)))
    side = 2 * reach + 1
    height, width = height_m.shape
    padded_width = width + 2 * side
    padded = np.zeros((height + 2 * side) * padded_width)
    table, states, depths = profile_table(), wear_state(craters), depth_m(craters)
    row, column = craters.y_m / gsd_m - 0.5, craters.x_m / gsd_m - 0.5
    offsets = np.arange(-reach, reach + 1, dtype=np.int32)
    for start in range(0, len(craters), max(1, PIXELS_AT_ONCE // side**2)):
        part = slice(start, start + max(1, PIXELS_AT_ONCE // side**2))
        rows, columns = (np.rint(v[part]).astype(np.int32)[:, None] + offsets for v in (row, column))
        scale = (SAMPLES / REACH_RADII * 2 * gsd_m / craters.diameter_m[part])[:, None]
        down, right = ((rows - row[part, None]) * scale, (columns - column[part, None]) * scale)
        distance = np.sqrt(
            (down**2).astype(np.float32)[:, :, None] + (right**2).astype(np.float32)[:, None, :]
        )
        stamps = _look_up(table, states[part, None, None], distance) * depths[part, None, None]
        places = (rows[:, :, None] + side) * padded_width + columns[:, None, :] + side
        padded += np.bincount(places.ravel(), stamps.ravel(), padded.size)
    height_m += padded.reshape(-1, padded_width)[side:-side, side:-side].astype(np.float32)


def _look_up(table: Array, state: NDArray[np.int32], distance: Array) -> Array:
    """Table values by linear interpolation along the radius; 0 beyond its end."""
    np.minimum(distance, SAMPLES - 0.001, out=distance)
    below = distance.astype(np.int32)
    share = distance - below
    places = below + state * (SAMPLES + 1)
    flat = table.ravel()
    return flat.take(places) * (1 - share) + flat.take(places + 1) * share


def _add_one(height_m: Array, gsd_m: float, crater: Craters) -> None:
    """One large crater, in the part of the field that it reaches."""
    row, column = float(crater.y_m[0] / gsd_m - 0.5), float(crater.x_m[0] / gsd_m - 0.5)
    radius = float(crater.diameter_m[0] / (2 * gsd_m))
    reach = int(np.ceil(REACH_RADII * radius))
    rows = np.arange(max(0, int(row) - reach), min(height_m.shape[0], int(row) + reach + 2))
    columns = np.arange(max(0, int(column) - reach), min(height_m.shape[1], int(column) + reach + 2))
    if not (rows.size and columns.size):
        return
    squared = ((rows - row) ** 2).astype(np.float32)[:, None] + ((columns - column) ** 2).astype(np.float32)
    distance = np.sqrt(squared) * np.float32(SAMPLES / REACH_RADII / radius)
    stamp = _look_up(profile_table(), wear_state(crater)[0], distance) * depth_m(crater)[0]
    height_m[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += stamp
