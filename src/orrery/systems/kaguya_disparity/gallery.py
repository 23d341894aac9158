"""The paper's Figure 4: image, true residual and the estimate of every method, for some test scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from safetensors.numpy import load_file

from orrery.figures import colour, gray, save
from orrery.files import reading
from orrery.systems.base import Workspace
from orrery.systems.kaguya_disparity.aligned import list_aligned
from orrery.systems.kaguya_disparity.baselines import Filter
from orrery.systems.kaguya_disparity.evaluate import EXAMPLES
from orrery.systems.kaguya_disparity.params import KaguyaParams
from orrery.systems.kaguya_disparity.pictures import LIMIT_DEVIATIONS, middle
from orrery.systems.split import split_of

Array = NDArray[np.float32]
SCENES = 3
FILTERS = ("low-pass", "linear")


def _examples(path: Path) -> dict[str, Array]:
    """Estimates of an evaluated variant, by scene."""
    with reading(path, "a file of examples", "run evaluate again"):
        return dict(load_file(path))


def gallery(work: Workspace, section: KaguyaParams, filters: Sequence[Filter], path: Path) -> None:
    """A column a scene, a row a method, all residuals of a scene in one range of colours."""
    tests = [s for s in list_aligned(work.aligned) if split_of(s.id, section.split) == "test"]
    scenes = tests[:: max(1, len(tests) // SCENES)][:SCENES]
    examples = {variant: work.report(variant) / EXAMPLES for variant in section.variants}
    estimates = {name: _examples(file) for name, file in examples.items() if file.exists()}
    shown = [each for each in filters if each.name in FILTERS]
    rows = 2 + len(shown) + len(estimates)
    figure = Figure(figsize=(4.2 * len(scenes), 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, len(scenes), squeeze=False)
    for column, scene in zip(axes.T, scenes, strict=True):
        planes = scene.planes(scene.conditions[0])
        truth = np.where(planes["valid"] > 0, planes["residual"], np.nan)
        limit = LIMIT_DEVIATIONS * float(np.nanstd(truth))
        pictures: dict[str, Array] = {"true residual, px": middle(truth)}
        pictures |= {f"{each.name}, px": middle(each.estimate(planes)) for each in shown}
        pictures |= {
            f"{name}, px": found[scene.id].astype(np.float32)
            for name, found in estimates.items()
            if scene.id in found
        }
        gray(column[0], middle(planes["left"]), f"{scene.id}: TC1, compressed")
        for axis, (title, plane) in zip(column[1:], pictures.items(), strict=False):
            colour(axis, plane, title, "RdBu_r", figure, limit)
    for axis in axes.flat:
        axis.set_axis_off()
    save(figure, path)
