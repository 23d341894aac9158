"""Small synthetic scenes and stub models for the tests of whole-scene prediction."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from scipy import ndimage

from orrery.files import write_json
from orrery.instruments.photometry import Sun
from orrery.raster.grid import Grid
from orrery.raster.io import write
from orrery.raster.shade import shade
from orrery.seeds import stream

MOON = CRS.from_string("IAU_2015:30110")  # equirectangular, true to scale at the equator
GSD_M, POSTING_M = 5.0, 60.0
SUN = (100.0, 35.0)


@dataclass(frozen=True)
class Scene:
    """Files and truth of one scene; heights and image are (H, W) on `grid`."""

    image: Path
    dem: Path
    grid: Grid
    heights_m: np.ndarray
    pixels: np.ndarray


def make_scene(
    folder: Path, height: int = 400, width: int = 500, *, origin=(3000.0, 90_000.0), sidecar=True
) -> Scene:
    """Rolling ground under a uniform albedo; the DEM reaches ten postings further than the image."""
    folder.mkdir(parents=True, exist_ok=True)
    margin = int(10 * POSTING_M / GSD_M)
    heights_m = ground(height + 2 * margin, width + 2 * margin)
    grid = Grid(MOON, Affine(GSD_M, 0, origin[0], 0, -GSD_M, origin[1]), height, width)
    step = int(POSTING_M / GSD_M)
    low = ndimage.uniform_filter(heights_m, step)[step // 2 :: step, step // 2 :: step]
    dem_grid = Grid(MOON, grid.window(-margin, -margin, 1, 1).transform * Affine.scale(step), *low.shape)
    heights_m = heights_m[margin:-margin, margin:-margin]
    pixels = (1000 * shade(heights_m, GSD_M, Sun(*SUN))).astype(np.float32)
    write(folder / "image.tif", {"image": pixels}, grid)
    write(folder / "dem.tif", {"height": low}, dem_grid)
    if sidecar:
        write_sun(folder / "image.json", *SUN)
    return Scene(folder / "image.tif", folder / "dem.tif", grid, heights_m, pixels)


def ground(height: int, width: int, seed: int = 5) -> np.ndarray:
    """Gaussian hills of two sizes, m."""
    random = stream(seed, "ground")
    rough = [
        ndimage.gaussian_filter(random.normal(size=(height, width)), sigma, mode="wrap") for sigma in (30, 6)
    ]
    return (20 * rough[0] / rough[0].std() + 2 * rough[1] / rough[1].std() - 1500).astype(np.float32)


def write_sun(path: Path, azimuth: object, elevation: object) -> None:
    """A STAC item with nothing but the sun."""
    properties = {
        "view:sun_azimuth": azimuth,
        "view:sun_elevation": elevation,
        "datetime": "2011-03-04T05:06:07Z",
    }
    write_json(
        path, {"type": "Feature", "properties": properties, "assets": {"image": {"href": "image.tif"}}}
    )


@dataclass(frozen=True)
class PointStub:
    """Heights that depend on each pixel alone, so that tiling must not change them."""

    context_px: int = 16
    name: str = "point-stub"

    def recipe(self):
        return {"gain_m": 3}

    def predict(self, tiles: Sequence):
        return [
            (point_heights(tile.image, tile.exposure, tile.coarse_m), 1 + 0 * tile.image) for tile in tiles
        ]


def point_heights(image, exposure, coarse_m):
    """Coarse heights plus three metres for every doubling of brightness."""
    return (coarse_m + 3 * (image / exposure - 1)).astype(np.float32)


@dataclass(frozen=True)
class BiasedStub(PointStub):
    """The same with a bias of its own for each tile."""

    name: str = "biased-stub"

    def predict(self, tiles: Sequence):
        return [
            (heights + _bias(tile.image), sigma)
            for tile, (heights, sigma) in zip(tiles, super().predict(tiles), strict=True)
        ]


def _bias(pixels) -> np.float32:
    digest = hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=2).digest()
    return np.float32(int.from_bytes(digest, "little") / 65535 * 10 - 5)
