"""Table II of Iwashita et al. (2025) on the twin: an image against itself 97 rows on, with and without compression; and speed.

The paper scales an image of mean 1552 and deviation 298 (14-bit numbers of L2B0) to six brightnesses and compresses each with SF008S.A.
Here the image is the twin's, brought to the same mean and deviation. The peer of each compressed row is the paper's figure, which was
measured on a real image. The search alone (correlation and a parabola) stands beside least squares: its floor is the parabola's bias.
Speed and accuracy stand beside those of pandora (CNES) on a pair of the twin; it needs an environment of its own, whose Python is named by
``ORRERY_PANDORA_PYTHON``; without it its columns are empty.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.row import Row
from orrery.instruments.photometry import Sun
from orrery.instruments.terrain_camera import PSF_SIGMA_PX, SF008S_A, SLANT_DEG
from orrery.raster.compression import compress
from orrery.raster.stereo import MatchParams, match, search
from orrery.seeds import stream
from orrery.worlds.moon.push_broom import stereo_view
from orrery.worlds.moon.stereo_scenes import exposed
from orrery.worlds.moon.terrain import make_ground

Array = NDArray[np.float32]

SHIFT_PX, SIDE_PX, BORDER_PX = 97, 1024, 24
MEAN_DN, SD_DN, BITS = 1552.68, 298.06, 14
MEAN_COUNT = 250.0  # of the 10-bit converter, at which the sensor's noise is drawn
PAPER = {0.05: 0.095, 0.1: 0.060, 0.25: 0.031, 0.5: 0.023, 0.75: 0.016, 1.0: 0.017}
GOALS = {0.05: "figure <= 0.11", 0.1: "figure <= 0.065", 1.0: "figure <= 0.02"}
PARAMS = MatchParams(search_px=6)
SPEED_REPEATS, PAIR_PX, PEER = 3, 768, "pandora 1.9"
SPEED_SEARCH_PX = 10  # disparities of -10 to 10 px, as over a mare


def rows() -> list[Row]:
    image = _image()
    found: list[Row] = []
    for scale, paper in PAPER.items():
        numbers = np.clip(np.rint(image * scale), 0, 2**BITS - 1).astype(np.float32)
        left, right = numbers[SHIFT_PX:], numbers[:-SHIFT_PX]  # each is compressed on its own grid of blocks
        plain, coarse = _error(left, right)
        noisy, noisy_coarse = _error(*(compress(part, SF008S_A, BITS) for part in (left, right)))
        conditions = f"twin, {image.shape[1]} x {len(left)} px shifted by {SHIFT_PX} rows, mean {numbers.mean():.0f} DN"
        told = f"{conditions}; the search alone: {noisy_coarse:.4f} px"
        found.append(
            Row(
                f"Table II, compressed, scale {scale:g}",
                noisy,
                "px",
                told,
                "paper",
                paper,
                GOALS.get(scale, ""),
            )
        )
        told = f"{conditions}; the search alone: {coarse:.4f} px"
        found.append(
            Row(f"Table II, uncompressed, scale {scale:g}", plain, "px", told, "", None, "figure <= 0.005")
        )
    return [*found, _monotone(found), *_beside_pandora()]


def _image() -> Array:
    """A 14-bit image of the paper's mean and deviation, of mare under a high sun, with the sensor's noise."""
    ground = make_ground("flat", (2 * SIDE_PX, 2 * SIDE_PX), 5.0, 7, "table-2")
    seen = stereo_view(ground, Sun(95.0, 45.0), SLANT_DEG, PSF_SIGMA_PX, stream(7, "table-2", "orbit")).left
    relative = 1 + (seen / seen.mean() - 1) * np.float32(SD_DN / MEAN_DN / (seen.std() / seen.mean()))
    counts = exposed(np.maximum(relative, 0) * np.float32(MEAN_COUNT), stream(7, "table-2", "noise"))
    return np.asarray(counts * np.float32(MEAN_DN / MEAN_COUNT), np.float32)


def _error(left: Array, right: Array) -> tuple[float, float]:
    """Deviation of the disparity from the shift, px: by least squares, and of the search alone."""
    found = match(left, right, PARAMS, SHIFT_PX)
    coarse = search(left, right, 15, SHIFT_PX - 2, SHIFT_PX + 2).disparity_px
    inner = np.s_[
        BORDER_PX : -SHIFT_PX - BORDER_PX, BORDER_PX:-BORDER_PX
    ]  # the last rows lie outside the right image
    return float(found.disparity_px[inner].std()), float(coarse[inner].std())


def _monotone(found: list[Row]) -> Row:
    """Whether compression does less harm the brighter the image is."""
    figures = [row.figure for row in found if "uncompressed" not in row.name]
    steps = [later / earlier for earlier, later in pairwise(figures)]
    return Row("Table II, compressed, largest step up", max(steps), "", "scales in order", goal="figure <= 1")


def _beside_pandora() -> list[Row]:
    """Speed of the whole chain, the best of a few, and error of the disparity, on an uncompressed pair of the twin."""
    ground = make_ground("flat", (2 * PAIR_PX, 2 * PAIR_PX), 5.0, 7, "pandora")
    view = stereo_view(ground, Sun(95.0, 45.0), SLANT_DEG, PSF_SIGMA_PX, stream(7, "pandora", "orbit"))
    left, right = (200 * image / view.left.mean() for image in (view.left, view.right))
    params, times = MatchParams(search_px=SPEED_SEARCH_PX), []
    for _ in range(SPEED_REPEATS):
        started = time.perf_counter()
        found = match(left, right, params)
        times.append(time.perf_counter() - started)
    peer = _pandora(left, right)
    trusted = found.valid & (np.isfinite(peer[0]) if peer else True)
    trusted[:BORDER_PX] = trusted[-BORDER_PX:] = False
    ours = _spread((found.disparity_px - view.disparity_px)[trusted])
    theirs = _spread((peer[0] - view.disparity_px)[trusted]) if peer else None
    conditions = f"noise-free pair of the twin, {PAIR_PX} x {PAIR_PX} px, disparities within {SPEED_SEARCH_PX} px, one thread"
    size = left.size / 1e6
    speed = size / peer[1] if peer else None
    return [
        Row(
            "matching, whole chain",
            size / min(times),
            "Mpx/s",
            conditions,
            PEER if peer else "",
            speed,
            "figure >= 1",
        ),
        Row("matching, NMAD to the truth", ours, "px", conditions, PEER if peer else "", theirs),
    ]


def _spread(error: Array) -> float:
    """1.4826 times the median of absolute deviations."""
    return float(1.4826 * np.median(np.abs(error - np.median(error))))


def _pandora(left: Array, right: Array) -> tuple[Array, float] | None:
    """The peer's disparity and its seconds; None without it."""
    python = os.environ.get("ORRERY_PANDORA_PYTHON")
    if not python:
        return None
    with tempfile.TemporaryDirectory() as folder:
        pair, out = (Path(folder) / name for name in ("pair.npz", "out.npz"))
        np.savez(pair, left=left, right=right, low=-SPEED_SEARCH_PX, high=SPEED_SEARCH_PX)
        one = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        script = Path(__file__).with_name("pandora_peer.py")
        subprocess.run(
            [python, str(script), str(pair), str(out)], check=True, env=one, stdout=subprocess.DEVNULL
        )
        with np.load(out) as found:
            return np.asarray(found["disparity_px"], np.float32), float(found["seconds"])
