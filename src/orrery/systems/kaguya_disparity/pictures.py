"""Pictures of the paper's Figures 4 and 5: an image with its true and estimated residual, and one against the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from orrery.figures import bare, colour, gray, levels, save
from orrery.instruments.photometry import Sun
from orrery.instruments.terrain_camera import GSD_M, metres_per_px
from orrery.raster.shade import shade
from orrery.systems.base import COMPARED
from orrery.systems.kaguya_disparity.aligned import Planes
from orrery.systems.kaguya_disparity.metrics import Sums
from orrery.systems.kaguya_disparity.model import Residual

Array = NDArray[np.float32]
LIMIT_DEVIATIONS = 3.0
SHOWN_PX = 256  # the middle of a scene: noise of a few pixels' size is not seen in the whole
BINS = 80
LIGHT = Sun(90.0, 20.0)  # from the right: noise of a disparity is steeper than most ground
SHADES = (0.2, 1.8)  # of heights under that light: black and white


def middle(plane: Array) -> Array:
    """The middle of a plane."""
    row, column = (max(0, (length - SHOWN_PX) // 2) for length in plane.shape)
    return plane[row : row + SHOWN_PX, column : column + SHOWN_PX]


def residual_picture(name: str, planes: Planes, found: Residual, path: Path) -> None:
    """TC1 image, true residual, estimate, what is left, and 1-sigma where there is one.

    Args:
        name: of the scene.
        planes: of the scene under one condition.
        found: the estimate.
        path: PNG to write.
    """
    valid = planes["valid"] > 0
    truth = np.where(valid, planes["residual"], np.nan)
    limit = LIMIT_DEVIATIONS * float(np.nanstd(truth)) if valid.any() else 1.0
    figure = Figure(figsize=(20, 4.2), layout="constrained")
    axes = figure.subplots(1, 5)
    gray(axes[0], middle(planes["left"]), f"{name}: TC1, compressed, counts")
    for axis, plane, title in (
        (axes[1], truth, "residual, px"),
        (axes[2], found.mean_px, "estimated, px"),
        (axes[3], truth - found.mean_px, "what is left, px"),
    ):
        colour(axis, middle(plane), title, "RdBu_r", figure, limit)
    if found.sigma_px is None:
        axes[4].set_axis_off()
    else:
        colour(axes[4], middle(found.sigma_px), "1-sigma, px", "magma", figure)
    save(figure, path)
    _compared(planes, found, path.parent / COMPARED / path.stem)


def _compared(planes: Planes, found: Residual, folder: Path) -> None:
    """Heights of the compressed pair, corrected ones and those of the uncompressed pair under one light; the image last."""
    surfaces = {
        "heights of the compressed pair": planes["disparity"],
        "corrected heights": planes["disparity"] + found.mean_px,
        "heights of the uncompressed pair": planes["disparity"] + planes["residual"],
    }
    per_px = np.float32(metres_per_px(GSD_M))
    for number, (name, disparity_px) in enumerate(surfaces.items()):
        shaded = shade(-middle(disparity_px) * per_px, GSD_M, LIGHT, "lambert")
        bare(levels(shaded, SHADES), f"{name}, shaded", folder / f"{number}.png")
    bare(levels(middle(planes["left"])), "TC1 image, compressed", folder / f"{len(surfaces)}.png")


def scatter_picture(name: str, truth: Array, estimate: Array, path: Path) -> None:
    """How many pixels have which estimate (across) and which true residual (up).

    Args:
        name: of the scene.
        truth: (N,) px.
        estimate: (N,) px.
        path: PNG to write.
    """
    if not truth.size:
        return
    limit = LIMIT_DEVIATIONS * float(truth.std()) or 1.0
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axis = figure.subplots()
    edges = np.linspace(-limit, limit, BINS)
    counts, _, _ = np.histogram2d(truth, estimate, [edges, edges])
    axis.imshow(np.log1p(counts), origin="lower", extent=(-limit, limit, -limit, limit), cmap="viridis")
    axis.plot([-limit, limit], [-limit, limit], color="white", linewidth=0.8)
    figures = Sums.of(truth, estimate).figures()
    axis.set_title(f"{name}: r = {figures.get('r', 0):.3f}, R2 = {figures.get('r2', 0):.3f}", fontsize=10)
    axis.set_xlabel("estimated residual, px")
    axis.set_ylabel("true residual, px")
    save(figure, path)
