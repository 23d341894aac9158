"""Whole-scene prediction: seams of the mosaic, and its memory and time beyond the bare network.

The large scene is ``ORRERY_BENCH_MOSAIC_PX`` pixels wide and high (6000 without it; 20000 is the figure to hold, and takes
half an hour on one core). It runs in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine
from rasterio.crs import CRS
from scipy import ndimage
from torch import nn

from benchmarks.apart import measured, peak_gib
from benchmarks.row import Row
from orrery.instruments.photometry import Sun
from orrery.raster.grid import Grid
from orrery.raster.io import read, write
from orrery.raster.shade import shade
from orrery.raster.tiles import Axis
from orrery.seeds import stream
from orrery.systems.lunar_dtm.features import Tile
from orrery.systems.lunar_dtm.predict import PredictParams, predict

MOON = CRS.from_string("IAU_2015:30110")
GSD_M, POSTING_M, SUN = 2.0, 60.0, (300.0, 30.0)
PARAMS = PredictParams(align="off")
SIDE_BY_SIDE = PredictParams(align="off", overlap_px=0, vertical="off")
SEAM_PX, TEXTURE_PX = 1500, 1024
Pair = tuple[np.ndarray, np.ndarray]


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return [*seam_rows(Path(folder)), *scale_rows(Path(folder))]


# Seams


class BiasedStub:
    """Coarse heights plus brightness, plus a bias and a tilt of each tile's own, as independent predictions have."""

    context_px = 64

    def __init__(self, bias_m: float, tilt_m: float) -> None:
        self.name, self.bias_m, self.tilt_m = "biased-stub", bias_m, tilt_m

    def recipe(self) -> dict[str, Any]:
        """What tells one stub from another."""
        return {"bias_m": self.bias_m, "tilt_m": self.tilt_m}

    def predict(self, tiles: Sequence[Tile]) -> list[Pair]:
        """Heights and 1-sigma, m."""
        return [self._predict(tile) for tile in tiles]

    def _predict(self, tile: Tile) -> Pair:
        random = stream(0, hashlib.sha256(tile.image.tobytes()).hexdigest())
        bias, down, across = random.uniform(-1, 1, 3)
        y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in tile.image.shape), indexing="ij")
        error = self.bias_m * bias + self.tilt_m * (down * y + across * x)
        heights = tile.coarse_m + (tile.image / tile.exposure - 1) + error
        return heights.astype(np.float32), np.ones_like(heights, np.float32)


def seam_rows(folder: Path) -> list[Row]:
    image, dem = make_scene(folder / "seams", SEAM_PX)
    stubs = {
        "a stub network": BiasedStub(0, 0),
        "a stub network with a bias of +-5 m a tile": BiasedStub(5, 0),
        "a stub network with a bias of +-5 m and a tilt of +-1 m a tile": BiasedStub(5, 1),
    }
    conditions = (
        f"mean |step| across tile borders over that inside tiles; {SEAM_PX} x {SEAM_PX} px of {GSD_M:g} m, "
        f"tiles {PARAMS.tile_height_px} x {PARAMS.tile_width_px}, overlap {PARAMS.overlap_px}"
    )
    found = []
    for name, stub in stubs.items():
        ours, bare = (
            seam_ratio(_heights(image, dem, folder / "out", stub, params), params)
            for params in (PARAMS, SIDE_BY_SIDE)
        )
        peer = "tiles side by side, not levelled"
        found.append(Row(f"seams, {name}", ours, "", conditions, peer, bare, "figure <= 1.05"))
    return found


def seam_ratio(heights_m: np.ndarray, params: PredictParams) -> float:
    """Mean absolute step between neighbouring pixels where a tile begins or ends, over that everywhere else."""
    across, inside = [], []
    for axis, tile_px in enumerate((params.tile_height_px, params.tile_width_px)):
        steps = np.abs(np.diff(heights_m, axis=axis))
        tiles = Axis.over(heights_m.shape[axis], tile_px, params.overlap_px)
        edges = {edge for start in tiles.starts for edge in (start, start + tiles.tile)}
        is_border = np.isin(np.arange(steps.shape[axis]) + 1, list(edges))
        across.append(np.compress(is_border, steps, axis).ravel())
        inside.append(np.compress(~is_border, steps, axis).ravel())
    return float(np.concatenate(across).mean() / np.concatenate(inside).mean())


def _heights(image: Path, dem: Path, out: Path, stub: BiasedStub, params: PredictParams) -> np.ndarray:
    predict([image], dem, out, model=stub, params=params, tags={}, sun=SUN, progress=False)
    return read(out / "dtm.tif").values


# Memory and time


class ConvStub:
    """Three convolutions, together nearly as dear as orrery-dtm; it measures the time they take, which is that of the bare forward passes."""

    name, context_px = "conv-stub", 64  # the context of orrery-dtm

    def __init__(self, width: int = 32) -> None:
        torch.manual_seed(0)
        inner = nn.Conv2d(2, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
        self.network = nn.Sequential(*inner, nn.Conv2d(width, 2, 3, padding=1)).eval()
        self.forward_s, self.pixels = 0.0, 0

    def recipe(self) -> dict[str, Any]:
        """What tells one stub from another."""
        return {}

    def predict(self, tiles: Sequence[Tile]) -> list[Pair]:
        """Heights and 1-sigma, m."""
        return [self._predict(tile) for tile in tiles]

    def _predict(self, tile: Tile) -> Pair:
        start = time.perf_counter()
        planes = torch.from_numpy(np.stack([tile.image / tile.exposure - 1, tile.coarse_m / tile.gsd_m]))
        with torch.inference_mode():
            output = self.network(planes[None])[0].numpy()
        heights = tile.coarse_m + output[0], np.exp(output[1])
        self.forward_s += time.perf_counter() - start
        self.pixels += tile.image.size
        return heights


def scale_rows(folder: Path) -> list[Row]:
    size = int(os.environ.get("ORRERY_BENCH_MOSAIC_PX", "6000"))
    make_scene(folder / "large", size)
    found = measured("benchmarks.bench_mosaic", folder / "large")
    conditions = (
        f"{size} x {size} px, stub network of three 3 x 3 convolutions ({found['forward_s_per_mpx']:.2f} s/Mpx), context "
        f"{ConvStub.context_px} px, one thread, COGs and pictures included, {found['wall_s']:.0f} s in all"
    )
    return [
        Row("whole scene, peak memory", found["peak_gib"], "GiB", conditions, goal="figure <= 2"),
        Row(
            "whole scene, time",
            found["wall_s"],
            "s",
            conditions,
            "the bare forward passes",
            found["forward_s"],
            "ratio <= 1.15",
        ),
    ]


def measure_large(folder: Path) -> dict[str, float]:
    """Predict the large scene in this process."""
    torch.set_num_threads(1)
    stub, start = ConvStub(), time.perf_counter()
    image, dem = folder / "image.tif", folder / "dem.tif"
    predict([image], dem, folder / "out", model=stub, params=PARAMS, tags={}, sun=SUN, progress=False)
    wall_s = time.perf_counter() - start
    per_mpx = stub.forward_s / stub.pixels * 1e6
    peak = {
        "wall_s": wall_s,
        "forward_s": stub.forward_s,
        "forward_s_per_mpx": per_mpx,
        "peak_gib": peak_gib(),
    }
    return peak


def make_scene(folder: Path, size: int) -> tuple[Path, Path]:
    """A square scene under one sun: a texture of shaded hills repeated; written window by window."""
    folder.mkdir(parents=True)
    hills = ndimage.gaussian_filter(stream(0, "hills").normal(size=(TEXTURE_PX, TEXTURE_PX)), 4, mode="wrap")
    texture = shade((hills / hills.std()).astype(np.float32), GSD_M, Sun(*SUN))
    grid = Grid(MOON, Affine(GSD_M, 0, 0, 0, -GSD_M, 0), size, size)
    profile = {
        "driver": "GTiff", "height": size, "width": size, "count": 1, "dtype": "int16", "crs": MOON,
        "transform": grid.transform, "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "zstd", "zstd_level": 1,
    }  # fmt: skip
    with rasterio.open(folder / "image.tif", "w", **profile) as dataset:
        for row in range(0, size, 256):
            band = np.take(texture, np.arange(row, min(row + 256, size)), axis=0, mode="wrap")
            noisy = 2000 * np.take(band, np.arange(size), axis=1, mode="wrap") + stream(row, "noise").normal(
                0, 20, (len(band), size)
            )
            dataset.write(noisy.astype(np.int16), 1, window=rasterio.windows.Window(0, row, size, len(band)))
    posts = int(size * GSD_M / POSTING_M) + 20
    low = ndimage.gaussian_filter(stream(0, "coarse").normal(size=(posts, posts)), 2) * 20
    place = Affine(POSTING_M, 0, -10 * POSTING_M, 0, -POSTING_M, 10 * POSTING_M)
    write(folder / "dem.tif", {"height": low.astype(np.float32)}, Grid(MOON, place, posts, posts))
    return folder / "image.tif", folder / "dem.tif"


if __name__ == "__main__":
    print(json.dumps(measure_large(Path(sys.argv[1]))))
