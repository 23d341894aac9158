"""Pictures of a test scene: the image, the cube and the prediction in enhanced visible and false colour, and the error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from orrery.figures import bare, levels, save
from orrery.systems.base import COMPARED
from orrery.systems.mars_bands.composites import NAMES, composites_of, stretched
from orrery.systems.mars_bands.model import Reflectance

Array = NDArray[np.float32]


def scene_picture(
    name: str, image: Array, truth: Array, found: Reflectance, wavelengths_nm: list[float], path: Path
) -> None:
    """A row for each colour composite whose bands there are: image, CRISM, prediction, error, 1-sigma; no picture without one.

    Args:
        name: of the scene.
        image: (H, W) I/F.
        truth: (B, H, W) I/F, NaN outside the footprint.
        found: the prediction.
        wavelengths_nm: of the bands.
        path: PNG to write.
    """
    rows = {NAMES[name]: bands for name, bands in composites_of(wavelengths_nm).items()}
    if not rows:
        return
    figure = Figure(figsize=(16, 3.6 * len(rows)))
    figure.subplots_adjust(left=0.01, right=0.98, bottom=0.02, top=0.93, wspace=0.08, hspace=0.12)
    axes = figure.subplots(len(rows), 5, squeeze=False)
    for row, (title, bands) in zip(axes, rows.items(), strict=True):
        seen, guessed = truth[bands], found.values[bands]
        footprint = np.isfinite(seen).all(0)
        error = np.where(footprint, np.abs(guessed - seen).mean(0), np.nan)
        row[0].imshow(image, cmap="gray")
        row[0].set_title(f"{name}: CTX, I/F {np.nanmin(image):.2f} to {np.nanmax(image):.2f}")
        row[1].imshow(stretched(seen))
        row[1].set_title(f"CRISM, {title}")
        row[2].imshow(stretched(guessed, seen))
        row[2].set_title("predicted from CTX, same stretch")
        _with_bar(figure, row[3], error, "mean absolute error, I/F")
        if found.sigma is not None:
            _with_bar(figure, row[4], found.sigma[bands].mean(0), "mean 1-sigma, I/F")
        for axis in row:
            axis.set_axis_off()
    save(figure, path)
    _compared(image, truth, found, wavelengths_nm, path.parent / COMPARED / path.stem)


def _compared(
    image: Array, truth: Array, found: Reflectance, wavelengths_nm: list[float], folder: Path
) -> None:
    """The image, then prediction and cube in each colour composite, in the cube's stretch."""
    bare(levels(image), "CTX image", folder / "0.png")
    number = 1
    for name, bands in composites_of(wavelengths_nm).items():
        bare(
            stretched(found.values[bands], truth[bands]),
            f"predicted, {NAMES[name]}",
            folder / f"{number}.png",
        )
        bare(stretched(truth[bands]), f"CRISM, {NAMES[name]}", folder / f"{number + 1}.png")
        number += 2


def _with_bar(figure: Figure, axis: object, plane: Array, title: str) -> None:
    shown = axis.imshow(plane, cmap="magma", vmin=0, vmax=float(np.nanpercentile(plane, 99)))  # type: ignore[attr-defined]
    axis.set_title(title)  # type: ignore[attr-defined]
    figure.colorbar(shown, ax=axis, shrink=0.8)  # type: ignore[arg-type]
