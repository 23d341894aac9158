"""The champion on real pixels: an LROC NAC image near the south pole and the WAC mosaic of the Aristarchus plateau.

Labelled real throughout. The stereo DEM is no truth for slopes (it has steps), and agreement with the image rewards fitting the
image: both are told, neither is a score of heights. The plateau is the hard case: its albedo varies as much as its shading.
Skipped without the products (see docs/how-to/apply-a-model.md).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from affine import Affine
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.row import Row
from orrery.figures import save
from orrery.instruments.photometry import Sun
from orrery.raster.grid import Grid, meridian_convergence_deg
from orrery.raster.io import Raster, read, resample, upsample, write
from orrery.raster.shade import shade
from orrery.stages import predict
from orrery.systems.lunar_dtm.features import exposure_field, make_planes
from orrery.systems.lunar_dtm.photoclinometry import Spectra
from orrery.tracking.registry import load

Array = NDArray[np.float32]
MOON = Path(os.environ.get("ORRERY_SHARED", Path(__file__).parents[2] / "shared/data")) / "moon"
NAC, PLATEAU = MOON / "nac_m139939938le_85s", MOON / "quickmap_pairs/Aristarchus_CP/data.tif"
BORDER_PX = 12


@dataclass(frozen=True)
class Case:
    """A real image with a good DEM of the same ground.

    Attributes:
        name: short, for the table.
        image, dem: file and band (from 1).
        dem_name: what the DEM is.
        others: further surfaces to compare with, by name.
        sun_true_north: azimuth and elevation, degrees.
        posting_m: of the coarse DEM that is derived from the good one.
        goals: whether the promised bounds on the correlation hold for this case.
        picture: where to draw it.
    """

    name: str
    image: tuple[Path, int]
    dem: tuple[Path, int]
    dem_name: str
    others: Mapping[str, Path]
    sun_true_north: tuple[float, float]
    posting_m: float
    goals: bool
    picture: Path


CASES = (
    Case(
        "NAC M139939938LE",
        (NAC / "run-M139939938LE-final-meas-intensity.tif", 1),
        (NAC / "run-crop-DEM.tif", 1),
        "stereo DEM (ASP)",
        {"shape from shading (ASP)": NAC / "run-DEM-final.tif"},
        (-5.4275, 6.5481),  # of the log beside the products
        60.0,
        True,
        Path("docs/pictures/real-nac.png"),
    ),
    Case(
        "WAC Aristarchus",
        (PLATEAU, 1),
        (PLATEAU, 3),
        "WAC DEM",
        {},
        (260.0, 25.0),  # the mosaic names none: the sun under which its own DEM explains it best
        2140.0,
        False,
        Path("docs/pictures/real-wac.png"),
    ),
)


def rows() -> list[Row]:
    """Correlation of each shaded surface with the image, and heights against the DEM, for every case at hand."""
    return [row for case in CASES if case.image[0].exists() for row in _judge(case)]


def _judge(case: Case) -> list[Row]:
    image = read(case.image[0], band=case.image[1])
    azimuth_deg, elevation_deg = case.sun_true_north
    sun = Sun((azimuth_deg + meridian_convergence_deg(image.grid)) % 360, elevation_deg)
    surfaces = _surfaces(case, image, sun)
    _picture(case, image, surfaces, sun)
    conditions = (
        f"real: {case.name}, {image.grid.gsd_m:.2f} m/px, incidence {sun.incidence_deg:.1f} deg, "
        f"coarse = {case.dem_name} at {case.posting_m:g} m"
    )
    likeness = {name: _correlation(surface, image, sun) for name, surface in surfaces.items()}
    coarse = likeness["coarse DEM"]
    bounds = {"orrery-dtm": f"figure >= {max(0.85, coarse + 0.08):.3f}"} if case.goals else {}
    found = [
        Row(
            f"{case.name}: {name}, shaded, against the image",
            value,
            "correlation",
            conditions,
            "coarse DEM",
            coarse,
            bounds.get(name, ""),
        )
        for name, value in likeness.items()
    ]
    best = surfaces[case.dem_name]
    errors = {name: _rmse(surface, best) for name, surface in surfaces.items() if surface is not best}
    return found + [
        Row(
            f"{case.name}: {name} against the {case.dem_name}",
            value,
            "m RMSE",
            conditions,
            "coarse DEM",
            errors["coarse DEM"],
        )
        for name, value in errors.items()
    ]


def _surfaces(case: Case, image: Raster, sun: Sun) -> Mapping[str, Array]:
    """Heights on the image's grid, m, by name."""
    good, model = read(case.dem[0], band=case.dem[1]), load("lunar-dtm")
    coarse = _coarsened(good, case.posting_m)
    with TemporaryDirectory() as folder:
        dem, out = Path(folder) / "coarse.tif", Path(folder) / "product"
        write(dem, {"elevation_m": coarse.values}, coarse.grid)
        request = {
            "images": [case.image[0]], "dem": dem, "sun": case.sun_true_north, "align": False,
            "image_band": case.image[1], "dem_band": 1,
        }  # fmt: skip
        predict.run("lunar-dtm", request, out, "champion")
        ours = read(out / "dtm.tif").values
    coarse_m = upsample(coarse, image.grid)
    rendered = shade(coarse_m, image.grid.gsd_m, sun)
    exposure = exposure_field(image.values, rendered, image.grid.gsd_m)
    spectra, posting_px = Spectra(**model.recipe["spectra"]), case.posting_m / image.grid.gsd_m
    planes = make_planes(image.values, exposure, coarse_m, image.grid.gsd_m, sun, spectra, posting_px)
    return {
        "coarse DEM": coarse_m,
        case.dem_name: good.values,
        **{name: read(path).values for name, path in case.others.items()},
        "photoclinometry": coarse_m + planes.photoclinometry * np.float32(image.grid.gsd_m),
        "orrery-dtm": ours,
    }


def _coarsened(good: Raster, posting_m: float) -> Raster:
    """Means over `posting_m`; the rim is continued outwards by one posting, since the DEM ends with the image."""
    grid = good.grid
    left, bottom, right, top = grid.bounds
    height, width = (int(np.ceil(size / posting_m)) + 2 for size in (top - bottom, right - left))
    place = Affine(posting_m, 0, left - posting_m, 0, -posting_m, top + posting_m)
    margin = int(np.ceil(2 * posting_m / grid.gsd_m))
    padded = np.pad(good.values, margin, mode="edge")
    around = grid.window(-margin, -margin, *padded.shape)
    return resample(Raster(padded, around, {}), Grid(grid.crs, place, height, width), method="average")


def _correlation(surface: Array, image: Raster, sun: Sun) -> float:
    inner = (slice(BORDER_PX, -BORDER_PX),) * 2
    seen, shaded = image.values[inner], shade(surface, image.grid.gsd_m, sun)[inner]
    known = np.isfinite(seen) & np.isfinite(shaded)
    return float(np.corrcoef(seen[known], shaded[known])[0, 1])


def _rmse(surface: Array, best: Array) -> float:
    """After removing the median."""
    inner = (slice(BORDER_PX, -BORDER_PX),) * 2
    difference = (surface - best)[inner]
    return float(np.sqrt(np.nanmean((difference - np.nanmedian(difference)) ** 2)))


def _picture(case: Case, image: Raster, surfaces: Mapping[str, Array], sun: Sun) -> None:
    """Each surface under the image's sun (top) and across it (bottom)."""
    figure = Figure(figsize=(3 * len(surfaces) + 3, 6.4), layout="constrained")
    axes = figure.subplots(2, len(surfaces) + 1)
    across = Sun((sun.azimuth_deg + 90) % 360, 25)
    _show(
        axes[0, 0],
        image.values,
        f"{case.name}\n{image.grid.gsd_m:.2f} m/px, incidence {sun.incidence_deg:.0f}°",
    )
    axes[1, 0].set_axis_off()
    for column, (name, surface) in enumerate(surfaces.items(), 1):
        likeness = _correlation(surface, image, sun)
        _show(
            axes[0, column],
            shade(surface, image.grid.gsd_m, sun),
            f"{name}\nthe image's sun: correlation {likeness:.2f}",
        )
        _show(axes[1, column], shade(surface, image.grid.gsd_m, across), "across the sun")
    save(figure, case.picture)


def _show(axis: object, plane: Array, title: str) -> None:
    inner = plane[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
    low, high = np.nanpercentile(inner, [1, 99])
    axis.imshow(inner, cmap="gray", vmin=low, vmax=high)  # type: ignore[attr-defined]
    axis.set_title(title, fontsize=9)  # type: ignore[attr-defined]
    axis.set_axis_off()  # type: ignore[attr-defined]
