"""From raw scenes to a CTX image and CRISM bands in one frame, and a table of how well they fit.

The band nearest 592 nm, in CTX's own band pass, is matched; all bands follow it through one warp and one resampling. They are
written on cells of 3 x 3 CTX pixels, which are CRISM's 18 m on CTX's own lattice: finer cells would take nine times the
space and hold no more, and means over 3 x 3 predicted pixels are what CRISM measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from orrery.cluster import each
from orrery.errors import OrreryError
from orrery.files import replacing
from orrery.instruments.crism import EVC_NM, FC_NM
from orrery.params import Count, NonNegative, Positive, Section
from orrery.raster.align import (
    CoregistrationOptions,
    Correction,
    coregister,
    warp,
)
from orrery.raster.align.features import despiked
from orrery.raster.align.warping import between
from orrery.raster.cropping import crop
from orrery.raster.cube import Cube, read_cube
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.io import Raster, read, resample, write
from orrery.raster.scene import Scene, write_scene
from orrery.raster.windows import block_means, coarser
from orrery.seeds import derive
from orrery.systems.mars_bands.aligned import Alignment, bands_name
from orrery.systems.mars_bands.pairs import (
    Found,
    PairRow,
    box,
    compared,
    errors,
    measured,
    named,
    number,
    shared,
    shift_m,
)


class AlignParams(Section):
    """How scenes are aligned."""

    match_nm: Positive = Field(
        592.35, description="band to match on: the nearest one lies in CTX's band pass"
    )
    tolerance_nm: Positive = Field(
        8.0, description="how far the nearest band may lie; CRISM's are 6.55 nm apart"
    )
    plausible: tuple[float, float] = Field(
        (-0.05, 1.5), description="I/F outside is an artefact; products hold thousands"
    )
    margin_px: Count = Field(96, description="CTX pixels kept around the bands: context of the networks")
    search_m: Positive = Field(480.0, description="largest shift; CRISM products lie 200 to 300 m off")
    coregistration: CoregistrationOptions = CoregistrationOptions()
    study_wavelengths_nm: list[NonNegative] = Field(
        sorted((*EVC_NM, *FC_NM)), description="bands that are kept at the other alignments too"
    )


def align_scenes(scenes: Sequence[Scene], out: Path, params: AlignParams, seed: int) -> list[PairRow]:
    """Align all scenes and return their rows in the order of their names.

    Args:
        scenes: raw ones, with the assets `ctx` and `crism`.
        out: folder that gets one folder a scene.
        params: how.
        seed: of RANSAC's draws.

    Raises:
        OrreryError: a scene is broken, lacks a product, or its products do not meet.
    """
    ordered = sorted(scenes, key=lambda scene: scene.id)
    rows = each(partial(align_scene, out=out, params=params, seed=seed), ordered, "align")
    boxes = {row["scene"]: row.pop("box") for row in rows}
    for row in rows:
        row["overlap_fraction"] = shared(row["scene"], boxes)
    return rows


def align_scene(scene: Scene, out: Path, params: AlignParams, seed: int) -> PairRow:
    """Align one scene, write it, and return its row, with its box in degrees; see `align_scenes`."""
    found = find(scene, params, seed)
    cells, image = _cells(found, params.margin_px)
    laid = {
        name: warp(_one_band(found.matched), correction, cells)[0]
        for name, correction in found.corrections.items()
    }
    ctx = _part(found.ctx, image)
    step = image.height // cells.height
    seen = block_means(np.where(np.isfinite(ctx), ctx, np.float32(np.nan)), step)
    whole = block_means(np.isfinite(ctx).astype(np.float32), step) == 1
    valid = whole & np.isfinite(laid["local"])
    _write(found, params, out / scene.id, Raster(ctx, image), cells, valid)
    return {
        **named(scene),
        **measured(found),
        **compared(seen, laid, whole),
        "valid_fraction": float(valid.mean()),
        "time_difference_days": number(scene.item.properties.get("orrery:time_difference_days")),
        **errors(found),
        "box": box(cells),
    }


def find(scene: Scene, params: AlignParams, seed: int) -> Found:
    """Find the warp of a scene's cube.

    Raises:
        OrreryError: a product is missing or broken, or they do not meet.
    """
    paths = {name: _needed(scene, name) for name in ("ctx", "crism")}
    cube = read_cube(paths["crism"], [params.match_nm], params.tolerance_nm, plausible=params.plausible)
    matched = Raster(cube.values[0], cube.grid)
    ctx = crop(paths["ctx"], "mars", cube.grid, 2 * params.search_m)
    search_px = int(np.ceil(params.search_m / ctx.grid.gsd_m))
    options = params.coregistration.model_copy(update={"search_px": search_px})
    try:
        result = coregister(matched, ctx, options, derive(seed, "align", scene.id))
    except OrreryError as error:
        raise OrreryError(error.problem, file=paths["crism"], remedy=error.remedy) from error
    truth = _truth(scene)
    corrections: dict[Alignment, Correction] = {
        "none": Correction(AffineMap.identity()),
        "global": Correction(AffineMap.shift(*shift_m(result))),
        "local": result.correction,
    }
    return Found(scene, ctx, matched, result, corrections | ({"true": truth} if truth else {}))


def _cells(found: Found, margin_px: int) -> tuple[Grid, Grid]:
    """Cells of whole image pixels over all that the matched band shows, and the part of the image under them.

    Raises:
        OrreryError: the image shows nothing of it.
    """
    ctx = found.ctx.grid
    rows, columns = np.nonzero(found.matched.valid)
    x, y = between(found.matched.grid.crs, ctx.crs, *found.matched.grid.xy(rows, columns))
    step = max(round(found.matched.grid.gsd_m / ctx.gsd_m), 1)
    starts, counts = [], []
    for places, length in zip(ctx.rowcol(*found.corrections["local"].apply(x, y)), ctx.shape, strict=True):
        start = max(int(places.min()) - margin_px, 0)
        starts.append(start)
        counts.append((min(int(places.max()) + margin_px, length) - start) // step)
    if min(counts) < 1:
        raise OrreryError(
            "shows no ground of its CTX image",
            file=found.scene.folder,
            remedy="give an image that covers the cube (`orrery search`)",
        )
    image = ctx.window(starts[0], starts[1], counts[0] * step, counts[1] * step)
    return coarser(image, step), image


def _part(ctx: Raster, image: Grid) -> NDArray[np.float32]:
    """The image's values on a window of its grid."""
    row, column = (round(float(place)) for place in ctx.grid.rowcol(*image.xy(0, 0)))
    return ctx.values[row : row + image.height, column : column + image.width]


def _write(
    found: Found, params: AlignParams, folder: Path, ctx: Raster, cells: Grid, valid: NDArray[np.bool_]
) -> None:
    """The aligned scene; its folder appears when it is whole."""
    scene, cube_path = found.scene, _needed(found.scene, "crism")
    cubes = {
        None: read_cube(cube_path, plausible=params.plausible),
        "study": read_cube(
            cube_path, params.study_wavelengths_nm, params.tolerance_nm, plausible=params.plausible
        ),
    }
    assets = {"ctx": "ctx.tif", "valid": "valid.tif"}
    with replacing(folder) as temporary:
        temporary.mkdir(parents=True)
        write(temporary / "ctx.tif", {"i_over_f": ctx.values}, ctx.grid, units={"i_over_f": "1"})
        write(temporary / "valid.tif", {"valid": valid}, cells, dtype="uint8")
        for name, correction in found.corrections.items():
            asset = bands_name(name)
            assets[asset] = f"{asset}.tif"
            _write_bands(
                temporary / assets[asset], cubes[None if name == "local" else "study"], correction, cells
            )
        if dem := scene.asset("dem"):
            assets["dem"] = "dem.tif"
            heights = resample(read(dem, body="mars"), cells, method="cubic").values
            write(temporary / "dem.tif", {"elevation_m": heights}, cells, units={"elevation_m": "m"})
        _write_item(found, temporary, assets, ctx.grid)


def _write_bands(path: Path, cube: Cube, correction: Correction, cells: Grid) -> None:
    values = warp(
        Cube(np.stack([despiked(band) for band in cube.values]), cube.wavelengths_nm, cube.grid),
        correction,
        cells,
    )
    bands = {f"{nm:.2f} nm": band for nm, band in zip(cube.wavelengths_nm, values, strict=True)}
    write(path, bands, cells, units=dict.fromkeys(bands, "1"))


def _write_item(found: Found, folder: Path, assets: Mapping[str, str], grid: Grid) -> None:
    """Properties of the raw scene, and the corrections that made the bands."""
    scene = found.scene
    properties = {
        key: value
        for key, value in sorted(scene.item.properties.items())
        if key.startswith("orrery:") or key == "view:sun_elevation"  # known without an azimuth too
    }
    properties["orrery:alignment"] = {name: each.to_dict() for name, each in found.corrections.items()}
    sun = scene.sun_true_north if "view:sun_azimuth" in scene.item.properties else None
    when = scene.item.datetime
    assert when is not None  # read_scene has refused an item without a time
    write_scene(folder, scene.id, assets, grid, sun, properties, when, "mars")


def _truth(scene: Scene) -> Correction | None:
    """What only the twin knows: the way from the cube's positions as written to the image's frame."""
    truth = scene.item.properties.get("orrery:truth", {}).get("crism")
    return Correction.from_dict(truth) if truth else None


def _one_band(raster: Raster) -> Cube:
    return Cube(raster.values[None], np.array([np.nan]), raster.grid)


def _needed(scene: Scene, name: str) -> Path:
    path = scene.asset(name)
    if path is None:
        raise OrreryError(f"names no {name}", file=scene.folder / "item.json", remedy=f"add the asset {name}")
    return path
