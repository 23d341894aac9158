"""Where pixels lie on a body: grids, affine corrections of them, and the check that it is the right body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from os import PathLike
from typing import Any, Literal

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from pyproj.exceptions import CRSError, ProjError
from rasterio.crs import CRS

from orrery.errors import OrreryError

Floats = NDArray[np.float64]
Body = Literal["moon", "mars", "jupiter"]
# Semi-major axes, m: report of the IAU Working Group on Cartographic Coordinates 2015 (Archinal et al. 2018,
# Celest. Mech. Dyn. Astron. 130:22); Earth's (WGS 84) only serves to name the commonest mistake.
RADIUS_M = {"moon": 1_737_400.0, "mars": 3_396_190.0, "jupiter": 71_492_000.0}
EARTH_RADIUS_M = 6_378_137.0
RADIUS_TOLERANCE = 0.005  # older products use radii of the same body that differ by up to 0.1 %
NORTH_STEP_DEG = 1e-4  # 3 m on the Moon: short against a map's curvature, long against rounding


@dataclass(frozen=True)
class Grid:
    """A raster's place on a body.

    Attributes:
        crs: coordinate system; empty for an image in camera geometry.
        transform: pixel corner (column, row) to map (x right, y up), m; may be rotated.
        height: rows.
        width: columns.
    """

    crs: CRS
    transform: Affine
    height: int
    width: int
    # Geotransform of the grid that this is a window of, and the window's first row and column there. Positions
    # are computed from it, so that a pixel has bit for bit the same place in a window as in the whole.
    _whole: tuple[Affine, int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_whole", (self.transform, 0, 0))

    def __getstate__(self) -> dict[str, Any]:
        """Sent to another process, the CRS goes as WKT 2: rasterio sends WKT 1, which holds less."""
        return {**self.__dict__, "crs": self.crs.to_wkt(version="WKT2_2019") if self.crs else ""}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        crs = CRS.from_wkt(state["crs"]) if state["crs"] else CRS()
        self.__dict__.update(state, crs=crs)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), px."""
        return self.height, self.width

    @property
    def gsd_m(self) -> float:
        """Geometric mean of the pixel's sides, m."""
        return float(abs(self.transform.determinant) ** 0.5)

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

    def xy(self, row: ArrayLike, column: ArrayLike) -> tuple[Floats, Floats]:
        """Map coordinates, m, of fractional pixels; integers are pixel centres."""
        t, first_row, first_column = self._whole
        r, c = np.asarray(row, float) + (first_row + 0.5), np.asarray(column, float) + (first_column + 0.5)
        return t.a * c + t.b * r + t.c, t.d * c + t.e * r + t.f

    def rowcol(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Fractional pixels of map coordinates in m, the inverse of `xy`."""
        whole, first_row, first_column = self._whole
        t = ~whole
        x, y = np.asarray(x, float), np.asarray(y, float)
        return t.d * x + t.e * y + t.f - (first_row + 0.5), t.a * x + t.b * y + t.c - (first_column + 0.5)

    def positions_in(self, other: Grid) -> Floats:
        """Fractional rows and columns in `other`, of the same CRS, of all pixel centres here: (2, H, W)."""
        whole, first_row, first_column = self._whole
        t = ~other.transform * whole
        rows = (np.arange(self.height) + (first_row + 0.5))[:, None]
        columns = (np.arange(self.width) + (first_column + 0.5))[None]
        positions = np.empty((2, *self.shape))
        np.add(t.e * rows + (t.f - 0.5), t.d * columns, out=positions[0])
        np.add(t.b * rows + (t.c - 0.5), t.a * columns, out=positions[1])
        return positions

    def window(self, row: int, column: int, height: int, width: int) -> Grid:
        """The grid of a part, which may reach beyond this one."""
        whole, first_row, first_column = self._whole
        return _part(self.crs, whole, (first_row + row, first_column + column), (height, width))

    def moved(self, correction: Affine) -> Grid:
        """The grid with an affine correction of map positions applied to its geotransform."""
        whole, first_row, first_column = self._whole
        return _part(self.crs, correction * whole, (first_row, first_column), self.shape)

    def footprint(self) -> dict[str, Any]:
        """GeoJSON polygon of the outline: east longitude and planetocentric latitude, degrees.

        Longitudes go on beyond 180 degrees where the outline crosses that meridian.
        """
        transformer = _to_geographic(self.crs)
        middle, _ = transformer.transform(*self.centre)
        longitude, latitude = transformer.transform(*self._corners())
        ring = [
            [round(middle + (float(east) - middle + 180) % 360 - 180, 7), round(float(north), 7)]
            for east, north in zip(longitude, latitude, strict=True)
        ]
        return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}

    def _corners(self) -> tuple[Floats, Floats]:
        """Outer corners from the upper left on, counter-clockwise on the map."""
        rows = np.array([-0.5, self.height - 0.5, self.height - 0.5, -0.5])
        columns = np.array([-0.5, -0.5, self.width - 0.5, self.width - 0.5])
        return self.xy(rows, columns)


def _part(crs: CRS, whole: Affine, first: tuple[int, int], shape: tuple[int, int]) -> Grid:
    """A window of the grid with geotransform `whole`, which remembers it."""
    row, column = first
    grid = Grid(crs, whole * Affine.translation(column, row) if any(first) else whole, *shape)
    object.__setattr__(grid, "_whole", (whole, row, column))
    return grid


@dataclass(frozen=True)
class AffineMap:
    """A correction of positions: p -> centre + matrix (p - centre) + shift, map metres.

    Attributes:
        matrix: two rows of two, of the order of the identity.
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

    @property
    def affine(self) -> Affine:
        """The same as one affine matrix on (x, y), m."""
        (a, b), (d, e) = self.matrix
        (cx, cy), (sx, sy) = self.centre_m, self.shift_m
        return Affine(a, b, cx + sx - a * cx - b * cy, d, e, cy + sy - d * cx - e * cy)

    def apply(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Corrected coordinates, m."""
        (a, b), (d, e) = self.matrix
        (cx, cy), (sx, sy) = self.centre_m, self.shift_m
        x, y = np.asarray(x, float) - cx, np.asarray(y, float) - cy
        return a * x + b * y + (cx + sx), d * x + e * y + (cy + sy)

    def inverse(self) -> AffineMap:
        """The correction that undoes this one, about the same centre."""
        return self._of(~self.affine)

    def compose(self, other: AffineMap) -> AffineMap:
        """First `other`, then this; about this one's centre."""
        return self._of(self.affine * other.affine)

    def moved(self, grid: Grid) -> Grid:
        """`grid` with its geotransform corrected exactly: no pixel is resampled."""
        return grid.moved(self.affine)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
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
        numbers = [float(each) for each in (a, b, d, e, sx, sy, cx, cy)]
        if not all(isfinite(each) for each in numbers):
            raise ValueError("a map with numbers that are not finite")
        return cls(((a, b), (d, e)), (sx, sy), (cx, cy))

    def _of(self, t: Affine) -> AffineMap:
        """An affine matrix as a correction about this one's centre."""
        cx, cy = self.centre_m
        shift = (t.a * cx + t.b * cy + t.c - cx, t.d * cx + t.e * cy + t.f - cy)
        return AffineMap(((t.a, t.b), (t.d, t.e)), shift, self.centre_m)


def check_body(crs: CRS | None, body: Body, file: str | PathLike[str]) -> None:
    """Refuse a raster without coordinates, or one that lies on another body (told by its ellipsoid's radius).

    Raises:
        OrreryError: naming the file and the remedy.
    """
    name = body.capitalize()
    if not crs:
        remedy = f"map-project it, or give it an IAU_2015 system of {name} (gdal_edit -a_srs)"
        raise OrreryError("has no coordinate system", file=file, remedy=remedy)
    axis_m = _semi_major_axis_m(crs)
    known = {**RADIUS_M, "earth": EARTH_RADIUS_M}
    found = [other for other, radius in known.items() if abs(axis_m / radius - 1) < RADIUS_TOLERANCE]
    if found != [body]:
        place = found[0].capitalize() if found else "another body"
        raise OrreryError(
            f"lies on {place} (radius {axis_m / 1000:.1f} km), not on {name}",
            file=file,
            remedy=f"give a raster of {name}, or correct a wrong tag (gdal_edit -a_srs IAU_2015:…)",
        )


def meridian_convergence_deg(grid: Grid) -> float:
    """Angle, clockwise from image up, at which true north lies at a grid's middle, degrees in (-180, 180].

    An azimuth from true north plus this is the azimuth from image up. It is found by going north by 3 m (south
    at a north pole), so it holds for any projection and for rotated geotransforms. Pixels are taken as square.

    Raises:
        OrreryError: the coordinate system is no map projection of a body.
    """
    transformer = _to_geographic(grid.crs)
    longitude, latitude = transformer.transform(*grid.centre)
    step_deg = NORTH_STEP_DEG if latitude + NORTH_STEP_DEG < 90 else -NORTH_STEP_DEG
    x, y = transformer.transform(longitude, latitude + step_deg, direction="INVERSE")
    row, column = grid.rowcol(x, y)
    sign = np.sign(step_deg)
    up, right = sign * ((grid.height - 1) / 2 - float(row)), sign * (float(column) - (grid.width - 1) / 2)
    return float(np.degrees(np.arctan2(right, up)))


@lru_cache(maxsize=32)
def _semi_major_axis_m(crs: CRS) -> float:
    """NaN where the system has no ellipsoid."""
    try:
        ellipsoid = pyproj.CRS.from_wkt(crs.to_wkt()).ellipsoid
    except CRSError:
        return float("nan")
    return float(ellipsoid.semi_major_metre) if ellipsoid else float("nan")


@lru_cache(maxsize=32)
def _to_geographic(crs: CRS) -> pyproj.Transformer:
    """From map metres to longitude and latitude on the same body."""
    try:
        source = pyproj.CRS.from_wkt(crs.to_wkt())
        return pyproj.Transformer.from_crs(source, source.geodetic_crs, always_xy=True)
    except (CRSError, ProjError) as error:
        problem = "a grid has no usable coordinate system"
        raise OrreryError(problem, remedy="use an IAU_2015 projection") from error
