"""Where pixels lie on a body: grids, affine corrections of them, and the check that the body is the right one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from rasterio.crs import CRS

from orrery.errors import OrreryError

Floats = NDArray[np.float64]
# Semi-major axes, m (IAU Working Group on Cartographic Coordinates, 2015)
RADIUS_M = {"moon": 1_737_400.0, "mars": 3_396_190.0, "jupiter": 71_492_000.0}
RADIUS_TOLERANCE = 0.005


@dataclass(frozen=True)
class Grid:
    """A raster's place: coordinate system, geotransform (pixel corner to map metres; may be rotated) and size."""

    crs: CRS
    transform: Affine
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), px."""
        return self.height, self.width

    @property
    def gsd_m(self) -> float:
        """Geometric mean of the pixel's sides, m."""
        return float(abs(self.transform.determinant) ** 0.5)

    def xy(self, row: ArrayLike, column: ArrayLike) -> tuple[Floats, Floats]:
        """Map coordinates, m, of fractional pixels; integers are pixel centres."""
        r, c = np.asarray(row, float) + 0.5, np.asarray(column, float) + 0.5
        t = self.transform
        return t.a * c + t.b * r + t.c, t.d * c + t.e * r + t.f

    def rowcol(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Fractional pixels of map coordinates, the inverse of `xy`."""
        t = ~self.transform
        x, y = np.asarray(x, float), np.asarray(y, float)
        return t.d * x + t.e * y + t.f - 0.5, t.a * x + t.b * y + t.c - 0.5

    def window(self, row: int, column: int, height: int, width: int) -> Grid:
        """The grid of a part, which may reach beyond this one."""
        return Grid(self.crs, self.transform * Affine.translation(column, row), height, width)

    @property
    def centre(self) -> tuple[float, float]:
        """Map coordinates of the middle, m."""
        x, y = self.xy((self.height - 1) / 2, (self.width - 1) / 2)
        return float(x), float(y)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top of the outer pixel edges, m."""
        x, y = self._corners()
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())

    def footprint(self) -> dict[str, Any]:
        """GeoJSON polygon of the outline, planetocentric longitude and latitude in degrees."""
        longitude, latitude = _to_geographic(self.crs).transform(*self._corners())
        ring = [[round(float(a), 7), round(float(b), 7)] for a, b in zip(longitude, latitude, strict=True)]
        return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}

    def _corners(self) -> tuple[Floats, Floats]:
        rows = np.array([-0.5, self.height - 0.5, self.height - 0.5, -0.5])
        columns = np.array([-0.5, -0.5, self.width - 0.5, self.width - 0.5])
        return self.xy(rows, columns)


@dataclass(frozen=True)
class AffineMap:
    """A correction of positions: p -> centre + matrix (p - centre) + shift, map metres.

    Attributes:
        matrix: two rows of two.
        shift_m: x to the right, y upwards.
        centre_m: where the shift is the whole correction.
    """

    matrix: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 0.0), (0.0, 1.0))
    shift_m: tuple[float, float] = (0.0, 0.0)
    centre_m: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def identity(cls) -> AffineMap:
        """No correction."""
        return cls()

    @classmethod
    def shift(cls, x_m: float, y_m: float) -> AffineMap:
        """A shift alone."""
        return cls(shift_m=(x_m, y_m))

    def apply(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Corrected coordinates, m."""
        t = self.affine
        x, y = np.asarray(x, float), np.asarray(y, float)
        return t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f

    @property
    def affine(self) -> Affine:
        """The same as one affine matrix."""
        (a, b), (d, e) = self.matrix
        cx, cy = self.centre_m
        return Affine(a, b, cx + self.shift_m[0] - a * cx - b * cy, d, e, cy + self.shift_m[1] - d * cx - e * cy)

    def inverse(self) -> AffineMap:
        """The correction that undoes this one."""
        return self._from_affine(~self.affine)

    def compose(self, other: AffineMap) -> AffineMap:
        """First `other`, then this."""
        return self._from_affine(self.affine * other.affine)

    def moved(self, grid: Grid) -> Grid:
        """`grid` with its geotransform corrected: no pixel is resampled."""
        return Grid(grid.crs, self.affine * grid.transform, grid.height, grid.width)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "matrix": [list(row) for row in self.matrix],
            "shift_m": list(self.shift_m),
            "centre_m": list(self.centre_m),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> AffineMap:
        """The inverse of `to_dict`."""
        (a, b), (d, e) = content["matrix"]
        (sx, sy), (cx, cy) = content["shift_m"], content["centre_m"]
        return cls(((a, b), (d, e)), (sx, sy), (cx, cy))

    def _from_affine(self, t: Affine) -> AffineMap:
        cx, cy = self.centre_m
        shift = (t.a * cx + t.b * cy + t.c - cx, t.d * cx + t.e * cy + t.f - cy)
        return AffineMap(((t.a, t.b), (t.d, t.e)), shift, self.centre_m)


def check_body(crs: CRS | None, body: str, file: object) -> None:
    """Refuse a raster without coordinates, or one of another body.

    Raises:
        OrreryError: naming the file and the remedy.
    """
    if not crs:
        raise OrreryError(
            "has no coordinate system", file=str(file), remedy=f"give it an IAU_2015 one of the {body} (gdal_edit -a_srs)"
        )
    radius = pyproj.CRS.from_wkt(crs.to_wkt()).ellipsoid
    axis = radius.semi_major_metre if radius else float("nan")
    if not abs(axis / RADIUS_M[body] - 1) < RADIUS_TOLERANCE:
        found = next((name for name, m in {**RADIUS_M, "earth": 6_378_137.0}.items() if abs(axis / m - 1) < 0.005), "?")
        raise OrreryError(
            f"lies on the {found} (radius {axis / 1000:.1f} km), not on the {body}",
            file=str(file),
            remedy=f"give the {body}'s raster, or correct its coordinate system (IAU_2015)",
        )


def meridian_convergence_deg(grid: Grid) -> float:
    """Angle, clockwise from image up, at which true north lies at the middle of a grid, degrees.

    An azimuth from true north plus this is the azimuth from image up.
    """
    longitude, latitude = _to_geographic(grid.crs).transform(*grid.centre)
    step = 1e-4 if latitude < 89.9 else -1e-4
    x, y = _to_geographic(grid.crs).transform(longitude, latitude + step, direction="INVERSE")
    row, column = grid.rowcol(x, y)
    up, right = (grid.height - 1) / 2 - float(row), float(column) - (grid.width - 1) / 2
    angle = float(np.degrees(np.arctan2(right, up)))
    return angle if step > 0 else (angle + 360) % 360 - 180


@lru_cache(maxsize=32)
def _to_geographic(crs: CRS) -> pyproj.Transformer:
    """Map metres to longitude and latitude on the same body."""
    source = pyproj.CRS.from_wkt(crs.to_wkt())
    target = source.geodetic_crs
    if target is None:
        raise OrreryError("a coordinate system without a body", remedy="use an IAU_2015 one")
    return pyproj.Transformer.from_crs(source, target, always_xy=True)
