"""From a compressed pair to a disparity freed of compression noise, heights and their 1-sigma.

Everything under way lies in `out/.work`, under a name that is the hash of the inputs, the model and the parameters: a killed
run goes on where it stopped. The product's files appear at the end, the STAC item last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from orrery import __version__
from orrery.cluster import shared
from orrery.errors import OrreryError
from orrery.files import sha256
from orrery.raster.compression import at_mean
from orrery.raster.grid import Grid
from orrery.raster.rows import RowStore
from orrery.raster.streaming import Core, Layout, Planes, predict_rows
from orrery.raster.tiles import Axis
from orrery.systems.kaguya_disparity.conditions import Condition
from orrery.systems.kaguya_disparity.matched import PLANES, compressed, match_rows
from orrery.systems.kaguya_disparity.model import DisparityModel, Residual
from orrery.systems.kaguya_disparity.pair import Pair, read_pair, tables
from orrery.systems.kaguya_disparity.params import KaguyaParams, PredictParams
from orrery.systems.kaguya_disparity.product import FILES, Content, ProductSummary, summary_of, write_products
from orrery.systems.resume import publish, workspace, writing

Array = NDArray[np.float32]
Tile = tuple[Array, Array, Array]

OVERLAP_PX = 64
FOUND = ("residual", "sigma", "valid")


@dataclass(frozen=True)
class Request:
    """A pair ready to be matched.

    Attributes:
        pair: as read.
        images: compressed, counts.
        condition: of the compression.
        emulated: whether it was done here, to an uncompressed pair.
    """

    pair: Pair
    images: tuple[Array, Array]
    condition: Condition
    emulated: bool

    @property
    def grid(self) -> Grid:
        """Of the left image's part that the right one shows.

        Raises:
            OrreryError: nobody tells where it lies.
        """
        product = self.pair.products[0]
        if product.grid is None:
            remedy = "give a product whose label has its corners, or a raster with coordinates"
            raise OrreryError("does not tell where it lies", file=product.path, remedy=remedy)
        return product.grid.window(0, self.pair.columns[0], *self.images[0].shape)


def predict(
    left: Path,
    right: Path,
    out: Path,
    *,
    model: DisparityModel,
    section: KaguyaParams,
    tags: Mapping[str, str],
    table: str | None = None,
    mean_count: float | None = None,
    count_scale: float | None = None,
    progress: bool = True,
) -> ProductSummary:
    """Correct the disparity of one pair.

    Args:
        left: product of the telescope that looks ahead.
        right: of the one that looks back.
        out: folder of the product.
        model: what predicts the residual.
        section: how to match and cut.
        tags: lineage, written into every raster and the item; together with `model.recipe()` they name the model.
        table: of the compression, where the labels do not tell; an uncompressed pair is compressed with it first.
        mean_count: to which an uncompressed pair is brought before that.
        count_scale: factor that makes the values of rasters without a label counts.
        progress: show a bar.

    Raises:
        OrreryError: bad input, or `out` cannot be written.
    """
    request = requested(left, right, section, table, mean_count, count_scale)
    grid, params = request.grid, section.predict
    sources = {path: sha256(path) for path in _files(request.pair)}
    identity = {
        "orrery": __version__,
        "sources": [(path.name, digest) for path, digest in sources.items()],
        "request": [vars(request.condition), count_scale, request.emulated],
        "model": [model.name, model.recipe(), dict(tags)],
        "params": [params.model_dump(), section.align.match.model_dump(), section.align.bits],
    }
    work = workspace(out, identity)
    with writing(out), tqdm(total=2 * grid.height, unit="row", desc="predict", disable=not progress) as bar:
        seen, found = RowStore(work, "pair", PLANES, grid), RowStore(work, "found", FOUND, grid)
        match_rows(
            *request.images, request.pair.middle_px, section.align.match, params.block_rows, seen, bar.update
        )
        predict_rows(
            Residuals(seen, model, request.condition), layout(params, model, grid), found, bar.update
        )
        content = Content(request.pair, request.condition, request.emulated, sources, tags)
        summary = summary_of(seen, found, out)
        write_products(seen, found, content, work / "product", out)
        publish(work / "product", out, FILES)
    return summary


def requested(
    left: Path,
    right: Path,
    section: KaguyaParams,
    table: str | None,
    mean_count: float | None,
    count_scale: float | None,
) -> Request:
    """Read a pair and find out how it was compressed.

    Raises:
        OrreryError: see `read_pair`; nobody tells the table, it is unknown, or the pair was not compressed.
    """
    pair, known = read_pair(left, right, count_scale), tables(section.align.own_tables)
    told = pair.products[0].table
    if told is not None and table not in (None, told):
        raise OrreryError(f"was compressed with {told}", file=left, remedy=f"leave out --table {table}")
    name, on_board = told or table, pair.products[0].compressed
    if name is None:
        problem = (
            "does not tell its table" if on_board else "was not compressed, so nothing is to be corrected"
        )
        raise OrreryError(problem, file=left, remedy=f"give --table, one of {', '.join(known)}")
    if name not in known:
        remedy = f"the model knows {', '.join(known)}; name its file in align.own_tables and train with it"
        raise OrreryError(f"was compressed with {name}, whose steps are not known", file=left, remedy=remedy)
    if on_board:
        if mean_count is not None:
            raise OrreryError("was compressed already", file=left, remedy="leave out --mean-count")
        return Request(pair, (pair.left, pair.right), Condition.of(known[name], pair.mean_count), False)
    factor = 1.0 if mean_count is None else mean_count / pair.mean_count
    bits = section.align.bits
    dark = Pair(
        at_mean(pair.left, factor, bits), at_mean(pair.right, factor, bits),
        pair.middle_px, pair.columns, pair.agreement, pair.products,
    )  # fmt: skip
    condition = Condition.of(known[name], dark.mean_count)
    return Request(dark, compressed(dark, known[name], bits), condition, True)


def layout(params: PredictParams, model: DisparityModel, grid: Grid) -> Layout:
    """How the pair is cut for the network."""
    rows, columns = (Axis.over(size, params.tile_px, OVERLAP_PX) for size in grid.shape)
    return Layout(rows, columns, model.context_px, params.batch_tiles)


@dataclass(frozen=True)
class Residuals:
    """The residual and its 1-sigma for each tile of a matched pair."""

    store: RowStore
    model: DisparityModel
    condition: Condition

    def read(self, start: int, stop: int) -> Planes:
        """Images, disparity and where it is trusted."""
        return tuple(self.store.rows(start, stop, name) for name in PLANES)

    def tile(self, planes: Planes, core: Core) -> tuple[Tile, Array] | None:
        """None where nothing in the core is trusted."""
        left, right, disparity, valid = planes
        if not valid[core].any():
            return None
        images = tuple(np.ascontiguousarray(plane) for plane in (left, right, disparity))
        return (images[0], images[1], images[2]), valid

    def predict(
        self, tiles: Sequence[tuple[Tile, Array]], cores: Sequence[Core]
    ) -> Iterator[Sequence[Array]]:
        """Values of the cores."""
        residuals = shared(partial(_residuals, self.model, self.condition), [images for images, _ in tiles])
        for (_, valid), core, found in zip(tiles, cores, residuals, strict=True):
            sigma = found.sigma_px if found.sigma_px is not None else np.full_like(found.mean_px, np.nan)
            trusted = valid[core] > 0
            yield [np.where(trusted, plane[core], np.float32(np.nan)) for plane in (found.mean_px, sigma)]


def _residuals(model: DisparityModel, condition: Condition, tiles: Sequence[Tile]) -> list[Residual]:
    return [replace(model.residual(*images, condition), samples_px=None) for images in tiles]


def _files(pair: Pair) -> Iterator[Path]:
    """Labels and images of both products."""
    for product in pair.products:
        yield product.path
        if product.image is not None and product.image != product.path:
            yield product.image
