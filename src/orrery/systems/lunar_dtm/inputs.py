"""What a prediction is given: images with their sun, and a coarse DEM brought into each image's frame. All is checked here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from orrery.errors import OrreryError
from orrery.instruments.photometry import Sun
from orrery.raster.grid import AffineMap, Grid, meridian_convergence_deg
from orrery.raster.io import Raster, Source, open_windows, upsample
from orrery.raster.windows import Placed, Warped, Windows, covered, reduced
from orrery.systems.lunar_dtm.features import EXPOSURE_SCALE_M
from orrery.systems.lunar_dtm.sidecar import SunTrueNorth, read_sidecar, sun_true_north

Array = NDArray[np.float32]
SPLINE_MARGIN_PX = 16  # the cubic spline forgets what lies 16 samples away (its pole: 0.27 ** 16 < 1e-9)
SMALL_PX = 2_000_000  # so many block means hold a smooth field of any image
SMALLEST_PX = 16  # below it there is neither shading to normalise nor a slope to measure
GSD_TOLERANCE = 1.02  # two products of one posting differ by rounding


@dataclass(frozen=True)
class Dem:
    """The coarse DEM in one image's frame, heights in m."""

    source: Windows

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


@dataclass(frozen=True)
class Image:
    """One image to predict from.

    Attributes:
        path: its file.
        source: linear values on the working grid.
        small: their means over blocks of `small_factor` x `small_factor` pixels, whole.
        sun_true_north: azimuth from true north and elevation, degrees.
        sun: direction in the image frame.
        taken: time in ISO 8601, where the side-car tells.
        dem: the coarse DEM in this image's frame.
        correction: from DEM coordinates to this image's frame.
    """

    path: Path
    source: Windows
    small: Raster
    small_factor: int
    sun_true_north: SunTrueNorth
    sun: Sun
    taken: str | None
    dem: Dem
    correction: AffineMap = field(default_factory=AffineMap)

    @property
    def grid(self) -> Grid:
        """The working grid in the image's own frame."""
        return self.source.grid

    @property
    def product_grid(self) -> Grid:
        """The working grid in the DEM's frame: no pixel is resampled."""
        return self.correction.inverse().moved(self.grid)

    def corrected(self, correction: AffineMap) -> Image:
        """With the DEM moved into the image's frame by `correction`."""
        return replace(self, dem=self.dem.moved(correction), correction=correction)


@contextmanager
def opened(
    images: Sequence[Path],
    dem: Path,
    *,
    sun: tuple[float | None, float | None],
    gsd_m: float | None,
    image_band: int,
    dem_band: int,
) -> Iterator[tuple[list[Image], Dem]]:
    """Open and check everything that a prediction reads; give the images and the DEM in its own frame.

    Args:
        images: map-projected images.
        dem: coarse DEM.
        sun: azimuth from true north and elevation, degrees; None: from each image's metadata.
        gsd_m: pixel size to work at; None: the image's own.
        image_band: band of the images.
        dem_band: band of the DEM.

    Raises:
        OrreryError: a file is unreadable, of another body or in degrees; no sun, or below the horizon; image and DEM do
            not meet; the image is coarser than the DEM, or than `gsd_m`.
    """
    if not images:
        raise OrreryError("no image was given", remedy="name at least one (--image)")
    with ExitStack() as stack:
        terrain = stack.enter_context(open_windows(dem, band=dem_band))
        sources = [stack.enter_context(open_windows(path, band=image_band)) for path in images]
        yield [_image(source, terrain, sun, gsd_m) for source in sources], Dem(terrain)


def _image(
    source: Source, terrain: Source, sun: tuple[float | None, float | None], gsd_m: float | None
) -> Image:
    pixels = _at_gsd(source, gsd_m)
    if min(pixels.grid.shape) < SMALLEST_PX:
        raise OrreryError(
            f"{pixels.grid.height} x {pixels.grid.width} px hold no terrain",
            file=source.path,
            remedy=f"give an image of {SMALLEST_PX} x {SMALLEST_PX} px or more",
        )
    dem = _in_crs_of(pixels.grid, terrain)
    if pixels.grid.gsd_m > dem.grid.gsd_m * GSD_TOLERANCE:
        raise OrreryError(
            f"pixels of {pixels.grid.gsd_m:.4g} m are coarser than the DEM's postings of {dem.grid.gsd_m:.4g} m",
            file=source.path,
            remedy="give a finer image or a coarser DEM",
        )
    if covered(dem.grid, pixels.grid, 0) is None:
        raise _no_overlap(source.path, terrain.path)
    sidecar = read_sidecar(source.path)
    azimuth, elevation = sun_true_north(source, sidecar, sun)
    direction = Sun((azimuth + meridian_convergence_deg(pixels.grid)) % 360, elevation)
    factor = _small_factor(pixels.grid, dem.grid.gsd_m)
    small = reduced(pixels, factor)
    _check_content(small, Dem(dem), source.path, terrain.path)
    return Image(
        source.path, pixels, small, factor, (azimuth, elevation), direction, sidecar.get("datetime"), Dem(dem)
    )


def _small_factor(grid: Grid, posting_m: float) -> int:
    """Fine enough for the exposure field and for the DEM's relief, bounded in memory, and 8 blocks or more a side."""
    wanted = math.floor(min(EXPOSURE_SCALE_M / 8, posting_m / 2) / grid.gsd_m)
    bounded = max(1, wanted, math.ceil(math.sqrt(grid.height * grid.width / SMALL_PX)))
    return max(1, min(bounded, grid.height // 8, grid.width // 8))


def _check_content(small: Raster, dem: Dem, image: Path, dem_path: Path) -> None:
    """Refuse an image without a valid pixel, or without one where the DEM has a height."""
    if not small.valid.any():
        raise OrreryError(
            "holds no valid pixel", file=image, remedy="give another band (--image-band) or file"
        )
    if not (small.valid & np.isfinite(dem.on(small.grid))).any():
        raise _no_overlap(image, dem_path)


def _no_overlap(image: Path, dem: Path) -> OrreryError:
    """The error of an image that lies beside the DEM."""
    return OrreryError(
        f"does not overlap with the heights of {dem.name}",
        file=image,
        remedy="give a DEM of the image's area",
    )


def _at_gsd(source: Source, gsd_m: float | None) -> Windows:
    """The image at its own pixel size, or averaged to a coarser one."""
    own = source.grid
    if gsd_m is None or abs(gsd_m / own.gsd_m - 1) < 1e-6:
        return source
    if gsd_m < own.gsd_m:
        raise OrreryError(
            f"its pixels of {own.gsd_m:.4g} m cannot give a map at {gsd_m:g} m",
            file=source.path,
            remedy="leave systems.lunar-dtm.predict.gsd_m empty or raise it",
        )
    scale = gsd_m / own.gsd_m
    height, width = max(int(own.height / scale), 1), max(int(own.width / scale), 1)
    return Warped(source, Grid(own.crs, own.transform * Affine.scale(scale), height, width), "average")


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
