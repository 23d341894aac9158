"""Files that stages make for each other: aligned scenes, tables, patches, verdicts, and what predictions keep over a kill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from affine import Affine
from safetensors.numpy import save_file

from orrery.files import write_json
from orrery.gates.judge import _finite
from orrery.params import load_params
from orrery.raster.align.warping import Correction
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.rows import RowStore
from orrery.stages.gate import read_pairs
from orrery.stages.register import _by_scene
from orrery.systems.base import get_section
from orrery.systems.kaguya_disparity.aligned import SCENE, load_aligned
from orrery.systems.kaguya_disparity.conditions import Condition
from orrery.systems.kaguya_disparity.data import PatchDataset as KaguyaPatches
from orrery.systems.kaguya_disparity.patches import held_out_patches
from orrery.systems.kaguya_disparity.scaling import Scaling
from orrery.systems.lunar_dtm.data import PLANES
from orrery.systems.lunar_dtm.data import PatchDataset as LunarPatches
from orrery.systems.lunar_dtm.photoclinometry import Spectra, spectra_of
from orrery.systems.lunar_dtm.recipes import make_recipe
from orrery.systems.mars_bands.data import PatchDataset as MarsPatches
from orrery.systems.mars_bands.data import basis_of
from orrery.systems.mars_bands.patches import make_patches
from orrery.systems.mars_bands.restore import _kept
from tests.faults.fuzzing import Reader
from tests.unit.raster.raster_files import MOON
from tests.unit.systems.mars_patches import WAVELENGTHS_NM, section_of, variant_of, write_aligned
from tests.unit.systems.test_mars_spectra import SPECTRAL, basis_for

ROOT = Path(__file__).parents[2]
SPECTRA = Spectra(1e-5, 4.2, 1e-6, 1e-3, 1e-4, 2.2)
CONDITION = Condition("sf008s.a", 4.0, 200.0)
Read = Callable[[], Any]


def _random(name: str, *shape: int) -> np.ndarray:
    return np.random.default_rng(len(name)).uniform(0.1, 1, shape).astype(np.float32)


def pairs(folder: Path) -> Read:
    gate = get_section(load_params(ROOT / "params.yaml"), "lunar-dtm").gate
    columns = sorted({each.column for each in gate.values()})
    rows = [
        {"scene": f"s-{n}", "pair": "r-to-l", "kind": "flat", **dict.fromkeys(columns, 0.1 * n)}
        for n in range(4)
    ]
    pd.DataFrame(rows).to_parquet(folder / "pairs.parquet", index=False)

    def whole() -> Any:
        found = read_pairs(folder / "pairs.parquet")
        return {name: list(found[name]) for name in found}, _finite(found, gate).shape

    return whole


def lunar(folder: Path) -> Read:
    """An item of each patch, and the spectra."""
    recipe = make_recipe(
        get_section(load_params(ROOT / "params.yaml"), "lunar-dtm").variants["orrery-dtm"].recipe
    )
    (folder / "train").mkdir()
    save_file({name: _random(name, 2, 64, 96) for name in PLANES}, folder / "train/a-0.safetensors")
    row = {
        "shard": "train/a-0.safetensors",
        "set": "train",
        "sun_azimuth_deg": 200.0,
        "sun_elevation_deg": 30.0,
    }
    pd.DataFrame([{**row, "position": n, "gsd_m": 3.0} for n in range(2)]).to_parquet(
        folder / "index.parquet", index=False
    )
    write_json(folder / "spectra.json", SPECTRA.to_dict())

    def whole() -> Any:
        data = LunarPatches(folder, "train", recipe)
        return [data[number] for number in range(len(data))], spectra_of(folder)

    return whole


def mars(folder: Path) -> Read:
    for name, region in (("train-a", "gale"), ("val-c", "holden")):
        write_aligned(folder / "aligned", name, region)
    make_patches(folder / "aligned", folder / "patches", section_of())
    variants = [variant_of(), variant_of(normalisation="image")]
    spectral = variant_of(**SPECTRAL)
    write_json(folder / "patches/basis.json", basis_for(WAVELENGTHS_NM).to_dict())

    def whole() -> Any:
        found = [MarsPatches(folder / "patches", "train", each, WAVELENGTHS_NM) for each in variants]
        items = [data[number] for data in found for number in range(len(data))]
        basis = basis_of(folder / "patches", spectral)
        assert basis is not None
        return (
            items,
            basis.decode(np.ones((2, 2, 2), np.float32)),
            [vars(data.normalisation) for data in found],
        )

    return whole


def kaguya(folder: Path) -> Read:
    variant = get_section(load_params(ROOT / "params.yaml"), "kaguya-disparity").variants["orrery-disparity"]
    planes = {"features": _random("f", 2, 5, 64, 64), "residual": _random("r", 2, 64, 64)}
    save_file({**planes, "valid": np.ones((2, 64, 64), np.uint8)}, folder / "a.safetensors")
    row = {"shard": "a.safetensors", "set": "train", "standard": True, "scene": "a", **vars(CONDITION)}
    rows = [
        {**row, "position": n, "split": split, "row": 0, "column": 64 * n}
        for split in ("pair", "patch")
        for n in range(2)
    ]
    rows[-1]["set"] = "test"
    pd.DataFrame(rows).to_parquet(folder / "index.parquet", index=False)
    write_json(folder / "statistics.json", Scaling(0.05, -0.5, 0.8, 0.01).to_dict())

    def whole() -> Any:
        data = KaguyaPatches(folder, "train", variant)
        return [data[number] for number in range(len(data))], held_out_patches(folder)

    return whole


def aligned(folder: Path) -> Read:
    names = ("left", "right", "disparity", "residual", "valid", "matched")
    save_file({name: _random(name, 48, 40) for name in names}, folder / f"{CONDITION.key}.safetensors")
    told = {"id": "train-a", "site": "here", "kind": "flat", "conditions": [vars(CONDITION)]}
    write_json(folder / SCENE, told)

    def whole() -> Any:
        found = load_aligned(folder)
        return found.id, found.site, found.kind, [found.planes(condition) for condition in found.conditions]

    return whole


def progress(folder: Path) -> Read:
    grid = Grid(MOON, Affine(2, 0, 100, 0, -2, 900), 30, 20)
    store = RowStore(folder, "made", ("height",), grid)
    values = _random("height", 1, *grid.shape)
    store.write(0, values)
    store.save_progress(20, values[:, :5])

    def whole() -> Any:
        finished, sums = store.progress()
        return finished, sums, store.rows(0, finished, "height"), np.array(store.mapped("height"))

    return whole


def alignment(folder: Path) -> Read:
    write_json(folder / "alignment.json", Correction(AffineMap.identity(), None).to_dict())

    def lost() -> Correction:
        raise AssertionError("aligned again though it was kept")

    return lambda: _kept(folder / "alignment.json", lost)


def metrics(folder: Path) -> Read:
    scenes = {
        "test-a": {"set": "test", "rmse_m": 1.25, "kind": "flat"},
        "extra-b": {"set": "extra", "rmse_m": 2.5},
    }
    write_json(folder / "metrics.json", {"scenes": scenes})
    return lambda: _by_scene(folder / "metrics.json")


SHARD = "train/a-0.safetensors"
READERS = [
    Reader("table of pairs", pairs, ["pairs.parquet"], cut_is_seen=True),
    Reader("patches of lunar-dtm", lunar, ["index.parquet", SHARD, "spectra.json"], about=["a-0.safetensors"], cut_is_seen=True),
    Reader(
        "patches of mars-bands",
        mars,
        [f"patches/{name}" for name in ("index.parquet", "train/train-a.safetensors", "statistics.json", "scenes.json", "basis.json")],
        about=[".safetensors", "scenes.json", "patches"],
        cut_is_seen=True,
    ),
    Reader("patches of kaguya-disparity", kaguya, ["index.parquet", "a.safetensors", "statistics.json"],
           about=["a.safetensors"], cut_is_seen=True),
    Reader("aligned pair of kaguya-disparity", aligned, [SCENE, f"{CONDITION.key}.safetensors"], about=[".safetensors"],
           cut_is_seen=True),
    Reader("prediction under way", progress, ["made.progress.npz", "made.height.raw"], about=["made"], cut_is_seen=True),
    Reader("alignment of a prediction", alignment, ["alignment.json"], cut_is_seen=True),
    Reader("evaluation", metrics, ["metrics.json"], cut_is_seen=True),
]  # fmt: skip
