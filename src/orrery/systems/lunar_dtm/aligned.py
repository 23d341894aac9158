"""An aligned scene as the later stages read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orrery.errors import OrreryError
from orrery.instruments.photometry import Sun
from orrery.raster.grid import meridian_convergence_deg
from orrery.raster.io import Raster, read, resample
from orrery.raster.scene import read_scene

Array = NDArray[np.float32]


@dataclass(frozen=True)
class AlignedScene:
    """Image, coarse DEM in the image's frame, and truth where there is one.

    Attributes:
        id, site, kind: names; `kind` is the twin's terrain or "real".
        image: linear image values on the image grid, NaN invalid.
        coarse: the coarse DEM's own postings with the corrected geotransform, m.
        coarse_true: the same with the true geotransform; only the twin knows it.
        truth: heights on the image grid, m; None for a scene without.
        nac_dtm: the photogrammetric DTM, m; None for a scene without.
        sun: direction in the image frame.
    """

    id: str
    site: str
    kind: str
    image: Raster
    coarse: Raster
    coarse_true: Raster | None
    truth: Raster | None
    nac_dtm: Raster | None
    sun: Sun

    @property
    def gsd_m(self) -> float:
        """Pixel size, m."""
        return self.image.grid.gsd_m

    @property
    def posting_px(self) -> float:
        """Posting of the coarse DEM, image px."""
        return self.coarse.grid.gsd_m / self.gsd_m

    def truth_px(self, asset: str = "truth") -> Array:
        """(H, W) heights to learn or judge by, px (m / GSD).

        Raises:
            OrreryError: the scene has no such asset.
        """
        raster = self.truth if asset == "truth" else self.nac_dtm
        if raster is None:
            raise OrreryError(
                f"scene {self.id} has no {asset}",
                file="params.yaml",
                remedy="choose another systems.lunar-dtm.patch.truth",
            )
        if raster.grid != self.image.grid:
            raster = resample(raster, self.image.grid, method="cubic")
        return np.asarray(raster.values / self.gsd_m, np.float32)


def load_aligned(folder: Path) -> AlignedScene:
    """Read one folder that the align stage wrote."""
    scene = read_scene(folder)
    optional = {name: scene.asset(name) for name in ("coarse_true", "truth", "nac_dtm")}
    found = {name: read(path) if path else None for name, path in optional.items()}
    image, coarse = scene.asset("image"), scene.asset("coarse")
    if image is None or coarse is None:
        raise OrreryError("lacks image.tif or coarse.tif", file=folder, remedy="run the align stage again")
    raster = read(image)
    azimuth, elevation = scene.sun_true_north
    sun = Sun((azimuth + meridian_convergence_deg(raster.grid)) % 360, elevation)
    return AlignedScene(scene.id, scene.site, scene.kind, raster, read(coarse), sun=sun, **found)
