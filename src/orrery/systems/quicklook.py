"""The quicklook of a product: maps side by side, with their units."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from orrery.raster.grid import Grid

Array = NDArray[np.float32]
QUICKLOOK_PX = 700  # longest side of a map in a quicklook


def panels(grid: Grid, count: int = 6) -> tuple[Figure, list[Axes]]:
    """Panels of a grid's shape: rows of three, or one row for a strip that is taller than wide."""
    rows, columns = (1, count) if grid.height > 1.5 * grid.width else (-(-count // 3), min(count, 3))
    high = np.clip(grid.height / grid.width, 0.2, 6)
    figure = Figure(figsize=(16, 16 / columns * 0.85 * high * rows + 0.5 * rows + 0.4), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def gray(axis: Axes, values: Array, title: str) -> None:
    """A plane in gray from its 1st to its 99th percentile."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (0, 1)
    axis.imshow(values, cmap="gray", vmin=low, vmax=high)
    axis.set_title(title)
    axis.set_axis_off()


def colour(
    figure: Figure, axis: Axes, values: Array, title: str, unit: str, colours: str, *, symmetric: bool = False
) -> None:
    """A plane in colours with a bar that tells its unit; the title alone where nothing is known."""
    axis.set_axis_off()
    finite = values[np.isfinite(values)]
    if not finite.size:
        axis.set_title(f"{title}: the model gives none")
        return
    low, high = np.percentile(finite, (1, 99))
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    shown = axis.imshow(values, cmap=colours, vmin=low, vmax=high)
    axis.set_title(title)
    figure.colorbar(shown, ax=axis, label=f"{title}, {unit}" if unit else title, fraction=0.05, pad=0.02)
