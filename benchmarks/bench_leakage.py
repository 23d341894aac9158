"""What a random split of patches is worth: the same network split by pair and by patch, three seeds each, with 95 % intervals.

Three columns of R2: split by pair, judged on test pairs; split by patch, judged on its test patches (the paper's way); and the network
that was split by pair on those of the same test patches that lie in test pairs, beside the other one there. Aligned scenes and patches are
those of the last ``dvc repro``; ``ORRERY_BENCH_LEAKAGE_SEEDS`` takes another number of seeds (2 or more).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.row import Row
from orrery.errors import OrreryError
from orrery.params import Params, load_params
from orrery.systems.base import Workspace, get_section, get_system
from orrery.systems.kaguya_disparity.aligned import list_aligned
from orrery.systems.kaguya_disparity.metrics import Sums
from orrery.systems.kaguya_disparity.model import DisparityModel
from orrery.systems.kaguya_disparity.params import KaguyaParams
from orrery.systems.kaguya_disparity.patches import held_out_patches
from orrery.systems.split import split_of
from orrery.training import fit

SYSTEM = "kaguya-disparity"
BY_PAIR, BY_PATCH = "one-condition", "random-patches"
SEEDS = int(os.environ.get("ORRERY_BENCH_LEAKAGE_SEEDS", "3"))


def rows() -> list[Row]:
    params, work = load_params(Path("params.yaml")), Workspace(SYSTEM)
    section: KaguyaParams = get_section(params, SYSTEM)
    if not work.patches.exists():
        raise OrreryError("has no patches", file=work.patches, remedy="run `dvc repro` first")
    models = {
        variant: [trained(params, section, work, variant, replica) for replica in range(SEEDS)]
        for variant in (BY_PAIR, BY_PATCH)
    }
    places = {
        "test pairs": (BY_PAIR, BY_PAIR, False),
        "test patches of all pairs": (BY_PATCH, BY_PATCH, True),
        "test patches of test pairs": (BY_PATCH, BY_PAIR, True),
    }
    found = []
    for where, (variant, peer, patches) in places.items():
        only_tests = where.endswith("test pairs")
        scores = [r2(model, work, section, only_tests, patches) for model in models[variant]]
        beside = (
            [r2(model, work, section, only_tests, patches) for model in models[peer]]
            if peer != variant
            else None
        )
        low, high = interval(scores)
        told = f"twin, {variant}, demo, {SEEDS} seeds, 95 % interval of the mean {low:.3f} to {high:.3f}"
        if beside is not None:
            told += f"; {peer} there {interval(beside)[0]:.3f} to {interval(beside)[1]:.3f}"
        mean = None if beside is None else float(np.mean(beside))
        found.append(
            Row(f"R2 on {where}", float(np.mean(scores)), "", told, "" if mean is None else peer, mean)
        )
    return found


def interval(values: list[float]) -> tuple[float, float]:
    """Student's 95 % interval of a mean."""
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return float(np.mean(values)) - half, float(np.mean(values)) + half


def trained(
    params: Params, section: KaguyaParams, work: Workspace, variant: str, replica: int
) -> DisparityModel:
    """A variant, trained in a project of its own."""
    owner = get_system(SYSTEM)
    with tempfile.TemporaryDirectory() as folder:
        own = Workspace(SYSTEM, Path(folder))
        own.patches.parent.mkdir(parents=True)
        own.patches.symlink_to(work.patches.resolve())
        task = fit(owner, section, variant, params, own, logger=False, replica=replica)
        recipe = owner.recipe(task, own.patches, section, variant)
    return DisparityModel.from_recipe(recipe, task.net.eval())  # type: ignore[union-attr]


def r2(
    model: DisparityModel, work: Workspace, section: KaguyaParams, only_tests: bool, patches: bool
) -> float:
    """R2 over all valid pixels of the test pairs, or of the test patches, of all pairs or of the test pairs alone."""
    kept, size, total = held_out_patches(work.patches), section.patch.size_px, Sums()
    for scene in list_aligned(work.aligned):
        test = split_of(scene.id, section.split) == "test"
        if (only_tests and not test) or (patches and scene.id not in kept):
            continue
        planes = scene.planes(scene.conditions[0])
        mask = planes["valid"] > 0
        if patches:
            chosen = np.zeros_like(mask)
            for row, column in kept[scene.id]:
                chosen[row : row + size, column : column + size] = True
            mask &= chosen
        guess = model.residual(
            planes["left"], planes["right"], planes["disparity"], scene.conditions[0]
        ).mean_px
        total = total + Sums.of(planes["residual"][mask], guess[mask])
    return total.figures()["r2"]
