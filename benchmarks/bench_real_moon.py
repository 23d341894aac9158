"""The champion on real pixels: LROC NAC M139939938LE near the lunar south pole, beside what others made of it.

Labelled real throughout. The stereo DEM is no truth for slopes (it has steps), and agreement with the image rewards fitting the
image: both are told, neither is a score of heights. Skipped without the products (see docs/how-to/apply-a-model.md).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from affine import Affine
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.row import Row
from orrery.instruments.photometry import Sun
from orrery.raster.grid import Grid, meridian_convergence_deg
from orrery.raster.io import Raster, read, resample, upsample, write
from orrery.raster.shade import shade
from orrery.stages import predict
from orrery.systems.lunar_dtm.features import exposure_field, make_planes
from orrery.systems.lunar_dtm.photoclinometry import Spectra
from orrery.systems.lunar_dtm.pictures import save
from orrery.tracking.registry import load

Array = NDArray[np.float32]
FOLDER = (
    Path(os.environ.get("ORRERY_SHARED", Path(__file__).parents[2] / "shared/data"))
    / "moon/nac_m139939938le_85s"
)
IMAGE, STEREO, SFS = (
    FOLDER / name
    for name in ("run-M139939938LE-final-meas-intensity.tif", "run-crop-DEM.tif", "run-DEM-final.tif")
)
SUN_TRUE_NORTH = (-5.4275, 6.5481)  # azimuth and elevation, degrees, of the log beside the products
POSTING_M = 60.0
BORDER_PX = 12
PICTURE = Path("docs/pictures/real-nac.png")


def rows() -> list[Row]:
    """Correlation of each shaded surface with the image, and heights against the stereo DEM."""
    if not FOLDER.is_dir():
        return []
    image = read(IMAGE)
    sun = Sun((SUN_TRUE_NORTH[0] + meridian_convergence_deg(image.grid)) % 360, SUN_TRUE_NORTH[1])
    surfaces = _surfaces(image, sun)
    _picture(image, surfaces, sun)
    stereo = surfaces["stereo DEM (ASP)"]
    likeness = {name: _correlation(surface, image, sun) for name, surface in surfaces.items()}
    conditions = f"real: LROC NAC M139939938LE, {image.grid.gsd_m:.2f} m/px, incidence {sun.incidence_deg:.1f} deg, coarse = its stereo DEM at 60 m"
    coarse = likeness["coarse DEM"]
    found = [
        Row(
            f"real NAC: {name}, shaded, against the image",
            value,
            "correlation",
            conditions,
            "coarse DEM",
            coarse,
            f"figure >= {max(0.85, coarse + 0.08):.3f}" if name == "orrery-dtm" else "",
        )
        for name, value in likeness.items()
    ]
    errors = {name: _rmse(surface, stereo) for name, surface in surfaces.items() if surface is not stereo}
    bicubic = errors["coarse DEM"]
    return found + [
        Row(f"real NAC: {name} against the stereo DEM", value, "m RMSE", conditions, "coarse DEM", bicubic)
        for name, value in errors.items()
    ]


def _surfaces(image: Raster, sun: Sun) -> Mapping[str, Array]:
    """Heights on the image's grid, m, by name."""
    stereo, model = read(STEREO), load("lunar-dtm")
    with TemporaryDirectory() as folder:
        dem = Path(folder) / "coarse.tif"
        coarse = _coarsened(stereo)
        write(dem, {"elevation_m": coarse.values}, coarse.grid)
        azimuth, elevation = SUN_TRUE_NORTH
        request = {"images": [IMAGE], "dem": dem, "sun": (azimuth, elevation), "align": False}
        predict.run(
            "lunar-dtm", {**request, "image_band": 1, "dem_band": 1}, Path(folder) / "product", "champion"
        )
        ours = read(Path(folder) / "product/dtm.tif").values
    coarse_m = upsample(coarse, image.grid)
    spectra = Spectra(**model.recipe["spectra"])
    posting_px = POSTING_M / image.grid.gsd_m
    rendered = shade(coarse_m, image.grid.gsd_m, sun)
    exposure = exposure_field(image.values, rendered, image.grid.gsd_m)
    planes = make_planes(image.values, exposure, coarse_m, image.grid.gsd_m, sun, spectra, posting_px)
    return {
        "coarse DEM": coarse_m,
        "stereo DEM (ASP)": stereo.values,
        "shape from shading (ASP)": read(SFS).values,
        "photoclinometry": coarse_m + planes.photoclinometry * np.float32(image.grid.gsd_m),
        "orrery-dtm": ours,
    }


def _coarsened(stereo: Raster) -> Raster:
    """Means over 60 m; the rim is continued outwards by one posting, since the stereo DEM ends with the image."""
    grid = stereo.grid
    left, bottom, right, top = grid.bounds
    height, width = (int(np.ceil(size / POSTING_M)) + 2 for size in (top - bottom, right - left))
    place = Affine(POSTING_M, 0, left - POSTING_M, 0, -POSTING_M, top + POSTING_M)
    margin = int(np.ceil(2 * POSTING_M / grid.gsd_m))
    padded = np.pad(stereo.values, margin, mode="edge")
    around = grid.window(-margin, -margin, *padded.shape)
    return resample(Raster(padded, around, {}), Grid(grid.crs, place, height, width), method="average")


def _correlation(surface: Array, image: Raster, sun: Sun) -> float:
    inner = (slice(BORDER_PX, -BORDER_PX),) * 2
    seen, shaded = image.values[inner], shade(surface, image.grid.gsd_m, sun)[inner]
    known = np.isfinite(seen) & np.isfinite(shaded)
    return float(np.corrcoef(seen[known], shaded[known])[0, 1])


def _rmse(surface: Array, stereo: Array) -> float:
    inner = (slice(BORDER_PX, -BORDER_PX),) * 2
    difference = (surface - stereo)[inner]
    return float(np.sqrt(np.nanmean((difference - np.nanmedian(difference)) ** 2)))


def _picture(image: Raster, surfaces: Mapping[str, Array], sun: Sun) -> None:
    """Each surface under the image's sun (top) and across it (bottom)."""
    figure = Figure(figsize=(18, 6.4), layout="constrained")
    axes = figure.subplots(2, len(surfaces) + 1)
    across = Sun((sun.azimuth_deg + 90) % 360, 25)
    _show(
        axes[0, 0],
        image.values,
        f"NAC image, {image.grid.gsd_m:.2f} m/px, incidence {sun.incidence_deg:.0f}°",
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
    save(figure, PICTURE)


def _show(axis: object, plane: Array, title: str) -> None:
    inner = plane[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
    low, high = np.nanpercentile(inner, [1, 99])
    axis.imshow(inner, cmap="gray", vmin=low, vmax=high)  # type: ignore[attr-defined]
    axis.set_title(title, fontsize=9)  # type: ignore[attr-defined]
    axis.set_axis_off()  # type: ignore[attr-defined]
