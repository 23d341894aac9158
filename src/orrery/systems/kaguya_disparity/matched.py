"""A whole compressed pair to planes on disk: images, disparity and where it can be trusted, rows by rows at bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orrery.instruments.quantisation import QuantisationTable
from orrery.raster.compression import compress
from orrery.raster.rows import RowStore
from orrery.raster.stereo import MatchParams, filled, match, rectified, span
from orrery.raster.streaming import Advance
from orrery.systems.kaguya_disparity.pair import Pair

Array = NDArray[np.float32]

PLANES = ("left", "right", "disparity", "matched")
MARGIN_PX = 64  # rows around a block: windows, splines and medians see no further
SPAN_MARGIN_PX = 10


def compressed(pair: Pair, table: QuantisationTable, bits: int) -> tuple[Array, Array]:
    """Both images of an uncompressed pair as a table would leave them."""
    left, right = (
        np.where(np.isfinite(image), compress(filled(image), table, bits), np.float32(np.nan))
        for image in (pair.left, pair.right)
    )
    return left, right


def match_rows(
    left: Array,
    right: Array,
    middle_px: int,
    params: MatchParams,
    block_rows: int,
    store: RowStore,
    advance: Advance,
) -> None:
    """Match a pair into `store`, from the first row that is not there yet.

    Args:
        left: compressed, counts, (H, W), NaN invalid.
        right: compressed, counts, (Hr, W), NaN invalid.
        middle_px: rows from the left to the right image, about.
        params: how to match.
        block_rows: rows matched at once; bounds memory.
        store: of `PLANES`; the right image is rectified by the disparity.
        advance: told how many rows were finished.
    """
    whole_left, whole_right = filled(left), filled(right)
    middle, reach = span(whole_left, whole_right, middle_px, SPAN_MARGIN_PX)
    options = params.model_copy(update={"search_px": reach})
    first, _ = store.progress()
    advance(first)
    for row in range(first, len(left), block_rows):
        stop = min(row + block_rows, len(left))
        top, bottom = max(0, row - MARGIN_PX), min(len(left), stop + MARGIN_PX)
        # the rows of the right image that this block can meet; beyond its edges nothing is valid
        low = max(0, min(top + middle - reach - MARGIN_PX, len(right) - 1))
        high = max(low + 1, min(len(right), bottom + middle + reach + MARGIN_PX))
        store.write(
            row, _block(left, right, (top, bottom), (low, high), middle, options)[:, row - top : stop - top]
        )
        store.save_progress(stop, np.zeros(0, np.float32))
        advance(stop - row)


def _block(
    left: Array,
    right: Array,
    rows: tuple[int, int],
    others: tuple[int, int],
    middle_px: int,
    options: MatchParams,
) -> Array:
    """(4, h, W) planes of a block; all invalid where the right image does not reach it."""
    part, other = left[slice(*rows)], right[slice(*others)]
    empty = not (np.isfinite(part).any() and np.isfinite(other).any())
    if empty or others[1] - others[0] < 2 * options.search_window_px + 2 * options.window_px:
        blank = np.zeros_like(part)
        return np.stack([np.nan_to_num(part), blank, blank, blank])
    moved = others[0] - rows[0]
    found = match(part, other, options, middle_px - moved)
    seen = rectified(filled(other), found.disparity_px)
    return np.stack([filled(part), seen, found.disparity_px + moved, found.valid.astype(np.float32)])
