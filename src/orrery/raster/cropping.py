"""The part of a large raster that an area needs, whatever projection the area is in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.warp import transform_bounds

from orrery.errors import OrreryError
from orrery.raster.grid import RADIUS_M, Body, Grid, check_body
from orrery.raster.raster import Raster
from orrery.raster.reading import open_windows, read


def crop(path: Path, body: Body, around: Grid, margin_m: float) -> Raster:
    """The part of a raster that lies around a grid in any projection of the same body; degrees become metres.

    Global maps may count longitudes from 0 or from -180: what lies a turn away is found, and moved to where others
    look for it.

    Raises:
        OrreryError: as `raster.io.read`; or it covers none of the area.
    """
    with open_windows(path, body=None) as source:
        grid = source.grid
    check_body(grid.crs, body, path)
    turn = 360.0 if grid.crs.is_geographic else 2 * np.pi * RADIUS_M[body]
    margin = float(np.degrees(margin_m / RADIUS_M[body])) if grid.crs.is_geographic else margin_m
    left, bottom, right, top = transform_bounds(around.crs, grid.crs, *around.bounds, densify_pts=21)
    for shift in (0.0, turn, -turn):
        edges = (left - margin + shift, bottom - margin, right + margin + shift, top + margin)
        window = _window(grid, edges)
        if window is not None:
            part = read(path, body=body, window=window, reproject_to_metres=True)
            moved = Affine.translation(0.0 if grid.crs.is_geographic else -shift, 0)
            return Raster(part.values, part.grid.moved(moved), part.tags)
    raise OrreryError("covers none of the area", file=path, remedy="give the product that lies there")


def _window(grid: Grid, edges: tuple[float, float, float, float]) -> tuple[int, int, int, int] | None:
    """First row, first column, height and width of what lies within left, bottom, right, top; None: nothing."""
    left, bottom, right, top = edges
    rows, columns = grid.rowcol([left, right, left, right], [top, bottom, bottom, top])
    row, column = (max(int(np.floor(ends.min())), 0) for ends in (rows, columns))
    bottom_row, right_column = (
        min(int(np.ceil(ends.max())) + 1, size)
        for ends, size in zip((rows, columns), grid.shape, strict=True)
    )
    if bottom_row <= row or right_column <= column:
        return None
    return row, column, bottom_row - row, right_column - column
