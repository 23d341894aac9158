"""What was measured about a pair: one row of the table that the gate judges."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from orrery.instruments.quantisation import QuantisationTable
from orrery.raster.compression import entropy_bits_per_px
from orrery.raster.scene import Scene
from orrery.raster.stereo.match import filled
from orrery.systems.kaguya_disparity.aligned import Planes
from orrery.systems.kaguya_disparity.pair import Pair
from orrery.systems.kaguya_disparity.params import AlignParams

Array = NDArray[np.float32]
PairRow = dict[str, Any]


def named(scene: Scene) -> PairRow:
    """The columns that name a pair."""
    return {"scene": scene.id, "site": scene.site, "kind": scene.kind, "pair": "tc1-to-tc2"}


def measured(
    pair: Pair, left: Array, factor: float, planes: Planes, table: QuantisationTable, params: AlignParams
) -> PairRow:
    """All figures of a pair under its standard condition.

    Args:
        pair: as it came.
        left: the left image at the mean count, before compression.
        factor: by which its counts were multiplied.
        planes: with and without compression.
        table: of the compression.
        params: bits of the counts.
    """
    seen, valid, matched = np.isfinite(left), planes["valid"] > 0, planes["matched"] > 0
    residual = planes["residual"][valid]
    error = (planes["left"] - left)[seen]
    return {
        "overlap_fraction": pair.overlap_fraction,
        "agreement": pair.agreement,
        "cross_track_px": cross_track_px(planes["left"], planes["right"], matched),
        "valid_fraction": float(matched.mean()),
        "outlier_fraction": float(1 - valid.sum() / max(int(matched.sum()), 1)),
        "lowest_disparity_px": float(planes["disparity"][matched].min(initial=np.inf)),
        "highest_disparity_px": float(planes["disparity"][matched].max(initial=-np.inf)),
        "residual_mean_px": float(residual.mean()) if residual.size else np.nan,
        "residual_sd_px": float(residual.std()) if residual.size else np.nan,
        "mean_count": params.mean_count,
        "count_factor": factor,
        "saturated_fraction": float((left[seen] >= 2**params.bits - 1).mean()),
        "compression_error_counts": float(error.std()),
        "bits_per_px": entropy_bits_per_px(filled(left), table, params.bits),
        **_against_truth(planes, valid),
    }


def cross_track_px(left: Array, right: Array, valid: NDArray[np.bool_]) -> float:
    """Shift of the rectified right image along columns, px, by one least-squares step over all valid pixels."""
    slope = np.gradient((left + right) / 2, axis=1)[valid].astype(np.float64)
    difference = (right - left)[valid].astype(np.float64)
    slope -= slope.mean() if slope.size else 0
    power = float((slope**2).sum())
    return float((slope * difference).sum() / power) if power > 0 else np.nan


def _against_truth(planes: Planes, valid: NDArray[np.bool_]) -> PairRow:
    """Errors that only a twin knows, px; NaN else."""
    if "true" not in planes or not valid.any():
        return {"true_error_px": np.nan, "true_error_uncompressed_px": np.nan}
    after = (planes["disparity"] - planes["true"])[valid]
    before = after + planes["residual"][valid]
    return {"true_error_px": float(after.std()), "true_error_uncompressed_px": float(before.std())}
