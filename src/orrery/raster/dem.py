"""A coarse DEM under an image, window by window, whatever the two projections."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage

from orrery.errors import OrreryError
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.io import Raster, Source, upsample
from orrery.raster.windows import Placed, Warped, Windows, covered

Array = NDArray[np.float32]
SPLINE_MARGIN_PX = 16  # the cubic spline forgets what lies 16 samples away (its pole: 0.27 ** 16 < 1e-9)


@dataclass(frozen=True)
class Dem:
    """The coarse DEM in one image's frame, heights in m."""

    source: Windows

    @classmethod
    def under(cls, grid: Grid, terrain: Source, image: Path) -> Dem:
        """The DEM in an image's coordinate system: as it is, or resampled at its own posting.

        Raises:
            OrreryError: it does not reach the image.
        """
        source = _in_crs_of(grid, terrain)
        if covered(source.grid, grid, 0) is None:
            raise _no_overlap(image, terrain.path)
        return cls(source)

    @property
    def posting_m(self) -> float:
        """Distance of its samples, m."""
        return self.source.grid.gsd_m

    def on(self, grid: Grid) -> Array:
        """(H, W) heights by cubic spline on any part of the image, m; NaN beyond the DEM."""
        span = covered(self.source.grid, grid, SPLINE_MARGIN_PX)
        if span is None:
            return np.full(grid.shape, np.nan, np.float32)
        part = Raster(self.source.read(*span), self.source.grid.window(*span))
        return upsample(part, grid) if part.valid.any() else np.full(grid.shape, np.nan, np.float32)

    def moved(self, correction: AffineMap) -> Dem:
        """With a corrected geotransform."""
        return Dem(Placed(self.source, correction.moved(self.source.grid)))

    def check(self, small: Raster, image: Path, dem: Path) -> None:
        """Refuse an image none of whose pixels has a height.

        Args:
            small: the image, reduced to what can be held at once.
            image: its file.
            dem: the file of this DEM.

        Raises:
            OrreryError: naming the image and the remedy.
        """
        if not (small.valid & np.isfinite(self.on(small.grid))).any():
            raise _no_overlap(image, dem)


def filled(values: Array) -> Array:
    """Values with those of the nearest known pixel where they are NaN; some must be known."""
    unknown = np.isnan(values)
    nearest = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
    return np.asarray(values[tuple(nearest)])


def _no_overlap(image: Path, dem: Path) -> OrreryError:
    """The error of an image that lies beside the DEM."""
    return OrreryError(
        f"does not overlap with the heights of {dem.name}",
        file=image,
        remedy="give a DEM of the image's area",
    )


def _in_crs_of(grid: Grid, terrain: Source) -> Windows:
    """The DEM as it is, or resampled at its own posting into another projection of the body."""
    if terrain.grid.crs == grid.crs:
        return terrain
    posting = terrain.grid.gsd_m
    margin = 2 * SPLINE_MARGIN_PX * posting
    left, bottom, right, top = grid.bounds
    height = math.ceil((top - bottom + 2 * margin) / posting)
    width = math.ceil((right - left + 2 * margin) / posting)
    place = Affine(posting, 0, left - margin, 0, -posting, top + margin)
    return Warped(terrain, Grid(grid.crs, place, height, width), "cubic")
