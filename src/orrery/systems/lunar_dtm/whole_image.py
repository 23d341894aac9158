"""Heights of a whole image, tile by tile at bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from orrery.cluster import shared
from orrery.raster.dem import filled
from orrery.raster.rows import RowStore
from orrery.raster.shade import shade
from orrery.raster.streaming import Advance, Core, Layout, Planes, predict_rows
from orrery.raster.tiles import Axis, stretch
from orrery.systems.lunar_dtm.features import Tile, exposure_field
from orrery.systems.lunar_dtm.inputs import Image

Array = NDArray[np.float32]
PLANES = ("elevation_m", "sigma_m", "valid")


class Terrain(Protocol):
    """A trained model, as `systems.lunar_dtm.model.TerrainModel`."""

    @property
    def name(self) -> str:
        """The variant."""
        ...

    @property
    def context_px(self) -> int:
        """Border wanted around a tile, px."""
        ...

    def recipe(self) -> Mapping[str, Any]:
        """Everything but the weights, as plain data."""
        ...

    def predict(self, tiles: Sequence[Tile]) -> Sequence[tuple[Array, Array]]:
        """Heights and 1-sigma, m, of each tile."""
        ...


@dataclass(frozen=True)
class Tiling:
    """How an image is cut.

    Attributes:
        height_px, width_px, overlap_px: of the tiles.
        batch: tiles handed to the model at once.
        level: remove from each tile the median of predicted minus coarse heights.
    """

    height_px: int
    width_px: int
    overlap_px: int
    batch: int
    level: bool


@dataclass(frozen=True)
class Exposure:
    """Image value of flat ground as a smooth field, one sample for `factor` x `factor` pixels."""

    samples: Array
    factor: int

    def on(self, row: int, stop: int, width: int) -> Array:
        """(stop - row, width) values of whole rows."""
        places = [(np.arange(*span) + 0.5) / self.factor - 0.5 for span in ((row, stop), (0, width))]
        return stretch(self.samples, *places)


def exposure_of(image: Image) -> Exposure:
    """Exposure of a whole image from its block means and the DEM shaded by its sun."""
    small = image.small
    rendered = shade(image.dem.on(small.grid), small.grid.gsd_m, image.sun)
    return Exposure(exposure_field(small.values, rendered, small.grid.gsd_m), image.small_factor)


def predict_image(image: Image, model: Terrain, tiling: Tiling, store: RowStore, advance: Advance) -> None:
    """Predict a whole image into `store` (`PLANES`), from the first row that is not there yet.

    Args:
        image: with the DEM in its frame.
        model: what predicts a tile.
        tiling: how the image is cut.
        store: the planes on disk, on the image's pixels.
        advance: told how many rows were finished.
    """
    rows = Axis.over(image.grid.height, tiling.height_px, tiling.overlap_px)
    columns = Axis.over(image.grid.width, tiling.width_px, tiling.overlap_px)
    layout = Layout(rows, columns, model.context_px, tiling.batch)
    predict_rows(_Heights(image, exposure_of(image), model, tiling.level), layout, store, advance)


@dataclass(frozen=True)
class _Heights:
    """Heights and 1-sigma of tiles, each levelled to the coarse DEM by its median difference."""

    image: Image
    exposure: Exposure
    model: Terrain
    level: bool

    def read(self, start: int, stop: int) -> Planes:
        """Image, coarse heights and exposure."""
        span = (start, 0, stop - start, self.image.grid.width)
        coarse_m = self.image.dem.on(self.image.grid.window(*span))
        return self.image.source.read(*span), coarse_m, self.exposure.on(start, stop, self.image.grid.width)

    def tile(self, planes: Planes, core: Core) -> Tile | None:
        """None where no pixel of the core has both an image value and a coarse height."""
        pixels, coarse_m, exposure = planes
        known = np.isfinite(coarse_m)
        if not (known & np.isfinite(pixels))[core].any():
            return None
        if not known.all():
            pixels, coarse_m = np.where(known, pixels, np.nan), filled(coarse_m)
        pixels, coarse_m, exposure = (np.ascontiguousarray(plane) for plane in (pixels, coarse_m, exposure))
        image = self.image
        return Tile(pixels, coarse_m, exposure, image.grid.gsd_m, image.sun, image.dem.posting_m)

    def predict(self, tiles: Sequence[Tile], cores: Sequence[Core]) -> Iterator[Sequence[Array]]:
        """Heights and 1-sigma, m."""
        for tile, core, planes in zip(tiles, cores, shared(self.model.predict, tiles), strict=True):
            heights_m, sigma_m, coarse_m = (plane[core] for plane in (*planes, tile.coarse_m))
            valid = np.isfinite(heights_m)
            if self.level and valid.any():
                heights_m = heights_m - np.median((heights_m - coarse_m)[valid])
            yield heights_m, sigma_m
