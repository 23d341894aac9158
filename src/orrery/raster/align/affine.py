"""Affine corrections as six numbers of plain meaning, and their fit to tie points.

The numbers are, about a centre c: shift to the right and up (m), stretch of the scale, rotation (anticlockwise, radians),
difference of the two stretches, shear. A point p moves by their sum, each times its direction in `directions`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.measure import ransac
from skimage.transform import AffineTransform

from orrery.raster.align.tiepoints import TiePoints
from orrery.raster.grid import AffineMap

Floats = NDArray[np.float64]
Point = tuple[float, float]
MOST_POINTS = 1000  # of RANSAC, whose last step needs memory as their square
FEWEST_POINTS = 6  # twice what an affine map needs; below, a fit says nothing


@dataclass(frozen=True)
class Spread:
    """Standard deviations that a correction is expected to have before anything is measured.

    Attributes:
        shift_m: of each coordinate.
        stretch: of the scale, as a share.
        rotation_deg: of the rotation.
        shear: of the difference of the stretches and of the shear, as a share.
    """

    shift_m: float
    stretch: float
    rotation_deg: float
    shear: float

    def vector(self) -> Floats:
        """(6,) in the order of the six numbers."""
        rotation = np.radians(self.rotation_deg)
        return np.array([self.shift_m, self.shift_m, self.stretch, rotation, self.shear, self.shear])


@dataclass(frozen=True)
class AffineFit:
    """A correction and how it was found.

    Attributes:
        map: from the source's coordinates to the reference's.
        covariance: (6, 6) of its numbers about the centre.
        inliers: (N,) which tie points made it.
    """

    map: AffineMap
    covariance: Floats
    inliers: NDArray[np.bool_]


def numbers(correction: AffineMap, centre: Point) -> Floats:
    """(6,) of a correction about a centre."""
    x, y = correction.apply(*centre)
    (a, b), (d, e) = correction.matrix
    shift = [float(x) - centre[0], float(y) - centre[1]]
    return np.array([*shift, (a + e) / 2 - 1, (d - b) / 2, (a - e) / 2, (b + d) / 2])


def from_numbers(six: Floats, centre: Point) -> AffineMap:
    """The correction of six numbers about a centre."""
    x, y, stretch, rotation, difference, shear = (float(value) for value in six)
    matrix = ((1 + stretch + difference, shear - rotation), (shear + rotation, 1 + stretch - difference))
    return AffineMap(matrix, (x, y), centre)


def directions(x: Floats, y: Floats, centre: Point) -> Floats:
    """(6, 2, N): by how much each number moves points in x and y, m per unit."""
    right, up = np.ravel(x) - centre[0], np.ravel(y) - centre[1]
    one, none = np.ones_like(right), np.zeros_like(right)
    return np.array([[one, none], [none, one], [right, up], [-up, right], [right, -up], [up, right]])


def fit_affine(
    points: TiePoints,
    centre: Point,
    prior: Spread,
    *,
    tolerance_m: float,
    rng: np.random.Generator,
    around: AffineMap | None = None,
) -> AffineFit:
    """The correction from source to reference: consensus by RANSAC, then least squares held by the prior.

    Too few points leave the prior's mean with the prior's covariance: no evidence, no correction.

    Args:
        points: matched places, m.
        centre: about which the prior holds.
        prior: expected size of the six numbers.
        tolerance_m: distance within which a point agrees with a candidate.
        rng: stream of RANSAC's draws.
        around: mean of the prior; no correction when left out.
    """
    mean = numbers(around or AffineMap.identity(), centre)
    inliers = _consensus(points, tolerance_m, rng)
    chosen = points.where(inliers)
    precision = np.diag(prior.vector() ** -2)
    if not len(chosen):
        return AffineFit(from_numbers(mean, centre), np.asarray(np.linalg.inv(precision)), inliers)
    design = directions(chosen.source_x_m, chosen.source_y_m, centre).reshape(6, -1)
    moved = np.concatenate(
        [chosen.reference_x_m - chosen.source_x_m, chosen.reference_y_m - chosen.source_y_m]
    )
    variance = tolerance_m**2
    for _ in range(3):  # the points' own scatter replaces the tolerance as their variance
        information = design @ design.T / variance + precision
        six = mean + np.linalg.solve(information, design @ (moved - design.T @ mean) / variance)
        residual = moved - design.T @ six
        variance = float((residual**2).sum() / max(residual.size - 6, 1)) + 1e-12
    return AffineFit(from_numbers(six, centre), np.asarray(np.linalg.inv(information)), inliers)


def _consensus(points: TiePoints, tolerance_m: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(N,) points that one affine map explains to the tolerance; none when there are too few."""
    none = np.zeros(len(points), bool)
    if len(points) < FEWEST_POINTS:
        return none
    source = np.column_stack([points.source_x_m, points.source_y_m])
    reference = np.column_stack([points.reference_x_m, points.reference_y_m])
    origin = source.mean(0)  # map coordinates are millions of metres: keep the algebra near zero
    source, reference = source - origin, reference - origin
    some = rng.permutation(len(points))[:MOST_POINTS]
    model, inliers = ransac(  # type: ignore[no-untyped-call]
        (source[some], reference[some]), AffineTransform, 3, tolerance_m, max_trials=500, rng=rng
    )
    if inliers is None or inliers.sum() < FEWEST_POINTS:
        return none
    return np.asarray(np.hypot(*(model(source) - reference).T) < tolerance_m)
