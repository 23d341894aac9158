"""What a prediction is given: an image in I/F and, where the model wants one, a DEM. All is checked here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import ceil, radians, sin, sqrt
from pathlib import Path
from typing import Any

from orrery.errors import OrreryError
from orrery.raster.dem import Dem
from orrery.raster.grid import Grid
from orrery.raster.io import Source, open_windows
from orrery.raster.sidecar import SunTrueNorth, known_sun, read_sidecar, sun_true_north
from orrery.raster.windows import Part, Scaled, Span, Windows, reduced
from orrery.systems.mars_bands.statistics import measure
from orrery.systems.mars_bands.tile import Statistics

SMALLEST_PX = 16  # below it there is no morphology to learn from
SMALL_PX = 1_000_000
BRIGHTEST = 2.0  # I/F: snow in full sun reaches 1, detectors saturate soon after


@dataclass(frozen=True)
class Strip:
    """One image to predict from.

    Attributes:
        path: its file.
        source: I/F over the cosine of the incidence on level ground.
        dem: in this image's coordinate system; None for models that use none.
        sun_true_north: azimuth from true north and elevation, degrees, where the side-car or the file tells.
        taken: time in ISO 8601, where the side-car tells.
    """

    path: Path
    source: Windows
    dem: Dem | None
    sun_true_north: SunTrueNorth | None
    taken: str | None

    @property
    def grid(self) -> Grid:
        """Where it lies."""
        return self.source.grid

    def part(self, span: Span) -> Strip:
        """A part of it as an image of its own."""
        return replace(self, source=Part(self.source, span))


@contextmanager
def opened(
    image: Path,
    dem: Path | None,
    *,
    uses_dem: bool,
    sun: tuple[float | None, float | None] = (None, None),
    scale: float = 1.0,
    image_band: int = 1,
    dem_band: int = 1,
) -> Iterator[Strip]:
    """Open an image and its DEM, and check what shows without reading all of it.

    Args:
        image: map-projected.
        dem: heights in m; it is not read for a model that uses none.
        uses_dem: whether the model wants heights.
        sun: azimuth from true north and elevation, degrees; None: as the side-car or the file tells. The elevation must be known:
            I/F is divided by the cosine of the incidence, as in training.
        scale: factor that makes the image's values I/F.
        image_band: counted from 1.
        dem_band: counted from 1.

    Raises:
        OrreryError: a file is unreadable, of another body or in degrees; nobody tells how high the sun stood; the model wants a DEM and there is none, or it does
            not meet the image; the image is tiny.
    """
    with ExitStack() as stack:
        source = stack.enter_context(open_windows(image, body="mars", band=image_band))
        if min(source.grid.shape) < SMALLEST_PX:
            raise OrreryError(
                f"{source.grid.height} x {source.grid.width} px show no landforms",
                file=image,
                remedy=f"give an image of {SMALLEST_PX} x {SMALLEST_PX} px or more",
            )
        sidecar = read_sidecar(image)
        _, elevation_deg = sun_true_north(source, {"view:sun_azimuth": 0.0, **sidecar}, sun)
        pixels = Scaled(source, scale / sin(radians(elevation_deg)))
        strip = Strip(image, pixels, None, known_sun(source, sidecar), sidecar.get("datetime"))
        if uses_dem:
            terrain = stack.enter_context(open_windows(_wanted(dem, image), body="mars", band=dem_band))
            strip = replace(strip, dem=_under(strip, terrain))
        yield strip


def _wanted(dem: Path | None, image: Path) -> Path:
    if dem is None:
        raise OrreryError(
            "the model was trained with a DEM, and none was given",
            file=image,
            remedy="give --dem, heights in m of the image's area, or a --model without one",
        )
    return dem


def _under(strip: Strip, terrain: Source) -> Dem:
    """The DEM under an image, some of whose pixels have a height."""
    dem = Dem.under(strip.grid, terrain, strip.path)
    factor = ceil(sqrt(strip.grid.height * strip.grid.width / SMALL_PX))
    small = reduced(strip.source, factor)
    if small.valid.any():  # an image without a valid pixel is refused for that
        dem.check(small, strip.path, terrain.path)
    return dem


def statistics_of(strip: Strip, advance: Callable[[int], Any]) -> Statistics:
    """Statistics of a whole image that can be I/F.

    Raises:
        OrreryError: no pixel is valid, all have one value, or the values are no I/F.
    """
    found = measure(strip.source, advance)
    if found is None:
        raise OrreryError(
            "holds no valid pixel", file=strip.path, remedy="give another band (--image-band) or file"
        )
    if not (found.mean > 0 and found.high <= BRIGHTEST):
        raise OrreryError(
            f"holds values of {found.low:.4g} to {found.high:.4g}, mean {found.mean:.4g}, which are no I/F",
            file=strip.path,
            remedy="calibrate it to I/F (ctxcal), or give --scale, the factor that makes it I/F",
        )
    if found.standard_deviation == 0:
        raise OrreryError(
            f"holds one value only, {found.mean:.4g}",
            file=strip.path,
            remedy="give another band (--image-band) or file",
        )
    return found
