"""From whole images and a coarse DEM to a georeferenced terrain model with its uncertainty.

Everything under way lies in `out/.work`, under a name that is the hash of the inputs, the model and the parameters: a
killed run goes on where it stopped, a run with anything changed begins anew, and both end with the bytes of an
undisturbed run. The product's files appear at the end, the STAC item last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import rasterio
from pydantic import Field, model_validator
from tqdm import tqdm

from orrery import __version__
from orrery.errors import OrreryError
from orrery.files import read_json, reading, sha256, write_json
from orrery.params import Count, Positive, Section
from orrery.raster.dem import Dem
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.io import Raster
from orrery.raster.rows import RowStore
from orrery.raster.windows import covered, reduced
from orrery.systems.lunar_dtm.inputs import Image, opened
from orrery.systems.lunar_dtm.mosaic import common_grid, merge
from orrery.systems.lunar_dtm.product import FILES, Content, write_products
from orrery.systems.lunar_dtm.registration import RegistrationParams, register
from orrery.systems.lunar_dtm.whole_image import PLANES, Terrain, Tiling, predict_image
from orrery.systems.resume import publish, workspace, writing

CACHE_MB = 128  # of GDAL; its default is a share of the machine's memory
ROWS_AT_ONCE = 256
REGISTRATION_PX = 16_000_000  # an image of any size is reduced to this for registration


class PredictParams(Section):
    """How `orrery predict lunar-dtm` cuts, aligns and blends."""

    tile_height_px: Count = Field(256, description="the paper's tile")
    tile_width_px: Count = Field(320, description="the paper's tile")
    overlap_px: Annotated[int, Field(ge=0)] = Field(100, description="the paper's overlap, blended linearly")
    batch_tiles: Count = Field(8, description="tiles handed to the model at once; bounds memory")
    gsd_m: Positive | None = Field(None, description="pixel size to work at, m; empty: the image's own")
    align: Literal["auto", "off"] = Field("auto", description="register each image to the DEM first")
    vertical: Literal["median", "off"] = Field(
        "median", description="level each tile to the DEM by its median"
    )
    mosaic_ramp_px: Count = Field(
        100, description="distance from an image's edge at which it has full weight"
    )

    @model_validator(mode="after")
    def _overlap_is_less_than_a_tile(self) -> Self:
        if self.overlap_px >= min(self.tile_height_px, self.tile_width_px):
            raise ValueError("overlap_px must be smaller than the tile")
        return self


@dataclass(frozen=True)
class ProductSummary:
    """What a prediction wrote.

    Attributes:
        folder: with dtm.tif, hillshade.tif, slope.tif, quicklook.png, item.json.
        grid: of the product.
        valid_fraction: share of its pixels with a height.
        elevation_m: lowest and highest.
        sigma_m: median 1-sigma.
        alignments: how each image was brought onto the DEM.
    """

    folder: Path
    grid: Grid
    valid_fraction: float
    elevation_m: tuple[float, float]
    sigma_m: float
    alignments: Sequence[Mapping[str, Any]]

    def __str__(self) -> str:
        low, high = self.elevation_m
        return (
            f"{self.folder}: {self.grid.width} x {self.grid.height} px of {self.grid.gsd_m:.3g} m, "
            f"{self.valid_fraction:.1%} valid, {low:.1f} to {high:.1f} m, median 1-sigma {self.sigma_m:.2f} m"
        )


def predict(
    images: Sequence[Path],
    dem: Path,
    out: Path,
    *,
    model: Terrain,
    params: PredictParams,
    tags: Mapping[str, str],
    sun: tuple[float | None, float | None] = (None, None),
    align: bool = True,
    image_band: int = 1,
    dem_band: int = 1,
    registration: RegistrationParams | None = None,
    seed: int = 0,
    progress: bool = True,
) -> ProductSummary:
    """Predict one terrain model from one or several images.

    One image keeps its own pixels, moved into the DEM's frame; several are resampled onto one north-up grid in the DEM's
    coordinate system.

    Args:
        images: map-projected images.
        dem: coarse DEM, heights in m.
        out: folder of the product.
        model: what predicts a tile.
        params: how to cut, align and blend.
        tags: lineage, written into every raster and the item; together with `model.recipe()` they name the model.
        sun: azimuth from true north and elevation, degrees; None: from each image's metadata.
        align: False leaves the images where they are, whatever `params` say.
        image_band: band of the images.
        dem_band: band of the DEM.
        registration: how an image is brought onto the DEM; None: the defaults.
        seed: of the registration's random choices.
        progress: show a bar.

    Raises:
        OrreryError: bad input, or `out` cannot be written.
    """
    align = align and params.align == "auto"
    registration = registration or RegistrationParams()
    with (
        rasterio.Env(GDAL_CACHEMAX=CACHE_MB),
        opened(images, dem, sun=sun, gsd_m=params.gsd_m, image_band=image_band, dem_band=dem_band) as (
            scenes,
            terrain,
        ),
    ):
        sources = {path: sha256(path) for path in [*images, dem]}
        identity = {
            "orrery": __version__,
            "sources": [(path.name, digest) for path, digest in sources.items()],
            "suns": [image.sun_true_north for image in scenes],
            "bands": [image_band, dem_band],
            "model": [model.name, model.recipe(), dict(tags)],
            "params": params.model_dump(),
            "registration": [align, registration.model_dump(), seed],
        }
        work = workspace(out, identity)
        with writing(out):
            frame = scenes[0].dem if len(scenes) == 1 else terrain
            alignments = [{"image": image.path.name} for image in scenes]
            if align:
                scenes, alignments = _aligned(scenes, work, registration, seed)
            store = _planes(scenes, terrain, model, params, work, progress)
            summary = _summary(store, out, alignments)
            write_products(store, Content(scenes, frame, sources, tags, alignments), work / "product", out)
            publish(work / "product", out, FILES)
    return summary


def _aligned(
    scenes: Sequence[Image], work: Path, params: RegistrationParams, seed: int
) -> tuple[list[Image], list[dict[str, Any]]]:
    """Each image with the DEM moved into its frame, and what was found; kept over a kill."""
    aligned, found = [], []
    for number, image in enumerate(scenes):
        path = work / f"alignment-{number}.json"
        if not path.exists():
            write_json(path, {"image": image.path.name, **_registered(image, params, seed)})
        told = read_json(path)
        with reading(path, "an alignment", "delete it to align again"):
            aligned.append(image.corrected(AffineMap.from_dict(told["map"])))
        found.append(told)
    return aligned, found


def _registered(image: Image, params: RegistrationParams, seed: int) -> dict[str, Any]:
    """Where the DEM lies in the image's frame; where that cannot be told, it stays where it is and the text says so."""
    pixels = reduced(image.source, ceil(sqrt(image.grid.height * image.grid.width / REGISTRATION_PX)))
    source, margin = image.dem.source, ceil(2 * params.search_postings)
    span = covered(source.grid, image.grid, margin)
    assert span is not None  # opened() has refused an image beside the DEM
    dem = Raster(source.read(*span), source.grid.window(*span))
    kept = {"map": AffineMap.identity().to_dict()}
    try:
        found = register(pixels, dem, image.sun, params, seed)
    except OrreryError as error:
        return {**kept, "kept": error.problem}
    measured = {key: value for key, value in found.row.items() if np.isfinite(value)}
    if not found.row["ncc_after"] > found.row["ncc_before"]:
        return {**kept, **measured, "kept": "the image agrees no better with the DEM moved"}
    return {"map": found.map.to_dict(), **measured}


def _planes(
    scenes: Sequence[Image], terrain: Dem, model: Terrain, params: PredictParams, work: Path, progress: bool
) -> RowStore:
    """The finished planes of the product."""
    tiling = Tiling(
        params.tile_height_px,
        params.tile_width_px,
        params.overlap_px,
        params.batch_tiles,
        params.vertical == "median",
    )
    stores = [
        RowStore(work, f"image-{number}", PLANES, image.product_grid) for number, image in enumerate(scenes)
    ]
    grid = common_grid(scenes, terrain.source.grid) if len(scenes) > 1 else None
    rows = sum(image.grid.height for image in scenes) + (grid.height if grid else 0)
    with tqdm(total=rows, unit="row", desc="predict", disable=not progress) as bar:
        for image, store in zip(scenes, stores, strict=True):
            predict_image(image, model, tiling, store, bar.update)
        if grid is None:
            return stores[0]
        mosaic = RowStore(work, "mosaic", PLANES, grid)
        merge(stores, mosaic, params.mosaic_ramp_px, bar.update)
    return mosaic


def _summary(store: RowStore, out: Path, alignments: Sequence[Mapping[str, Any]]) -> ProductSummary:
    """Exact count and extremes; the median 1-sigma of every 16th row."""
    valid, low, high, sigmas = 0, np.inf, -np.inf, []
    for row in range(0, store.grid.height, ROWS_AT_ONCE):
        stop = min(row + ROWS_AT_ONCE, store.grid.height)
        heights_m = store.rows(row, stop, "elevation_m")
        valid += int(np.isfinite(heights_m).sum())
        low, high = (
            np.fmin.reduce(heights_m, axis=None, initial=low),
            np.fmax.reduce(heights_m, axis=None, initial=high),
        )
        sigmas.append(store.rows(row, stop, "sigma_m")[::16].ravel())
    if not valid:
        raise OrreryError(
            "the model gave no valid height",
            file=out,
            remedy="check the image and the DEM where they overlap",
        )
    share = valid / (store.grid.height * store.grid.width)
    sigma_m = np.concatenate(sigmas)
    finite = sigma_m[np.isfinite(sigma_m)]
    median = float(np.median(finite)) if finite.size else float("nan")
    return ProductSummary(out, store.grid, share, (float(low), float(high)), median, alignments)
