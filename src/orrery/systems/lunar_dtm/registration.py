"""Where a coarse DEM lies in the frame of one image: shading simulated, sought, matched and refined.

First as Chen et al. (2022, section II.A) do it: the DEM shaded at the image's sun, tie points between that and the image,
an affine map by RANSAC. Then a refinement from the whole image: each pixel's brightness becomes the slope towards the sun
that explains it, and the slopes' means are compared with the DEM's (see `raster.align.refine`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from orrery.instruments.photometry import Sun
from orrery.params import Fraction, Positive, Section
from orrery.raster.align import (
    AffineFit,
    Refinement,
    Spread,
    TiePoints,
    correlations,
    expected_rms_m,
    fit_affine,
    held_out,
    match,
    numbers,
    peak,
    refine,
    rms_difference_m,
)
from orrery.raster.grid import AffineMap
from orrery.raster.io import Raster
from orrery.raster.shade import shade
from orrery.raster.windows import block_means, coarser
from orrery.seeds import stream
from orrery.systems.lunar_dtm.view import DARKEST, View, levelled, make_view, padded

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Row = dict[str, float]

FOLDS = 4
SYSTEMATIC_POSTINGS = 0.02  # what no covariance knows: on the twin, bright steep walls pull as far to the sun
MOST_WINDOWS = 40  # along a side: bounds the time of large images
HELD_OUT_DENSITY = 1.5  # most windows straddle two folds and judge nothing


class RegistrationParams(Section):
    """How a coarse DEM is brought into an image's frame; lengths in the DEM's postings."""

    search_postings: Positive = Field(
        6.5, description="reach of the search: 5 postings of offset, and what rotation adds"
    )
    window_postings: Positive = Field(
        7.0, description="side of a tie point's window: a few of the DEM's smallest forms"
    )
    spacing_postings: Positive = Field(3.5, description="distance of tie points: windows half overlap")
    tie_search_postings: Positive = Field(
        1.5, description="reach of a tie point: rotation and error of the first search"
    )
    tolerance_postings: Positive = Field(0.4, description="agreement asked of a tie point by RANSAC")
    least_score: Fraction = Field(0.4, description="smallest correlation of a tie point")
    shift_m: Positive = Field(200.0, description="expected offset, one standard deviation a coordinate")
    rotation_deg: Positive = Field(0.1, description="expected rotation, one standard deviation")
    stretch: Positive = Field(0.001, description="expected error of scale, one standard deviation")
    shear: Positive = Field(
        0.0005, description="expected shear and difference of scales, one standard deviation"
    )


@dataclass(frozen=True)
class Registration:
    """Where the DEM lies.

    Attributes:
        map: from the DEM's coordinates as written to the image's frame.
        row: what was measured: columns of the table of pairs, floats.
        tie_point_map: the map from tie points alone, as in the paper.
    """

    map: AffineMap
    row: Row
    tie_point_map: AffineMap


def register(
    image: Raster,
    dem: Raster,
    sun: Sun,
    params: RegistrationParams,
    seed: int,
    *,
    near: AffineMap | None = None,
    near_m: float | None = None,
) -> Registration:
    """Find the map that takes the DEM's coordinates into the image's frame.

    Args:
        image: linear brightness, NaN invalid.
        dem: coarse heights, m, in the same coordinate system.
        sun: direction in the image frame.
        params: reach, windows and expected errors.
        seed: of RANSAC's draws.
        near: map that a neighbour tells already; the DEM is sought everywhere when left out.
        near_m: standard deviation of `near`, m.

    Raises:
        OrreryError: the coordinate systems differ, or the DEM does not reach the image.
    """
    view = make_view(image, dem, sun)
    start, doubt_m = (near.inverse(), 0.0) if near else _sought(view, params)
    around = start if near else AffineMap.identity()
    prior = Spread(near_m or params.shift_m, params.stretch, params.rotation_deg, params.shear)
    fit = _matched(view, start, params, prior, seed)
    observed, weight = view.observed_slopes(fit.map)

    def refined(seen: Array, first: AffineMap) -> Refinement:
        return refine(
            observed,
            weight * seen,
            view.grid,
            view.simulated_slopes,
            start=first,
            prior=prior,
            around=around,
            bearing_deg=sun.azimuth_deg,
            posting_m=view.posting_m,
        )

    best = refined(np.ones_like(weight), fit.map)
    if rms_difference_m(best.map, fit.map, view.grid) > view.posting_m:  # it has lost the track
        best = Refinement(fit.map, fit.covariance)
    distances_m = _held_out(view, best.map, lambda seen: refined(seen, best.map).map, params)
    row = _row(view, best, fit, distances_m)
    row["expected_error_m"] = float(np.hypot(row["expected_error_m"], doubt_m))
    return Registration(best.map.inverse(), row, fit.map.inverse())


def _sought(view: View, params: RegistrationParams) -> tuple[AffineMap, float]:
    """Map from image to DEM, a shift, and how far off, m, it may well be: other places of the search that fit as well.

    The whole image is sought in the simulated one, on half the working grid. A correlation c of n independent samples
    weighs as (1 - c^2)^(-n / 2); there is about one a posting.
    """
    reach = view.px(params.search_postings / 2)
    grid = coarser(view.grid, 2)
    beyond = grid.window(-reach, -reach, grid.height + 2 * reach, grid.width + 2 * reach)
    simulated = shade(view.heights_m(AffineMap.identity(), beyond), grid.gsd_m, view.sun)
    image = block_means(padded(view.brightness, grid, 2), 2)
    blur_px = view.blur_px / 2
    scores = correlations(levelled(simulated, blur_px), levelled(image, blur_px))
    right_m, up_m = (offset * grid.gsd_m for offset in _offsets(scores.shape, reach))
    samples = np.isfinite(image).sum() * (grid.gsd_m / view.posting_m) ** 2
    likelihood = -samples / 2 * np.log1p(-(np.clip(scores, 0, 0.999) ** 2))
    belief = likelihood - (right_m**2 + up_m**2) / (2 * params.shift_m**2)
    down, right, _ = peak(belief)
    if not np.isfinite(down):
        down, right = (float(index) for index in np.unravel_index(np.argmax(belief), belief.shape))
    # where the image's upper left pixel lies in the simulated grid, the DEM shows that ground
    (x, y), (x0, y0) = beyond.xy(down, right), grid.xy(0, 0)
    share = np.exp(belief - belief.max())
    off_m2 = (right_m - (right - reach) * grid.gsd_m) ** 2 + (up_m - (reach - down) * grid.gsd_m) ** 2
    far = off_m2 > view.posting_m**2
    doubt_m = np.sqrt((share * off_m2)[far].sum() / share.sum())
    return AffineMap.shift(float(x - x0), float(y - y0)), float(doubt_m)


def _offsets(shape: tuple[int, ...], reach: int) -> tuple[Floats, Floats]:
    """Displacements to the right and up that the places of a search stand for, px."""
    rows, columns = np.indices(shape)
    return (columns - reach).astype(float), (reach - rows).astype(float)


def _matched(view: View, start: AffineMap, params: RegistrationParams, prior: Spread, seed: int) -> AffineFit:
    """Map from image to DEM by tie points."""
    points = _tie_points(view, start, params, params.spacing_postings)
    tolerance_m, rng = params.tolerance_postings * view.posting_m, stream(seed, "registration")
    return fit_affine(points, view.grid.centre, prior, tolerance_m=tolerance_m, rng=rng, around=start)


def _tie_points(
    view: View, to_dem: AffineMap, params: RegistrationParams, spacing_postings: float
) -> TiePoints:
    """Places of the image and, as `to_dem` should have them, of the DEM; shadow counts as invalid."""
    image, simulated = view.relative(to_dem), view.simulated(to_dem)
    points = match(
        np.where(simulated > DARKEST, simulated, np.float32(np.nan)),
        np.where(image > DARKEST, image, np.float32(np.nan)),
        view.grid,
        window_px=view.px(params.window_postings),
        spacing_px=max(view.px(spacing_postings), max(view.grid.shape) // MOST_WINDOWS),
        search_px=view.px(params.tie_search_postings),
        least_score=params.least_score,
    )
    in_dem = to_dem.apply(points.reference_x_m, points.reference_y_m)
    return TiePoints(points.source_x_m, points.source_y_m, *in_dem, points.score)


def _held_out(
    view: View, to_dem: AffineMap, without: Callable[[Array], AffineMap], params: RegistrationParams
) -> Floats:
    """Distances, m, between tie points and maps that were refined without the ground of those tie points' windows."""
    window_px = view.px(params.window_postings)
    blocks = [int(np.clip(length / (1.5 * window_px), 2, FOLDS)) for length in view.grid.shape]
    rows, columns = (np.arange(n) * count // n for n, count in zip(view.grid.shape, blocks, strict=True))
    fold = (rows[:, None] + 2 * columns[None, :]) % FOLDS
    points = _tie_points(view, to_dem, params, params.spacing_postings / HELD_OUT_DENSITY)
    return held_out(points, fold, view.grid, window_px, without)


def _row(view: View, best: Refinement, fit: AffineFit, distances_m: Floats) -> Row:
    to_dem, to_image, grid, gsd_m = best.map, best.map.inverse(), view.grid, view.image.grid.gsd_m
    heights_m = view.heights_m(to_dem)
    known = np.isfinite(heights_m)
    low, high = np.percentile(heights_m[known], [5, 95]) if known.any() else (np.nan, np.nan)
    residual_m = float(np.median(distances_m)) if distances_m.size else float("nan")
    systematic_m = SYSTEMATIC_POSTINGS * view.posting_m
    return {
        **moved(to_image, to_dem.apply(*grid.centre), gsd_m),
        "residual_px": residual_m / gsd_m,
        "residual_m": residual_m,
        "tie_points_used": int(fit.inliers.sum()),
        "tie_points_held_out": int(distances_m.size),
        "ncc_before": view.agreement(AffineMap.identity()),
        "ncc_after": view.agreement(to_dem),
        "valid_fraction": float(view.image.valid.mean()),
        "overlap_fraction": float(known.mean()),
        "expected_error_m": float(np.hypot(expected_rms_m(best.covariance, grid, grid.centre), systematic_m)),
        "relief_m": float(high - low),
        "incidence_deg": view.sun.incidence_deg,
    }


def moved(correction: AffineMap, place: tuple[Any, Any], gsd_m: float) -> Row:
    """Shift at a place, rotation and scale of a correction, in the table's columns."""
    x, y = (float(value) for value in place)
    to_x, to_y = (float(value) for value in correction.apply(x, y))
    _, _, stretch, rotation, _, _ = numbers(correction, (x, y))
    return {
        "shift_x_m": to_x - x,
        "shift_y_m": to_y - y,
        "shift_px": float(np.hypot(to_x - x, to_y - y)) / gsd_m,
        "rotation_deg": float(np.degrees(rotation)),
        "scale": 1 + float(stretch),
    }
