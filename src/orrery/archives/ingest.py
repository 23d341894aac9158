"""Products of a catalogue into scenes under data/: what `orrery ingest --source archive` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from orrery.archives.catalogue import Catalogue, Entry
from orrery.archives.fetching import FACTS, Local, Shelf
from orrery.archives.isis import map_project
from orrery.archives.select import SECONDS_PER_DAY
from orrery.errors import OrreryError
from orrery.files import replacing
from orrery.raster.cropping import crop
from orrery.raster.grid import Grid
from orrery.raster.io import Cube, Raster, open_windows, read, read_cube, write
from orrery.raster.resampling import resample
from orrery.raster.scene import write_scene

# Browse bands of CRISM, nm: enhanced visible colour and false colour (Viviano-Beck et al. 2014; Table A1 there).
BROWSE_NM = (442.63, 533.74, 592.35, 1079.96, 1500.03, 2503.12)
PLAUSIBLE_I_OVER_F = (-0.1, 2.0)  # beyond it lie artefacts, of thousands, and the fill
CTX_MARGIN_M = 3000.0  # around the cube: raw misregistration is 200 to 300 m, and a strip is 30 km wide
DEM_MARGIN_M = 1000.0  # around the image: it may move by some postings of 60 m

Maker = Callable[[Entry, dict[str, Local], Path, "Job"], None]


@dataclass(frozen=True)
class Job:
    """What to make.

    Attributes:
        catalogue: of the scenes.
        out: folder of the body's scenes, e.g. data/mars.
        shelf: of the products.
        all_bands: every wavelength of a cube, not the six browse bands alone.
    """

    catalogue: Catalogue
    out: Path
    shelf: Shelf
    all_bands: bool = False


def bring(job: Job, only: Sequence[str] = ("*",)) -> Iterator[tuple[str, OrreryError | None]]:
    """Make the scenes one after the other; one that fails does not stop the others.

    Args:
        job: what to make.
        only: patterns of scene names.

    Yields:
        Name of the scene, and why there is none (None when it was made).

    Raises:
        OrreryError: no scene of the catalogue fits the patterns.
    """
    entries = [
        entry for entry in job.catalogue.scenes if any(fnmatch(entry.scene, pattern) for pattern in only)
    ]
    if not entries:
        remedy = "give a pattern of its scene names, e.g. 'jezero-*'"
        raise OrreryError(f"{job.catalogue.name} has no scene {', '.join(only)}", remedy=remedy)
    for entry in entries:
        try:
            _bring_one(entry, job)
        except OrreryError as error:
            yield entry.scene, error
        else:
            yield entry.scene, None


def _bring_one(entry: Entry, job: Job) -> None:
    """Fetch a scene's products and write it, whole or not at all."""
    kinds, body = job.catalogue.kinds, job.catalogue.body
    makers: dict[frozenset[str], Maker] = {
        frozenset({"ctx", "crism"}): _mars_scene,
        frozenset({"image_l", "sldem"}): _moon_scene,
    }
    maker = next((make for needed, make in makers.items() if needed <= set(entry.products)), None)
    products = {
        name: job.shelf.get(name, kinds[name], identifier, body)
        for name, identifier in entry.products.items()
    }
    if maker is None:
        problem = f"{entry.scene} is no scene by itself; its products are in {job.shelf.folder}"
        raise OrreryError(problem, remedy="use them by hand")
    with replacing(job.out / entry.scene) as folder:
        folder.mkdir(parents=True)
        maker(entry, products, folder, job)


def _mars_scene(entry: Entry, products: dict[str, Local], folder: Path, job: Job) -> None:
    """A CTX image around a CRISM cube, each in its own frame."""
    cube = _cube(products["crism"], job.all_bands)
    image = _image(products["ctx"], "CTX", job)
    cut = crop(image, "mars", cube.grid, CTX_MARGIN_M)
    _check_overlap(cut, cube, image)
    write(folder / "ctx.tif", {"i_over_f": cut.values}, cut.grid, units={"i_over_f": "1"})
    bands = {f"{nm:.2f} nm": band for nm, band in zip(cube.wavelengths_nm, cube.values, strict=True)}
    write(folder / "crism.tif", bands, cube.grid, units=dict.fromkeys(bands, "1"))
    assets = {"ctx": "ctx.tif", "crism": "crism.tif"}
    if "dem" in products:
        _crop_dem(products["dem"].path, "dem", cut.grid, folder, assets, job)
    days = _days(products) if _days(products) is not None else entry.time_difference_days
    properties = {**_properties(entry), "orrery:kind": entry.site, "orrery:time_difference_days": days}
    _write_item(entry, products["ctx"], folder, assets, cut.grid, properties, job)


def _moon_scene(entry: Entry, products: dict[str, Local], folder: Path, job: Job) -> None:
    """A pair of NAC images with the coarse DEM and, where there is one, the photogrammetric DTM."""
    assets: dict[str, str] = {}
    grid = _copy_image(products["image_l"], "image_l", folder, assets, job)
    if "image_r" in products:
        _copy_image(products["image_r"], "image_r", folder, assets, job)
    for name in ("sldem", "nac_dtm"):
        if name in products:
            _crop_dem(products[name].path, name, grid, folder, assets, job)
    _write_item(entry, products["image_l"], folder, assets, grid, _properties(entry), job)


def _copy_image(product: Local, name: str, folder: Path, assets: dict[str, str], job: Job) -> Grid:
    """A NAC image as an asset; where it lies."""
    image = read(_image(product, "LROC", job), body="moon")
    write(folder / f"{name}.tif", {"i_over_f": image.values}, image.grid, units={"i_over_f": "1"})
    assets[name] = f"{name}.tif"
    return image.grid


def _crop_dem(path: Path, name: str, around: Grid, folder: Path, assets: dict[str, str], job: Job) -> None:
    """The heights around an image as an asset."""
    dem = crop(path, job.catalogue.body, around, DEM_MARGIN_M)
    write(folder / f"{name}.tif", {"elevation_m": dem.values}, dem.grid, units={"elevation_m": "m"})
    assets[name] = f"{name}.tif"


def _cube(product: Local, all_bands: bool) -> Cube:
    wanted = None if all_bands else BROWSE_NM
    return read_cube(product.path, wanted, plausible=PLAUSIBLE_I_OVER_F)


def _image(product: Local, instrument: str, job: Job) -> Path:
    """A map of the product: as it was given or fetched, else made by ISIS and kept."""
    with open_windows(product.path, body=None) as source:
        projected = product.projected or bool(source.grid.crs)
    if projected:
        return product.path
    target = product.folder / f"{product.id}.map.cub"
    if not target.is_file():
        latitude_deg = 0.0 if job.catalogue.body == "mars" else product.latitude_deg or 0.0
        map_project(product.path, target, instrument, latitude_deg)
    return target


def _check_overlap(image: Raster, cube: Cube, path: Path) -> None:
    """Refuse an image that has no valid pixel where the cube has some."""
    seen = resample(image, cube.grid, method="average").valid
    if not (seen & np.isfinite(cube.values).any(0)).any():
        problem = "has no valid pixel where the CRISM cube has some"
        raise OrreryError(problem, file=path, remedy="take another image, e.g. by `orrery search`")


def _days(products: dict[str, Local]) -> float | None:
    """CRISM after CTX, days."""
    cube, image = products["crism"].start, products["ctx"].start
    if cube is None or image is None:
        return None
    return round((cube - image).total_seconds() / SECONDS_PER_DAY, 6)


def _properties(entry: Entry) -> dict[str, Any]:
    return {
        "orrery:site": entry.site,
        "orrery:twin": False,
        "orrery:products": dict(sorted(entry.products.items())),
        **({"orrery:set": entry.set} if entry.set else {}),
    }


def _write_item(
    entry: Entry, image: Local, folder: Path, assets: dict[str, str], grid: Grid,
    properties: dict[str, Any], job: Job,
) -> None:  # fmt: skip
    """The scene's item; its time is that of the image."""
    sun = (entry.sun.azimuth_deg, entry.sun.elevation_deg) if entry.sun else None
    when = image.start
    if not isinstance(when, datetime):
        problem = f"the archive tells no time of {image.id}"
        raise OrreryError(problem, remedy=f"write its start into {image.folder / FACTS}")
    write_scene(folder, entry.scene, assets, grid, sun, properties, when, job.catalogue.body)
