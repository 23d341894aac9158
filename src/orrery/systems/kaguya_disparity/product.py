"""From finished planes to a product: COGs of disparity and heights, pictures before and after, and a STAC item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from orrery.errors import OrreryError
from orrery.figures import save
from orrery.instruments.terrain_camera import metres_per_px
from orrery.raster.cog import write_cog
from orrery.raster.grid import Grid
from orrery.raster.rows import Plane, RowStore
from orrery.raster.scene import ITEM
from orrery.raster.shade import shade
from orrery.raster.windows import reduced
from orrery.systems.item import write_item
from orrery.systems.kaguya_disparity.conditions import Condition
from orrery.systems.kaguya_disparity.pair import Pair
from orrery.systems.kaguya_disparity.pictures import LIGHT, SHADES
from orrery.systems.quicklook import QUICKLOOK_PX, colour, gray, panels

Array = NDArray[np.float32]

FILES = ("disparity.tif", "dem.tif", "valid.tif", "hillshades.png", "quicklook.png", ITEM)
DISPARITY, HEIGHT = ("compressed_px", "corrected_px", "sigma_px"), ("elevation_m", "sigma_m")
ROWS_AT_ONCE = 256
SHOWN_PX = 512  # of the hillshades, at full resolution: noise of a few pixels' size is not seen in the whole


@dataclass(frozen=True)
class Content:
    """What a product tells about itself.

    Attributes:
        pair: what it was made from.
        condition: how that was compressed.
        emulated: whether that was done here.
        sources: input file -> its SHA-256.
        tags: metadata of all rasters.
    """

    pair: Pair
    condition: Condition
    emulated: bool
    sources: Mapping[Path, str]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class ProductSummary:
    """What a prediction wrote.

    Attributes:
        folder: of the product.
        grid: of its rasters.
        valid_fraction: share of its pixels with a value.
        correction_px: standard deviation of what was added to the disparity.
        sigma_px: median 1-sigma of it; NaN for a model without one.
    """

    folder: Path
    grid: Grid
    valid_fraction: float
    correction_px: float
    sigma_px: float

    def __str__(self) -> str:
        per_px = metres_per_px(self.grid.gsd_m)
        return (
            f"{self.folder}: {self.grid.width} x {self.grid.height} px of {self.grid.gsd_m:.3g} m, "
            f"{self.valid_fraction:.1%} valid, corrected by {self.correction_px:.3f} px "
            f"({self.correction_px * per_px:.2f} m), median 1-sigma {self.sigma_px:.3f} px ({self.sigma_px * per_px:.2f} m)"
        )


def summary_of(seen: RowStore, found: RowStore, out: Path) -> ProductSummary:
    """Exact count; size of the correction and 1-sigma from every eighth row.

    Raises:
        OrreryError: no pixel could be matched.
    """
    valid, corrections, sigmas = 0, [], []
    for row in range(0, found.grid.height, ROWS_AT_ONCE):
        stop = min(row + ROWS_AT_ONCE, found.grid.height)
        valid += int((found.rows(row, stop, "valid") > 0).sum())
        corrections.append(found.rows(row, stop, "residual")[::8].ravel())
        sigmas.append(found.rows(row, stop, "sigma")[::8].ravel())
    if not valid:
        raise OrreryError(
            "no pixel of the pair could be matched", file=out, remedy="check that both show one ground"
        )
    correction, sigma = np.concatenate(corrections), np.concatenate(sigmas)
    spread = float(np.nanstd(correction)) if np.isfinite(correction).any() else 0.0
    median = float(np.nanmedian(sigma)) if np.isfinite(sigma).any() else float("nan")
    return ProductSummary(out, seen.grid, valid / (seen.grid.height * seen.grid.width), spread, median)


def write_products(seen: RowStore, found: RowStore, content: Content, folder: Path, out: Path) -> None:
    """Write `FILES` into `folder`; those that are there already are complete and stay.

    Args:
        seen: finished planes of the matched pair.
        found: finished planes residual, sigma, valid.
        content: what the product tells about itself.
        folder: where the files are made.
        out: where they will be, for links.
    """
    makers: dict[str, Callable[[Path], None]] = {
        "disparity.tif": lambda path: _derived(
            seen, found, DISPARITY, "px", _disparities, content.tags, path
        ),
        "dem.tif": lambda path: _derived(
            seen, found, HEIGHT, "m", _heights_of(seen, found), content.tags, path
        ),
        "valid.tif": lambda path: _write_mask(found, content.tags, path),
        "hillshades.png": lambda path: _hillshades(seen, found, content, path),
        "quicklook.png": lambda path: _quicklook(seen, found, content, path),
        ITEM: lambda path: _write_item(seen.grid, content, path, out),
    }
    for name in FILES:
        if not (folder / name).exists():
            makers[name](folder / name)


def _disparities(disparity_px: Array, residual_px: Array, sigma_px: Array) -> Array:
    """(3, h, W) before, after, 1-sigma; NaN where nothing is trusted."""
    before = np.where(np.isfinite(residual_px), disparity_px, np.float32(np.nan))
    return np.stack([before, before + residual_px, sigma_px])


def _heights_of(seen: RowStore, found: RowStore) -> Callable[[Array, Array, Array], Array]:
    """Heights above the pair's median, m: what is higher lies further back in the right image, so its disparity is less."""
    per_px, middle_px = np.float32(metres_per_px(seen.grid.gsd_m)), middle(seen, found)

    def heights(disparity_px: Array, residual_px: Array, sigma_px: Array) -> Array:
        return np.stack([(middle_px - disparity_px - residual_px) * per_px, sigma_px * per_px])

    return heights


def middle(seen: RowStore, found: RowStore) -> np.float32:
    """Median disparity of every eighth row, px: the zero of heights."""
    values = seen.mapped("disparity")[::8][found.mapped("valid")[::8] > 0]
    return np.float32(np.median(values)) if values.size else np.float32(0)


def _derived(
    seen: RowStore,
    found: RowStore,
    planes: tuple[str, ...],
    unit: str,
    function: Callable[[Array, Array, Array], Array],
    tags: Mapping[str, str],
    path: Path,
) -> None:
    """A COG of what `function` makes of disparity, residual and 1-sigma, rows by rows."""
    derived = RowStore(seen.folder, path.stem, planes, seen.grid)
    for row in range(0, seen.grid.height, ROWS_AT_ONCE):
        stop = min(row + ROWS_AT_ONCE, seen.grid.height)
        parts = (
            seen.rows(row, stop, "disparity"),
            *(found.rows(row, stop, name) for name in ("residual", "sigma")),
        )
        derived.write(row, function(*parts))
    write_cog(derived, dict.fromkeys(planes, unit), tags, path)
    derived.discard()


def _write_mask(found: RowStore, tags: Mapping[str, str], path: Path) -> None:
    """1 where there is a value, 0 (nodata) elsewhere."""
    mask = RowStore(found.folder, "mask", ("valid",), found.grid, "uint8")
    for row in range(0, found.grid.height, ROWS_AT_ONCE):
        mask.write(row, found.rows(row, min(row + ROWS_AT_ONCE, found.grid.height), "valid")[None] > 0)
    write_cog(mask, {}, tags, path)
    mask.discard()


def _shown(store: RowStore, plane: str) -> Array:
    """The middle of a plane at full resolution."""
    height, width = store.grid.shape
    row, column = max(0, (height - SHOWN_PX) // 2), max(0, (width - SHOWN_PX) // 2)
    return np.asarray(store.mapped(plane)[row : row + SHOWN_PX, column : column + SHOWN_PX], np.float32)


def _hillshades(seen: RowStore, found: RowStore, content: Content, path: Path) -> None:
    """The middle of the pair at full resolution: heights shaded before and after."""
    per_px, residual = metres_per_px(seen.grid.gsd_m), _shown(found, "residual")
    before = np.where(np.isfinite(residual), -_shown(seen, "disparity") * per_px, np.nan).astype(np.float32)
    figure = Figure(figsize=(15, 5.4), layout="constrained")
    axes = figure.subplots(1, 3)
    gray(axes[0], _shown(seen, "left"), "TC1, compressed")
    for axis, heights, title in (
        (axes[1], before, "heights from the compressed pair"),
        (axes[2], before - np.nan_to_num(residual) * np.float32(per_px), "corrected heights"),
    ):
        shaded = shade(heights, seen.grid.gsd_m, LIGHT, "lambert")
        axis.imshow(shaded, cmap="gray", vmin=SHADES[0], vmax=SHADES[1])
        axis.set_title(title)
        axis.set_axis_off()
    figure.suptitle(
        f"{content.pair.products[0].name}: the middle of the pair, {seen.grid.gsd_m:.3g} m per px; "
        f"light from the right, {LIGHT.elevation_deg:.0f}° high"
    )
    save(figure, path)


def _quicklook(seen: RowStore, found: RowStore, content: Content, path: Path) -> None:
    """Image, disparity, correction, 1-sigma and heights of the whole pair."""
    factor = ceil(max(seen.grid.shape) / QUICKLOOK_PX)
    trusted = reduced(Plane(found, "valid"), factor).values > 0
    disparity = np.where(trusted, reduced(Plane(seen, "disparity"), factor).values, np.nan)
    residual, sigma = (reduced(Plane(found, name), factor).values for name in ("residual", "sigma"))
    heights = (middle(seen, found) - disparity - residual) * metres_per_px(seen.grid.gsd_m)
    figure, axes = panels(seen.grid)
    gray(axes[0], reduced(Plane(seen, "left"), factor).values, "TC1, compressed")
    gray(axes[1], reduced(Plane(seen, "right"), factor).values, "TC2, rectified")
    colour(figure, axes[2], disparity, "disparity", "px", "viridis")
    colour(figure, axes[3], residual, "correction", "px", "RdBu_r", symmetric=True)
    colour(figure, axes[4], sigma, "1-sigma", "px", "magma")
    colour(figure, axes[5], heights, "height above the median", "m", "viridis")
    condition = content.condition
    figure.suptitle(
        f"{content.pair.products[0].name}, {content.pair.products[1].name}: {condition.table}, "
        f"{condition.mean_count:.0f} counts on average"
    )
    save(figure, path)


def _write_item(grid: Grid, content: Content, path: Path, out: Path) -> None:
    left = content.pair.products[0]
    properties = {
        "orrery:kind": "kaguya-disparity",
        "orrery:products": {"left": left.name, "right": content.pair.products[1].name},
        "orrery:quantisation_table": content.condition.table,
        "orrery:mean_count": round(content.condition.mean_count, 3),
        "orrery:compression_emulated": content.emulated,
        "orrery:height_datum": "median of the pair",
        **content.tags,
    }
    assets = {Path(name).stem: name for name in FILES if name != ITEM}
    write_item(
        path, out, assets, grid, content.sources, properties,
        image=left.path, taken=left.taken, sun_true_north=left.sun_true_north, body="moon",
    )  # fmt: skip
