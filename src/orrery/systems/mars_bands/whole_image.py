"""Bands of a whole image, tile by tile at bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orrery.cluster import shared
from orrery.raster.dem import filled
from orrery.raster.rows import RowStore
from orrery.raster.streaming import Advance, Core, Layout, Planes, predict_rows
from orrery.raster.tiles import BellAxis
from orrery.systems.mars_bands.inputs import Strip
from orrery.systems.mars_bands.tile import Bands, Statistics, Tile

Array = NDArray[np.float32]
VALID = "valid"
VALUES_AT_ONCE = 2**25  # 128 MiB


@dataclass(frozen=True)
class Tiling:
    """How an image is cut.

    Attributes:
        tile_px: side of a tile.
        divisor: a tile's side over the stride.
        batch: tiles handed to the model at once.
        tapered: see `BellAxis`.
    """

    tile_px: int
    divisor: int
    batch: int
    tapered: bool

    def axis(self, size: int) -> BellAxis:
        """The tiles along one direction."""
        return BellAxis.strided(size, self.tile_px, self.divisor, tapered=self.tapered)


def predict_image(
    strip: Strip, statistics: Statistics, model: Bands, tiling: Tiling, store: RowStore, advance: Advance
) -> None:
    """Predict a whole image into `store`, from the first row that is not there yet.

    Args:
        strip: the image, or a part of it.
        statistics: of the whole image.
        model: what predicts a tile.
        tiling: how the image is cut.
        store: what the model gives to be blended, and `VALID`, on disk, on the image's pixels.
        advance: told how many rows were finished.
    """
    rows, columns = (tiling.axis(size) for size in strip.grid.shape)
    layout = Layout(rows, columns, model.context_px, tiling.batch, "reflect")
    predict_rows(_Reflectance(strip, statistics, model), layout, store, advance)


def finished(store: RowStore, model: Bands) -> RowStore:
    """The planes of a product and `VALID`, made on disk of what was blended; the same store where that is all."""
    if model.blended == model.planes:
        return store
    whole = RowStore(store.folder, "finished", (*model.planes, VALID), store.grid)
    rows_at_once = max(1, VALUES_AT_ONCE // (len(whole.planes) * store.grid.width))
    for row in range(0, store.grid.height, rows_at_once):
        stop = min(row + rows_at_once, store.grid.height)
        *blended, valid = (store.rows(row, stop, name) for name in (*model.blended, VALID))
        whole.write(row, np.concatenate([model.finished(np.stack(blended)), valid[None]]))
    return whole


@dataclass(frozen=True)
class _Reflectance:
    """What the model gives for each tile."""

    strip: Strip
    statistics: Statistics
    model: Bands

    def read(self, start: int, stop: int) -> Planes:
        """The image, and heights where the model wants them."""
        span = (start, 0, stop - start, self.strip.grid.width)
        image = self.strip.source.read(*span)
        return (
            (image,) if self.strip.dem is None else (image, self.strip.dem.on(self.strip.grid.window(*span)))
        )

    def tile(self, planes: Planes, core: Core) -> Tile | None:
        """None where no pixel of the core is valid; a pixel without a height is not."""
        image, dem_m = planes[0], None
        if self.strip.dem is not None:
            dem_m = planes[1]
            known = np.isfinite(dem_m)
            if not known.all() and known.any():
                image, dem_m = np.where(known, image, np.float32(np.nan)), filled(dem_m)
            elif not known.any():
                return None
            dem_m = np.ascontiguousarray(dem_m)
        if not np.isfinite(image[core]).any():
            return None
        return Tile(np.ascontiguousarray(image), dem_m, self.statistics, self.strip.grid.gsd_m)

    def predict(self, tiles: Sequence[Tile], cores: Sequence[Core]) -> Iterator[Sequence[Array]]:
        """Values of the cores."""
        for core, planes in zip(cores, shared(self.model.predict, tiles), strict=True):
            yield [plane[core] for plane in planes]
