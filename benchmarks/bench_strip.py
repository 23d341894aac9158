"""Whole-strip prediction of mars-bands: steps across tile borders, and memory and time beyond the bare network.

The strip is 5,064 px wide, as CTX's, and ``ORRERY_BENCH_STRIP_PX`` pixels long (2000 without it; 50000 is the figure to hold,
and takes hours on one core). It runs in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from scipy import ndimage

from benchmarks.apart import measured, peak_gib
from benchmarks.row import Row
from orrery.nets.half_resolution_unet import HalfResolutionUNet
from orrery.raster.grid import Grid
from orrery.raster.tiles import BellAxis
from orrery.seeds import stream
from orrery.systems.mars_bands.metrics import seam_ratio
from orrery.systems.mars_bands.predict import PredictParams, predict
from orrery.systems.mars_bands.tile import Tile

Array = NDArray[np.float32]
MARS = CRS.from_string("IAU_2015:49910")
GSD_M, WIDTH_PX, TEXTURE_PX, SEAM_PX = 6.0, 5064, 1024, 1500
BANDS_NM = (442.63, 533.74, 592.35, 1079.96, 1500.03, 2503.12)
DEMO_WIDTHS = (24, 32, 64, 96)  # of orrery-bands in params.yaml
PARAMS = PredictParams()
SUN = (300.0, 35.0)  # azimuth and elevation, degrees


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return [*seam_rows(Path(folder)), *scale_rows(Path(folder))]


@dataclass
class Stub:
    """Six bands and their 1-sigma."""

    name: str
    context_px: int = 32
    wavelengths_nm: tuple[float, ...] = BANDS_NM
    uses_dem: bool = False

    @property
    def planes(self) -> tuple[str, ...]:
        """Bands, then their 1-sigma."""
        return tuple(f"{kind}{nm:.2f} nm" for kind in ("", "sigma ") for nm in self.wavelengths_nm)

    @property
    def blended(self) -> tuple[str, ...]:
        """The same."""
        return self.planes

    def finished(self, blended: Array) -> Array:
        """The same."""
        return blended

    def recipe(self) -> dict[str, Any]:
        """What tells one stub from another."""
        return {"name": self.name}

    def predict(self, tiles: Sequence[Tile]) -> list[Array]:
        """Twelve planes a tile."""
        return [self.planes_of(tile) for tile in tiles]

    def planes_of(self, tile: Tile) -> Array:
        """Twelve planes of one tile."""
        raise NotImplementedError


# Seams


@dataclass
class BiasedStub(Stub):
    """The image blurred across the tile's own border, plus a bias of each tile's, as a network with global pooling has."""

    bias: float = 0.0

    def planes_of(self, tile: Tile) -> Array:
        """The image in all planes."""
        blurred = ndimage.gaussian_filter(tile.image, 8.0, mode="constant", cval=tile.statistics.mean)
        draw = stream(0, hashlib.sha256(tile.image.tobytes()).hexdigest()).uniform(-1, 1)
        values = 0.5 * tile.image + 0.5 * blurred + np.float32(self.bias * draw)
        return np.stack([values] * len(self.planes)).astype(np.float32)


def seam_rows(folder: Path) -> list[Row]:
    image, found = make_strip(folder / "seams", SEAM_PX, SEAM_PX), []
    stubs = {
        "a stub that sees 32 px around": BiasedStub("context"),
        "a stub with a bias of +-0.01 I/F a tile": BiasedStub("bias", bias=0.01),
    }
    for name, stub in stubs.items():
        for divisor in (2, 3):
            ours, literal = (
                seam_ratio(_band(image, folder / "out", stub, divisor, weights), [_edges(divisor)] * 2)
                for weights in ("tapered", "paper")
            )
            conditions = (
                f"mean |step| across tile borders over that inside; {SEAM_PX} x {SEAM_PX} px, I/F 0.15 +- 0.02, "
                f"tiles {PARAMS.tile_px}, stride 1/{divisor}"
            )
            peer = "the paper's Gaussian, which begins at 0.37"
            found.append(
                Row(
                    f"seams of a strip, {name}, s = {divisor}", ours, "", conditions, peer, literal,
                    goal="figure <= 1.05",
                )
            )  # fmt: skip
    return found


def _edges(divisor: int) -> set[int]:
    """Rows or columns at which a tile begins or ends."""
    starts = BellAxis.strided(SEAM_PX, PARAMS.tile_px, divisor).starts
    return {edge for start in starts for edge in (start, start + PARAMS.tile_px)}


def _band(image: Path, out: Path, stub: Stub, divisor: int, weights: str) -> Array:
    params = PARAMS.model_copy(update={"weights": weights, "stride_divisor": divisor})
    predict([image], out, model=stub, params=params, tags={}, sun=SUN, progress=False)
    with rasterio.open(out / "bands.tif") as dataset:
        return np.asarray(dataset.read(1))


# Memory and time


@dataclass
class NetworkStub(Stub):
    """The demo's network with weights that nobody trained; it measures the time of the bare forward passes."""

    network: HalfResolutionUNet = field(default_factory=lambda: HalfResolutionUNet(1, 12, DEMO_WIDTHS).eval())
    forward_s: float = 0.0
    forward_cpu_s: float = 0.0
    pixels: int = 0

    def planes_of(self, tile: Tile) -> Array:
        """Bands round the image's values."""
        start, cpu = time.perf_counter(), time.thread_time()
        values = (tile.image - tile.statistics.mean) / tile.statistics.standard_deviation
        with torch.inference_mode():
            output: Array = self.network(torch.from_numpy(values[None, None].astype(np.float32)))[0].numpy()
        output *= np.float32(tile.statistics.standard_deviation)
        output[:6] += tile.image
        self.forward_s += time.perf_counter() - start
        self.forward_cpu_s += time.thread_time() - cpu
        self.pixels += tile.image.size
        return output


def scale_rows(folder: Path) -> list[Row]:
    length = int(os.environ.get("ORRERY_BENCH_STRIP_PX", "2000"))
    make_strip(folder / "large", length, WIDTH_PX)
    found = measured("benchmarks.bench_strip", folder / "large")
    conditions = (
        f"{WIDTH_PX} x {length} px, the demo's network ({found['forward_s_per_mpx']:.2f} s/Mpx), tiles {PARAMS.tile_px}, stride "
        f"1/{PARAMS.stride_divisor}, context 32 px, one thread a pass, six bands with 1-sigma, COGs and pictures included, "
        f"{found['wall_s']:.0f} s in all"
    )
    peer = "the bare forward passes"
    return [
        Row("whole strip, peak memory", found["peak_gib"], "GiB", conditions, goal="figure <= 2"),
        Row("whole strip, time", found["wall_s"], "s", conditions, peer, found["forward_s"], "ratio <= 1.15"),
        Row("whole strip, processor time", found["cpu_s"], "s", conditions, peer, found["forward_cpu_s"]),
    ]


def measure_large(folder: Path) -> dict[str, float]:
    """Predict the large strip in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    stub, start, cpu = NetworkStub("demo-network"), time.perf_counter(), time.process_time()
    predict(
        [folder / "image.tif"], folder / "out", model=stub, params=PARAMS, tags={}, sun=SUN, progress=False
    )
    return {
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "forward_s": stub.forward_s,
        "forward_cpu_s": stub.forward_cpu_s,
        "forward_s_per_mpx": stub.forward_s / stub.pixels * 1e6,
        "peak_gib": peak_gib(),
    }


def make_strip(folder: Path, height: int, width: int) -> Path:
    """I/F of 0.15 +- 0.02 with noise, a texture repeated; written window by window."""
    folder.mkdir(parents=True)
    clouds = ndimage.gaussian_filter(
        stream(0, "clouds").normal(size=(TEXTURE_PX, TEXTURE_PX)), 4, mode="wrap"
    )
    texture = (0.15 + 0.02 * clouds / clouds.std()).astype(np.float32)
    grid = Grid(MARS, Affine(GSD_M, 0, 0, 0, -GSD_M, 0), height, width)
    profile = {
        "driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "float32", "crs": MARS,
        "transform": grid.transform, "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "zstd",
        "zstd_level": 1, "predictor": 3,
    }  # fmt: skip
    path = folder / "image.tif"
    with rasterio.open(path, "w", **profile) as dataset:
        for row in range(0, height, 256):
            band = np.take(texture, np.arange(row, min(row + 256, height)), axis=0, mode="wrap")
            noise = stream(row, "noise").normal(0, 1e-3, (len(band), width))
            values = np.take(band, np.arange(width), axis=1, mode="wrap") + noise
            window = rasterio.windows.Window(0, row, width, len(band))
            dataset.write(values.astype(np.float32), 1, window=window)
    return path


if __name__ == "__main__":
    print(json.dumps(measure_large(Path(sys.argv[1]))))
