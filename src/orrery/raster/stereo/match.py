"""A stereo pair to a disparity map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from orrery.errors import OrreryError
from orrery.raster.stereo.consistency import islands, outliers, without_outliers
from orrery.raster.stereo.least_squares import refine
from orrery.raster.stereo.search import Search, search
from orrery.raster.windows import block_means
from orrery.section import Count, Positive, Section

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

LARGEST_COARSE_OUTLIER_PX = 0.5
COARSE = (
    2  # the search works on pixels twice as large: an eighth of the work, and a start within half a pixel
)


class MatchParams(Section):
    """How a pair is matched. Lengths are in px of the images."""

    search_px: Annotated[
        Count, Field(description="largest difference of disparities from the middle one")
    ] = 24
    search_window_px: Annotated[Count, Field(description="side of the window that is searched")] = 18
    window_px: Annotated[
        int, Field(ge=3, description="width of the two boxes whose convolution is the least-squares window")
    ] = 7
    steps: Annotated[Count, Field(description="Gauss-Newton steps")] = 3
    min_correlation: Annotated[float, Field(gt=-1, lt=1, description="below it a pixel is invalid")] = 0.3
    max_inconsistency_px: Annotated[
        Positive, Field(description="largest difference between searches from left and from right")
    ] = 3.0
    max_outlier_px: Annotated[
        Positive, Field(description="largest difference from the median of its neighbours")
    ] = 0.5
    max_step_px: Annotated[Positive, Field(description="largest difference between neighbours")] = 1.0
    min_island_px: Annotated[
        int, Field(ge=0, description="smallest area, px, whose disparities stand by themselves")
    ] = 2500


@dataclass(frozen=True)
class Match:
    """What was found about a pair; all (H, W) on the left image's pixels.

    Attributes:
        disparity_px: rows from left to right, finite everywhere.
        valid: where it can be trusted: inside both images, textured, consistent from either side, like its neighbours.
        inconsistency_px: difference between the searches from left and from right, to two pixels.
    """

    disparity_px: Array
    valid: Mask
    inconsistency_px: Array


def match(left: Array, right: Array, params: MatchParams, middle_px: int = 0) -> Match:
    """Match a pair along columns.

    Args:
        left: (H, W), NaN invalid.
        right: (Hr, W), NaN invalid.
        params: windows and range.
        middle_px: about which disparities lie, e.g. of `coarse_shift`.

    Raises:
        OrreryError: the images differ in width, are smaller than the windows, or hold no valid pixel.
    """
    _check(left, right, params)
    seen, unseen = np.isfinite(left), ~np.isfinite(right)
    left, right = filled(left), filled(right)
    found = _coarse(left, right, params, middle_px)
    disparity = refine(left, right, found.disparity_px, params.window_px, params.steps)
    inconsistency = np.abs(found.disparity_px - found.backward_px)
    valid = seen & (found.correlation > params.min_correlation)
    valid &= inconsistency <= params.max_inconsistency_px
    valid &= ~outliers(disparity, params.max_outlier_px)
    valid &= _shown(~seen, unseen, disparity, params.window_px)
    valid &= ~islands(disparity, valid, params.max_step_px, params.min_island_px)
    return Match(disparity, valid, inconsistency)


def filled(image: Array) -> Array:
    """The image with invalid pixels replaced by the nearest valid one, (H, W).

    Raises:
        OrreryError: no pixel is valid.
    """
    invalid = ~np.isfinite(image)
    if not invalid.any():
        return np.asarray(image, np.float32)
    if invalid.all():
        raise OrreryError("an image of the pair holds no valid pixel", remedy="give another product")
    rows, columns = ndimage.distance_transform_edt(invalid, return_distances=False, return_indices=True)
    return np.asarray(image[rows, columns], np.float32)


def _coarse(left: Array, right: Array, params: MatchParams, middle_px: int) -> Search:
    """The search at half the resolution, on full pixels."""
    low, high = (round((middle_px + sign * params.search_px) / COARSE) for sign in (-1, 1))
    window = max(3, round(params.search_window_px / COARSE))
    found = search(_halved(left), _halved(right), window, low, high)
    disparity = without_outliers(found.disparity_px, LARGEST_COARSE_OUTLIER_PX)
    planes = (COARSE * disparity, found.correlation, COARSE * found.backward_px)
    return Search(*(_doubled(plane, left.shape) for plane in planes))


def _halved(image: Array) -> Array:
    """Means of 2 x 2 pixels; a last odd row or column is repeated."""
    odd = [(0, length % COARSE) for length in image.shape]
    return block_means(np.pad(image, odd, mode="edge"), COARSE)


def _doubled(plane: Array, shape: tuple[int, int]) -> Array:
    """Every pixel as 2 x 2."""
    return np.repeat(np.repeat(plane, COARSE, 0), COARSE, 1)[: shape[0], : shape[1]]


def _shown(left_unseen: Mask, right_unseen: Mask, disparity_px: Array, window_px: int) -> Mask:
    """Where the whole window lies on valid pixels of both images, (H, W)."""
    side = 2 * window_px - 1
    height = right_unseen.shape[0]
    rows = np.rint(np.arange(len(disparity_px))[:, None] + disparity_px).astype(np.intp)
    reach = window_px - 1
    inside = (rows >= reach) & (rows < height - reach)
    if right_unseen.any():
        spread = ndimage.maximum_filter(right_unseen, side)
        inside &= ~np.take_along_axis(spread, np.clip(rows, 0, height - 1), 0)
    if left_unseen.any():
        inside &= ~ndimage.maximum_filter(left_unseen, side)
    return np.asarray(inside)


def _check(left: Array, right: Array, params: MatchParams) -> None:
    if left.shape[1] != right.shape[1]:
        problem = f"a pair of {left.shape[1]} and {right.shape[1]} columns cannot be matched"
        raise OrreryError(problem, remedy="crop both images to the columns that they share")
    least = 2 * max(params.search_window_px, 2 * params.window_px)
    if min(*left.shape, right.shape[0]) < least:
        problem = f"images of {left.shape[0]} and {right.shape[0]} rows and {left.shape[1]} columns"
        raise OrreryError(f"{problem} are too small to match", remedy=f"give at least {least} x {least} px")
