"""Where a coarse DEM lies in the frame of one image: shading simulated, sought, matched and refined.

First as Chen et al. (2022, section II.A) do it: the DEM shaded at the image's sun, tie points between that and the image,
an affine map by RANSAC. Then a refinement from the whole image: each pixel's brightness becomes the slope towards the sun
that explains it, and the slopes' means are compared with the DEM's (see `raster.align.refine`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from orrery.errors import OrreryError
from orrery.instruments.photometry import Sun
from orrery.params import Fraction, Positive, Section
from orrery.raster.align import (
    Refinement,
    Spread,
    TiePoints,
    displacement,
    expected_rms_m,
    fit_affine,
    match,
    refine,
)
from orrery.raster.align.affine import numbers
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.io import Raster, Spline
from orrery.raster.shade import shade, sunward_slope
from orrery.raster.windows import block_means, coarser
from orrery.seeds import stream

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Row = dict[str, float]

STEPS_PER_POSTING = 4
LARGEST_PX = 1_000_000  # of the working grid: bounds time and memory for images of any size
EXPOSURE_POSTINGS = 8.0  # below this scale brightness is taken for shading, above it for exposure and albedo
DARKEST = 0.1  # of flat ground's brightness: below lies shadow, which tells no slope
FOLDS = 4
LEAST_OVERLAP = 0.05
LEAST_VALID, WHOLLY_VALID = 0.7, 0.97


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
    rotation_deg: Positive = Field(0.15, description="expected rotation, one standard deviation")
    stretch: Positive = Field(0.0015, description="expected error of scale, one standard deviation")
    shear: Positive = Field(
        0.0007, description="expected shear and difference of scales, one standard deviation"
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


@dataclass(frozen=True)
class Setting:
    """An image on the working grid and a DEM to be placed.

    Attributes:
        grid: about four pixels a posting.
        factor: pixels of the image along a side of one of its pixels.
        brightness: (H, W) means of the image.
        dem: heights, m.
        posting_m: of the DEM.
        sun: in the image frame.
    """

    grid: Grid
    factor: int
    brightness: Array
    dem: Spline
    posting_m: float
    sun: Sun

    def heights_m(self, to_dem: AffineMap, grid: Grid | None = None) -> Array:
        """(H, W) heights of the DEM when the image's places are taken to the DEM's by a map; NaN beyond it."""
        return self.dem.on(to_dem.moved(grid or self.grid))

    def simulated(self, to_dem: AffineMap, grid: Grid | None = None) -> Array:
        """(H, W) the DEM shaded at the image's sun, flat ground 1."""
        return shade(self.heights_m(to_dem, grid), self.grid.gsd_m, self.sun)

    def levelled(self, values: Array) -> Array:
        """(H, W) values over their local mean, less 1: exposure, albedo and the widest forms removed."""
        return np.asarray(values / _smooth(values, self.blur_px) - 1, np.float32)

    @property
    def blur_px(self) -> float:
        """Scale between shading and exposure, px."""
        return EXPOSURE_POSTINGS * self.posting_m / self.grid.gsd_m

    def px(self, postings: float) -> int:
        """Postings as whole pixels of the working grid."""
        return max(1, round(postings * self.posting_m / self.grid.gsd_m))


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
    setting = _setting(image, dem, sun)
    prior = Spread(params.shift_m, params.stretch, params.rotation_deg, params.shear)
    if near is None:
        around, start = AffineMap.identity(), _sought(setting, params)
    else:
        around = start = near.inverse()
        prior = Spread(near_m or params.shift_m, params.stretch, params.rotation_deg, params.shear)
    points = _tie_points(setting, start, params)
    rng = stream(seed, "registration")
    fit = fit_affine(
        points,
        setting.grid.centre,
        prior,
        tolerance_m=params.tolerance_postings * setting.posting_m,
        rng=rng,
        around=start,
    )
    matched = fit.map
    observed, weight = _observed_slopes(image, setting, matched)
    refined = _refined(setting, observed, weight, matched, prior, around)
    distances_m = _held_out(setting, observed, weight, refined, prior, around, params)
    row = _row(setting, image, refined, int(fit.inliers.sum()), distances_m)
    return Registration(refined.map.inverse(), row, matched.inverse())


def _setting(image: Raster, dem: Raster, sun: Sun) -> Setting:
    if image.grid.crs != dem.grid.crs:
        raise OrreryError(
            "image and DEM lie in different coordinate systems",
            remedy="project the DEM into the image's (gdalwarp -t_srs)",
        )
    posting_m, (height, width) = dem.grid.gsd_m, image.values.shape
    factor = max(
        1, round(posting_m / STEPS_PER_POSTING / image.grid.gsd_m), ceil(sqrt(height * width / LARGEST_PX))
    )
    grid = coarser(image.grid, factor)
    setting = Setting(
        grid, factor, block_means(_padded(image.values, grid, factor), factor), Spline(dem), posting_m, sun
    )
    if np.isfinite(setting.heights_m(AffineMap.identity())).mean() < LEAST_OVERLAP:
        raise OrreryError("the DEM does not reach the image", remedy="give a DEM of the image's place")
    return setting


def _padded(values: Array, grid: Grid, factor: int) -> Array:
    """Values and NaN up to whole blocks of a coarser grid."""
    missing = [(0, length * factor - size) for length, size in zip(grid.shape, values.shape, strict=True)]
    return np.pad(values, missing, constant_values=np.nan)


def _sought(setting: Setting, params: RegistrationParams) -> AffineMap:
    """Map from image to DEM, a shift: the best place of the whole image in the simulated one, on half the working grid."""
    reach = setting.px(params.search_postings / 2)
    grid = coarser(setting.grid, 2)
    beyond = grid.window(-reach, -reach, grid.height + 2 * reach, grid.width + 2 * reach)
    rows, columns = (length // 2 * 2 for length in setting.grid.shape)
    image = block_means(setting.levelled(setting.brightness)[:rows, :columns], 2)
    heights_m = setting.heights_m(AffineMap.identity(), beyond)
    shaded = shade(heights_m, grid.gsd_m, setting.sun)
    simulated = shaded / _smooth(shaded, setting.blur_px / 2) - 1
    down, right, _ = displacement(np.nan_to_num(simulated), np.nan_to_num(image))
    if not np.isfinite(down):
        return AffineMap.identity()
    # the place of the image's upper left pixel in the simulated grid is where the DEM shows that ground
    (x, y), (x0, y0) = beyond.xy(down, right), grid.xy(0, 0)
    return AffineMap((((1.0, 0.0), (0.0, 1.0))), (float(x - x0), float(y - y0)), setting.grid.centre)


def _tie_points(
    setting: Setting, to_dem: AffineMap, params: RegistrationParams, only: NDArray[np.bool_] | None = None
) -> TiePoints:
    """Places of the image (whose windows lie wholly in `only`) and, as `to_dem` should have them, of the DEM."""
    image = setting.levelled(setting.brightness)
    points = match(
        setting.levelled(setting.simulated(to_dem)),
        image if only is None else np.where(only, image, np.float32(np.nan)),
        setting.grid,
        window_px=setting.px(params.window_postings),
        spacing_px=setting.px(params.spacing_postings),
        search_px=setting.px(params.tie_search_postings),
        least_score=params.least_score,
        least_valid=LEAST_VALID if only is None else WHOLLY_VALID,
    )
    in_dem = to_dem.apply(points.reference_x_m, points.reference_y_m)
    return TiePoints(points.source_x_m, points.source_y_m, *in_dem, points.score)


def _observed_slopes(image: Raster, setting: Setting, to_dem: AffineMap) -> tuple[Array, Array]:
    """(H, W) mean slopes towards the sun, from the image's own pixels, and the share of pixels that told one."""
    simulated = _smooth(setting.simulated(to_dem), setting.blur_px)
    exposure = _smooth(setting.brightness, setting.blur_px) / np.maximum(simulated, 0.05)
    factor = setting.factor
    relative = _padded(image.values, setting.grid, factor) / np.kron(
        exposure, np.ones((factor, factor), np.float32)
    )
    relative[~(relative > DARKEST)] = np.nan
    known = np.isfinite(relative).astype(np.float32)
    return block_means(sunward_slope(relative, setting.sun), factor), block_means(known, factor)


def _refined(
    setting: Setting, observed: Array, weight: Array, start: AffineMap, prior: Spread, around: AffineMap
) -> Refinement:
    return refine(
        observed,
        weight,
        setting.grid,
        lambda to_dem: sunward_slope(setting.simulated(to_dem), setting.sun),
        start=start,
        prior=prior,
        around=around,
        bearing_deg=setting.sun.azimuth_deg,
        posting_m=setting.posting_m,
    )


def _held_out(
    setting: Setting,
    observed: Array,
    weight: Array,
    refined: Refinement,
    prior: Spread,
    around: AffineMap,
    params: RegistrationParams,
) -> Floats:
    """Distances, m, between tie points and maps that were refined without the ground of those tie points' windows."""
    rows, columns = (np.arange(length) * FOLDS // length for length in setting.grid.shape)
    fold = (rows[:, None] + 2 * columns[None, :]) % FOLDS
    distances = []
    for number in range(FOLDS):
        points = _tie_points(setting, refined.map, params, only=fold == number)
        without = _refined(setting, observed, weight * (fold != number), refined.map, prior, around).map
        x, y = without.apply(points.source_x_m, points.source_y_m)
        distances.append(np.hypot(x - points.reference_x_m, y - points.reference_y_m))
    return np.concatenate(distances)


def _row(setting: Setting, image: Raster, refined: Refinement, used: int, distances_m: Floats) -> Row:
    to_dem, to_image, grid = refined.map, refined.map.inverse(), setting.grid
    heights_m = setting.heights_m(to_dem)
    known = np.isfinite(heights_m)
    low, high = np.percentile(heights_m[known], [5, 95]) if known.any() else (np.nan, np.nan)
    residual_m = float(np.median(distances_m)) if distances_m.size else float("nan")
    return {
        **moved(to_image, to_dem.apply(*grid.centre), image.grid.gsd_m),
        "residual_px": residual_m / image.grid.gsd_m,
        "residual_m": residual_m,
        "tie_points_used": used,
        "tie_points_held_out": int(distances_m.size),
        "ncc_before": _agreement(setting, AffineMap.identity()),
        "ncc_after": _agreement(setting, to_dem),
        "valid_fraction": float(image.valid.mean()),
        "overlap_fraction": float(known.mean()),
        "expected_error_m": expected_rms_m(refined.covariance, grid, grid.centre),
        "relief_m": float(high - low),
        "incidence_deg": setting.sun.incidence_deg,
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


def _agreement(setting: Setting, to_dem: AffineMap) -> float:
    """Normalised cross-correlation of the levelled image and the levelled simulated one."""
    return correlation(setting.levelled(setting.brightness), setting.levelled(setting.simulated(to_dem)))


def correlation(one: Array, other: Array) -> float:
    """Normalised cross-correlation where both are valid; NaN where that is nowhere."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 2 or min(np.ptp(one[both]), np.ptp(other[both])) == 0:
        return float("nan")
    return float(np.corrcoef(one[both], other[both])[0, 1])


def _smooth(values: Array, sigma_px: float) -> Array:
    """Gaussian mean of the valid values; NaN stays NaN."""
    known = np.isfinite(values)
    weight = ndimage.gaussian_filter(known.astype(np.float32), sigma_px)
    total = ndimage.gaussian_filter(np.where(known, values, 0).astype(np.float32), sigma_px)
    return np.where(known, total / np.maximum(weight, 1e-3), np.nan).astype(np.float32)
