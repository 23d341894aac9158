"""From a whole image to georeferenced bands in I/F with their uncertainty.

Everything under way lies in `out/.work`, under a name that is the hash of the inputs, the model and the parameters: a killed
run goes on where it stopped, a run with anything changed begins anew, and both end with the bytes of an undisturbed run. The
product's files appear at the end, the STAC item last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from pydantic import Field
from tqdm import tqdm

from orrery import __version__
from orrery.errors import OrreryError
from orrery.files import sha256
from orrery.params import Count, Section, validate
from orrery.raster.grid import Grid
from orrery.raster.rows import RowStore
from orrery.systems.mars_bands.inputs import opened, statistics_of
from orrery.systems.mars_bands.product import FILES, Content, band_names, write_products
from orrery.systems.mars_bands.tile import Bands
from orrery.systems.mars_bands.whole_image import VALID, Tiling, finished, predict_image
from orrery.systems.resume import publish, workspace, writing

CACHE_MB = 128  # of GDAL; its default is a share of the machine's memory
ROWS_AT_ONCE = 256
TOLD_BANDS = 12  # one by one


class PredictParams(Section):
    """How `orrery predict mars-bands` cuts and blends."""

    tile_px: Count = Field(256, description="side of a tile (the paper: 256, and 384 at the end)")
    stride_divisor: Literal[1, 2, 3] = Field(
        2, description="a tile's side over the stride, the paper's s; the time grows with its square"
    )
    batch_tiles: Count = Field(8, description="tiles handed to the model at once; bounds memory")
    weights: Literal["tapered", "paper"] = Field(
        "tapered",
        description="a Gaussian that begins at 0, so that tiles leave no step; or at 0.37 as the paper's",
    )

    def with_stride(self, divisor: int | None) -> PredictParams:
        """The same with another stride; None: the same."""
        if divisor is None:
            return self
        return validate(
            PredictParams, {**self.model_dump(), "stride_divisor": divisor}, file=Path("--stride")
        )

    def tiling(self) -> Tiling:
        """As `predict_image` wants it."""
        return Tiling(self.tile_px, self.stride_divisor, self.batch_tiles, self.weights == "tapered")


@dataclass(frozen=True)
class ProductSummary:
    """What a prediction wrote.

    Attributes:
        folder: of the product.
        grid: the image's.
        valid_fraction: share of its pixels with a value.
        medians: band -> median I/F.
    """

    folder: Path
    grid: Grid
    valid_fraction: float
    medians: Mapping[str, float]

    def __str__(self) -> str:
        bands = ", ".join(f"{name} {median:.3f}" for name, median in self.medians.items())
        if len(self.medians) > TOLD_BANDS:
            first, *_, last = self.medians
            low, high = min(self.medians.values()), max(self.medians.values())
            bands = f"{low:.3f} to {high:.3f} in {len(self.medians)} bands, {first} to {last}"
        return (
            f"{self.folder}: {self.grid.width} x {self.grid.height} px of {self.grid.gsd_m:.3g} m, "
            f"{self.valid_fraction:.1%} valid, median I/F {bands}"
        )


def predict(
    images: Sequence[Path],
    out: Path,
    *,
    model: Bands,
    params: PredictParams,
    tags: Mapping[str, str],
    dem: Path | None = None,
    sun: tuple[float | None, float | None] = (None, None),
    stride: int | None = None,
    scale: float = 1.0,
    image_band: int = 1,
    dem_band: int = 1,
    progress: bool = True,
) -> ProductSummary:
    """Predict the bands of one image, on its own pixels.

    Args:
        images: one map-projected image, I/F.
        out: folder of the product.
        model: what predicts a tile.
        params: how to cut and blend.
        tags: lineage, written into every raster and the item; together with `model.recipe()` they name the model.
        dem: heights in m, for models that use them.
        sun: azimuth from true north and elevation, degrees; None: from the image's metadata.
        stride: in place of `params.stride_divisor`.
        scale: factor that makes the image's values I/F.
        image_band: counted from 1.
        dem_band: counted from 1.
        progress: show a bar.

    Raises:
        OrreryError: bad input, or `out` cannot be written.
    """
    image, params = one_image(images), params.with_stride(stride)
    with (
        rasterio.Env(GDAL_CACHEMAX=CACHE_MB),
        opened(
            image,
            dem,
            uses_dem=model.uses_dem,
            sun=sun,
            scale=scale,
            image_band=image_band,
            dem_band=dem_band,
        ) as strip,
        tqdm(total=2 * strip.grid.height, unit="row", desc="predict", disable=not progress) as bar,
    ):
        statistics = statistics_of(strip, bar.update)
        used = (image, dem if model.uses_dem else None)
        sources = {path: sha256(path) for path in used if path is not None}
        identity = {
            "orrery": __version__,
            "sources": [(path.name, digest) for path, digest in sources.items()],
            "bands": [image_band, dem_band, scale, *sun],
            "model": [model.name, model.recipe(), dict(tags)],
            "params": params.model_dump(),
        }
        work = workspace(out, identity)
        with writing(out):
            blended = RowStore(work, "image", (*model.blended, VALID), strip.grid)
            predict_image(strip, statistics, model, params.tiling(), blended, bar.update)
            store = finished(blended, model)
            summary = _summary(store, out)
            told = {"orrery:stride_divisor": params.stride_divisor, "orrery:scale": scale}
            content = Content(strip, statistics, model.wavelengths_nm, sources, tags, told)
            names = write_products(store, content, work / "product", out)
            publish(work / "product", out, names, [name for name in FILES if name not in names])
    return summary


def one_image(images: Sequence[Path]) -> Path:
    """The only image.

    Raises:
        OrreryError: there are several, or none.
    """
    if len(images) != 1:
        raise OrreryError(
            f"{len(images) or 'no'} images were given", remedy="give one (--image), and a product each"
        )
    return images[0]


def _summary(store: RowStore, out: Path) -> ProductSummary:
    """Exact count; the medians of every 16th pixel of every 16th row."""
    valid = 0
    samples: dict[str, list[Any]] = {name: [] for name in band_names(store.planes)}
    for row in range(0, store.grid.height, ROWS_AT_ONCE):
        stop = min(row + ROWS_AT_ONCE, store.grid.height)
        valid += int(store.rows(row, stop, VALID).sum())
        for name, parts in samples.items():
            parts.append(store.rows(row, stop, name)[::16, ::16].ravel())
    if not valid:
        raise OrreryError(
            "the model gave no valid value", file=out, remedy="check the image, and the DEM under it"
        )
    medians = {name: _median(np.concatenate(parts)) for name, parts in samples.items()}
    return ProductSummary(out, store.grid, valid / (store.grid.height * store.grid.width), medians)


def _median(values: Any) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
