"""Tie points: where windows of one image are found in another, to a fraction of a pixel.

Both images lie on one grid; NaN marks pixels without a value. The similarity is the normalised cross-correlation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import signal
from skimage.feature import match_template

from orrery.raster.grid import Grid

Array = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TiePoints:
    """Matched places; each field is (N,).

    Attributes:
        source_x_m, source_y_m: centre of the window, in the source's coordinates.
        reference_x_m, reference_y_m: where the reference shows the same ground.
        score: normalised cross-correlation at the match.
    """

    source_x_m: Floats
    source_y_m: Floats
    reference_x_m: Floats
    reference_y_m: Floats
    score: Floats

    def __len__(self) -> int:
        return self.score.size

    def where(self, chosen: NDArray[np.bool_]) -> TiePoints:
        """The points for which `chosen` is true."""
        return TiePoints(*(getattr(self, field.name)[chosen] for field in fields(self)))


def match(
    reference: Array,
    source: Array,
    grid: Grid,
    *,
    window_px: int,
    spacing_px: int,
    search_px: int,
    least_score: float = 0.3,
    least_valid: float = 0.7,
) -> TiePoints:
    """Windows of the source, on a square lattice, sought in the reference.

    Matches at the rim of the search, below `least_score` or with too few valid pixels are left out.

    Args:
        reference: (H, W) values.
        source: (H, W) values, expected to lie within `search_px` of the reference.
        grid: of both.
        window_px: side of the windows.
        spacing_px: distance of their centres.
        search_px: largest displacement in each direction.
        least_score: of a match.
        least_valid: share of valid pixels of a window, and of its surroundings in the reference.
    """
    found = []
    for row in _starts(grid.height, window_px, spacing_px, search_px):
        for column in _starts(grid.width, window_px, spacing_px, search_px):
            window = source[row : row + window_px, column : column + window_px]
            around = reference[row - search_px :, column - search_px :]
            around = around[: window_px + 2 * search_px, : window_px + 2 * search_px]
            if min(np.isfinite(window).mean(), np.isfinite(around).mean()) < least_valid:
                continue
            down, right, score = displacement(around, window)
            if score >= least_score and np.isfinite(down):
                centre = (row + (window_px - 1) / 2, column + (window_px - 1) / 2)
                found.append((*centre, centre[0] + down - search_px, centre[1] + right - search_px, score))
    rows, columns, to_rows, to_columns, scores = np.array(found, float).reshape(-1, 5).T
    return TiePoints(*grid.xy(rows, columns), *grid.xy(to_rows, to_columns), scores)


def displacement(around: Array, window: Array) -> tuple[float, float, float]:
    """Row and column in `around` of the upper left corner of `window`, to a fraction of a pixel, and the correlation.

    The place is NaN when the correlation is highest at the rim: its maximum may lie beyond.
    """
    return peak(correlations(around, window))


def correlations(around: Array, window: Array, least_share: float = 0.6) -> Array:
    """Normalised cross-correlation of `window` with each place of its size in `around`, (H - h + 1, W - w + 1).

    Invalid pixels count as the mean. Places of which less than `least_share` of the most that any place has is valid get
    -1: few pixels correlate well by chance.
    """
    known = np.isfinite(around)
    if not (known.any() and np.isfinite(window).any()):
        return np.full([a - w + 1 for a, w in zip(around.shape, window.shape, strict=True)], -1, np.float32)
    scores = match_template(_filled(around), _filled(window))  # type: ignore[no-untyped-call]
    if not known.all():
        share = signal.fftconvolve(known.astype(np.float32), np.ones(window.shape, np.float32), mode="valid")
        scores[share < least_share * share.max()] = -1
    return np.asarray(scores, np.float32)


def peak(scores: Array) -> tuple[float, float, float]:
    """Row and column of the highest of some correlations, to a fraction of a pixel, and its height; NaN at the rim."""
    row, column = (int(index) for index in np.unravel_index(np.argmax(scores), scores.shape))
    best = float(scores[row, column])
    if not (0 < row < scores.shape[0] - 1 and 0 < column < scores.shape[1] - 1):
        return np.nan, np.nan, best
    (down, right), _ = vertex(scores[row - 1 : row + 2, column - 1 : column + 2])
    return row + float(down), column + float(right), best


def vertex(nine: Array) -> tuple[Floats, Floats]:
    """Maximum of the least-squares parabola through 3 x 3 neighbourhoods, (..., 3, 3).

    Returns:
        (2, ...) rows and columns from the middle, at most a pixel, 0 where the parabola has no maximum; and
        (3, ...) its curvature: second derivatives down, across both, and to the right.
    """
    columns, rows = nine.sum(-2, dtype=np.float64), nine.sum(-1, dtype=np.float64)
    down, right = (rows[..., 2] - rows[..., 0]) / 6, (columns[..., 2] - columns[..., 0]) / 6
    over, across = ((sums[..., 0] + sums[..., 2] - 2 * sums[..., 1]) / 3 for sums in (rows, columns))
    corners = nine.astype(np.float64)[..., ::2, ::2]
    mixed = (corners[..., 1, 1] + corners[..., 0, 0] - corners[..., 0, 1] - corners[..., 1, 0]) / 4
    determinant = over * across - mixed**2
    peaked = (determinant > 0) & (over < 0)
    safe = np.where(peaked, determinant, 1.0)
    offsets = np.stack([mixed * right - across * down, mixed * down - over * right]) / safe
    return np.where(peaked, np.clip(offsets, -1, 1), 0.0), np.stack([over, mixed, across])


def _starts(length: int, window: int, spacing: int, margin: int) -> list[int]:
    """First indices of windows that cover a length, less a margin for the search at both ends, evenly."""
    room = length - 2 * margin - window
    if room < 0:
        return []
    return [margin + round(start) for start in np.linspace(0, room, max(1, round(room / spacing) + 1))]


def _filled(values: Array) -> Array:
    """Invalid pixels replaced by the mean of the valid ones."""
    valid = np.isfinite(values)
    return (
        values
        if valid.all()
        else np.where(valid, values, values[valid].mean(dtype=np.float64)).astype(np.float32)
    )
