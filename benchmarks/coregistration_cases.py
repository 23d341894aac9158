"""Pairs of images with a known warp between them, made from real CTX crops; see `bench_coregistration`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio.crs import CRS
from scipy import ndimage

from orrery.raster.align import Correction, SmoothField
from orrery.raster.align.warping import positions_as_written
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.io import Raster
from orrery.raster.windows import block_means
from orrery.seeds import stream

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
SIDE_PX, GSD_M, CELL_PX = 1200, 6.0, 3
RIM_PX = 20  # of the reference left out of the judgement, as in the research note
WARP_PX, CORRELATION_PX, KNOTS_PX = 3.0, 300.0, 60.0
GRID = Grid(
    CRS.from_string("IAU_2015:49910"), Affine(GSD_M, 0, 200_000, 0, -GSD_M, -90_000), SIDE_PX, SIDE_PX
)


@dataclass(frozen=True)
class Case:
    """One kind of pair: what moves, how tones change, what is missing."""

    name: str
    shift_px: tuple[float, float] = (38.0, -24.0)
    warped: bool = True
    rotation_deg: float = 0.0
    stretch: float = 0.0
    tones: str = "gamma"  # or "none", "inverted", "saturating", "folded"
    missing: str = ""  # or "hourglass", "holes"


CASES = {
    "a": Case("shift of (3.4, -2.7) px", (3.4, -2.7), warped=False, tones="none"),
    "b": Case("smooth warp of at most 3 px", (0.0, 0.0), tones="none"),
    "c": Case("shift, warp, blur, gamma, noise, stripes"),
    "d1": Case("c with 35 % of inverted contrast", tones="inverted"),
    "d3": Case("c with saturating tones, albedo units, own texture", tones="saturating"),
    "d2": Case("c with folded tones and strong own texture", tones="folded"),
    "c, rotation of 1 deg": Case("c turned", rotation_deg=1.0),
    "c, scale of 1 %": Case("c stretched", stretch=0.01),
    "c, hourglass": Case("c in an hourglass footprint", missing="hourglass"),
    "c, holes": Case("c with 10 % in holes without data", missing="holes"),
}


@dataclass(frozen=True)
class Pair:
    """A pair and its truth.

    Attributes:
        reference, moving: on one grid, NaN invalid; values 1 to 255.
        truth: from positions as written in the moving image to true ones.
        judged: (H, W) pixels of the reference that the moving image shows.
        written: (2, H, W) true rows and columns in the moving image of the reference's pixels.
    """

    reference: Raster
    moving: Raster
    truth: Correction
    judged: NDArray[np.bool_]
    written: Array

    def error_px(self, rows_columns: Array) -> float:
        """Root mean square distance from the truth, px, of rows and columns (2, H, W); NaN where one is missing."""
        distance = np.hypot(*(rows_columns - self.written))[self.judged]
        return float(np.sqrt(np.mean(distance**2)))


def make_pair(crop: Path, case: Case, seed: int) -> Pair:
    """The pair of a case, from one CTX crop of 2000 x 2000 px."""
    scene = np.asarray(Image.open(crop).convert("L"), np.float32)
    first = (scene.shape[0] - SIDE_PX) // 2
    truth = _truth(case, seed, crop.stem)
    rows, columns = GRID.rowcol(*truth.apply(*GRID.xy(*np.indices(GRID.shape))))
    image = ndimage.map_coordinates(scene, [rows + first, columns + first], order=5, mode="reflect")
    rng = stream(seed, crop.stem, case.name, "tones")
    if case.tones != "none":
        image = _recorded(_TONES[case.tones](_unit(image), rng), rng)
    values = np.clip(np.rint(image), 1, 255).astype(np.float32)
    values[_missing(case.missing, rng)] = np.nan
    written = positions_as_written(GRID, truth, GRID)
    seen = ndimage.map_coordinates(np.isfinite(values).astype(np.float32), written, order=1, cval=0.0) > 0.999
    seen &= ((written >= 0) & (written <= SIDE_PX - 1)).all(0)
    judged = np.zeros(GRID.shape, bool)
    judged[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] = seen[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
    reference = scene[first : first + SIDE_PX, first : first + SIDE_PX].clip(1, 255)
    return Pair(Raster(reference, GRID), Raster(values, GRID), truth, judged, written)


def _truth(case: Case, seed: int, crop: str) -> Correction:
    turn, scale = np.radians(case.rotation_deg), 1 + case.stretch
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    right, down = case.shift_px
    rows = tuple((float(row[0]), float(row[1])) for row in matrix)
    affine = AffineMap((rows[0], rows[1]), (-right * GSD_M, down * GSD_M), GRID.centre)
    return Correction(affine, _warp(stream(seed, crop, "warp")) if case.warped else None)


def _warp(rng: np.random.Generator) -> SmoothField:
    """A random field with a Gaussian covariance; its 1/e length is twice the filter's sigma."""
    count, margin = int(SIDE_PX / KNOTS_PX) + 6, 20
    sigma = CORRELATION_PX / KNOTS_PX / 2
    planes = []
    for _ in range(2):
        noise = rng.standard_normal((count + 2 * margin, count + 2 * margin))
        plane = ndimage.gaussian_filter(noise, sigma)[margin:-margin, margin:-margin]
        plane -= plane.mean()
        planes.append(plane * WARP_PX * GSD_M / np.abs(plane).max())
    left, _, _, top = GRID.bounds
    step = KNOTS_PX * GSD_M
    return SmoothField(left - 2.5 * step, top + 2.5 * step, step, planes[0], planes[1])


def _unit(image: Array) -> Array:
    low, high = np.percentile(image, [0.5, 99.5])
    return np.asarray(np.clip((image - low) / (high - low), 0, 1), np.float32)


def _recorded(tones: Array, rng: np.random.Generator) -> Array:
    """Tones from 0 to 1 as an instrument of 18 m records them: point spread, noise, column offsets; back at 6 m."""
    cells = ndimage.gaussian_filter(block_means(tones**0.8, CELL_PX), 0.4)
    low, high = np.percentile(cells, [0.5, 99.5])
    cells = cells + 0.03 * (high - low) * rng.standard_normal(cells.shape)
    cells = cells + 0.02 * (high - low) * rng.standard_normal(cells.shape[1])
    places = (np.arange(SIDE_PX) - (CELL_PX - 1) / 2) / CELL_PX
    fine = ndimage.map_coordinates(cells, np.meshgrid(places, places, indexing="ij"), order=3, mode="nearest")
    low, high = np.percentile(fine, [0.2, 99.8])
    return np.asarray(1 + 253 * np.clip((fine - low) / (high - low), 0, 1), np.float32)


def _units(rng: np.random.Generator) -> Array:
    """Albedo units: two kinds of ground with soft borders, 0 to 1."""
    ground = ndimage.gaussian_filter(rng.standard_normal(GRID.shape), 40)
    return np.asarray(1 / (1 + np.exp(-8 * ground / ground.std())), np.float32)


def _texture(rng: np.random.Generator) -> Array:
    """What only the moving image shows, of unit spread."""
    ground = ndimage.gaussian_filter(rng.standard_normal(GRID.shape), 6)
    return np.asarray(ground / ground.std(), np.float32)


def _inverted(image: Array, rng: np.random.Generator) -> Array:
    ground = ndimage.gaussian_filter(rng.standard_normal(GRID.shape), 60)
    share = 1 / (1 + np.exp(-12 * (ground - np.quantile(ground, 0.65)) / ground.std()))
    mirrored = 2 * ndimage.gaussian_filter(image, 80) - image
    return np.asarray(np.clip(image + share * (mirrored - image), 0, 1), np.float32)


def _saturating(image: Array, rng: np.random.Generator) -> Array:
    units = _units(rng)
    tones = image**2 * (0.6 + 0.8 * units) + 0.25 * units + 0.01 * _texture(rng)
    return np.asarray((tones - tones.min()) / np.ptp(tones), np.float32)


def _folded(image: Array, rng: np.random.Generator) -> Array:
    smooth = ndimage.gaussian_filter(image, 3)
    detail = image - ndimage.gaussian_filter(image, 25)
    tones = 0.3 * np.sin(2.1 * np.pi * smooth) + 0.25 * _units(rng) + 0.5 * detail + 0.03 * _texture(rng)
    return np.asarray((tones - tones.min()) / np.ptp(tones), np.float32)


_TONES: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "gamma": lambda image, rng: image,
    "inverted": _inverted,
    "saturating": _saturating,
    "folded": _folded,
}


def _missing(kind: str, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Pixels without data: outside a footprint narrow in its middle, as CRISM's, or in round holes."""
    rows, columns = np.indices(GRID.shape) / (SIDE_PX - 1) - 0.5
    if kind == "hourglass":
        return np.asarray(np.abs(columns - 0.1 * rows) > 0.27 + 0.7 * rows**2)
    if kind == "holes":
        ground = ndimage.gaussian_filter(rng.standard_normal(GRID.shape), 15)
        return np.asarray(ground > np.quantile(ground, 0.9))
    return np.zeros(GRID.shape, bool)
