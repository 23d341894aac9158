"""An image and a coarse DEM on one working grid: what the DEM would look like under the image's sun, and what the image tells."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from orrery.errors import OrreryError
from orrery.instruments.photometry import Sun
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.io import Raster, Spline
from orrery.raster.shade import shade, sunward_slope
from orrery.raster.windows import block_means, coarser

Array = NDArray[np.float32]

STEPS_PER_POSTING = 4
LARGEST_PX = 500_000  # of the working grid: bounds time and memory for images of any size
EXPOSURE_POSTINGS = 8.0  # below this scale brightness is taken for shading, above it for exposure and albedo
DARKEST = 0.1  # of flat ground's brightness: below lies shadow, which tells no slope
LIT = 0.3  # simulated brightness from which on ground is surely lit
SHADOW_REACH_POSTINGS = 2.0
LEAST_OVERLAP = 0.05


@dataclass(frozen=True)
class View:
    """An image on the working grid and a DEM to be placed.

    Attributes:
        image: at its own resolution.
        grid: the working grid, about four pixels a posting.
        factor: pixels of the image along a side of one of the working grid's.
        brightness: (H, W) means of the image.
        dem: heights, m.
        posting_m: of the DEM.
        sun: in the image frame.
    """

    image: Raster
    grid: Grid
    factor: int
    brightness: Array
    dem: Spline
    posting_m: float
    sun: Sun

    @property
    def blur_px(self) -> float:
        """Scale between shading and exposure, px."""
        return EXPOSURE_POSTINGS * self.posting_m / self.grid.gsd_m

    def px(self, postings: float) -> int:
        """Postings as whole pixels of the working grid."""
        return max(1, round(postings * self.posting_m / self.grid.gsd_m))

    def heights_m(self, to_dem: AffineMap, grid: Grid | None = None) -> Array:
        """(H, W) heights of the DEM when the image's places are taken to the DEM's by a map; NaN beyond it."""
        return self.dem.on(to_dem.moved(grid or self.grid))

    def simulated(self, to_dem: AffineMap) -> Array:
        """(H, W) the DEM shaded at the image's sun, flat ground 1."""
        return shade(self.heights_m(to_dem), self.grid.gsd_m, self.sun)

    def simulated_slopes(self, to_dem: AffineMap) -> Array:
        """(H, W) the DEM's slopes towards the sun, by way of its shading so that facets turned away read as shadow does."""
        return sunward_slope(self.simulated(to_dem), self.sun)

    def exposure(self, to_dem: AffineMap) -> Array:
        """(H, W) brightness of flat ground: a smooth ratio of what is seen and simulated, where both are lit; NaN in the dark."""
        shaded = self.simulated(to_dem)
        lit = (shaded > LIT) & np.isfinite(self.brightness)
        overall = np.median(self.brightness[lit] / shaded[lit]) if lit.any() else 0.0
        if overall <= 0:
            return np.full(self.grid.shape, np.nan, np.float32)
        lit &= self.brightness > DARKEST * overall
        seen, expected = (
            ndimage.gaussian_filter(np.where(lit, values, 0).astype(np.float32), self.blur_px)
            for values in (self.brightness, shaded)
        )
        return np.asarray((seen + 0.02 * overall) / (expected + 0.02), np.float32)

    def relative(self, to_dem: AffineMap) -> Array:
        """(H, W) brightness over that of flat ground."""
        return np.asarray(self.brightness / self.exposure(to_dem), np.float32)

    def observed_slopes(self, to_dem: AffineMap) -> tuple[Array, Array]:
        """(H, W) mean slopes towards the sun, from the image's own pixels, and how far to trust each, 0 to 1.

        Trust is the share of pixels that told a slope. It falls to 0 towards wide shadows: the DEM has smoothed their edges,
        the image has not, and the lit side alone would pull the map to the sun.
        """
        blocks = np.ones((self.factor, self.factor), np.float32)
        relative = padded(self.image.values, self.grid, self.factor) / np.kron(self.exposure(to_dem), blocks)
        relative[~(relative > DARKEST)] = np.nan
        known = block_means(np.isfinite(relative).astype(np.float32), self.factor)
        around = ndimage.gaussian_filter(known, self.px(SHADOW_REACH_POSTINGS), mode="nearest")
        trust = known * np.clip(2 * around - 1, 0, 1)
        return block_means(sunward_slope(relative, self.sun), self.factor), trust

    def agreement(self, to_dem: AffineMap) -> float:
        """Normalised cross-correlation of image and simulated image, widest forms and exposure removed."""
        return correlation(
            *(levelled(values, self.blur_px) for values in (self.brightness, self.simulated(to_dem)))
        )


def make_view(image: Raster, dem: Raster, sun: Sun) -> View:
    """Reduce an image to the working grid.

    Raises:
        OrreryError: the coordinate systems differ, or the DEM does not reach the image.
    """
    if image.grid.crs != dem.grid.crs:
        raise OrreryError(
            "image and DEM lie in different coordinate systems",
            remedy="project the DEM into the image's (gdalwarp -t_srs)",
        )
    posting_m, (height, width) = dem.grid.gsd_m, image.values.shape
    factor = max(
        1, round(posting_m / STEPS_PER_POSTING / image.grid.gsd_m), ceil(sqrt(height * width / LARGEST_PX))
    )
    grid = coarser(image.grid, factor)
    brightness = block_means(padded(image.values, grid, factor), factor)
    view = View(image, grid, factor, brightness, Spline(dem), posting_m, sun)
    if np.isfinite(view.heights_m(AffineMap.identity())).mean() < LEAST_OVERLAP:
        raise OrreryError("the DEM does not reach the image", remedy="give a DEM of the image's place")
    return view


def padded(values: Array, grid: Grid, factor: int) -> Array:
    """Values and NaN up to whole blocks of a coarser grid."""
    missing = [(0, length * factor - size) for length, size in zip(grid.shape, values.shape, strict=True)]
    return np.pad(values, missing, constant_values=np.nan)


def levelled(values: Array, blur_px: float) -> Array:
    """(H, W) contrast with the surroundings; NaN stays NaN, and deep shadow is not blown up."""
    known = np.isfinite(values)
    weight = ndimage.gaussian_filter(known.astype(np.float32), blur_px)
    smooth = ndimage.gaussian_filter(np.where(known, values, 0).astype(np.float32), blur_px) / np.maximum(
        weight, 1e-3
    )
    floor = max(0.2 * float(values[known].mean()), 1e-6) if known.any() else 1.0
    return np.asarray((values - smooth) / (smooth + floor), np.float32)


def correlation(one: Array, other: Array) -> float:
    """Normalised cross-correlation where both are valid; NaN where that is nowhere."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 2 or min(np.ptp(one[both]), np.ptp(other[both])) == 0:
        return float("nan")
    return float(np.corrcoef(one[both], other[both])[0, 1])
