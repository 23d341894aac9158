"""Aligned scenes, sections and variants of mars-bands, small enough for unit tests."""

import copy

import numpy as np
from affine import Affine
from scipy import ndimage

from orrery.raster.grid import Grid
from orrery.raster.io import write
from orrery.raster.scene import write_scene
from orrery.raster.windows import coarser
from orrery.systems.mars_bands.params import MarsParams, VariantParams
from tests.unit.systems.mars_scenes import CTX, WHEN, ground

WAVELENGTHS_NM = [442.63, 533.74, 592.35]
SUN_ELEVATION_DEG = 30.0
SIDE, STEP = 192, 3
SLOPES, OFFSETS = (0.6, 0.8, 1.0), (0.02, 0.03, 0.05)
ROLLS = {"local": 0, "global": 1, "none": 6, "true": 0}  # cells that a cube is off by
VARIANT = {
    "network": {"name": "half-resolution-unet", "widths": [8, 8]},
    "head": {"name": "regression"},
    "bands": [592.35, 533.74, 442.63],
    "normalisation": "residual",
    "losses": {"squared": 1.0, "uncertainty": 0.1},
    "optimiser": {
        "steps": 4, "batch_size": 2, "learning_rate": 2e-3, "weight_decay": 0.0, "schedule": "cosine",
        "warmup_steps": 1, "ema_decay": 0.0, "gradient_clip": 1.0,
    },
}  # fmt: skip
SECTION = {
    "code": "src",
    "gate": {"residual": {"column": "residual_px", "max": 1.0, "reason": "a third of a CRISM pixel"}},
    "promotion": {"metric": "rmse_if_all"},
    "champion_variant": "ours",
    "split": {"train": ["train-*"], "validation": ["val-*"], "test": ["test-*"], "extra": ["far-*"]},
    "align": {},
    "predict": {},
    "patch": {
        "size_px": 64, "overlap_px": 16, "min_valid_fraction": 0.5, "wavelengths_nm": WAVELENGTHS_NM,
        "placements": ["local", "none"], "clip": {"name": "none"},
    },
    "variants": {"ours": VARIANT},
}  # fmt: skip


def variant_of(**changes):
    return VariantParams.model_validate({**VARIANT, **changes})


def section_of(patch=None, **changes):
    tree = copy.deepcopy(SECTION) | changes
    tree["patch"] |= patch or {}
    return MarsParams.model_validate(tree)


def lit_image(name, side=SIDE):
    """(H, W) I/F of level ground under a sun overhead."""
    return (0.2 + 0.02 * ground(name)[:side, :side]).astype(np.float32)


def cells_of(name, roll=0, side=SIDE):
    """(B, h, w) cube that is a straight line from the image as CRISM would resolve it; a strip at the left is unknown."""
    seen = ndimage.gaussian_filter(lit_image(name, side), 27 / 6 / 2.3548)  # full width at half maximum: 27 m
    cells = np.roll(seen[STEP // 2 :: STEP, STEP // 2 :: STEP], roll, 1)
    cube = np.stack([slope * cells + offset for slope, offset in zip(SLOPES, OFFSETS, strict=True)])
    cube[:, : cells.shape[0] // 2, :8] = np.nan
    return cube.astype(np.float32)


def write_aligned(root, name, region="gale", *, alignments=("local", "none", "true"), sun=True, dem=None, side=SIDE, more=None):  # fmt: skip
    """A folder as the align stage writes it; the sun stands 30 degrees high. `more`: nm -> cells of bands beyond those of studies."""
    left_m = 300_000.0
    grid = Grid(CTX, Affine(6, 0, left_m, 0, -6, -80_000), side, side)
    cells, folder = coarser(grid, STEP), root / name
    folder.mkdir(parents=True)
    assets = {"ctx": "ctx.tif", "valid": "valid.tif"}
    taken = lit_image(name, side) * np.sin(np.radians(SUN_ELEVATION_DEG))
    write(folder / "ctx.tif", {"i_over_f": taken.astype(np.float32)}, grid)
    write(folder / "valid.tif", {"valid": np.isfinite(cells_of(name, 0, side)).all(0)}, cells, dtype="uint8")
    for alignment in alignments:
        asset = "bands" if alignment == "local" else f"bands_{alignment}"
        cube = cells_of(name, ROLLS[alignment], side)
        assets[asset] = f"{asset}.tif"
        bands = {f"{nm:.2f} nm": band for nm, band in zip(WAVELENGTHS_NM, cube, strict=True)}
        if alignment == "local":
            bands |= {f"{nm:.2f} nm": np.float32(band) for nm, band in (more or {}).items()}
        write(folder / assets[asset], bands, cells)
    if dem is not None:
        assets["dem"] = "dem.tif"
        write(folder / "dem.tif", {"elevation_m": dem.astype(np.float32)}, cells)
    light = (90.0, SUN_ELEVATION_DEG) if sun else None
    write_scene(folder, name, assets, grid, light, {"orrery:kind": region}, WHEN, "mars")
    return folder
