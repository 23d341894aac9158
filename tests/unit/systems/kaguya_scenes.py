"""Small stereo scenes and parameters for the tests of kaguya-disparity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from orrery.params import load_params, overlaid, validate
from orrery.systems.base import Workspace
from orrery.systems.kaguya_disparity.params import KaguyaParams
from orrery.world_params import KaguyaParams as WorldParams
from orrery.world_params import StereoSceneParams
from orrery.worlds.moon import stereo_scenes

ROOT = Path(__file__).parents[3]
SUN = {"azimuth_deg": 100.0, "elevation_deg": 35.0}
SIZE = {"height_px": 208, "width_px": 176}


def scene_params(kind: str = "flat", mean_count: float = 240.0) -> StereoSceneParams:
    return StereoSceneParams.model_validate({"kind": kind, "sun": SUN, "mean_count": mean_count})


def world(**scenes: StereoSceneParams) -> WorldParams:
    named = {name.replace("_", "-"): each for name, each in scenes.items()}
    return WorldParams(**SIZE, scenes=named)


def section(**changes: Any) -> KaguyaParams:
    """The section of params.yaml, small: few conditions, few steps."""
    base = load_params(ROOT / "params.yaml").systems["kaguya-disparity"]
    small = {
        "align": {"study_means": [100.0, 400.0], "study_tables": ["annex-k-q90"], "training_draws": 2},
        "patch": {"size_px": 64, "overlap_px": 16, "min_valid_fraction": 0.6},
    }
    return validate(KaguyaParams, overlaid(overlaid(base, small), changes), file=Path("params.yaml"))


def small_variant(name: str = "orrery-disparity", **changes: Any) -> dict[str, Any]:
    """A variant of params.yaml that trains in a second."""
    base = load_params(ROOT / "params.yaml").systems["kaguya-disparity"]["variants"][name]
    optimiser = {"steps": 4, "batch_size": 2, "warmup_steps": 1}
    return overlaid(overlaid(base, {"optimiser": optimiser}), changes)


def aligned_workspace(root: Path) -> tuple[Workspace, KaguyaParams]:
    """Two training, one validation and one test scene, aligned and cut, and their section."""
    params, work = section(), Workspace("kaguya-disparity", root)
    scenes = world(
        train_a=scene_params(), train_b=scene_params("mountain"), val_a=scene_params(), test_a=scene_params()
    )
    stereo_scenes.make(root / "data" / "kaguya", scenes, 7)
    from orrery.systems.kaguya_disparity.system import SYSTEM

    SYSTEM.align(work.data, work.aligned, params, 7)
    SYSTEM.patch(work.aligned, work.patches, params, 7)
    return work, params


def textured(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A band-limited random image of mean 200 and deviation 20."""
    from scipy import ndimage

    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((height, width)), 1.2)
    return np.asarray(200 + 20 * noise / noise.std(), np.float32)
