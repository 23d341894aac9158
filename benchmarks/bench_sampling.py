"""Means of samples against one call, and few calls against many: a Palette network of demo size, trained longer than the demo's.

R2 of the mean of K samples should follow rho2 - (1 - rho2) / K, rho2 being what the mean of the posterior explains: it is read from the
network's answer to pure noise. The one-step network is the champion's variant of the last ``dvc repro``. Aligned scenes and patches are
those of the last ``dvc repro`` too; ``ORRERY_BENCH_SAMPLING_STEPS`` takes another number of training steps.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.row import Row
from orrery.errors import OrreryError
from orrery.params import Params, load_params
from orrery.stages.trained import load_network, load_recipe
from orrery.systems.base import Workspace, get_section, get_system
from orrery.systems.kaguya_disparity.aligned import list_aligned
from orrery.systems.kaguya_disparity.conditions import Condition
from orrery.systems.kaguya_disparity.metrics import Sums, expected_r2
from orrery.systems.kaguya_disparity.model import DisparityModel
from orrery.systems.kaguya_disparity.params import KaguyaParams
from orrery.systems.split import split_of
from orrery.training import fit

Array = NDArray[np.float32]

SYSTEM, VARIANT = "kaguya-disparity", "palette"
STEPS = int(os.environ.get("ORRERY_BENCH_SAMPLING_STEPS", "1500"))
SAMPLES, FEW_CALLS, MANY_CALLS = (1, 4, 8), 8, 48
CROP = np.s_[128:256, 128:256]
TOLERANCE = 0.10


def rows() -> list[Row]:
    params, work = load_params(Path("params.yaml")), Workspace(SYSTEM)
    section: KaguyaParams = get_section(params, SYSTEM)
    if not work.patches.exists():
        raise OrreryError("has no patches", file=work.patches, remedy="run `dvc repro` first")
    sampling = trained(params, section, work)
    owner = get_system(SYSTEM)
    champion = section.champion_variant
    one_step = DisparityModel.from_recipe(
        load_recipe(champion, work), load_network(owner, section, champion, work)
    )
    conditions = f"twin, middles of the test scenes, {VARIANT} at demo size, {STEPS} steps"
    few, many = sums_of(sampling, FEW_CALLS, work, section), sums_of(sampling, MANY_CALLS, work, section)
    rho2 = few["first call"]
    found = []
    for k in SAMPLES:
        law = expected_r2(rho2, k)
        told = f"{conditions}; {FEW_CALLS} calls a sample; the law with rho2 = {rho2:.3f} is the peer"
        found.append(Row(f"R2 of the mean of {k} samples", few[f"mean of {k}"], "", told, "the law", law))
        off = abs(few[f"mean of {k}"] - law)
        found.append(
            Row(f"R2 of the mean of {k} samples, off the law", off, "", told, goal=f"figure <= {TOLERANCE}")
        )
    mean = few[f"mean of {SAMPLES[-1]}"]
    one = one_call(one_step, work, section)
    found.append(
        Row(
            "R2 of one call of the champion",
            one,
            "",
            conditions,
            f"mean of {SAMPLES[-1]} samples",
            mean,
            "ratio >= 1",
        )
    )
    told = f"{conditions}; the mean of {SAMPLES[-1]} samples of {FEW_CALLS} calls; the peer has {MANY_CALLS} calls"
    found.append(
        Row("R2 of few calls", mean, "", told, "many calls", many[f"mean of {SAMPLES[-1]}"], "ratio >= 0.98")
    )
    return found


def trained(params: Params, section: KaguyaParams, work: Workspace) -> DisparityModel:
    """The network, trained in a project of its own."""
    options = section.variants[VARIANT].optimiser.model_copy(update={"steps": STEPS})
    variant = section.variants[VARIANT].model_copy(update={"optimiser": options})
    own_section = section.model_copy(update={"variants": {**section.variants, VARIANT: variant}})
    owner = get_system(SYSTEM)
    with tempfile.TemporaryDirectory() as folder:
        own = Workspace(SYSTEM, Path(folder))
        own.patches.parent.mkdir(parents=True)
        own.patches.symlink_to(work.patches.resolve())
        task = fit(owner, own_section, VARIANT, params, own, logger=False)
        recipe = owner.recipe(task, own.patches, own_section, VARIANT)
    return DisparityModel.from_recipe(recipe, task.net.eval())  # type: ignore[union-attr]


def sums_of(model: DisparityModel, calls: int, work: Workspace, section: KaguyaParams) -> dict[str, float]:
    """R2 over the pixels of all test scenes: of means of samples, and of the answer to pure noise."""
    sampling = model.with_sampling(calls=calls, samples=SAMPLES[-1])
    first = model.with_sampling(calls=1, samples=2)
    found: dict[str, Sums] = {}
    for left, right, disparity, condition, truth, mask in _scenes(work, section):
        samples = sampling.residual(left, right, disparity, condition).samples_px
        assert samples is not None
        guesses = {f"mean of {k}": samples[:k].mean(0) for k in SAMPLES}
        guesses["first call"] = first.residual(left, right, disparity, condition).mean_px
        for name, guess in guesses.items():
            found[name] = found.get(name, Sums()) + Sums.of(truth[mask], guess[mask])
    return {name: each.figures()["r2"] for name, each in found.items()}


def one_call(model: DisparityModel, work: Workspace, section: KaguyaParams) -> float:
    """R2 of a one-step network over the same pixels."""
    total = Sums()
    for left, right, disparity, condition, truth, mask in _scenes(work, section):
        guess = model.residual(left, right, disparity, condition).mean_px
        total = total + Sums.of(truth[mask], guess[mask])
    return total.figures()["r2"]


def _scenes(
    work: Workspace, section: KaguyaParams
) -> Iterator[tuple[Array, Array, Array, Condition, Array, NDArray[np.bool_]]]:
    """Planes of the middles of the test scenes under the standard condition."""
    for scene in list_aligned(work.aligned):
        if split_of(scene.id, section.split) == "test":
            planes = {name: plane[CROP] for name, plane in scene.planes(scene.conditions[0]).items()}
            left, right, disparity = (np.ascontiguousarray(planes[n]) for n in ("left", "right", "disparity"))
            yield left, right, disparity, scene.conditions[0], planes["residual"], planes["valid"] > 0
