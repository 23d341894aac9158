"""Pictures of scenes and profiles, with units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from orrery.figures import bare, colour, gray, levels, save
from orrery.instruments.photometry import Sun
from orrery.raster.shade import shade
from orrery.systems.base import COMPARED
from orrery.systems.lunar_dtm.aligned import AlignedScene

Array = NDArray[np.float32]
ERROR_RANGE_M = 4.0


def scene_picture(scene: AlignedScene, coarse_m: Array, heights_m: Array, sigma_m: Array, path: Path) -> None:
    """Image, coarse DEM, prediction and truth, shaded by the image's sun and across it; error, 1-sigma, a profile."""
    surfaces = {"coarse DEM": coarse_m, "prediction": heights_m}
    if scene.truth is not None:
        surfaces["truth"] = scene.truth_px() * scene.gsd_m
    across = Sun((scene.sun.azimuth_deg + 90) % 360, 30)
    figure = Figure(figsize=(16, 12.5), layout="constrained")
    axes = figure.subplots(3, 4)
    gray(axes[0, 0], scene.image.values, f"image, incidence {scene.sun.incidence_deg:.0f}°")
    for axis, (name, surface) in zip(axes[0, 1:], surfaces.items(), strict=False):
        gray(axis, shade(surface, scene.gsd_m, scene.sun), f"{name}, shaded by the image's sun")
    for axis, (name, surface) in zip(axes[1, 1:], surfaces.items(), strict=False):
        gray(axis, shade(surface, scene.gsd_m, across), f"{name}, shaded across the sun")
    colour(axes[1, 0], heights_m, "prediction: elevation, m", "viridis", figure)
    colour(axes[2, 0], sigma_m, "1-sigma, m", "magma", figure)
    truth = surfaces.get("truth")
    if truth is not None:
        colour(axes[2, 1], heights_m - truth, "prediction minus truth, m", "RdBu_r", figure, ERROR_RANGE_M)
        colour(axes[2, 2], coarse_m - truth, "coarse minus truth, m", "RdBu_r", figure, ERROR_RANGE_M)
    _profile(axes[2, 3], surfaces, scene.gsd_m)
    for axis in axes.flat:
        if not axis.has_data():
            axis.set_axis_off()
    figure.suptitle(
        f"{scene.id}: {scene.kind}, {scene.gsd_m:g} m/px, {'twin' if truth is not None else 'real'}"
    )
    save(figure, path)
    _compared(scene, surfaces, path.parent / COMPARED / path.stem)


def _compared(scene: AlignedScene, surfaces: dict[str, Array], folder: Path) -> None:
    """The surfaces under the image's sun in one stretch, the image itself last."""
    shaded = {name: shade(surface, scene.gsd_m, scene.sun) for name, surface in surfaces.items()}
    low, high = np.nanpercentile(shaded["prediction"], [0.5, 99.5])
    for number, (name, plane) in enumerate(shaded.items()):
        title = f"{name}, shaded by the image's sun"
        bare(levels(plane, (float(low), float(high))), title, folder / f"{number}.png")
    title = f"image, incidence {scene.sun.incidence_deg:.0f}°"
    bare(levels(scene.image.values), title, folder / f"{len(shaded)}.png")


def _profile(axis: Any, surfaces: dict[str, Array], gsd_m: float) -> None:
    """The middle third of the middle row."""
    for name, surface in surfaces.items():
        row = surface[surface.shape[0] // 2]
        part = slice(len(row) // 3, 2 * len(row) // 3)
        axis.plot(np.arange(len(row))[part] * gsd_m, row[part], label=name, linewidth=1)
    axis.set_xlabel("along the middle row, m")
    axis.set_ylabel("elevation, m")
    axis.legend(fontsize=8)
