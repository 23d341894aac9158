"""Small synthetic strips and stub models for the tests of whole-strip prediction and of restoration."""

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
from orrery.raster.grid import Grid
from orrery.raster.io import write
from orrery.seeds import stream

MARS = CRS.from_string("IAU_2015:49910")  # equirectangular, true to scale at the equator
GSD_M, POSTING_M = 6.0, 120.0
EVC_NM = (442.63, 533.74, 592.35)
GAINS = {442.63: 0.4, 533.74: 0.7, 592.35: 1.1, 1079.96: 1.3, 1500.03: 1.4, 2503.12: 1.2}


@dataclass(frozen=True)
class Strip:
    """Files of one strip; `pixels` are (H, W) I/F on `grid`."""

    image: Path
    dem: Path
    grid: Grid
    pixels: np.ndarray


def make_strip(folder: Path, height: int = 300, width: int = 200, *, sidecar: bool = True) -> Strip:
    """Cloudy I/F round 0.15 with fine texture, and a coarse DEM that reaches five postings further."""
    folder.mkdir(parents=True, exist_ok=True)
    grid = Grid(MARS, Affine(GSD_M, 0, 4_000.0, 0, -GSD_M, -20_000.0), height, width)
    pixels = (0.15 + 0.02 * clouds(height, width, 12, 1) + 0.01 * clouds(height, width, 2, 2)).astype(
        np.float32
    )
    write(folder / "ctx.tif", {"i_over_f": pixels}, grid)
    step = int(POSTING_M / GSD_M)
    posts = height // step + 11, width // step + 11
    place = grid.window(-5 * step, -5 * step, 1, 1).transform * Affine.scale(step)
    heights_m = (200 * clouds(*posts, 2, 3) - 2000).astype(np.float32)
    write(folder / "dem.tif", {"elevation_m": heights_m}, Grid(MARS, place, *posts))
    if sidecar:
        properties = {
            "datetime": "2009-03-04T05:06:07Z",
            "view:sun_azimuth": 250.0,
            "view:sun_elevation": 90.0,
        }
        write_json(folder / "ctx.json", {"type": "Feature", "properties": properties, "assets": {}})
    return Strip(folder / "ctx.tif", folder / "dem.tif", grid, pixels)


def clouds(height: int, width: int, sigma: float, seed: int) -> np.ndarray:
    """Smooth noise of standard deviation 1."""
    rough = ndimage.gaussian_filter(stream(seed, "clouds").normal(size=(height, width)), sigma, mode="wrap")
    return (rough - rough.mean()) / rough.std()


@dataclass(frozen=True)
class PointStub:
    """Bands that depend on each pixel alone, so that neither tiles nor stride may change them."""

    wavelengths_nm: tuple[float, ...] = EVC_NM
    uses_dem: bool = False
    context_px: int = 16
    name: str = "point-stub"
    with_spread: bool = True

    @property
    def planes(self) -> tuple[str, ...]:
        kinds = ("", "sigma ", "confidence ") if self.with_spread else ("",)
        return tuple(f"{kind}{nm:.2f} nm" for kind in kinds for nm in self.wavelengths_nm)

    @property
    def blended(self) -> tuple[str, ...]:
        return self.planes

    def finished(self, blended):
        return blended

    def recipe(self):
        return {"gains": [GAINS[nm] for nm in self.wavelengths_nm]}

    def predict(self, tiles: Sequence):
        return [self._of(tile) for tile in tiles]

    def _of(self, tile) -> np.ndarray:
        bands = point_bands(tile.image, self.wavelengths_nm)
        if self.uses_dem:
            bands = bands + np.float32(1e-5) * tile.dem_m
        parts = (
            [bands, 0.1 * bands, np.where(np.isfinite(bands), 0.5, np.nan)] if self.with_spread else [bands]
        )
        return np.concatenate(parts).astype(np.float32)


def point_bands(image: np.ndarray, wavelengths_nm: Sequence[float] = EVC_NM) -> np.ndarray:
    """(B, H, W) the image times a gain of each band."""
    return np.stack([np.float32(GAINS[nm]) * image for nm in wavelengths_nm])


@dataclass(frozen=True)
class ContextStub(PointStub):
    """The same of the image's surroundings: what lies beyond a tile is guessed, as a network's padding does."""

    name: str = "context-stub"
    sigma_px: float = 5.0

    def _of(self, tile) -> np.ndarray:
        image = np.where(np.isfinite(tile.image), tile.image, tile.statistics.mean)
        blurred = ndimage.gaussian_filter(image, self.sigma_px, mode="constant", cval=tile.statistics.mean)
        mixed = np.where(np.isfinite(tile.image), 0.3 * tile.image + 0.7 * blurred, np.nan)
        return np.concatenate([point_bands(mixed.astype(np.float32), self.wavelengths_nm)] * 3)


@dataclass(frozen=True)
class BiasedStub(PointStub):
    """The same with a bias of its own for each tile, as a network with a global pooling has."""

    name: str = "biased-stub"
    bias: float = 0.02

    def _of(self, tile) -> np.ndarray:
        digest = hashlib.blake2b(np.ascontiguousarray(tile.image).tobytes(), digest_size=2).digest()
        return super()._of(tile) + np.float32(self.bias * (int.from_bytes(digest, "little") / 32767.5 - 1))
