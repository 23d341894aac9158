"""A raster of any size through a model: rows of tiles with their surroundings, read ahead, predicted in batches, blended.

What is held in memory is one row of tiles, whatever the raster's height. A run that was killed goes on with the row of tiles
that it was at, and ends with the values of an undisturbed run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from orrery.cluster import count
from orrery.raster.rows import RowStore
from orrery.raster.tiles import Axis, RowBlender

Array = NDArray[np.float32]
Planes = tuple[Array, ...]
Core = tuple[slice, slice]
Advance = Callable[[int], Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """How a raster is cut.

    Attributes:
        rows, columns: the tiles along each direction.
        context_px: border around a tile that the model wants to see.
        batch: tiles handed to the model at once, by each worker; bounds memory.
        edge: "cut" tiles at the raster's edge where it ends, or "reflect" it so that all tiles have one size.
    """

    rows: Axis
    columns: Axis
    context_px: int
    batch: int
    edge: Literal["cut", "reflect"] = "cut"


class Predictor(Protocol[T]):
    """What is asked of each tile."""

    def read(self, start: int, stop: int) -> Planes:
        """The planes that tiles are cut from, (stop - start, width) each, over whole rows; called in another thread."""
        ...

    def tile(self, planes: Planes, core: Core) -> T | None:
        """A tile for the model from planes with their surroundings; None where its core holds nothing."""
        ...

    def predict(self, tiles: Sequence[T], cores: Sequence[Core]) -> Iterable[Sequence[Array]]:
        """For each tile what is blended, (H, W) of its core; where the first plane is NaN the tile adds nothing."""
        ...


def predict_rows(predictor: Predictor[T], layout: Layout, store: RowStore, advance: Advance) -> None:
    """Predict a whole raster into `store`, from the first row that is not there yet.

    Args:
        predictor: what reads and predicts.
        layout: how the raster is cut.
        store: the planes on disk; the last one is 1 where there is a value and 0 elsewhere.
        advance: told how many rows were finished.
    """
    rows, (height, width) = layout.rows, store.grid.shape
    finished, sums = store.progress()
    advance(finished)
    if finished == height:
        return
    batch = layout.batch * count()
    blender = RowBlender(width, len(store.planes) - 1, finished, sums)
    with ThreadPoolExecutor(max_workers=1) as reader, ThreadPoolExecutor(max_workers=1) as writer:
        strips, queue = _Strips.over(layout, predictor.read, reader), _Queue(writer)
        for index in range(len(rows.starts)):
            if finished and rows.finished(index) <= finished:
                continue  # its part of the sums was saved with them
            for cuts in _batches(strips, layout, batch, predictor, index):
                predicted = list(predictor.predict([cut.tile for cut in cuts], [cut.core for cut in cuts]))
                queue.put(_add, blender, cuts, predicted)
            queue.put(_finish, blender, rows.finished(index), store, advance)
        queue.wait()


@dataclass
class _Queue:
    """Steps in their order in another thread, so that blending and writing take place while the model works."""

    executor: Executor
    step: Future[None] | None = None

    def put(self, function: Callable[..., None], *arguments: Any) -> None:
        """Begin a step when the one before it is done."""
        self.wait()
        self.step = self.executor.submit(function, *arguments)

    def wait(self) -> None:
        """Until the last step is done; an error in it is raised here."""
        if self.step is not None:
            self.step.result()


def _add(blender: RowBlender, cuts: Sequence[_Cut[Any]], predicted: Sequence[Sequence[Array]]) -> None:
    """Add the tiles of a batch."""
    for cut, values in zip(cuts, predicted, strict=True):
        blender.add(cut.row, cut.column, cut.weight, values)


def _finish(blender: RowBlender, stop: int, store: RowStore, advance: Advance) -> None:
    """Write the rows before `stop`, which no further tile reaches."""
    done = blender.finish(stop)
    if done.shape[1]:
        store.write(stop - done.shape[1], np.stack([*done, np.isfinite(done[0])]))
        store.save_progress(stop, blender.sums)
        advance(done.shape[1])


@dataclass(frozen=True)
class _Cut(Generic[T]):
    """A tile with its context, and where its core goes."""

    tile: T
    core: Core
    row: int
    column: int
    weight: Array


@dataclass
class _Strips:
    """The planes over whole rows: each piece of rows is read once, while the model works.

    The pieces do not depend on where a run starts, so a resumed run computes the very same values.
    """

    read: Callable[[int, int], Planes]
    spans: tuple[tuple[int, int], ...]
    reader: Executor
    pieces: dict[int, Future[Planes]]

    @classmethod
    def over(cls, layout: Layout, read: Callable[[int, int], Planes], reader: Executor) -> _Strips:
        rows, reach = layout.rows, layout.rows.tile + layout.context_px
        edges = sorted({0, *(min(start + reach, rows.size) for start in rows.starts)})
        return cls(read, tuple(pairwise(edges)), reader, {})

    def rows(self, start: int, stop: int) -> Planes:
        """The planes over the rows from `start` to `stop`; the rows above are forgotten, the next ones begun."""
        wanted = [number for number, (first, last) in enumerate(self.spans) if last > start and first < stop]
        ahead = range(wanted[0], min(wanted[-1] + 2, len(self.spans)))
        self.pieces = {n: self.pieces.get(n) or self.reader.submit(self.read, *self.spans[n]) for n in ahead}
        first = self.spans[wanted[0]][0]
        planes = zip(*(self.pieces[number].result() for number in wanted), strict=True)
        return tuple(np.concatenate(parts)[start - first : stop - first] for parts in planes)


@dataclass(frozen=True)
class _Span:
    """One tile along one direction.

    Attributes:
        seen: pixels of the raster that the tile with its context takes.
        missing: pixels before and after them that the raster does not have.
        core: the tile's own pixels among those handed to the model.
        first: the raster's pixel under the core's first one.
        weight: of the core's pixels.
    """

    seen: slice
    missing: tuple[int, int]
    core: slice
    first: int
    weight: Array

    @classmethod
    def of(cls, axis: Axis, index: int, layout: Layout) -> _Span:
        start, context_px = axis.starts[index], layout.context_px
        wanted = start - context_px, start + axis.tile + context_px
        seen = slice(max(wanted[0], 0), min(wanted[1], axis.size))
        missing = (seen.start - wanted[0], wanted[1] - seen.stop) if layout.edge == "reflect" else (0, 0)
        first, last = max(start, 0), min(start + axis.tile, axis.size)
        origin = seen.start - missing[0]
        weight = axis.weights(index)[first - start : last - start]
        return cls(seen, missing, slice(first - origin, last - origin), first, weight)


def _batches(
    strips: _Strips, layout: Layout, size: int, predictor: Predictor[T], index: int
) -> Iterator[list[_Cut[T]]]:
    """The tiles of one row of tiles that hold anything, `size` at a time."""
    down = _Span.of(layout.rows, index, layout)
    planes = strips.rows(down.seen.start, down.seen.stop)
    batch: list[_Cut[T]] = []
    for number in range(len(layout.columns.starts)):
        across = _Span.of(layout.columns, number, layout)
        core = (down.core, across.core)
        tile = predictor.tile(_padded([plane[:, across.seen] for plane in planes], down, across), core)
        if tile is not None:
            batch.append(_Cut(tile, core, down.first, across.first, np.outer(down.weight, across.weight)))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _padded(planes: Sequence[Array], down: _Span, across: _Span) -> Planes:
    if not any(down.missing + across.missing):
        return tuple(planes)
    return tuple(np.pad(plane, (down.missing, across.missing), mode="reflect") for plane in planes)
