"""An aligned scene on the image's own pixels, as patches are cut from it and predictions are judged on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orrery.errors import OrreryError
from orrery.raster.cube import Cube
from orrery.raster.grid import Grid
from orrery.raster.io import Raster, read, upsample
from orrery.raster.scene import Scene, read_scene
from orrery.systems.mars_bands.aligned import Alignment, bands_name, load_aligned
from orrery.systems.mars_bands.spectral import SpectralBasis, check_bands

Array = NDArray[np.float32]


@dataclass(frozen=True)
class PlacedScene:
    """A scene of the align stage.

    Attributes:
        scene: its item.
        image: I/F over the cosine of the incidence, (H, W), NaN invalid.
    """

    scene: Scene
    image: Raster

    @property
    def id(self) -> str:
        """Name of the scene."""
        return self.scene.id

    @property
    def site(self) -> str:
        """Name of its ground: every scene has its own, which the gate sees to by their footprints."""
        return self.scene.id

    @property
    def region(self) -> str:
        """The part of Mars that it lies in."""
        return self.scene.kind

    def bands(self, alignment: Alignment, wavelengths_nm: Sequence[float]) -> Array | None:
        """(B, H, W) I/F on the image's pixels, a spline through the cells; None where that alignment was not kept."""
        if self.scene.asset(bands_name(alignment)) is None:
            return None
        pair = load_aligned(self.scene.folder, wavelengths_nm, alignment)
        return self._on_image(pair.bands.values, pair.bands.grid)

    def spectra(self) -> Cube:
        """All bands that the cube has, as aligned, on its own cells."""
        return load_aligned(self.scene.folder).bands

    def coefficients(self, basis: SpectralBasis) -> Array:
        """(D, H, W) of the spectra as aligned, on the image's pixels; NaN where a spectrum is unknown.

        Raises:
            OrreryError: the cube has other bands than the basis.
        """
        cube = self.spectra()
        check_bands(cube.wavelengths_nm.tolist(), basis.wavelengths_nm, self.scene.folder)
        return self._on_image(basis.encode(cube.values), cube.grid)

    def _on_image(self, planes: Array, grid: Grid) -> Array:
        """Splines through the cells, at the image's pixels."""
        return np.stack([upsample(Raster(plane, grid), self.image.grid) for plane in planes])

    @cached_property
    def dem(self) -> Array | None:
        """(H, W) heights on the image's pixels, m; None for a scene without."""
        path = self.scene.asset("dem")
        return upsample(read(path, body="mars"), self.image.grid) if path else None


def load_placed(folder: Path) -> PlacedScene:
    """Read one folder that the align stage wrote.

    Raises:
        OrreryError: something is missing from it, or nothing tells how high the sun stood.
    """
    scene = read_scene(folder)
    return PlacedScene(scene, lit_from_above(read(folder / "ctx.tif", body="mars"), elevation_of(scene)))


def lit_from_above(image: Raster, sun_elevation_deg: float) -> Raster:
    """I/F over the cosine of the incidence on level ground, as MTRDR cubes are; without it no level could be predicted."""
    cosine = np.float32(np.sin(np.radians(sun_elevation_deg)))
    return Raster(image.values / cosine, image.grid, image.tags)


def elevation_of(scene: Scene) -> float:
    """The sun's elevation over a scene, degrees.

    Raises:
        OrreryError: the item does not tell, or the sun is below the horizon.
    """
    elevation = scene.item.properties.get("view:sun_elevation")
    if not isinstance(elevation, int | float) or not 0 < elevation <= 90:
        problem = f"tells no sun above the horizon (view:sun_elevation is {elevation})"
        remedy = "add it to the raw scene: 90 degrees less the INCIDENCE_ANGLE of the CTX label"
        raise OrreryError(problem, file=scene.folder / "item.json", remedy=remedy)
    return float(elevation)
