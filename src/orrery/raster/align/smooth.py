"""A smooth field through scattered displacements: cubic B-spline, bending penalty, robust weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from orrery.raster.align.field import Floats, SmoothField

STIFFNESSES = (
    0.0003,
    0.001,
    0.003,
    0.01,
    0.03,
    0.1,
    0.3,
)  # tried; of the bending, against the points of a mesh
STEPS, FEWER_STEPS = 8, 3  # of reweighting
FEWEST = 12  # points: a parabola of displacements, which bends for nothing, has twelve numbers and each point gives two
CAUCHY = 2.5  # sigmas at which a point's weight has halved
OUTLIER = 4.0  # sigmas
FLOOR_PX = 0.03  # of the scatter: below, weights would chase the matching's own small errors
RAYLEIGH_TO_SIGMA = 1.48 / 1.18  # of the median length of a two-dimensional error


@dataclass(frozen=True)
class Measured:
    """Displacements to fit, in px of a lattice whose rows go down; each field is (N,) or (N, 3).

    Attributes:
        rows, columns: places, px.
        down, right: displacements, px.
        information: (N, 3) inverse covariances up to one scale: down, mixed, right.
    """

    rows: Floats
    columns: Floats
    down: Floats
    right: Floats
    information: Floats

    def __len__(self) -> int:
        return self.rows.size


@dataclass(frozen=True)
class Lattice:
    """Knots of a field: the first one's place and their distance, px, and how many there are."""

    row: float
    column: float
    spacing: float
    shape: tuple[int, int]

    @classmethod
    def over(cls, height: int, width: int, spacing: float) -> Lattice:
        """Knots for a field that is wanted on `height` x `width` px."""
        rows, columns = (int(np.ceil((length - 1) / spacing)) + 3 for length in (height, width))
        first = [
            (length - 1) / 2 - (count - 1) / 2 * spacing
            for length, count in ((height, rows), (width, columns))
        ]
        return cls(first[0], first[1], spacing, (rows, columns))

    def design(self, rows: Floats, columns: Floats) -> sparse.csr_array:
        """(N, R * C) weights of the knots at places."""
        down = _basis((rows - self.row) / self.spacing, self.shape[0])
        right = _basis((columns - self.column) / self.spacing, self.shape[1])
        index = down[0][:, :, None] * self.shape[1] + right[0][:, None]
        weight = down[1][:, :, None] * right[1][:, None]
        number = np.repeat(np.arange(rows.size), 16)
        size = (rows.size, self.shape[0] * self.shape[1])
        return sparse.csr_array((weight.ravel(), (number, index.ravel())), shape=size)

    def bending(self) -> Floats:
        """(R * C, R * C) squared second differences of the coefficients in all directions; 0 for planes.

        Third differences fit very smooth warps a little better and run away where there are no points.
        """
        bends = [
            [np.eye(count), np.diff(np.eye(count), 1, axis=0), np.diff(np.eye(count), 2, axis=0)]
            for count in self.shape
        ]
        (down0, down1, down2), (right0, right1, right2) = ([each.T @ each for each in axis] for axis in bends)
        return np.asarray(np.kron(down2, right0) + np.kron(down0, right2) + 2 * np.kron(down1, right1))


@dataclass(frozen=True)
class Fit:
    """Coefficients (2, R * C) down and right, px; the scatter of the points, px; and which of them count."""

    coefficients: Floats
    scatter_px: float
    inliers: NDArray[np.bool_]


class Fitter:
    """Fits one field to measured displacements, and to parts of them."""

    def __init__(self, measured: Measured, lattice: Lattice) -> None:
        self.measured, self.lattice = measured, lattice
        self.design = lattice.design(measured.rows, measured.columns)
        self.dense = self.design.toarray()
        self.values = np.stack([measured.down, measured.right])
        scale = (measured.information[:, 0] + measured.information[:, 2]).mean() / 2
        self.information = measured.information / max(scale, 1e-12)
        knots = self.dense.shape[1]
        self.penalty = len(measured) / knots * lattice.bending()
        self.anchor = 1e-9 * len(measured) * np.eye(knots)  # keeps what no point sees from being undetermined

    def fit(self, stiffness: float, chosen: NDArray[np.bool_] | None = None, steps: int = STEPS) -> Fit:
        """Iteratively reweighted least squares on the chosen points (all when left out)."""
        chosen = np.ones(len(self.measured), bool) if chosen is None else chosen
        robust = chosen.astype(float)
        for _ in range(steps):
            coefficients = self._solve(robust, stiffness)
            distance = self.distances(coefficients)
            scatter = max(RAYLEIGH_TO_SIGMA * float(np.median(distance[chosen])), FLOOR_PX)
            robust = chosen / (1 + (distance / (CAUCHY * scatter)) ** 2)
        return Fit(coefficients, scatter, chosen & (distance < OUTLIER * scatter))

    def distances(self, coefficients: Floats) -> Floats:
        """(N,) of the measured displacements from a field's, px."""
        return np.asarray(np.hypot(*(self.values - (self.design @ coefficients.T).T)))

    def held_out(
        self, stiffness: float, folds: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]]
    ) -> Floats:
        """(N,) distances of points from fields that were fitted without them, px; NaN for points that no fold judges.

        Args:
            stiffness: of the bending.
            folds: pairs of masks: the points to fit, the points to judge.
        """
        found = np.full(len(self.measured), np.nan)
        for fitted, judged in folds:
            if judged.any() and fitted.sum() >= FEWEST:
                distance = self.distances(self.fit(stiffness, fitted, FEWER_STEPS).coefficients)
                found[judged] = distance[judged]
        return found

    def stiffness(self, folds: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]]) -> tuple[float, Floats]:
        """The one that foretells held-out points best, and their (N,) distances; large ones count as three medians."""
        tries = []
        for value in STIFFNESSES:
            distances = self.held_out(value, folds)
            known = distances[np.isfinite(distances)]
            cost = np.mean(np.minimum(known, 3 * np.median(known)) ** 2) if known.size else 0.0
            tries.append((float(cost), value, distances))
        _, value, distances = min(tries, key=lambda item: item[0])
        return value, distances

    def _solve(self, robust: Floats, stiffness: float) -> Floats:
        """(2, R * C) of weighted least squares; both coordinates at once, as information ties them."""
        knots = self.dense.shape[1]
        blocks = [self.dense.T @ ((robust * weight)[:, None] * self.dense) for weight in self.information.T]
        matrix = np.block([[blocks[0], blocks[1]], [blocks[1], blocks[2]]])
        for half in (slice(None, knots), slice(knots, None)):
            matrix[half, half] += stiffness * self.penalty + self.anchor
        down, mixed, right = (self.information * robust[:, None]).T
        pull = np.stack(
            [down * self.values[0] + mixed * self.values[1], mixed * self.values[0] + right * self.values[1]]
        )
        return np.asarray(linalg.solve(matrix, (pull @ self.dense).ravel(), assume_a="pos")).reshape(2, knots)


def to_field(
    coefficients: Floats, lattice: Lattice, corner_m: tuple[float, float], gsd_m: float
) -> SmoothField:
    """Coefficients in px as a field in map metres, for a grid with north up.

    Args:
        coefficients: (2, R * C) down and right, px.
        lattice: their knots.
        corner_m: map position of the centre of pixel (0, 0).
        gsd_m: of the pixels.
    """
    down, right = (plane.reshape(lattice.shape) * gsd_m for plane in coefficients)
    left_m, top_m = corner_m[0] + lattice.column * gsd_m, corner_m[1] - lattice.row * gsd_m
    return SmoothField(left_m, top_m, lattice.spacing * gsd_m, right, -down)


def _basis(places: Floats, count: int) -> tuple[NDArray[np.int64], Floats]:
    """(N, 4) numbers and weights of the knots that a cubic B-spline has at places, in units of the knots."""
    places = np.clip(places, 1, count - 2 - 1e-9)
    first = np.floor(places).astype(np.int64)
    t = places - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3], 1) / 6
    return first[:, None] + np.arange(-1, 3), weights
