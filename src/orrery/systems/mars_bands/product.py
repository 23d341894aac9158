"""From finished planes to a product: COGs of bands, 1-sigma, confidence and validity, pictures, and a STAC item."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orrery.figures import save
from orrery.files import replacing
from orrery.raster.cog import write_cog
from orrery.raster.grid import Grid
from orrery.raster.rows import Plane, RowStore
from orrery.raster.scene import ITEM
from orrery.raster.windows import reduced
from orrery.systems.item import write_item
from orrery.systems.mars_bands.composites import NAMES, composites_of, stretched
from orrery.systems.mars_bands.inputs import Strip
from orrery.systems.mars_bands.tile import Statistics
from orrery.systems.mars_bands.whole_image import VALID
from orrery.systems.quicklook import QUICKLOOK_PX, colour, gray, panels

Array = NDArray[np.float32]
PICTURE_PX = 4_000_000  # of evc.png and fc.png; the COG has them all
ROWS_AT_ONCE = 256
THREADS = 2
SIGMA, CONFIDENCE = "sigma ", "confidence "
FILES = (
    "bands.tif", "sigma.tif", "confidence.tif", "valid.tif", "evc.png", "fc.png", "quicklook.png", ITEM,
)  # fmt: skip


@dataclass(frozen=True)
class Content:
    """What a product tells about itself.

    Attributes:
        strip: what it was predicted from.
        statistics: of that image.
        wavelengths_nm: of the bands.
        sources: input file -> its SHA-256.
        tags: metadata of all rasters.
        properties: further ones of the item.
    """

    strip: Strip
    statistics: Statistics
    wavelengths_nm: Sequence[float]
    sources: Mapping[Path, str]
    tags: Mapping[str, str]
    properties: Mapping[str, Any]


def band_names(planes: Sequence[str]) -> list[str]:
    """Those of a model's planes that are bands."""
    return [name for name in planes if not name.startswith((SIGMA, CONFIDENCE, VALID))]


def write_products(store: RowStore, content: Content, folder: Path, out: Path) -> list[str]:
    """Write those of `FILES` that the planes allow into `folder`; those that are there already are complete and stay.

    Compressing takes longer than all else but the model: it is done in threads of our own, as GDAL's would not survive a fork.

    Args:
        store: finished planes of the model, and `VALID`.
        content: what the product tells about itself.
        folder: where the files are made.
        out: where they will be, for links.

    Returns:
        names of the files, the item last.
    """
    makers = _makers(store, content)
    names = [name for name in FILES if name in makers or name == ITEM]
    with ThreadPoolExecutor(THREADS) as pool:
        missing = [name for name in names if name != ITEM and not (folder / name).exists()]
        for made in [pool.submit(makers[name], folder / name) for name in missing]:
            made.result()
    if not (folder / ITEM).exists():
        _write_item(store.grid, content, names, folder / ITEM, out)
    return names


def _makers(store: RowStore, content: Content) -> dict[str, Callable[[Path], None]]:
    """What writes each file but the item."""
    bands = band_names(store.planes)
    groups = {
        "bands.tif": bands,
        "sigma.tif": [name for name in store.planes if name.startswith(SIGMA)],
        "confidence.tif": [name for name in store.planes if name.startswith(CONFIDENCE)],
    }
    makers: dict[str, Callable[[Path], None]] = {
        name: _cog_maker(store, planes, content.tags) for name, planes in groups.items() if planes
    }
    makers["valid.tif"] = lambda path: _write_mask(store, content.tags, path)
    composites = {
        name: [bands[index] for index in order]
        for name, order in composites_of(content.wavelengths_nm).items()
    }
    for name, planes in composites.items():
        makers[f"{name}.png"] = _picture_maker(store, planes)
    makers["quicklook.png"] = lambda path: _quicklook(store, content, composites, path)
    return makers


def _cog_maker(store: RowStore, planes: Sequence[str], tags: Mapping[str, str]) -> Callable[[Path], None]:
    part = RowStore(store.folder, store.name, tuple(planes), store.grid)
    units = dict.fromkeys(planes, "" if planes[0].startswith(CONFIDENCE) else "I/F")
    return lambda path: write_cog(part, units, tags, path)


def _picture_maker(store: RowStore, planes: Sequence[str]) -> Callable[[Path], None]:
    factor = ceil(sqrt(store.grid.height * store.grid.width / PICTURE_PX))
    return lambda path: write_picture(stretched(small(store, planes, factor)), path)


def small(store: RowStore, planes: Sequence[str], factor: int) -> Array:
    """(P, h, w) means of blocks of a store's planes."""
    return np.stack([reduced(Plane(store, name), factor).values for name in planes])


def write_picture(pixels: NDArray[np.uint8], path: Path) -> None:
    """(H, W, 4) as a PNG."""
    with replacing(path) as temporary:
        Image.fromarray(pixels, "RGBA").save(temporary)


def _write_mask(store: RowStore, tags: Mapping[str, str], path: Path) -> None:
    """1 where there is a value, 0 (nodata) elsewhere."""
    mask = RowStore(store.folder, "mask", (VALID,), store.grid, "uint8")
    for row in range(0, store.grid.height, ROWS_AT_ONCE):
        mask.write(row, store.rows(row, min(row + ROWS_AT_ONCE, store.grid.height), VALID)[None] > 0)
    write_cog(mask, {}, tags, path)
    mask.discard()


def _quicklook(store: RowStore, content: Content, composites: Mapping[str, list[str]], path: Path) -> None:
    """The image beside its bands, their 1-sigma and confidence."""
    factor = ceil(max(store.grid.shape) / QUICKLOOK_PX)
    bands = band_names(store.planes)
    others = {
        title: [name for name in store.planes if name.startswith(title)] for title in (SIGMA, CONFIDENCE)
    }
    shown = {title.strip(): names for title, names in others.items() if names}
    figure, axes = panels(store.grid, 1 + (len(composites) or 1) + len(shown))
    gray(axes[0], reduced(content.strip.source, factor).values, "image")
    rest = iter(axes[1:])
    for name, planes in composites.items():
        axis = next(rest)
        axis.imshow(stretched(small(store, planes, factor)))
        axis.set_title(f"predicted, {NAMES[name]}")
        axis.set_axis_off()
    if not composites:
        gray(next(rest), small(store, bands[:1], factor)[0], f"predicted {bands[0]}")
    for title, names in shown.items():
        mean = small(store, names, factor).mean(axis=0)
        label, unit = ("1-sigma", "I/F") if title == "sigma" else (title, "")
        colour(figure, next(rest), mean, f"{label}, mean of {len(names)} bands", unit, "magma")
    for axis in rest:
        axis.set_axis_off()
    size = f"{store.grid.width} x {store.grid.height} px of {store.grid.gsd_m:.3g} m"
    figure.suptitle(f"{content.strip.path.name}: {size}")
    save(figure, path)


def _write_item(grid: Grid, content: Content, names: Sequence[str], path: Path, out: Path) -> None:
    strip = content.strip
    properties = {
        "orrery:kind": "mars-bands",
        "orrery:wavelengths_nm": list(content.wavelengths_nm),
        "orrery:image_statistics": asdict(content.statistics),
        **content.properties,
        **content.tags,
    }
    assets = {Path(name).stem: name for name in names if name != ITEM}
    write_item(
        path, out, assets, grid, content.sources, properties,
        image=strip.path, taken=strip.taken, sun_true_north=strip.sun_true_north, body="mars",
    )  # fmt: skip
