"""From finished planes to a product: COGs, a picture and a STAC item."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orrery.figures import save
from orrery.instruments.photometry import Sun
from orrery.raster.cog import write_cog
from orrery.raster.dem import Dem
from orrery.raster.grid import Grid, meridian_convergence_deg
from orrery.raster.io import resample
from orrery.raster.rows import Plane, RowStore
from orrery.raster.scene import ITEM
from orrery.raster.shade import hillshade_u8, shade, slope_deg
from orrery.raster.windows import Placed, coarser, reduced
from orrery.systems.item import write_item
from orrery.systems.lunar_dtm.inputs import Image
from orrery.systems.quicklook import QUICKLOOK_PX, colour, gray, panels

Array = NDArray[np.float32]
UNITS = {"elevation_m": "m", "sigma_m": "m", "valid": "", "hillshade": "", "slope_deg": "degree"}
FILES = ("dtm.tif", "hillshade.tif", "slope.tif", "quicklook.png", ITEM)
BLOCK_PX = (128, 2048)  # small enough for the processor's cache


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
    factor = ceil(max(store.grid.shape) / QUICKLOOK_PX)
    grid = coarser(store.grid, factor)
    sun = _sun_on(grid, content.images[0])
    heights_m = reduced(Plane(store, "elevation_m"), factor).values
    sigma_m = reduced(Plane(store, "sigma_m"), factor).values
    coarse_m = np.where(np.isfinite(heights_m), content.dem.on(grid), np.nan)
    elevation, azimuth = sun.elevation_deg, content.images[0].sun_true_north[0] % 360
    figure, axes = panels(grid)
    gray(
        axes[0],
        _seen(content.images, grid),
        f"image, sun {azimuth:.0f}° from north, {elevation:.0f}° high",
    )
    gray(axes[1], shade(coarse_m, grid.gsd_m, sun), "coarse DEM, shaded by the image's sun")
    gray(axes[2], shade(heights_m, grid.gsd_m, sun), "prediction, shaded by the image's sun")
    colour(figure, axes[3], heights_m, "elevation", "m", "viridis")
    colour(
        figure, axes[4], heights_m - coarse_m, "prediction minus coarse DEM", "m", "RdBu_r", symmetric=True
    )
    colour(figure, axes[5], sigma_m, "1-sigma", "m", "magma")
    size = f"{store.grid.width} x {store.grid.height} px of {store.grid.gsd_m:.3g} m"
    figure.suptitle(f"{', '.join(image.path.name for image in content.images)}: {size}")
    save(figure, path)


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


def _write_item(grid: Grid, content: Content, path: Path, out: Path) -> None:
    first = content.images[0]
    properties = {
        "orrery:kind": "lunar-dtm",
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
    write_item(
        path, out, names, grid, content.sources, properties,
        image=first.path, taken=first.taken, sun_true_north=first.sun_true_north, body="moon",
    )  # fmt: skip
