"""Judging a model on whole test scenes, against the cube as the pipeline aligned it and (twin) as it truly lies."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from orrery.reliability import reliability
from orrery.systems.mars_bands.aligned import Alignment
from orrery.systems.mars_bands.composites import COMPOSITES, composites_of
from orrery.systems.mars_bands.metrics import band_metrics, cosine, histograms, rmse
from orrery.systems.mars_bands.model import BandsModel, Reflectance
from orrery.systems.mars_bands.normalisation import Moments, moments, statistics_of
from orrery.systems.mars_bands.params import MarsParams
from orrery.systems.mars_bands.patches import scene_planes
from orrery.systems.mars_bands.pictures import scene_picture
from orrery.systems.mars_bands.placed import PlacedScene, load_placed
from orrery.systems.mars_bands.studies import DIVISORS, restoration, strided
from orrery.systems.mars_bands.tile import Tile
from orrery.systems.mars_bands.whole_spectra import at_cells, lost_by_basis
from orrery.systems.split import split_of

if TYPE_CHECKING:
    from orrery.systems.mars_bands.baselines import Judged

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
        lies as the twin knows it, not as the pipeline aligned it. Whole spectra have `_all` as aligned only. ``histograms``:
        test scene -> `histograms` of its EVC bands; ``prediction_s_per_mpx`` on this machine; of the champion's variant
        ``strides`` and ``restoration``, see `studies`.
    """
    judged: dict[str, dict[str, Any]] = {"scenes": {}, "histograms": {}, "strides": {}, "restoration": {}}
    pace: list[float] = []
    for scene in judged_scenes(aligned, section):
        subset, look = split_of(scene.id, section.split), look_at(model, wavelengths_nm, scene, section)
        named = {"set": subset, "region": scene.region, "site": scene.site}
        judged["scenes"][scene.id] = {**named, **_metrics(look, section), **_reliability(look, section)}
        pace.append(look.seconds / look.planes["image"].size * 1e6)
        if subset == "test":
            judged["histograms"][scene.id] = _histograms(look, section)
            champion = model.name == section.champion_variant  # of other variants the first scene is pictured
            if out is not None and (champion or not any(out.glob("*.png"))):
                _picture(look, section, out / f"{scene.id}.png")
            if (
                isinstance(model, BandsModel)
                and model.name == section.champion_variant
                and model.basis is None
            ):
                judged["restoration"][scene.id] = restoration(
                    model, scene, look.found.values, section.restore
                )
                if not judged["strides"]:
                    judged["strides"][scene.id] = _strides(model, look, section)
    told = {"variant": model.name, "wavelengths_nm": wavelengths_nm}
    return {**told, **judged, "prediction_s_per_mpx": float(np.median(pace))}


def judged_scenes(aligned: Path, section: MarsParams) -> Iterator[PlacedScene]:
    """The test and extra scenes, in order."""
    for folder in sorted(path for path in aligned.iterdir() if path.is_dir()):
        if split_of(folder.name, section.split) in ("test", "extra"):
            yield load_placed(folder)


@dataclass(frozen=True)
class Look:
    """A prediction of a scene, ready to be judged.

    Attributes:
        scene: the scene.
        planes: its image and cubes, see `scene_planes`.
        found: predicted bands; of whole spectra those of the colour composites.
        bands_nm: of `found`.
        spectra: metrics of whole spectra, where these are predicted.
        seconds: that the model took.
    """

    scene: PlacedScene
    planes: dict[str, Array]
    found: Reflectance
    bands_nm: list[float]
    spectra: dict[str, float]
    seconds: float

    def truth(self, placement: Alignment, section: MarsParams) -> Array | None:
        """The cube at the bands of `found`, (B, H, W); None without that placement or without bands."""
        cube = self.planes.get(f"bands-{placement}")
        if cube is None or not self.bands_nm:
            return None
        return np.asarray(cube[_positions(self.bands_nm, section.patch.wavelengths_nm)])


def look_at(
    model: BandsModel | Judged, wavelengths_nm: list[float], scene: PlacedScene, section: MarsParams
) -> Look:
    """Predict a scene."""
    planes = scene_planes(scene, section.patch, tuple(PLACEMENTS))
    start = time.perf_counter()
    found = predicted(model, scene, planes)
    seconds = time.perf_counter() - start
    if not isinstance(model, BandsModel) or model.basis is None:
        return Look(scene, planes, found, wavelengths_nm, {}, seconds)
    values, cube = at_cells(model, found, scene, section.patch.clip)
    spectra = judge(values, cube, cube[0], wavelengths_nm, groups=(ALL,))
    spectra |= {f"{name}_{ALL}": value for name, value in lost_by_basis(model.basis, cube).items()}
    shown = list(chain(*composites_of(wavelengths_nm).values()))
    return Look(
        scene, planes, model.bands(found, shown), [wavelengths_nm[band] for band in shown], spectra, seconds
    )


def predicted(model: BandsModel | Judged, scene: PlacedScene, planes: dict[str, Array]) -> Reflectance:
    """A whole scene at once: bands, or coefficients of whole spectra."""
    tile = Tile(planes["image"], planes.get("dem"), statistics_of(planes["image"]), scene.image.grid.gsd_m)
    if isinstance(model, BandsModel):
        return model.targets(tile)
    bands = model.bands(tile)
    return Reflectance(bands, None, None, None)


def _metrics(look: Look, section: MarsParams) -> dict[str, float]:
    row: dict[str, float] = {}
    groups = tuple(COMPOSITES) if look.spectra else (*COMPOSITES, ALL)
    for placement, suffix in PLACEMENTS.items():
        truth = look.truth(placement, section)
        if truth is not None:
            row |= judge(look.found, truth, look.planes["image"], look.bands_nm, suffix, groups)
    return row | look.spectra


def _reliability(look: Look, section: MarsParams) -> dict[str, Any]:
    """Of all bands together, as aligned; nothing where the model gives no 1-sigma."""
    truth = look.truth("local", section)
    if truth is None or look.found.sigma is None:
        return {}
    return {"reliability": reliability(look.found.values - truth, look.found.sigma)}


def _picture(look: Look, section: MarsParams, path: Path) -> None:
    truth = look.truth("local", section)
    if truth is not None:
        scene_picture(look.scene.id, look.planes["image"], truth, look.found, look.bands_nm, path)


def _histograms(look: Look, section: MarsParams) -> dict[str, Any]:
    """Of the EVC bands: see `histograms`; nothing where a model has others."""
    truth, bands = (
        look.truth("local", section),
        composites_of(look.bands_nm).get("evc") if look.bands_nm else None,
    )
    return {} if truth is None or not bands else histograms(look.found.values[bands], truth[bands])


def _strides(model: BandsModel, look: Look, section: MarsParams) -> dict[str, dict[str, float]]:
    """Metrics, seam and time of every stride, the paper's Table 4."""
    truth = look.truth("local", section)
    rows: dict[str, dict[str, float]] = {}
    if truth is None:
        return rows
    for divisor in DIVISORS:
        values, took = strided(model, look.scene, section.predict, divisor)
        found = Reflectance(values, None, None, None)
        rows[str(divisor)] = judge(found, truth, look.planes["image"], look.bands_nm) | took
    return rows


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
        if known.any():
            unit = _unit(_scores(found, bands, own), _standard(cube, own))
            figures |= {"rmse_unit": rmse(*unit), "cosine_unit": cosine(*unit)}
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


def _unit(values: Array, truth: Array) -> tuple[Array, Array]:
    """Both with the truth of each band from 0 to 1, as the paper's Table 5 has them."""
    low, high = (part(truth, axis=(1, 2), keepdims=True) for part in (np.nanmin, np.nanmax))
    span = np.maximum(high - low, np.finfo(np.float32).tiny)
    return np.asarray((values - low) / span, np.float32), np.asarray((truth - low) / span, np.float32)


def _standard(values: Array, own: Moments) -> Array:
    mean, deviation = (np.asarray(part, np.float32)[:, None, None] for part in (own.mean, own.deviation))
    return np.asarray((values - mean) / deviation, np.float32)


def _positions(wanted_nm: list[float], known_nm: list[float]) -> list[int]:
    return [int(np.argmin(np.abs(np.asarray(known_nm) - nm))) for nm in wanted_nm]
