"""Judging a model on whole test scenes, against the cube as the pipeline aligned it and (twin) as it truly lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orrery.systems.mars_bands.aligned import Alignment
from orrery.systems.mars_bands.baselines import Judged
from orrery.systems.mars_bands.metrics import band_metrics
from orrery.systems.mars_bands.model import BandsModel, Reflectance
from orrery.systems.mars_bands.normalisation import Moments, moments, statistics_of
from orrery.systems.mars_bands.params import MarsParams
from orrery.systems.mars_bands.patches import scene_planes
from orrery.systems.mars_bands.pictures import scene_picture
from orrery.systems.mars_bands.placed import PlacedScene, load_placed
from orrery.systems.mars_bands.tile import Tile
from orrery.systems.split import split_of

Array = NDArray[np.float32]
# Browse products of CRISM (Viviano-Beck et al. 2014, JGR Planets 119, 1403), red, green, blue, nm
GROUPS = {"evc": (592.35, 533.74, 442.63), "fc": (2503.12, 1500.03, 1079.96)}
PLACEMENTS: dict[Alignment, str] = {"local": "", "true": "@true"}
TOLERANCE_NM = 8.0
IN_REFLECTANCE = ("rmse", "bias", "r2")
IN_SCORES = ("rmse", "cosine", "pcc", "rmse_diluted", "valid_fraction", "histogram_intersection")


def evaluate(
    model: BandsModel | Judged,
    wavelengths_nm: list[float],
    aligned: Path,
    section: MarsParams,
    out: Path | None,
) -> dict[str, Any]:
    """Judge `model` on the test and extra scenes.

    Args:
        model: a trained network or a baseline.
        wavelengths_nm: of its bands, in its order.
        aligned: what the align stage wrote.
        section: split, and how scenes are clipped.
        out: for pictures; none when left out.

    Returns:
        ``scenes``: scene -> metrics. Names end in the group of bands, `_evc`, `_fc` or `_all`; then `@true` where the cube
        lies as the twin knows it, not as the pipeline aligned it.
    """
    scenes: dict[str, dict[str, Any]] = {}
    for scene in judged_scenes(aligned, section):
        planes = scene_planes(scene, section.patch, tuple(PLACEMENTS))
        found = predicted(model, scene, planes)
        row: dict[str, Any] = {
            "set": split_of(scene.id, section.split),
            "region": scene.region,
            "site": scene.site,
        }
        for placement, suffix in PLACEMENTS.items():
            truth = planes.get(f"bands-{placement}")
            if truth is not None:
                cube = truth[_positions(wavelengths_nm, section.patch.wavelengths_nm)]
                row |= judge(found, cube, planes["image"], wavelengths_nm, suffix)
                if not suffix and out is not None and row["set"] == "test":
                    scene_picture(
                        scene.id, planes["image"], cube, found, wavelengths_nm, out / f"{scene.id}.png"
                    )
        scenes[scene.id] = row
    return {"variant": model.name, "wavelengths_nm": wavelengths_nm, "scenes": scenes}


def judged_scenes(aligned: Path, section: MarsParams) -> Iterator[PlacedScene]:
    """The test and extra scenes, in order."""
    for folder in sorted(path for path in aligned.iterdir() if path.is_dir()):
        if split_of(folder.name, section.split) in ("test", "extra"):
            yield load_placed(folder)


def predicted(model: BandsModel | Judged, scene: PlacedScene, planes: dict[str, Array]) -> Reflectance:
    """A whole scene at once."""
    tile = Tile(planes["image"], planes.get("dem"), statistics_of(planes["image"]), scene.image.grid.gsd_m)
    if isinstance(model, BandsModel):
        return model.reflectance(tile)
    bands = model.bands(tile)
    return Reflectance(bands, None, None, None)


def judge(
    found: Reflectance, truth: Array, image: Array, wavelengths_nm: list[float], suffix: str = ""
) -> dict[str, float]:
    """All metrics of one prediction against one (B, H, W) cube in I/F, for each group of bands that it has whole.

    One that is not defined, such as the angle between spectra of one band, is left out: JSON has no NaN.
    """
    row: dict[str, float] = {}
    groups = {
        name: _positions(list(nm), wavelengths_nm) for name, nm in GROUPS.items() if _has(nm, wavelengths_nm)
    }
    for name, bands in {**groups, "all": list(range(len(wavelengths_nm)))}.items():
        known = np.isfinite(truth[bands]).all(0) & np.isfinite(image)
        cube = np.where(known, truth[bands], np.float32(np.nan))
        values, own = found.values[bands], moments(np.where(known, image, np.nan), cube)
        absolute, scored = (
            band_metrics(values, cube),
            band_metrics(_scores(found, bands, own), _standard(cube, own)),
        )
        figures = {f"{metric}_if": absolute[metric] for metric in IN_REFLECTANCE}
        figures |= {metric: scored[metric] for metric in IN_SCORES}
        figures["spectral_angle_deg"] = absolute["spectral_angle_deg"]
        if found.sigma is not None and known.any():
            inside = np.abs(values - cube) <= found.sigma[bands]
            figures["coverage_1sigma"] = float(inside[:, known].mean())
        row |= {
            f"{metric}_{name}{suffix}": float(value)
            for metric, value in figures.items()
            if np.isfinite(value)
        }
    return row


def _scores(found: Reflectance, bands: list[int], own: Moments) -> Array:
    """z-scores as the paper judges them: what an image-wise network says itself, else I/F by the truth's own moments."""
    if found.scores is not None:
        return found.scores[bands]
    return _standard(found.values[bands], own)


def _standard(values: Array, own: Moments) -> Array:
    mean, deviation = (np.asarray(part, np.float32)[:, None, None] for part in (own.mean, own.deviation))
    return np.asarray((values - mean) / deviation, np.float32)


def _has(wanted_nm: tuple[float, ...], known_nm: list[float]) -> bool:
    return all(min(abs(nm - known) for known in known_nm) <= TOLERANCE_NM for nm in wanted_nm)


def _positions(wanted_nm: list[float], known_nm: list[float]) -> list[int]:
    return [int(np.argmin(np.abs(np.asarray(known_nm) - nm))) for nm in wanted_nm]
