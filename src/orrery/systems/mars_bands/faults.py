"""Restoration judged on the twin: sound cubes are spoiled, filled, and compared with what they were.

Three faults of CRISM observations (the paper's Figure 20 shows the first): columns whose gain is off, single wild values, and a block
that was not observed. Each is laid beside the cube as it was delivered and beside interpolation over the same pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orrery.seeds import stream
from orrery.systems.mars_bands.filling import OBSERVED, FillParams, fill

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
STRIPED_SHARE, GAIN_OFF = 0.04, (0.15, 0.4)  # of a band's columns, each for itself; by how much, up or down
SPIKE_SHARE, SPIKES = 0.003, (0.0, 1.0)  # of the values; I/F
BLOCK_PX = 24  # 432 m
WAYS = ("as delivered", "interpolated", "restored")


def judge_restoration(
    truth: Array, predicted: Array, wavelengths_nm: list[float], params: FillParams, name: str
) -> dict[str, float]:
    """I/F errors where faults were simulated, by fault and by what was done about them; shares found and spoiled.

    Args:
        truth: (B, H, W) I/F of a cube without faults, NaN outside its footprint.
        predicted: (B, H, W) I/F on the same pixels.
        wavelengths_nm: of the bands.
        params: what counts as a fault.
        name: of the scene, on which the faults depend.
    """
    spoiled, faults = spoil(truth, name)
    filled = fill(spoiled, predicted, wavelengths_nm, params)
    kept, inside = filled.origin == OBSERVED, np.isfinite(truth)
    made = {
        "as delivered": spoiled,
        "interpolated": interpolated(np.where(kept, spoiled, np.float32(np.nan)), inside),
        "restored": filled.values,
    }
    found: dict[str, float] = {}
    for fault, where in faults.items():
        for way, values in made.items():
            error = (values - truth)[where & np.isfinite(values)]
            if error.size:
                found[f"{way}: {fault}"] = float(np.sqrt(np.mean(error.astype(np.float64) ** 2)))
        found[f"found: {fault}"] = float(1 - kept[where].mean())
    sound = inside & ~np.logical_or.reduce(list(faults.values()))
    return found | {"found: sound": float(1 - kept[sound].mean())}


def spoil(truth: Array, name: str) -> tuple[Array, dict[str, Mask]]:
    """A cube with faults, and where each kind lies; a block overrules a spike, and a spike a stripe."""
    rng, inside = stream(0, "mars-bands", "faults", name), np.isfinite(truth)
    striped = rng.random((len(truth), 1, truth.shape[2])) < STRIPED_SHARE
    gains = 1 + rng.uniform(*GAIN_OFF, striped.shape) * rng.choice([-1, 1], striped.shape)
    spiked = rng.random(truth.shape) < SPIKE_SHARE
    block = np.zeros(truth.shape, bool)
    rows, columns = (int(np.median(places)) for places in np.nonzero(inside.all(0)))
    block[
        :, rows - BLOCK_PX // 2 : rows + BLOCK_PX // 2, columns - BLOCK_PX // 2 : columns + BLOCK_PX // 2
    ] = True
    values = np.where(striped, truth * gains, truth)
    values = np.where(spiked, rng.uniform(*SPIKES, truth.shape), values)
    values = np.where(block | ~inside, np.nan, values).astype(np.float32)
    stripes = np.broadcast_to(striped, truth.shape) & inside & ~spiked & ~block
    return values, {"stripes": stripes, "spikes": spiked & inside & ~block, "block": block & inside}


def interpolated(values: Array, inside: Mask) -> Array:
    """(B, H, W) with unknown values inside the footprint from their neighbours in row and column.

    Linear along either, the shorter way counting for more.
    """
    out = values.copy()
    for band, wanted in zip(out, inside & ~np.isfinite(values), strict=True):
        across, reach = _along_rows(band)
        down, depth = (part.T for part in _along_rows(band.T))
        weights = np.stack([1 / reach, 1 / depth])
        total = weights.sum(0)
        known = wanted & (total > 0)
        mean = (weights * np.stack([across, down])).sum(0) / np.where(total > 0, total, 1)
        band[known] = mean[known]
    return out


def _along_rows(plane: Array) -> tuple[Array, Array]:
    """Linear interpolation along each row, and the distance between the known pixels it leans on; infinite without two."""
    places = np.arange(plane.shape[1])
    values, reach = np.zeros_like(plane), np.full(plane.shape, np.inf, np.float32)
    for row, (line, length) in enumerate(zip(plane, reach, strict=True)):
        known = np.flatnonzero(np.isfinite(line))
        if known.size < 2:
            continue
        values[row] = np.interp(places, known, line[known])
        right = np.searchsorted(known, places, "left").clip(1, known.size - 1)
        between = (places >= known[0]) & (places <= known[-1])
        length[between] = (known[right] - known[right - 1])[between]
    return values, reach
