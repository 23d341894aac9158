"""Images laid onto a grid through a found warp, resampled once by a cubic spline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyproj
from numpy.typing import ArrayLike, NDArray
from rasterio.crs import CRS
from scipy import interpolate, ndimage

from orrery.errors import OrreryError
from orrery.raster.align.field import SmoothField
from orrery.raster.grid import AffineMap, Grid

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
DEGREE = 3
NODE_PX = (
    16  # of the lattice on which positions are computed; between them a cubic spline is exact to 1e-3 px
)
STEPS = 30  # of inverting a field; each shrinks the error by the field's slope, a few percent
SETTLED_M = 1e-3
WHOLE = 0.999  # share of valid neighbours that a resampled pixel needs


@dataclass(frozen=True)
class Correction:
    """What leads from positions as written in a file to true ones: an affine map, then a smooth field.

    Attributes:
        affine: of positions as written, in the reference's coordinate system.
        field: of what the affine map gives.
    """

    affine: AffineMap
    field: SmoothField | None = None

    def apply(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Corrected positions, m."""
        x, y = self.affine.apply(x, y)
        return self.field.apply(x, y) if self.field else (x, y)

    def undo(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Positions as written, m, of true ones: the inverse of `apply`, to a millimetre.

        Raises:
            OrreryError: the field folds the ground over and has no inverse.
        """
        x, y = np.asarray(x, float), np.asarray(y, float)
        before_x, before_y = x, y
        for _ in range(STEPS if self.field else 0):
            assert self.field is not None
            dx, dy = self.field.displacement(before_x, before_y)
            change = max(float(np.abs(x - dx - before_x).max()), float(np.abs(y - dy - before_y).max()))
            before_x, before_y = x - dx, y - dy
            if change < SETTLED_M:
                break
        else:
            if self.field:
                raise OrreryError("a warp folds the ground over", remedy="fit it with a greater stiffness")
        return self.affine.inverse().apply(before_x, before_y)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {"affine": self.affine.to_dict(), "field": self.field.to_dict() if self.field else None}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Correction:
        """The inverse of `to_dict`."""
        field = content["field"]
        return cls(AffineMap.from_dict(content["affine"]), SmoothField.from_dict(field) if field else None)


class Bands(Protocol):
    """What `warp` takes: a cube, or anything that has its planes and its place."""

    @property
    def values(self) -> Array:
        """(B, H, W), NaN invalid."""
        ...

    @property
    def grid(self) -> Grid:
        """Where they lie."""
        ...


def warp(cube: Bands, correction: Correction, grid: Grid) -> Array:
    """The bands of a cube on a grid of the reference's coordinate system, (B, H, W); NaN without a value.

    Raises:
        OrreryError: the warp folds over, or there is no way between the coordinate systems.
    """
    positions = positions_as_written(grid, correction, cube.grid)
    out = np.empty((len(cube.values), *grid.shape), np.float32)
    last = np.zeros(cube.grid.shape, bool)
    whole = np.zeros(grid.shape, bool)
    for number, values in enumerate(cube.values):
        band = SplineBand(values)
        if not np.array_equal(band.valid, last):  # most bands of a cube share their mask
            whole, last = _whole(band.valid, positions), band.valid
        out[number] = np.where(whole, band.at(positions), np.float32(np.nan))
    return out


@dataclass(frozen=True)
class SplineBand:
    """One band as interpolating spline."""

    values: Array

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """(H, W)."""
        return np.isfinite(self.values)

    @cached_property
    def coefficients(self) -> Array:
        """(H, W) of the cubic B-spline; invalid pixels hold the nearest valid value."""
        values = self.values
        if not self.valid.all():
            nearest = ndimage.distance_transform_edt(~self.valid, return_distances=False, return_indices=True)
            values = values[tuple(nearest)] if self.valid.any() else np.zeros_like(values)
        return np.asarray(ndimage.spline_filter(values, DEGREE, np.float32, mode="mirror"))

    def at(self, positions: Array) -> Array:
        """Values at (2, ...) rows and columns, which may lie where nothing is valid."""
        found: Array = ndimage.map_coordinates(
            self.coefficients, positions, np.float32, DEGREE, mode="mirror", prefilter=False
        )
        return found

    def masked(self, positions: Array) -> Array:
        """Values at positions; NaN where one of the four nearest pixels is invalid."""
        return np.where(_whole(self.valid, positions), self.at(positions), np.float32(np.nan))


def _whole(valid: NDArray[np.bool_], positions: Array) -> NDArray[np.bool_]:
    """Where all of the four nearest pixels are valid."""
    share = ndimage.map_coordinates(
        valid.astype(np.float32), positions, np.float32, order=1, mode="constant", cval=0.0
    )
    return np.asarray(share > WHOLE)


def positions_as_written(grid: Grid, correction: Correction, source: Grid) -> Array:
    """(2, H, W) rows and columns in `source` of what a corrected image shows at the pixel centres of `grid`.

    Computed on a lattice and interpolated: warp and projections are smooth over its meshes.

    Raises:
        OrreryError: the warp folds over, or there is no way between the coordinate systems.
    """
    axes = [
        np.linspace(0, length - 1, max(int(np.ceil(length / NODE_PX)) + 1, DEGREE + 1))
        for length in grid.shape
    ]
    x, y = grid.xy(*np.meshgrid(*axes, indexing="ij"))
    nodes = source.rowcol(*between(grid.crs, source.crs, *correction.undo(x, y)))
    pixels = [np.arange(length) for length in grid.shape]
    return np.stack(
        [interpolate.RectBivariateSpline(*axes, values, s=0)(*pixels).astype(np.float32) for values in nodes]
    )


def between(source: CRS, target: CRS, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Map positions of one coordinate system in another of the same body, m.

    Raises:
        OrreryError: there is no way.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if source == target:
        return x, y
    try:
        transformer = pyproj.Transformer.from_crs(
            pyproj.CRS.from_wkt(source.to_wkt()), pyproj.CRS.from_wkt(target.to_wkt()), always_xy=True
        )
        return transformer.transform(x, y, errcheck=True)
    except pyproj.exceptions.ProjError as error:
        raise OrreryError(
            f"no way from one coordinate system to another ({' '.join(str(error).split())})",
            remedy="give images of one body, each in a projection that covers the other's area",
        ) from error
