"""A smooth displacement of map positions: what is left between two images once no affine map can mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

Floats = NDArray[np.float64]
DEGREE = 3


@dataclass(frozen=True)
class SmoothField:
    """Displacements as a cubic B-spline on a regular lattice of knots.

    As an `AffineMap` does, it leads from positions as written in a file to those in the reference's frame. Beyond the
    lattice it goes on as it is at the edge.

    Attributes:
        left_m, top_m: map position of the first knot, m.
        spacing_m: distance of the knots, m; rows of knots go down, y falls.
        dx_m, dy_m: (R, C) spline coefficients, m.
    """

    left_m: float
    top_m: float
    spacing_m: float
    dx_m: Floats
    dy_m: Floats

    def displacement(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Displacement at map positions, m; of their common shape."""
        columns = (np.asarray(x, float) - self.left_m) / self.spacing_m
        rows = (self.top_m - np.asarray(y, float)) / self.spacing_m
        places = np.stack(np.broadcast_arrays(rows, columns))
        dx, dy = (
            ndimage.map_coordinates(
                plane, places.reshape(2, -1), order=DEGREE, mode="nearest", prefilter=False
            ).reshape(places.shape[1:])
            for plane in (self.dx_m, self.dy_m)
        )
        return dx, dy

    def apply(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Corrected positions, m."""
        dx, dy = self.displacement(x, y)
        return np.asarray(x, float) + dx, np.asarray(y, float) + dy

    @property
    def steepness(self) -> float:
        """A bound on how much the displacement changes over a distance, as a share of it; below 1 nothing folds over."""
        changes = [
            np.abs(np.diff(plane, axis=axis)).max(initial=0)
            for plane in (self.dx_m, self.dy_m)
            for axis in (0, 1)
        ]
        return float(max(changes[0] + changes[1], changes[2] + changes[3])) / self.spacing_m

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON, to the millimetre."""
        return {
            "left_m": self.left_m,
            "top_m": self.top_m,
            "spacing_m": self.spacing_m,
            "dx_m": np.round(self.dx_m, 3).tolist(),
            "dy_m": np.round(self.dy_m, 3).tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SmoothField:
        """The inverse of `to_dict`."""
        dx_m, dy_m = (np.asarray(content[name], float) for name in ("dx_m", "dy_m"))
        left_m, top_m, spacing_m = (float(content[name]) for name in ("left_m", "top_m", "spacing_m"))
        if dx_m.ndim != 2 or dx_m.shape != dy_m.shape or not spacing_m > 0:
            raise ValueError("a field whose parts do not fit")
        return cls(left_m, top_m, spacing_m, dx_m, dy_m)
