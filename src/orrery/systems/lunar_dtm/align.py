"""From raw scenes to image, coarse DEM and truth in one frame, and a table of how well they fit.

The order is that of Chen et al. (2022, section II.A): NAC-R onto NAC-L, then the mosaic of both against the coarse DEM
shaded at the image's sun. Of several scenes of one site the middle one goes first; a neighbour that overlaps a finished one
enough, over the same DEM, takes its place from that one, and the simulated image only refines it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from pydantic import Field

from orrery.cluster import each
from orrery.errors import OrreryError
from orrery.files import replacing
from orrery.instruments import nac
from orrery.instruments.photometry import Sun
from orrery.params import Fraction, Section
from orrery.raster.align import rms_difference_m
from orrery.raster.grid import AffineMap, Grid, meridian_convergence_deg
from orrery.raster.io import Raster, read, resample, upsample, write
from orrery.raster.scene import Scene, write_scene
from orrery.seeds import derive
from orrery.systems.lunar_dtm.registration import Registration, RegistrationParams, Row, register
from orrery.systems.lunar_dtm.strips import StripParams, mosaic, overlay

PairRow = dict[str, Any]
FEWEST_CHAINED = 12  # tie points with a neighbour: half of what a pair of strips gives
COLUMNS = (
    "shift_x_m", "shift_y_m", "shift_px", "rotation_deg", "scale", "residual_px", "residual_m", "tie_points_used",
    "tie_points_held_out", "ncc_before", "ncc_after", "valid_fraction", "overlap_fraction", "vertical_bias_m", "nmad_m",
    "expected_error_m", "relief_m", "incidence_deg", "initial_error_m", "tie_point_error_m", "true_error_m",
)  # fmt: skip
SAME_HEIGHT_M = 0.01
MAD_TO_SIGMA = 1.4826


class AlignParams(Section):
    """How scenes are aligned."""

    strips: StripParams = Field(StripParams(), description="one image onto another")
    coarse: RegistrationParams = Field(RegistrationParams(), description="the coarse DEM onto the mosaic")
    chain_overlap: Fraction = Field(
        0.05, description="share of a mosaic that a registered neighbour must cover to be its reference"
    )


@dataclass(frozen=True)
class Neighbour:
    """A scene that is already aligned, as far as the next one needs it."""

    scene: str
    image: Raster
    dem: Raster
    map: AffineMap
    expected_error_m: float


@dataclass(frozen=True)
class Prepared:
    """A raw scene with its two strips made one."""

    scene: Scene
    image: Raster
    dem: Raster
    sun: Sun
    rows: list[PairRow] = field(default_factory=list)


def align_scenes(scenes: Sequence[Scene], out: Path, params: AlignParams, seed: int) -> list[PairRow]:
    """Align all scenes, each site from its middle outwards, and return the rows in the order of the scenes' names.

    Args:
        scenes: raw ones.
        out: folder that gets one folder a scene.
        params: how.
        seed: of RANSAC's draws.

    Raises:
        OrreryError: a scene is broken, or lacks the image or the coarse DEM.
    """
    sites = [
        [scene for scene in scenes if scene.site == site] for site in sorted({scene.site for scene in scenes})
    ]
    found = each(partial(_align_site, out=out, params=params, seed=seed), sites, "align", "site")
    return sorted((row for rows in found for row in rows), key=lambda row: (row["scene"], row["pair"]))


def _align_site(scenes: Sequence[Scene], out: Path, params: AlignParams, seed: int) -> list[PairRow]:
    """Align the scenes of one site, each of which may lean on the ones before it."""
    rows: list[PairRow] = []
    finished: list[Neighbour] = []
    for scene in _from_the_middle(scenes):
        found, neighbour = _align(scene, out, params, seed, finished)
        finished.append(neighbour)
        rows += found
    return rows


def align_scene(scene: Scene, out: Path, params: AlignParams, seed: int) -> list[PairRow]:
    """Align one scene on its own; see `align_scenes`."""
    return _align(scene, out, params, seed, [])[0]


def register_to_dem(image: Raster, dem: Raster, sun: Sun, params: AlignParams, seed: int) -> Registration:
    """Find the map that takes a DEM's coordinates into the frame of any image; see `registration.register`.

    Raises:
        OrreryError: image and DEM do not meet, or the image does not tell where the DEM lies to within a posting.
    """
    found = register(image, dem, sun, params.coarse, seed)
    error_m = found.row["expected_error_m"]
    if error_m > dem.grid.gsd_m:
        raise OrreryError(
            f"the image does not tell where the DEM lies (expected error {error_m:.0f} m)",
            remedy="give a larger image, or align it by other means and leave alignment off",
        )
    return found


def _from_the_middle(scenes: Sequence[Scene]) -> list[Scene]:
    """Scenes of a site by the distance of their boxes' middles from the site's."""
    boxes = np.array([scene.item.bbox or [0.0] * 4 for scene in scenes])
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    distance = np.hypot(*(middles - middles.mean(0)).T).round(6)
    return [
        scene for _, _, scene in sorted(zip(distance, (scene.id for scene in scenes), scenes, strict=True))
    ]


def _align(
    scene: Scene, out: Path, params: AlignParams, seed: int, finished: Sequence[Neighbour]
) -> tuple[list[PairRow], Neighbour]:
    """Align a scene, write it, and return its rows and what a neighbour needs of it."""
    seed = derive(seed, "align", scene.id)
    prepared = _prepared(scene, params, seed)
    reference, registration = _chained(prepared, finished, params, seed) or (
        "simulated",
        register(prepared.image, prepared.dem, prepared.sun, params.coarse, seed),
    )
    row = registration.row | _fit_of_heights(scene, registration.map.moved(prepared.dem.grid), prepared.dem)
    true = _truth(scene, "sldem")
    row |= _errors(registration.map, true, prepared.image.grid)
    row["tie_point_error_m"] = _errors(registration.tie_point_map, true, prepared.image.grid)["true_error_m"]
    _write(prepared, registration.map, true, out / scene.id)
    rows = [*prepared.rows, _labelled(scene, "to-coarse", reference, row)]
    neighbour = Neighbour(scene.id, prepared.image, prepared.dem, registration.map, row["expected_error_m"])
    return rows, neighbour


def _prepared(scene: Scene, params: AlignParams, seed: int) -> Prepared:
    """Read a scene and lay its right strip onto its left one."""
    left, dem = _linear(_needed(scene, "image_l")), read(_needed(scene, "sldem"))
    right_path = scene.asset("image_r")
    if right_path is None:
        return Prepared(scene, left, dem, _sun(scene, left.grid))
    right = _linear(right_path)
    laid = overlay(left, right, params.strips, seed)
    row = laid.row | _errors(laid.map, _truth(scene, "image_r"), right.grid)
    image = mosaic(left, right, laid.map)
    sun = _sun(scene, image.grid)
    row["incidence_deg"] = sun.incidence_deg
    return Prepared(scene, image, dem, sun, [_labelled(scene, "r-to-l", "image_l", row)])


def _chained(
    prepared: Prepared, finished: Sequence[Neighbour], params: AlignParams, seed: int
) -> tuple[str, Registration] | None:
    """Place the DEM by a finished neighbour that overlaps enough; None when no neighbour does, or it does not match."""
    for neighbour in finished:
        shared = resample(neighbour.image, prepared.image.grid, method="nearest")
        covers = float((shared.valid & prepared.image.valid).mean())
        if covers < params.chain_overlap or not _same_dem(prepared.dem, neighbour.dem):
            continue
        laid = overlay(neighbour.image, prepared.image, params.strips, seed)
        if laid.row["tie_points_used"] < FEWEST_CHAINED:
            continue
        near = laid.map.inverse().compose(neighbour.map)
        error_m = float(np.hypot(laid.row["expected_error_m"], neighbour.expected_error_m))
        found = register(
            prepared.image, prepared.dem, prepared.sun, params.coarse, seed, near=near, near_m=error_m
        )
        return neighbour.scene, found
    return None


def _same_dem(one: Raster, other: Raster) -> bool:
    """Whether two DEMs are parts of one: the same heights where both are written."""
    if one.grid.crs != other.grid.crs:
        return False
    difference = np.abs(resample(other, one.grid, method="nearest").values - one.values)
    both = np.isfinite(difference)
    return bool(both.any() and np.median(difference[both]) < SAME_HEIGHT_M)


def _fit_of_heights(scene: Scene, grid: Grid, dem: Raster) -> Row:
    """Bias and spread (normalised median absolute deviation) of the placed DEM against the stereo one, m."""
    path = scene.asset("nac_dtm")
    if path is None:
        return {"vertical_bias_m": float("nan"), "nmad_m": float("nan")}
    stereo = read(path)
    difference = upsample(Raster(dem.values, grid), stereo.grid) - stereo.values
    bias = float(np.nanmedian(difference))
    return {"vertical_bias_m": bias, "nmad_m": MAD_TO_SIGMA * float(np.nanmedian(np.abs(difference - bias)))}


def _errors(found: AffineMap, true: AffineMap | None, grid: Grid) -> Row:
    """Root mean square distance from the truth over a grid, before and after, m; NaN where nobody knows it."""
    if true is None:
        return {"initial_error_m": float("nan"), "true_error_m": float("nan")}
    back = true.inverse()
    return {
        "initial_error_m": rms_difference_m(back, AffineMap.identity(), grid),
        "true_error_m": rms_difference_m(found.compose(back), AffineMap.identity(), grid),
    }


def _write(prepared: Prepared, found: AffineMap, true: AffineMap | None, folder: Path) -> None:
    """The aligned scene; its folder appears when it is whole."""
    scene, image, dem = prepared.scene, prepared.image, prepared.dem
    assets = {"image": "image.tif", "coarse": "coarse.tif"}
    with replacing(folder) as temporary:
        write(
            temporary / "image.tif",
            {"brightness": image.values},
            image.grid,
            units={"brightness": "linear DN"},
        )
        maps = {"coarse": found} | ({"coarse_true": true} if true else {})
        for name, correction in maps.items():
            assets[name] = f"{name}.tif"
            placed = correction.moved(dem.grid)
            write(temporary / assets[name], {"elevation_m": dem.values}, placed, units={"elevation_m": "m"})
        for name in ("truth", "nac_dtm"):
            path = scene.asset(name)
            if path is not None:
                assets[name] = f"{name}.tif"
                heights = read(path)
                if name == "truth":
                    heights = resample(heights, image.grid, method="nearest")
                write(
                    temporary / assets[name],
                    {"elevation_m": heights.values},
                    heights.grid,
                    units={"elevation_m": "m"},
                )
        kept = {
            key: scene.item.properties[key]
            for key in sorted(scene.item.properties)
            if key.startswith("orrery:")
        }
        when = scene.item.datetime
        assert when is not None  # read_scene has refused an item without a time
        write_scene(temporary, scene.id, assets, image.grid, scene.sun_true_north, kept, when)


def _linear(path: Path) -> Raster:
    """Brightness in linear numbers: 8-bit codes of a raw product are expanded to the 12-bit numbers they stand for."""
    raster = read(path)
    with rasterio.open(path) as dataset:
        coded = dataset.dtypes[0] == "uint8"
    if not coded:
        return raster
    numbers = nac.decompand(np.nan_to_num(raster.values).astype(np.uint8))
    return Raster(np.where(raster.valid, numbers, np.float32(np.nan)), raster.grid, raster.tags)


def _sun(scene: Scene, grid: Grid) -> Sun:
    """Direction to the sun in the image frame."""
    azimuth, elevation = scene.sun_true_north
    return Sun((azimuth + meridian_convergence_deg(grid)) % 360, elevation)


def _needed(scene: Scene, name: str) -> Path:
    path = scene.asset(name)
    if path is None:
        raise OrreryError(f"names no {name}", file=scene.folder / "item.json", remedy=f"add the asset {name}")
    return path


def _truth(scene: Scene, name: str) -> AffineMap | None:
    """What only the twin knows: the map from an asset's coordinates as written to the left image's frame."""
    maps = scene.item.properties.get("orrery:truth")
    return AffineMap.from_dict(maps[name]) if maps else None


def _labelled(scene: Scene, pair: str, reference: str, row: Row) -> PairRow:
    """A row of the table of pairs, columns in their order."""
    names = {"scene": scene.id, "site": scene.site, "kind": scene.kind, "pair": pair, "reference": reference}
    return names | {column: row.get(column, float("nan")) for column in COLUMNS}
