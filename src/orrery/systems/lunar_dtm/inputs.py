"""What a prediction is given: images with their sun, and a coarse DEM brought into each image's frame. All is checked here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from affine import Affine

from orrery.errors import OrreryError
from orrery.instruments.photometry import Sun
from orrery.raster.dem import Dem
from orrery.raster.grid import AffineMap, Grid, meridian_convergence_deg
from orrery.raster.io import Raster, Source, open_windows
from orrery.raster.sidecar import SunTrueNorth, read_sidecar, sun_true_north
from orrery.raster.windows import Warped, Windows, reduced
from orrery.systems.lunar_dtm.features import EXPOSURE_SCALE_M

SMALL_PX = 2_000_000  # so many block means hold a smooth field of any image
SMALLEST_PX = 16  # below it there is neither shading to normalise nor a slope to measure
GSD_TOLERANCE = 1.02  # two products of one posting differ by rounding


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
    dem = Dem.under(pixels.grid, terrain, source.path)
    if pixels.grid.gsd_m > dem.posting_m * GSD_TOLERANCE:
        raise OrreryError(
            f"pixels of {pixels.grid.gsd_m:.4g} m are coarser than the DEM's postings of {dem.posting_m:.4g} m",
            file=source.path,
            remedy="give a finer image or a coarser DEM",
        )
    sidecar = read_sidecar(source.path)
    azimuth, elevation = sun_true_north(source, sidecar, sun)
    direction = Sun((azimuth + meridian_convergence_deg(pixels.grid)) % 360, elevation)
    factor = _small_factor(pixels.grid, dem.posting_m)
    small = reduced(pixels, factor)
    _check_content(small, dem, source.path, terrain.path)
    return Image(
        source.path, pixels, small, factor, (azimuth, elevation), direction, sidecar.get("datetime"), dem
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
    dem.check(small, image, dem_path)


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
