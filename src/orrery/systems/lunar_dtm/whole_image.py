"""Heights of a whole image, tile by tile at bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from orrery.raster.rows import RowStore
from orrery.raster.shade import shade
from orrery.raster.tiles import Axis, RowBlender, stretch
from orrery.systems.lunar_dtm.features import Tile, exposure_field
from orrery.systems.lunar_dtm.inputs import Image

Array = NDArray[np.float32]
PLANES = ("elevation_m", "sigma_m", "valid")
Advance = Callable[[int], Any]


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
    finished, sums = store.progress()
    advance(finished)
    if finished == image.grid.height:
        return
    blender = RowBlender(image.grid.width, 2, finished, *([] if sums is None else [sums]))
    with ThreadPoolExecutor(max_workers=1) as reader:
        strips = _Strips.over(image, rows, model.context_px, reader)
        for index in range(len(rows.starts)):
            if rows.finished(index) <= finished:
                continue
            for tiles in _batches(strips, rows, columns, index, model.context_px, tiling.batch):
                _add(blender, tiles, model, tiling.level)
            done = blender.finish(rows.finished(index))
            store.write(rows.finished(index) - done.shape[1], np.stack([*done, np.isfinite(done[0])]))
            store.save_progress(rows.finished(index), blender.sums)
            advance(done.shape[1])


@dataclass(frozen=True)
class _Placed:
    """A tile with its context, and where its core goes."""

    tile: Tile
    core: tuple[slice, slice]
    row: int
    column: int
    weight: Array


@dataclass
class _Strips:
    """Image, coarse heights and exposure over whole rows: each piece of rows is read once, while the model works.

    The pieces do not depend on where a run starts, so a resumed run computes the very same values.
    """

    image: Image
    exposure: Exposure
    spans: tuple[tuple[int, int], ...]
    reader: Executor
    pieces: dict[int, Future[tuple[Array, Array, Array]]]

    @classmethod
    def over(cls, image: Image, rows: Axis, context_px: int, reader: Executor) -> _Strips:
        edges = sorted({0, *(min(start + rows.tile + context_px, rows.size) for start in rows.starts)})
        return cls(image, exposure_of(image), tuple(pairwise(edges)), reader, {})

    def rows(self, start: int, stop: int) -> tuple[Array, Array, Array]:
        """The three planes over the rows from `start` to `stop`; the rows above are forgotten, the next ones begun."""
        wanted = [number for number, (first, last) in enumerate(self.spans) if last > start and first < stop]
        ahead = range(wanted[0], min(wanted[-1] + 2, len(self.spans)))
        self.pieces = {n: self.pieces.get(n) or self.reader.submit(self._read, *self.spans[n]) for n in ahead}
        first = self.spans[wanted[0]][0]
        planes = zip(*(self.pieces[number].result() for number in wanted), strict=True)
        image, coarse_m, exposure = (np.concatenate(parts)[start - first : stop - first] for parts in planes)
        return image, coarse_m, exposure

    def _read(self, start: int, stop: int) -> tuple[Array, Array, Array]:
        width = self.image.grid.width
        span = (start, 0, stop - start, width)
        coarse_m = self.image.dem.on(self.image.grid.window(*span))
        return self.image.source.read(*span), coarse_m, self.exposure.on(start, stop, width)


def _batches(
    strips: _Strips, rows: Axis, columns: Axis, index: int, context_px: int, size: int
) -> Iterator[list[_Placed]]:
    """The tiles of one row of tiles that hold anything, `size` at a time."""
    top, core_rows = _with_context(rows, index, context_px)
    planes = strips.rows(top.start, top.stop)
    batch: list[_Placed] = []
    for number, column in enumerate(columns.starts):
        across, core_columns = _with_context(columns, number, context_px)
        pixels, coarse_m, exposure = (plane[:, across] for plane in planes)
        tile = _tile(strips.image, pixels, coarse_m, exposure, (core_rows, core_columns))
        if tile is not None:
            weight = np.outer(rows.weights(index), columns.weights(number))
            batch.append(_Placed(tile, (core_rows, core_columns), rows.starts[index], column, weight))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _with_context(axis: Axis, index: int, context_px: int) -> tuple[slice, slice]:
    """Pixels of the raster that a tile with its context takes, and the tile's own among them."""
    start = axis.starts[index]
    first = max(start - context_px, 0)
    last = min(start + axis.tile + context_px, axis.size)
    return slice(first, last), slice(start - first, start - first + axis.tile)


def _tile(
    image: Image, pixels: Array, coarse_m: Array, exposure: Array, core: tuple[slice, slice]
) -> Tile | None:
    """A tile for the model, or None where no pixel of its core has both an image value and a coarse height."""
    known = np.isfinite(coarse_m)
    if not (known & np.isfinite(pixels))[core].any():
        return None
    if not known.all():
        nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
        pixels, coarse_m = np.where(known, pixels, np.nan), coarse_m[tuple(nearest)]
    pixels, coarse_m, exposure = (np.ascontiguousarray(plane) for plane in (pixels, coarse_m, exposure))
    return Tile(pixels, coarse_m, exposure, image.grid.gsd_m, image.sun, image.dem.posting_m)


def _add(blender: RowBlender, tiles: Sequence[_Placed], model: Terrain, level: bool) -> None:
    """Predict a batch and add the cores of its tiles, each levelled to the coarse DEM by its median difference."""
    for placed, (heights_m, sigma_m) in zip(
        tiles, model.predict([placed.tile for placed in tiles]), strict=True
    ):
        heights_m, sigma_m, coarse_m = (
            plane[placed.core] for plane in (heights_m, sigma_m, placed.tile.coarse_m)
        )
        valid = np.isfinite(heights_m)
        if level and valid.any():
            heights_m = heights_m - np.median((heights_m - coarse_m)[valid])
        blender.add(placed.row, placed.column, placed.weight, [heights_m, sigma_m])
