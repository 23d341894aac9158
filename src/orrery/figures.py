"""Figures as files, and planes as pictures in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from orrery.files import replacing

Array = NDArray[np.float32]


def save(figure: Figure, path: Path) -> None:
    """Write a PNG with equal bytes for equal content."""
    FigureCanvasAgg(figure)
    with replacing(path) as temporary, mpl.rc_context({"svg.hashsalt": "orrery"}):
        figure.savefig(temporary, dpi=70, metadata={"Software": None})


def bare(pixels: NDArray[np.uint8], title: str, path: Path) -> None:
    """Write pixels alone, without axes, so that pictures of one ground can be laid over each other.

    Args:
        pixels: (H, W, 2) grey and opacity, or (H, W, 4) red, green, blue and opacity.
        title: kept in the file, as PNG's keyword `Title`.
        path: PNG to write.
    """
    text = PngInfo()
    text.add_text("Title", title)
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, pnginfo=text, optimize=True)


def levels(plane: Array, ends: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """A plane as grey levels, (H, W, 2) with opacity: NaN is transparent.

    Args:
        plane: (H, W).
        ends: values of black and white [default: its 0.5 and 99.5 percentiles].
    """
    known = np.isfinite(plane)
    low, high = ends or (np.nanpercentile(plane, [0.5, 99.5]) if known.any() else (0.0, 1.0))
    grey = np.clip((np.where(known, plane, low) - low) / max(high - low, 1e-12), 0, 1) * 255
    return np.dstack([np.rint(grey).astype(np.uint8), np.uint8(255) * known.astype(np.uint8)])


def gray(axis: Any, plane: Array, title: str) -> None:
    """Show a plane in grey between its 0.5 and 99.5 percentiles."""
    low, high = np.nanpercentile(plane, [0.5, 99.5])
    axis.imshow(plane, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    axis.set_title(title, fontsize=9)
    axis.set_axis_off()


def colour(
    axis: Any, plane: Array, title: str, colours: str, figure: Figure, limit: float | None = None
) -> None:
    """Show a plane in colours with a bar: symmetric about zero to `limit`, or between its 1 and 99 percentiles."""
    finite = plane[np.isfinite(plane)]
    if not len(finite):
        return
    low, high = (-limit, limit) if limit else np.percentile(finite, [1, 99])
    shown = axis.imshow(plane, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    figure.colorbar(shown, ax=axis, shrink=0.8)
    axis.set_title(title, fontsize=9)
    axis.set_axis_off()
