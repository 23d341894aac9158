"""Patches in shards: one safetensors file a scene, its cube in every placement asked for, and the statistics to normalise by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orrery.cluster import each
from orrery.errors import OrreryError
from orrery.files import replacing, write_json, write_tensors
from orrery.raster.tiles import corners
from orrery.seeds import stream
from orrery.systems.mars_bands.aligned import Alignment
from orrery.systems.mars_bands.normalisation import Sums, base_of, logarithm, moments, statistics_of
from orrery.systems.mars_bands.params import ClipParams, MarsParams, PatchParams
from orrery.systems.mars_bands.placed import PlacedScene, load_placed
from orrery.systems.mars_bands.spectral import SpectralBasis, check_bands
from orrery.systems.split import refuse_shared_ground, split_of

Array = NDArray[np.float32]
SPECTRA = 60_000  # that the spectral basis is fitted to, all scenes together
LEAST_KNOWN = 0.5  # of the bands of such a spectrum
TRIES = 20  # for each random patch, before a scene is taken to have no more room


def make_patches(aligned: Path, out: Path, params: MarsParams, seed: int = 0) -> None:
    """Cut the training and validation scenes; write shards, index.parquet, split.json, and what to normalise by.

    statistics.json is of all training scenes, scenes.json of each scene; basis.json is of the training scenes' spectra, where
    patches keep coefficients of these.

    Raises:
        OrreryError: no training scene, a place in two sets, a scene smaller than a patch or without a placement, cubes of
            different bands where whole spectra are kept.
    """
    scenes = [load_placed(folder) for folder in sorted(aligned.iterdir()) if folder.is_dir()]
    sets = {scene.id: split_of(scene.id, params.split) for scene in scenes}
    refuse_shared_ground(scenes, sets)
    if "train" not in sets.values():
        remedy = "check systems.mars-bands.split.train"
        raise OrreryError("holds no training scene", file=aligned, remedy=remedy)
    basis = spectral_basis(
        [scene for scene in scenes if sets[scene.id] == "train"], params.patch.spectral_dimensions
    )
    with replacing(out) as temporary:
        cut = partial(_cut_scene, out=temporary, params=params.patch, basis=basis, seed=seed)
        wanted = [
            (scene.scene.folder, sets[scene.id])
            for scene in scenes
            if sets[scene.id] in ("train", "validation")
        ]
        found = each(cut, wanted, "patch")
        write_json(temporary / "statistics.json", _plain(_joined(found)))
        if basis is not None:
            write_json(temporary / "basis.json", basis.to_dict())
        write_json(temporary / "scenes.json", {of.scene: of.whole for of in found})
        write_json(temporary / "split.json", sets)
        pd.DataFrame([row for of in found for row in of.rows]).to_parquet(
            temporary / "index.parquet", index=False
        )


@dataclass(frozen=True)
class _Cut:
    """A scene that was cut.

    Attributes:
        scene, region: its names.
        rows: of the index.
        whole: what the whole scene is normalised by.
        sums: by kind, of a training scene; see `normalisation.fitted`.
    """

    scene: str
    region: str
    rows: list[dict[str, Any]]
    whole: dict[str, Any]
    sums: dict[str, Sums]


def _cut_scene(
    wanted: tuple[Path, str], out: Path, params: PatchParams, basis: SpectralBasis | None, seed: int
) -> _Cut:
    """Read an aligned scene, which is of one set, and write its shard."""
    folder, subset = wanted
    scene = load_placed(folder)
    planes = scene_planes(scene, params, params.placements)
    _refuse_missing(scene, planes, params.placements)
    if basis is not None:
        planes["coefficients"] = scene.coefficients(basis)
    rows = _write(scene, planes, _places(scene, planes, subset, params, seed), subset, out)
    own = moments(planes["image"], planes[f"bands-{params.placements[0]}"])
    whole = {"image": asdict(statistics_of(planes["image"])), "bands": asdict(own)}
    return _Cut(scene.id, scene.region, rows, whole, added_up(planes, params) if subset == "train" else {})


def _joined(found: Sequence[_Cut]) -> dict[str, dict[str, Sums]]:
    """Region -> kind -> sums over its training scenes."""
    joined: dict[str, dict[str, Sums]] = {}
    for cut in found:
        for name, sums in cut.sums.items():
            joined.setdefault(cut.region, {}).setdefault(name, Sums()).join(sums)
    return joined


def scene_planes(
    scene: PlacedScene, params: PatchParams, placements: Sequence[Alignment]
) -> dict[str, Array]:
    """`image` and `base`, (H, W) I/F; `bands-<placement>`, (B, H, W) I/F, NaN outside the footprint; `dem` in m where known.

    Image and bands are cut off by `params.clip`, each band by itself, as the paper does before it normalises.
    """
    image = clip(scene.image.values, params.clip)
    planes = {"image": image, "base": base_of(image, scene.image.grid.gsd_m)}
    if scene.dem is not None:
        planes["dem"] = scene.dem
    for placement in placements:
        bands = scene.bands(placement, params.wavelengths_nm)
        if bands is not None:
            planes[f"bands-{placement}"] = np.stack([clip(band, params.clip) for band in bands])
    return planes


def _refuse_missing(scene: PlacedScene, planes: Mapping[str, Array], placements: Sequence[Alignment]) -> None:
    """Every patch must have the bands of every placement.

    Raises:
        OrreryError: a scene lacks one.
    """
    for placement in placements:
        if f"bands-{placement}" not in planes:
            raise OrreryError(
                f"has no bands aligned as {placement!r}",
                file=scene.scene.folder,
                remedy="take it out of systems.mars-bands.patch.placements; only a twin has 'true'",
            )


def clip(plane: Array, params: ClipParams) -> Array:
    """A plane with its outliers set to the bounds; NaN stays."""
    if params.name == "none" or not np.isfinite(plane).any():
        return plane
    if params.name == "percentile":
        low, high = np.nanpercentile(plane, [params.percentile, 100 - params.percentile])
    else:
        mean, spread = np.nanmean(plane, dtype=np.float64), np.nanstd(plane, dtype=np.float64)
        low, high = mean - params.sigmas * spread, mean + params.sigmas * spread
    return np.clip(plane, np.float32(low), np.float32(high))


def spectral_basis(scenes: Sequence[PlacedScene], dimensions: int) -> SpectralBasis | None:
    """The basis of spectra drawn evenly from the training scenes; None for no dimensions."""
    if not dimensions:
        return None
    drawn, bands_nm = [], scenes[0].spectra().wavelengths_nm.tolist()
    for scene in scenes:
        cube = scene.spectra()
        check_bands(cube.wavelengths_nm.tolist(), bands_nm, scene.scene.folder)
        known = np.flatnonzero(np.isfinite(cube.values).mean(0) >= LEAST_KNOWN)
        count = min(SPECTRA // len(scenes), known.size)
        chosen = stream(0, "mars-bands", "spectra", scene.id).choice(known, count, replace=False)
        drawn.append(cube.values.reshape(len(cube.values), -1)[:, chosen].T)
    return SpectralBasis.fit(np.concatenate(drawn), bands_nm, dimensions)


def added_up(planes: Mapping[str, Array], params: PatchParams) -> dict[str, Sums]:
    """Sums of a scene, for every band, in the first placement: see `normalisation.fitted`."""
    bands, base = planes[f"bands-{params.placements[0]}"], planes["base"]
    valid = np.isfinite(bands).all(0) & np.isfinite(planes["image"])
    seen, cube = base[valid], bands[:, valid]
    sums = {"reflectance": Sums(), "ratio": Sums()}
    sums["reflectance"].add(seen, cube)
    sums["ratio"].add(logarithm(seen), logarithm(cube) - logarithm(seen))
    if "coefficients" in planes:
        valid = np.isfinite(planes["coefficients"]).all(0) & np.isfinite(planes["image"])
        sums["coefficients"] = Sums()
        sums["coefficients"].add(base[valid], planes["coefficients"][:, valid])
    return sums


def _plain(regions: Mapping[str, Mapping[str, Sums]]) -> dict[str, Any]:
    return {
        region: {name: each.to_dict() for name, each in sums.items()}
        for region, sums in sorted(regions.items())
    }


Place = tuple[slice, slice]


def _places(
    scene: PlacedScene, planes: Mapping[str, Array], subset: str, params: PatchParams, seed: int
) -> list[Place]:
    """Where patches are cut: where enough of every placement is valid, on a grid, or of a training scene at random if so wanted."""
    shape, size = scene.image.grid.shape, (params.size_px, params.size_px)
    regular = corners(shape, size, params.overlap_px)
    cubes = [name for name in planes if name.startswith("bands-")]

    def kept(tried: Iterable[Sequence[int]]) -> Iterator[Place]:
        for row, column in tried:
            cut = slice(row, row + params.size_px), slice(column, column + params.size_px)
            if min(_valid_fraction(planes, name, cut) for name in cubes) >= params.min_valid_fraction:
                yield cut

    if not params.random_patches or subset != "train":
        return list(kept(regular))
    rng = stream(seed, "mars-bands", "patches", scene.id)
    room = np.subtract(shape, size) + 1
    drawn = rng.integers(room, size=(TRIES * params.random_patches, 2)).tolist()
    return list(islice(kept(drawn), params.random_patches))


def _write(
    scene: PlacedScene, planes: Mapping[str, Array], places: Sequence[Place], subset: str, out: Path
) -> list[dict[str, Any]]:
    """Write a scene's shard; return its index rows."""
    if not places:
        return []
    (out / subset).mkdir(parents=True, exist_ok=True)
    cut = {
        name: np.stack([plane[..., *place] for place in places]).astype(np.float32)
        for name, plane in planes.items()
    }
    write_tensors(out / subset / f"{scene.id}.safetensors", cut)
    return [
        {"shard": f"{subset}/{scene.id}.safetensors", "position": position, "set": subset, "scene": scene.id,
         "site": scene.site, "region": scene.region, "row": rows.start, "column": columns.start,
         "gsd_m": scene.image.grid.gsd_m}
        for position, (rows, columns) in enumerate(places)
    ]  # fmt: skip


def _valid_fraction(planes: Mapping[str, Array], name: str, cut: Place) -> float:
    return float((np.isfinite(planes[name][..., *cut]).all(0) & np.isfinite(planes["image"][cut])).mean())
