"""One image onto another of the same ground: NAC-R onto NAC-L, and a neighbour onto a registered one; the mosaic of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from pydantic import Field

from orrery.errors import OrreryError
from orrery.params import Count, Fraction, Positive, Section
from orrery.raster.align import (
    AffineFit,
    Refinement,
    Spread,
    TiePoints,
    displacement,
    expected_rms_m,
    fit_affine,
    held_out,
    match,
    refine,
    rms_difference_m,
)
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.io import Raster, resample
from orrery.raster.windows import covered
from orrery.seeds import stream
from orrery.systems.lunar_dtm.registration import FOLDS, Array, Floats, Row, moved
from orrery.systems.lunar_dtm.view import correlation

SCALE_PX = 3.0  # the refinement's "posting": it weighs waves from 4.5 to 75 px
BLOCKS = 8  # of rows, held out in turn


class StripParams(Section):
    """How one image is brought onto another that overlaps it; lengths in pixels."""

    search_px: Count = Field(
        12, description="reach of the first search: several times the cameras' mutual pointing error"
    )
    window_px: Count = Field(
        32, description="side of a tie point's window; four fit across the 135 shared columns"
    )
    tie_search_px: Count = Field(4, description="reach of a tie point after the first search")
    tolerance_px: Positive = Field(0.5, description="agreement asked of a tie point by RANSAC")
    least_score: Fraction = Field(0.5, description="smallest correlation of a tie point")
    shift_px: Positive = Field(5.0, description="expected offset, one standard deviation a coordinate")
    rotation_deg: Positive = Field(0.05, description="expected rotation, one standard deviation")
    stretch: Positive = Field(0.0005, description="expected error of scale, one standard deviation")
    shear: Positive = Field(
        0.0005, description="expected shear and difference of scales, one standard deviation"
    )


@dataclass(frozen=True)
class Overlay:
    """How a source lies on a reference.

    Attributes:
        map: from the source's coordinates to the reference's.
        row: what was measured: columns of the table of pairs, floats.
    """

    map: AffineMap
    row: Row


def overlay(reference: Raster, source: Raster, params: StripParams, seed: int) -> Overlay:
    """Find the map that takes the source's coordinates to the reference's, from where the two overlap.

    Tie points as Chen et al. (2022) do it, then a refinement from all pixels: a strip 135 px wide fixes the scale across it
    only if its matches are good to hundredths of a pixel. Where nothing matches the row's counts and expected error say so.

    Args:
        reference: linear brightness, NaN invalid.
        source: the same ground under the same or a similar sun, at a similar scale.
        params: reach, windows and expected errors.
        seed: of RANSAC's draws.

    Raises:
        OrreryError: the two do not overlap.
    """
    common = _common(reference, source)
    fit = _matched(common, source, params, seed)

    def refined(seen: Array, first: AffineMap) -> Refinement:
        return refine(
            common.values,
            seen,
            common.grid,
            lambda to_source: _on(source, to_source.inverse(), common.grid),
            start=first,
            prior=_prior(common.grid, params),
            around=AffineMap.identity(),
            bearing_deg=0,
            posting_m=SCALE_PX * common.grid.gsd_m,
        )

    best = refined(np.ones_like(common.values), fit.map)
    if (
        rms_difference_m(best.map, fit.map, common.grid) > SCALE_PX * common.grid.gsd_m
    ):  # it has lost the track
        best = Refinement(fit.map, fit.covariance)
    distances_m = _held_out(common, source, best.map, lambda seen: refined(seen, best.map).map, params)
    residual_m = float(np.median(distances_m)) if distances_m.size else float("nan")
    to_reference, gsd_m = best.map.inverse(), reference.grid.gsd_m
    before, after = (
        _on(source, correction, common.grid) for correction in (AffineMap.identity(), to_reference)
    )
    row = {
        **moved(to_reference, source.grid.centre, gsd_m),
        "residual_px": residual_m / gsd_m,
        "residual_m": residual_m,
        "tie_points_used": int(fit.inliers.sum()),
        "tie_points_held_out": distances_m.size,
        "ncc_before": correlation(common.values, before),
        "ncc_after": correlation(common.values, after),
        "valid_fraction": float(source.valid.mean()),
        "overlap_fraction": float((common.valid & np.isfinite(before)).sum() / source.values.size),
        "expected_error_m": expected_rms_m(best.covariance, source.grid, common.grid.centre),
    }
    return Overlay(to_reference, row)


def mosaic(left: Raster, right: Raster, correction: AffineMap) -> Raster:
    """The left strip, and beyond it the right one in its place and at the left one's brightness.

    The left strip's grid is extended over where the right one was written; no pixel of the left one is resampled.
    """
    grid = _extended(left.grid, right.grid)
    values = _on(right, correction, grid)
    row, column = (round(float(index)) for index in grid.rowcol(*left.grid.xy(0, 0)))
    part = values[row : row + left.grid.height, column : column + left.grid.width]
    both = np.isfinite(part) & left.valid
    if both.any():
        values *= np.float32(left.values[both].sum(dtype=float) / part[both].sum(dtype=float))
    part[left.valid] = left.values[left.valid]
    return Raster(values, grid)


def _common(reference: Raster, source: Raster) -> Raster:
    """The reference where the source was written."""
    span = covered(reference.grid, source.grid, 0)
    if span is None:
        raise OrreryError(
            "two images of one scene do not overlap", remedy="give images of one place, in one projection"
        )
    row, column, height, width = span
    return Raster(reference.values[row : row + height, column : column + width], reference.grid.window(*span))


def _on(source: Raster, correction: AffineMap, grid: Grid) -> Array:
    """(H, W) the corrected source on a grid; NaN where it does not reach."""
    return resample(Raster(source.values, correction.moved(source.grid)), grid, method="cubic").values


def _sought(common: Raster, source: Array, reach_px: int) -> AffineMap:
    """The shift at which the source's middle, `reach_px` from every side, is most like the reference."""
    down, right, _ = displacement(common.values, source[reach_px:-reach_px, reach_px:-reach_px])
    if not np.isfinite(down):
        return AffineMap.identity()
    (x, y), (x0, y0) = common.grid.xy(down, right), common.grid.xy(reach_px, reach_px)
    return AffineMap.shift(float(x - x0), float(y - y0))


def _matched(common: Raster, source: Raster, params: StripParams, seed: int) -> AffineFit:
    """Map from reference to source by tie points."""
    start = _sought(common, _on(source, AffineMap.identity(), common.grid), params.search_px).inverse()
    points = _tie_points(common, source, start, params)
    tolerance_m, rng = params.tolerance_px * common.grid.gsd_m, stream(seed, "strips")
    return fit_affine(
        points, common.grid.centre, _prior(common.grid, params), tolerance_m=tolerance_m, rng=rng
    )


def _tie_points(common: Raster, source: Raster, to_source: AffineMap, params: StripParams) -> TiePoints:
    """Places of the reference and, as `to_source` should have them, of the source as written."""
    points = match(
        _on(source, to_source.inverse(), common.grid),
        common.values,
        common.grid,
        window_px=params.window_px,
        spacing_px=params.window_px,
        search_px=params.tie_search_px,
        least_score=params.least_score,
    )
    written = to_source.apply(points.reference_x_m, points.reference_y_m)
    return TiePoints(points.source_x_m, points.source_y_m, *written, points.score)


def _held_out(
    common: Raster,
    source: Raster,
    to_source: AffineMap,
    without: Callable[[Array], AffineMap],
    params: StripParams,
) -> Floats:
    """Distances, m, between tie points and maps that were refined without the rows of those tie points' windows."""
    height, width = common.values.shape
    fold = np.repeat(np.arange(height) * BLOCKS // height % FOLDS, width).reshape(height, width)
    points = _tie_points(common, source, to_source, params)
    return held_out(points, fold, common.grid, params.window_px, without)


def _prior(grid: Grid, params: StripParams) -> Spread:
    return Spread(params.shift_px * grid.gsd_m, params.stretch, params.rotation_deg, params.shear)


def _extended(left: Grid, right: Grid) -> Grid:
    """The left grid with as many more rows and columns as the right one's pixels need."""
    rows, columns = left.rowcol(
        *right.xy([0, 0, right.height - 1, right.height - 1], [0, right.width - 1] * 2)
    )
    top, start = (min(0, floor(index.min() + 0.01)) for index in (rows, columns))
    bottom, stop = (ceil(index.max() - 0.01) + 1 for index in (rows, columns))
    height, width = max(left.height, bottom) - top, max(left.width, stop) - start
    return left.window(top, start, height, width)
