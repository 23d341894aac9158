"""Small scenes in data/mars's layout: an image, a cube of the same ground about 250 m off, and the truth."""

from datetime import UTC, datetime

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from scipy import ndimage

from orrery.raster.align import Correction, SmoothField
from orrery.raster.align.warping import between
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.io import write
from orrery.raster.scene import write_scene
from orrery.seeds import stream

CTX = CRS.from_string("IAU_2015:49910")
LOCAL = CRS.from_proj4("+proj=eqc +lat_ts=-20 +R=3396190 +units=m +no_defs")
WAVELENGTHS_NM = (442.63, 533.74, 592.35, 1079.96, 1500.03, 2503.12)
WHEN = datetime(2007, 3, 1, tzinfo=UTC)


def ground(name: str) -> np.ndarray:
    rng, values = stream(2, name), np.zeros((460, 440))
    for sigma in (1.5, 4, 12):
        noise = ndimage.gaussian_filter(rng.standard_normal(values.shape), sigma)
        values += noise / noise.std()
    return values


def make_scene(root, name: str, left_m=300_000.0, products=None, sun_true_north=None):
    """A scene whose bands are I/F of .1 to .3 under an hourglass footprint, about 250 m off; returns its truth."""
    grid = Grid(CTX, Affine(6, 0, left_m, 0, -6, -80_000), 460, 440)
    noise = ndimage.gaussian_filter(stream(6, name).standard_normal((2, 12, 12)), (0, 1.2, 1.2))
    field = SmoothField(left_m - 900, grid.bounds[3] + 900, 450.0, *(12 * noise / np.abs(noise).max()))
    truth = Correction(AffineMap(((1.0008, 0.0012), (-0.0011, 1.0005)), (210.0, -130.0), grid.centre), field)
    scene = ground(name)
    x, y = (float(place[0]) for place in between(CTX, LOCAL, *([place] for place in grid.centre)))
    cube = Grid(LOCAL, Affine(18, 0, x - 1100, 0, -18, y + 900), 100, 100)
    down, right = np.indices(cube.shape)
    rows, columns = grid.rowcol(*truth.apply(*between(LOCAL, CTX, *cube.xy(down, right))))
    seen = ndimage.map_coordinates(
        ndimage.gaussian_filter(scene, 1.3), [rows, columns], order=3, mode="nearest"
    )
    seen[np.abs(right - 50) > 36 + 0.006 * (down - 50) ** 2] = np.nan
    folder = root / name
    folder.mkdir(parents=True)
    write(folder / "ctx.tif", {"i_over_f": (0.2 + 0.02 * scene).astype(np.float32)}, grid)
    bands = {
        f"{nm:.2f} nm": (0.1 + 0.02 * i + 0.02 * seen).astype(np.float32)
        for i, nm in enumerate(WAVELENGTHS_NM)
    }
    write(folder / "crism.tif", bands, cube)
    properties = {
        "orrery:site": name.split("-")[1],
        "orrery:kind": "gale",
        "orrery:time_difference_days": 12.0,
        "orrery:truth": {"crism": {"affine": truth.affine.to_dict(), "field": field.to_dict()}},
    }
    if products:
        properties["orrery:products"] = products
    write_scene(
        folder, name, {"ctx": "ctx.tif", "crism": "crism.tif"}, grid, sun_true_north, properties, WHEN, "mars"
    )
    return truth
