"""A faulty CRISM observation made whole: what it lacks comes from the image, matched to what it has.

No observed pixel is resampled: the prediction is laid onto the cube's own pixels, through the warp that was found between cube
and image. As for a prediction, a killed run goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from tqdm import tqdm

from orrery import __version__
from orrery.errors import OrreryError
from orrery.files import read_json, reading, sha256, write_json
from orrery.raster.align.coregistration import coregister
from orrery.raster.align.warping import Correction, between
from orrery.raster.cube import Cube, read_cube, wavelengths_of
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.io import Raster
from orrery.raster.rows import RowStore
from orrery.raster.sidecar import read_sidecar
from orrery.raster.windows import Span, covered
from orrery.systems.mars_bands.align import AlignParams
from orrery.systems.mars_bands.composites import TOLERANCE_NM
from orrery.systems.mars_bands.filling import OBSERVED, PREDICTED, REPLACED, Filled, FillParams, fill
from orrery.systems.mars_bands.inputs import Strip, opened, statistics_of
from orrery.systems.mars_bands.placing import on_cube
from orrery.systems.mars_bands.predict import CACHE_MB, PredictParams, one_image
from orrery.systems.mars_bands.restored import FILES, Restored, write_restored
from orrery.systems.mars_bands.tile import Bands
from orrery.systems.mars_bands.whole_image import VALID, predict_image
from orrery.systems.resume import publish, workspace, writing

Array = NDArray[np.float32]
PLAUSIBLE = (1e-5, 2.0)  # I/F; archived cubes hold artefacts of thousands, and 0 where a column was dropped
LEAST_CORRELATION = 0.2  # of matched prediction and observation, best band: below they show different ground


@dataclass(frozen=True)
class RestoreSummary:
    """What a restoration wrote.

    Attributes:
        folder: of the product.
        shares: origin -> share of the values inside the footprint.
        shift_m: by how far the cube was off, at its middle.
    """

    folder: Path
    shares: Mapping[str, float]
    shift_m: float

    def __str__(self) -> str:
        return (
            f"{self.folder}: {self.shares['observed']:.1%} observed, {self.shares['predicted']:.1%} predicted where nothing was, "
            f"{self.shares['replaced']:.1%} in place of faults; the cube lay {self.shift_m:.0f} m off the image"
        )


def restore(
    cube: Path,
    images: Sequence[Path],
    out: Path,
    *,
    model: Bands,
    params: PredictParams,
    filling: FillParams,
    alignment: AlignParams,
    tags: Mapping[str, str],
    dem: Path | None = None,
    sun: tuple[float | None, float | None] = (None, None),
    align: bool = True,
    stride: int | None = None,
    scale: float = 1.0,
    image_band: int = 1,
    dem_band: int = 1,
    seed: int = 0,
    progress: bool = True,
) -> RestoreSummary:
    """Fill the bands of one cube that the model predicts.

    Args:
        cube: CRISM observation, map-projected, I/F.
        images: one map-projected image of the same ground, I/F.
        out: folder of the product.
        model: what predicts a tile.
        params: how to cut and blend.
        filling: what counts as a fault.
        alignment: how the cube is brought onto the image.
        tags: lineage.
        dem: heights in m, for models that use them.
        sun: azimuth from true north and elevation, degrees; None: from the image's metadata.
        align: False: the cube lies on the image already.
        stride: in place of `params.stride_divisor`.
        scale: factor that makes the image's values I/F.
        image_band: counted from 1.
        dem_band: counted from 1.
        seed: of the alignment's random choices.
        progress: show a bar.

    Raises:
        OrreryError: bad input, the two do not fit, or `out` cannot be written.
    """
    image, params = one_image(images), params.with_stride(stride)
    observed = _observed(cube, model.wavelengths_nm)
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
    ):
        part = strip.part(_span(strip, observed.grid, alignment.search_m, cube))
        rows = strip.grid.height + part.grid.height
        with tqdm(total=rows, unit="row", desc="restore", disable=not progress) as bar:
            statistics = statistics_of(strip, bar.update)
            used = (cube, image, dem if model.uses_dem else None)
            sources = {path: sha256(path) for path in used if path is not None}
            identity = {
                "orrery": __version__,
                "sources": [(path.name, digest) for path, digest in sources.items()],
                "bands": [image_band, dem_band, scale, *sun],
                "model": [model.name, model.recipe(), dict(tags)],
                "params": [params.model_dump(), filling.model_dump(), alignment.model_dump(), align, seed],
            }
            correction = Correction(AffineMap.identity())
            find = _finder(observed, part, alignment, seed, cube) if align else None
            work = workspace(out, identity)
            with writing(out):
                if find is not None:
                    correction = _kept(work / "alignment.json", find)
                store = RowStore(work, "image", (*model.blended, VALID), part.grid)
                predict_image(part, statistics, model, params.tiling(), store, bar.update)
                filled = _filled(observed, store, model, correction, filling, cube, image)
                taken, told = read_sidecar(cube).get("datetime"), _properties(filled, observed, correction)
                made = Restored(cube, observed, filled, taken, sources, tags, told)
                names = write_restored(made, work, out)
                publish(work / "product", out, names, [name for name in FILES if name not in names])
    return RestoreSummary(out, _shares(filled), _shift_m(correction, observed.grid, part.grid.crs))


def _observed(path: Path, wavelengths_nm: Sequence[float]) -> Cube:
    """The cube at the model's wavelengths; a band that the file lacks is all NaN.

    Raises:
        OrreryError: as `read_cube`; or the file has none of the wavelengths.
    """
    found = wavelengths_of(path)
    there = [nm for nm in wavelengths_nm if np.abs(found - nm).min() <= TOLERANCE_NM]
    cube = read_cube(path, there or wavelengths_nm, TOLERANCE_NM, plausible=PLAUSIBLE)
    values = np.full((len(wavelengths_nm), *cube.grid.shape), np.nan, np.float32)
    values[[list(wavelengths_nm).index(nm) for nm in there]] = cube.values
    return Cube(values, np.asarray(wavelengths_nm, float), cube.grid)


def _span(strip: Strip, grid: Grid, search_m: float, cube: Path) -> Span:
    """The part of the image under the cube, wherever the cube may turn out to lie.

    Raises:
        OrreryError: there is none.
    """
    margin_px = ceil(2 * search_m / max(grid.gsd_m, strip.grid.gsd_m))
    span = covered(strip.grid, grid, margin_px) if covered(strip.grid, grid, 0) else None
    if span is None:
        raise _apart(cube, strip.path)
    return span


def _apart(cube: Path, image: Path) -> OrreryError:
    return OrreryError(f"covers none of {image.name}", file=cube, remedy="give an image of the cube's ground")


def _finder(
    observed: Cube, part: Strip, params: AlignParams, seed: int, path: Path
) -> Callable[[], Correction]:
    """What finds the way from the cube to the image, by the observed band nearest to the one that the image resembles."""
    there = [index for index, band in enumerate(observed.values) if np.isfinite(band).any()]
    nearest = min(there, key=lambda index: abs(observed.wavelengths_nm[index] - params.match_nm))
    moving = Raster(observed.values[nearest], observed.grid)
    search_px = ceil(params.search_m / part.grid.gsd_m)
    options = params.coregistration.model_copy(update={"search_px": search_px})

    def find() -> Correction:
        reference = Raster(part.source.read(0, 0, *part.grid.shape), part.grid)
        try:
            return coregister(moving, reference, options, seed).correction
        except OrreryError as error:
            raise OrreryError(
                f"cannot be brought onto {part.path.name} ({error.problem})",
                file=path,
                remedy="check that both show one place; --no-align where they lie on each other already",
            ) from error

    return find


def _kept(path: Path, find: Callable[[], Correction]) -> Correction:
    """What was found, kept over a kill."""
    if not path.exists():
        write_json(path, find().to_dict())
    content = read_json(path)
    with reading(path, "an alignment", "delete it to align again"):
        return Correction.from_dict(content)


def _filled(
    observed: Cube,
    store: RowStore,
    model: Bands,
    correction: Correction,
    params: FillParams,
    cube: Path,
    image: Path,
) -> Filled:
    """The cube, filled.

    Raises:
        OrreryError: prediction and observation have no ground in common, or do not resemble each other at all.
    """
    blended = on_cube(store, model.blended, observed.grid, correction)
    predicted = model.finished(blended)[: len(model.wavelengths_nm)]
    common = np.isfinite(observed.values) & np.isfinite(predicted)
    if not common.any():
        raise _apart(cube, image)
    filled = fill(observed.values, predicted, observed.wavelengths_nm.tolist(), params)
    best = max((match.correlation for match in filled.matches if isfinite(match.correlation)), default=0.0)
    if best < LEAST_CORRELATION:
        raise OrreryError(
            f"does not resemble what {image.name} predicts (correlation {best:.2f} at best)",
            file=cube,
            remedy="check that both show one place, and leave --no-align out",
        )
    return filled


def _shares(filled: Filled) -> dict[str, float]:
    inside = max(int((filled.origin > 0).sum()), 1)
    codes = {"observed": OBSERVED, "predicted": PREDICTED, "replaced": REPLACED}
    return {name: float((filled.origin == code).sum()) / inside for name, code in codes.items()}


def _shift_m(correction: Correction, grid: Grid, crs: CRS) -> float:
    """Length of the correction at a cube's middle, in metres of the image's coordinate system."""
    x, y = (float(place) for place in between(grid.crs, crs, *grid.centre))
    true_x, true_y = correction.apply(x, y)
    return float(np.hypot(float(true_x) - x, float(true_y) - y))


def _properties(filled: Filled, observed: Cube, correction: Correction) -> dict[str, Any]:
    """What the item tells of each band."""
    bands = []
    for nm, match, origin in zip(observed.wavelengths_nm, filled.matches, filled.origin, strict=True):
        counts = {
            name: int((origin == code).sum())
            for name, code in (
                ("observed_px", OBSERVED),
                ("predicted_px", PREDICTED),
                ("replaced_px", REPLACED),
            )
        }
        numbers = {name: value if isfinite(value) else None for name, value in asdict(match).items()}
        bands.append({"wavelength_nm": float(nm), **numbers, **counts})
    return {"orrery:bands": bands, "orrery:correction": correction.to_dict()}
