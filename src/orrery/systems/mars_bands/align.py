"""Every CRISM cube onto its CTX image, and what tells whether it worked: one row a scene."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from skimage.metrics import structural_similarity
from tqdm import tqdm

from orrery.errors import OrreryError
from orrery.files import replacing, write_json
from orrery.params import Positive, Section
from orrery.raster.align.coregistration import Coregistration, CoregistrationOptions, coregister
from orrery.raster.align.warping import Correction, between, warp
from orrery.raster.cube import Cube, read_cube
from orrery.raster.grid import AffineMap
from orrery.raster.io import Raster, read
from orrery.raster.scene import Scene
from orrery.systems.mars_bands.aligned import FOUND, plain, reference_band, true_correction
from orrery.systems.mars_bands.normalisation import base_of
from orrery.systems.split import SplitParams, split_of

Array = NDArray[np.float32]
ASSETS = {"ctx": "ctx.tif", "crism": "crism.tif", "dem": "dem.tif"}
SSIM_WINDOW_PX = 21  # seven CRISM pixels
UNKNOWN = float("nan")


class AlignParams(Section):
    """How a cube is brought onto its image."""

    band_nm: Positive = Field(592.35, description="the band matched, nm: CTX sees 500 to 700 nm")
    coregistration: CoregistrationOptions = CoregistrationOptions()


def align_scenes(
    scenes: Sequence[Scene], out: Path, params: AlignParams, split: SplitParams, seed: int
) -> list[dict[str, Any]]:
    """Align every scene into a folder of `out`; return one row a scene of what was measured.

    Raises:
        OrreryError: a scene lacks its image or cube, or they lie on another body or apart.
    """
    overlaps = {scene.id: _overlap_with_other_sets(scene, scenes, split) for scene in scenes}
    rows = []
    with replacing(out) as temporary:
        for scene in tqdm(scenes, desc="align", unit="scene"):
            row, found = _align(scene, params, seed)
            _write(scene, found, temporary / scene.id)
            rows.append({**row, "set_overlap_fraction": overlaps[scene.id]})
    return rows


def _align(scene: Scene, params: AlignParams, seed: int) -> tuple[dict[str, Any], Coregistration]:
    image = read(_asset(scene, "ctx"), body="mars")
    band = reference_band(read_cube(_asset(scene, "crism"), [params.band_nm]))
    found = coregister(band, image, params.coregistration, seed)
    return {
        **_named(scene),
        **_found(found, image),
        **_agreement(found, band, image),
        **_error(scene, found, band),
    }, found


def _named(scene: Scene) -> dict[str, Any]:
    days = scene.item.properties.get("orrery:time_difference_days")
    return {
        "scene": scene.id,
        "region": scene.kind,
        "pair": "crism-to-ctx",
        "time_difference_days": UNKNOWN if days is None else abs(float(days)),
    }


def _found(found: Coregistration, image: Raster) -> dict[str, Any]:
    """Shift at the middle, residual on held-out blocks, number and spread of the tie points."""
    points, gsd_m = found.points.where(found.inliers), image.grid.gsd_m
    moved_x, moved_y = points.reference_x_m - points.source_x_m, points.reference_y_m - points.source_y_m
    shift_x, shift_y = (float(np.median(part)) if len(points) else UNKNOWN for part in (moved_x, moved_y))
    return {
        "shift_x_px": shift_x / gsd_m,
        "shift_y_px": -shift_y / gsd_m,
        "shift_m": float(np.hypot(shift_x, shift_y)),
        "rotation_deg": _rotation_deg(found.affine),
        "scale": _scale(found.affine),
        "residual_px": found.residual_px,
        "residual_m": found.residual_m,
        "tie_points_used": int(found.inliers.sum()),
        "tie_points_held_out": int(np.isfinite(found.held_out_px).sum()),
        "valid_share": found.valid_share,
        "empty_block_fraction": found.empty_blocks / found.blocks if found.blocks else 1.0,
    }


def _agreement(found: Coregistration, band: Raster, image: Raster) -> dict[str, Any]:
    """Likeness of image and band before and after, at CRISM's resolution; what share of the cube lies on the image."""
    base = base_of(image.values, image.grid.gsd_m)
    cube = Cube(band.values[None], np.zeros(1), band.grid)
    before, after = (
        warp(cube, each, image.grid)[0] for each in (Correction(AffineMap.identity()), found.correction)
    )
    pixels = (image.grid.gsd_m / band.grid.gsd_m) ** 2
    covered = float(np.isfinite(after).sum() * pixels / max(int(band.valid.sum()), 1))
    return {
        "ncc_before": _ncc(base, before),
        "ncc_after": _ncc(base, after),
        "ssim_gain": _ssim(base, after) - _ssim(base, before),
        "valid_fraction": float(np.isfinite(band.values).mean()),
        "overlap_fraction": min(covered, 1.0),
    }


def _error(scene: Scene, found: Coregistration, band: Raster) -> dict[str, Any]:
    """Median distance to the true place over the cube, before and after, CTX px; NaN for a real scene."""
    truth = true_correction(scene)
    if truth is None:
        return {"initial_error_px": UNKNOWN, "true_error_px": UNKNOWN}
    rows, columns = np.nonzero(band.valid)
    x, y = between(
        band.grid.crs, read(_asset(scene, "ctx"), body="mars").grid.crs, *band.grid.xy(rows, columns)
    )
    true_x, true_y = truth.apply(x, y)
    found_x, found_y = found.correction.apply(x, y)
    return {
        "initial_error_px": float(np.median(np.hypot(x - true_x, y - true_y))) / found.gsd_m,
        "true_error_px": float(np.median(np.hypot(found_x - true_x, found_y - true_y))) / found.gsd_m,
    }


def _ncc(one: Array, other: Array) -> float:
    known = np.isfinite(one) & np.isfinite(other)
    return float(np.corrcoef(one[known], other[known])[0, 1]) if known.sum() > 2 else UNKNOWN


def _ssim(one: Array, other: Array) -> float:
    """Mean of the structural similarity, not squared, where both are valid; each scaled to its own deviation."""
    known = np.isfinite(one) & np.isfinite(other)
    if known.sum() < SSIM_WINDOW_PX**2:
        return UNKNOWN
    scaled = [
        np.where(known, (part - part[known].mean()) / max(part[known].std(), 1e-9), 0)
        for part in (one, other)
    ]
    _, plane = structural_similarity(*scaled, win_size=SSIM_WINDOW_PX, data_range=6.0, full=True)  # type: ignore[no-untyped-call]
    return float(plane[known].mean())


def _rotation_deg(affine: AffineMap) -> float:
    (_, b), (d, _) = affine.matrix
    return float(np.degrees((d - b) / 2))


def _scale(affine: AffineMap) -> float:
    (a, _), (_, e) = affine.matrix
    return (a + e) / 2


def _overlap_with_other_sets(scene: Scene, scenes: Sequence[Scene], split: SplitParams) -> float:
    """Largest share of a scene's bounding box that lies in one scene of another set."""
    own_set, own = split_of(scene.id, split), _box(scene)
    area = (own[2] - own[0]) * (own[3] - own[1])
    shares = [_common(own, _box(other)) / area for other in scenes if split_of(other.id, split) != own_set]
    return max(shares, default=0.0)


def _box(scene: Scene) -> tuple[float, float, float, float]:
    west, south, east, north = scene.item.bbox or (0.0, 0.0, 0.0, 0.0)
    return west, south, east, north


def _common(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def _asset(scene: Scene, name: str) -> Path:
    path = scene.asset(name)
    if path is None:
        raise OrreryError(
            f"has no asset {name!r}", file=scene.folder / "item.json", remedy="make the scene again"
        )
    return path


def _write(scene: Scene, found: Coregistration, folder: Path) -> None:
    """The scene's own files, and its item with the correction."""
    folder.mkdir(parents=True)
    for name, file in _present(scene):
        shutil.copy(file, folder / ASSETS[name])
    content = scene.item.to_dict(include_self_link=False, transform_hrefs=False)
    content["properties"][FOUND] = plain(found.correction)
    write_json(folder / "item.json", content)


def _present(scene: Scene) -> Iterator[tuple[str, Path]]:
    for name in ASSETS:
        path = scene.asset(name)
        if path is not None:
            yield name, path
