"""Judging a model on whole test scenes, against the cube as the pipeline aligned it and (twin) as it truly lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orrery.systems.mars_bands.aligned import Alignment
from orrery.systems.mars_bands.baselines import Judged
from orrery.systems.mars_bands.composites import COMPOSITES, composites_of
from orrery.systems.mars_bands.metrics import band_metrics
from orrery.systems.mars_bands.model import BandsModel, Reflectance
from orrery.systems.mars_bands.normalisation import Moments, moments, statistics_of
from orrery.systems.mars_bands.params import MarsParams
from orrery.systems.mars_bands.patches import scene_planes
from orrery.systems.mars_bands.pictures import scene_picture
from orrery.systems.mars_bands.placed import PlacedScene, load_placed
from orrery.systems.mars_bands.tile import Tile
from orrery.systems.mars_bands.whole_spectra import at_cells, lost_by_basis
from orrery.systems.split import split_of

Array = NDArray[np.float32]
PLACEMENTS: dict[Alignment, str] = {"local": "", "true": "@true"}
ALL = "all"
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
        lies as the twin knows it, not as the pipeline aligned it. Whole spectra have `_all` as aligned only.
    """
    scenes: dict[str, dict[str, Any]] = {}
    for scene in judged_scenes(aligned, section):
        row: dict[str, Any] = {
            "set": split_of(scene.id, section.split),
            "region": scene.region,
            "site": scene.site,
        }
        pictures = out if row["set"] == "test" else None
        scenes[scene.id] = row | _judged(model, wavelengths_nm, scene, section, pictures)
    return {"variant": model.name, "wavelengths_nm": wavelengths_nm, "scenes": scenes}


def _judged(
    model: BandsModel | Judged,
    wavelengths_nm: list[float],
    scene: PlacedScene,
    section: MarsParams,
    pictures: Path | None,
) -> dict[str, float]:
    """The metrics of a scene, and its picture."""
    planes = scene_planes(scene, section.patch, tuple(PLACEMENTS))
    found, spectra = predicted(model, scene, planes), {}
    if isinstance(model, BandsModel) and model.basis is not None:
        targets, shown = found, list(chain(*composites_of(wavelengths_nm).values()))
        values, cube = at_cells(model, targets, scene, section.patch.clip)
        spectra = judge(values, cube, cube[0], wavelengths_nm, groups=(ALL,))
        spectra |= {f"{name}_{ALL}": value for name, value in lost_by_basis(model.basis, cube).items()}
        found, wavelengths_nm = model.bands(targets, shown), [wavelengths_nm[band] for band in shown]
    row: dict[str, float] = {}
    for placement, suffix in PLACEMENTS.items():
        truth = planes.get(f"bands-{placement}")
        if truth is not None and wavelengths_nm:
            cube = truth[_positions(wavelengths_nm, section.patch.wavelengths_nm)]
            groups = tuple(COMPOSITES) if spectra else (*COMPOSITES, ALL)
            row |= judge(found, cube, planes["image"], wavelengths_nm, suffix, groups)
            if not suffix and pictures is not None:
                path = pictures / f"{scene.id}.png"
                scene_picture(scene.id, planes["image"], cube, found, wavelengths_nm, path)
    return row | spectra


def judged_scenes(aligned: Path, section: MarsParams) -> Iterator[PlacedScene]:
    """The test and extra scenes, in order."""
    for folder in sorted(path for path in aligned.iterdir() if path.is_dir()):
        if split_of(folder.name, section.split) in ("test", "extra"):
            yield load_placed(folder)


def predicted(model: BandsModel | Judged, scene: PlacedScene, planes: dict[str, Array]) -> Reflectance:
    """A whole scene at once: bands, or coefficients of whole spectra."""
    tile = Tile(planes["image"], planes.get("dem"), statistics_of(planes["image"]), scene.image.grid.gsd_m)
    if isinstance(model, BandsModel):
        return model.targets(tile)
    bands = model.bands(tile)
    return Reflectance(bands, None, None, None)


def judge(
    found: Reflectance,
    truth: Array,
    image: Array,
    wavelengths_nm: list[float],
    suffix: str = "",
    groups: Sequence[str] = (*COMPOSITES, ALL),
) -> dict[str, float]:
    """All metrics of one prediction against one (B, H, W) cube in I/F, for each of `groups` of bands that it has whole.

    One that is not defined, such as the angle between spectra of one band, is left out: JSON has no NaN.
    """
    row: dict[str, float] = {}
    there = {**composites_of(wavelengths_nm), ALL: list(range(len(wavelengths_nm)))}
    for name, bands in there.items():
        if name not in groups:
            continue
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


def _positions(wanted_nm: list[float], known_nm: list[float]) -> list[int]:
    return [int(np.argmin(np.abs(np.asarray(known_nm) - nm))) for nm in wanted_nm]
