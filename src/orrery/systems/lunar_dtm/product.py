"""From finished planes to a product: COGs, a picture and a STAC item."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from orrery.errors import OrreryError
from orrery.files import read_json, write_json
from orrery.instruments.photometry import Sun
from orrery.raster.cog import write_cog
from orrery.raster.grid import Grid, meridian_convergence_deg
from orrery.raster.io import resample
from orrery.raster.rows import Plane, RowStore
from orrery.raster.scene import ITEM, write_scene
from orrery.raster.shade import hillshade_u8, shade, slope_deg
from orrery.raster.windows import Placed, coarser, reduced
from orrery.systems.lunar_dtm.inputs import Dem, Image
from orrery.systems.lunar_dtm.pictures import save

Array = NDArray[np.float32]
UNITS = {"elevation_m": "m", "sigma_m": "m", "valid": "", "hillshade": "", "slope_deg": "degree"}
FILES = ("dtm.tif", "hillshade.tif", "slope.tif", "quicklook.png", ITEM)
PICTURE_PX = 700
BLOCK_PX = (128, 2048)  # small enough for the processor's cache
FILE_EXTENSION = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
UNKNOWN_TIME = datetime(
    1970, 1, 1, tzinfo=UTC
)  # STAC asks for a time; the property says that it is not known


@dataclass(frozen=True)
class Content:
    """What a product tells about itself.

    Attributes:
        images: what it was predicted from.
        dem: the coarse DEM in its own frame.
        sources: input file -> its SHA-256.
        tags: metadata of all rasters.
        alignments: how each image was brought onto the DEM.
    """

    images: Sequence[Image]
    dem: Dem
    sources: Mapping[Path, str]
    tags: Mapping[str, str]
    alignments: Sequence[Mapping[str, Any]]


def write_products(store: RowStore, content: Content, folder: Path, out: Path) -> None:
    """Write `FILES` into `folder`; those that are there already are complete and stay.

    Args:
        store: finished planes elevation_m, sigma_m, valid.
        content: what the product tells about itself.
        folder: where the files are made.
        out: where they will be, for links.
    """
    makers: dict[str, Callable[[Path], None]] = {
        "dtm.tif": lambda path: write_cog(store, UNITS, content.tags, path),
        "hillshade.tif": lambda path: _derive(store, "hillshade", hillshade_u8, "uint8", content.tags, path),
        "slope.tif": lambda path: _derive(store, "slope_deg", slope_deg, "float32", content.tags, path),
        "quicklook.png": lambda path: _picture(store, content, path),
        ITEM: lambda path: _write_item(store.grid, content, path, out),
    }
    for name in FILES:
        if not (folder / name).exists():
            makers[name](folder / name)


def _derive(
    store: RowStore,
    name: str,
    function: Callable[[Array, float], NDArray[Any]],
    dtype: str,
    tags: Mapping[str, str],
    path: Path,
) -> None:
    """A COG of what `function` makes of the heights and the pixel size, block by block."""
    grid = store.grid
    derived = RowStore(store.folder, name, (name,), grid, dtype)
    for rows, read_rows, kept_rows in _blocks(grid.height, BLOCK_PX[0]):
        heights_m = store.rows(read_rows.start, read_rows.stop, "elevation_m")
        out = np.empty((1, rows.stop - rows.start, grid.width), dtype)
        for columns, read_columns, kept_columns in _blocks(grid.width, BLOCK_PX[1]):
            out[0, :, columns] = function(heights_m[:, read_columns], grid.gsd_m)[kept_rows, kept_columns]
        derived.write(rows.start, out)
    write_cog(derived, UNITS, tags, path)
    derived.discard()


def _blocks(size: int, step: int) -> Iterator[tuple[slice, slice, slice]]:
    """Blocks of an axis: their pixels, the same with a neighbour on either side, and the block within those."""
    for start in range(0, size, step):
        stop = min(start + step, size)
        first = max(start - 1, 0)
        yield slice(start, stop), slice(first, min(stop + 1, size)), slice(start - first, stop - first)


def _picture(store: RowStore, content: Content, path: Path) -> None:
    """Image, coarse DEM and result shaded by the image's sun, elevation and 1-sigma with their units."""
    factor = ceil(max(store.grid.shape) / PICTURE_PX)
    grid = coarser(store.grid, factor)
    sun = _sun_on(grid, content.images[0])
    heights_m = reduced(Plane(store, "elevation_m"), factor).values
    sigma_m = reduced(Plane(store, "sigma_m"), factor).values
    coarse_m = np.where(np.isfinite(heights_m), content.dem.on(grid), np.nan)
    elevation, azimuth = sun.elevation_deg, content.images[0].sun_true_north[0] % 360
    figure, axes = _panels(grid)
    _gray(
        axes[0],
        _seen(content.images, grid),
        f"image, sun {azimuth:.0f}° from north, {elevation:.0f}° high",
    )
    _gray(axes[1], shade(coarse_m, grid.gsd_m, sun), "coarse DEM, shaded by the image's sun")
    _gray(axes[2], shade(heights_m, grid.gsd_m, sun), "prediction, shaded by the image's sun")
    _colour(figure, axes[3], heights_m, "elevation", "m", "viridis")
    _colour(
        figure, axes[4], heights_m - coarse_m, "prediction minus coarse DEM", "m", "RdBu_r", symmetric=True
    )
    _colour(figure, axes[5], sigma_m, "1-sigma", "m", "magma")
    size = f"{store.grid.width} x {store.grid.height} px of {store.grid.gsd_m:.3g} m"
    figure.suptitle(f"{', '.join(image.path.name for image in content.images)}: {size}")
    save(figure, path)


def _panels(grid: Grid) -> tuple[Figure, list[Axes]]:
    """Six panels of the product's shape: two rows of three, or one row for a strip that is taller than wide."""
    rows, columns = (1, 6) if grid.height > 1.5 * grid.width else (2, 3)
    high = np.clip(grid.height / grid.width, 0.2, 6)
    figure = Figure(figsize=(16, 16 / columns * 0.85 * high * rows + 0.5 * rows + 0.4), layout="constrained")
    return figure, list(figure.subplots(rows, columns).flat)


def _seen(images: Sequence[Image], grid: Grid) -> Array:
    """The images on the picture's grid, each over its own mean, averaged where they overlap."""
    seen = []
    for image in images:
        factor = max(1, int(grid.gsd_m / image.grid.gsd_m))
        small = reduced(Placed(image.source, image.product_grid), factor)
        seen.append(resample(small, grid, method="bilinear").values / np.nanmean(small.values))
    count = np.isfinite(seen).sum(axis=0)
    return np.asarray(np.where(count, np.nansum(seen, axis=0) / np.maximum(count, 1), np.nan), np.float32)


def _sun_on(grid: Grid, image: Image) -> Sun:
    """The image's sun as it stands on another grid."""
    azimuth, elevation = image.sun_true_north
    return Sun((azimuth + meridian_convergence_deg(grid)) % 360, elevation)


def _gray(axis: Axes, values: Array, title: str) -> None:
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (0, 1)
    axis.imshow(values, cmap="gray", vmin=low, vmax=high)
    axis.set_title(title)
    axis.set_axis_off()


def _colour(
    figure: Figure, axis: Axes, values: Array, title: str, unit: str, colours: str, *, symmetric: bool = False
) -> None:
    axis.set_axis_off()
    finite = values[np.isfinite(values)]
    if not finite.size:
        axis.set_title(f"{title}: the model gives none")
        return
    low, high = np.percentile(finite, (1, 99))
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    shown = axis.imshow(values, cmap=colours, vmin=low, vmax=high)
    axis.set_title(title)
    figure.colorbar(shown, ax=axis, label=f"{title}, {unit}", fraction=0.05, pad=0.02)


def _write_item(grid: Grid, content: Content, path: Path, out: Path) -> None:
    """The STAC item, with a link to each source and its checksum."""
    first = content.images[0]
    properties = {
        "orrery:kind": "lunar-dtm",
        "orrery:time_known": first.taken is not None,
        "orrery:suns": [[image.path.name, *image.sun_true_north] for image in content.images],
        "orrery:alignment": list(content.alignments),
        **content.tags,
    }
    names = {
        "elevation": "dtm.tif",
        "hillshade": "hillshade.tif",
        "slope": "slope.tif",
        "quicklook": "quicklook.png",
    }
    write_scene(path.parent, out.resolve().name, names, grid, first.sun_true_north, properties, _time(first))
    item = read_json(path)
    item["stac_extensions"].append(FILE_EXTENSION)
    item["links"] = [
        {
            "rel": "derived_from",
            "href": _relative(source, out),
            "title": source.name,
            "file:checksum": f"1220{digest}",
        }
        for source, digest in content.sources.items()
    ]
    write_json(path, item)


def _relative(source: Path, out: Path) -> str:
    """Link from the product's folder to a source: products move together with their sources, or not at all."""
    return Path(os.path.relpath(source.resolve(), out.resolve())).as_posix()


def _time(image: Image) -> datetime:
    if image.taken is None:
        return UNKNOWN_TIME
    try:
        when = datetime.fromisoformat(image.taken)
    except ValueError as error:
        raise OrreryError(
            f"was taken at {image.taken!r}, which is no time",
            file=image.path,
            remedy="give its side-car an ISO 8601 time",
        ) from error
    return when if when.tzinfo else when.replace(tzinfo=UTC)
