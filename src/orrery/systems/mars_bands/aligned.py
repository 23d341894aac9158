"""An aligned scene as the later stages read it: image and cube as written, and what leads from one to the other.

No warped cube is kept: each use resamples the original once, straight onto the image's grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from orrery.errors import OrreryError
from orrery.raster.align.field import SmoothField
from orrery.raster.align.warping import Correction, warp
from orrery.raster.cube import Cube, read_cube
from orrery.raster.grid import AffineMap
from orrery.raster.io import Raster, read, resample, upsample
from orrery.raster.scene import Scene, read_scene

Array = NDArray[np.float32]
Placement = Literal["none", "global", "local", "true"]
FOUND, TRUTH = "orrery:correction", "orrery:truth"


@dataclass(frozen=True)
class AlignedScene:
    """An image, and a cube with what was found about its place.

    Attributes:
        id, site, region: names; every scene has ground of its own, which the gate sees to by its footprint.
        image: I/F on the CTX grid, NaN invalid.
        corrections: placement -> correction of the cube's positions, in the image's coordinate system. "none" is as written,
            "global" the affine map alone, "local" with the field, "true" what the twin knows.
        folder: where crism.tif and dem.tif are.
    """

    id: str
    site: str
    region: str
    image: Raster
    corrections: Mapping[str, Correction]
    folder: Path

    def bands(self, placement: Placement, wavelengths_nm: Sequence[float]) -> Array | None:
        """(B, H, W) I/F on the image's grid, NaN where the cube has none; None where the placement is unknown."""
        correction = self.corrections.get(placement)
        if correction is None:
            return None
        return warp(read_cube(self.folder / "crism.tif", wavelengths_nm), correction, self.image.grid)

    @cached_property
    def dem(self) -> Array | None:
        """(H, W) heights on the image's grid, m; None for a scene without."""
        path = self.folder / "dem.tif"
        return on_grid(read(path, body="mars"), self.image) if path.exists() else None


def on_grid(dem: Raster, image: Raster) -> Array:
    """(H, W) heights of a coarse DEM on an image's grid, m."""
    if dem.grid.crs == image.grid.crs:
        return upsample(dem, image.grid)
    return resample(dem, image.grid, method="cubic").values


def load_aligned(folder: Path) -> AlignedScene:
    """Read one folder that the align stage wrote.

    Raises:
        OrreryError: something is missing from it.
    """
    scene = read_scene(folder)
    if FOUND not in scene.item.properties:
        raise OrreryError(f"has no {FOUND}", file=folder / "item.json", remedy="run the align stage again")
    image = read(folder / "ctx.tif", body="mars")
    return AlignedScene(scene.id, scene.id, scene.kind, image, corrections_of(scene), folder)


def corrections_of(scene: Scene) -> dict[str, Correction]:
    """What an aligned scene's item tells of its cube's place."""
    found = correction_of(scene.item.properties[FOUND])
    known = {"none": Correction(AffineMap.identity()), "global": Correction(found.affine), "local": found}
    truth = true_correction(scene)
    return known if truth is None else {**known, "true": truth}


def true_correction(scene: Scene) -> Correction | None:
    """What the twin knows; None for a real scene."""
    truth = scene.item.properties.get(TRUTH)
    return correction_of(truth["crism"]) if truth else None


def correction_of(content: Mapping[str, Any]) -> Correction:
    """From plain data: ``affine`` and, where there is one, ``field``."""
    field = content.get("field")
    return Correction(AffineMap.from_dict(content["affine"]), SmoothField.from_dict(field) if field else None)


def plain(correction: Correction) -> dict[str, Any]:
    """The inverse of `correction_of`."""
    field = {} if correction.field is None else {"field": correction.field.to_dict()}
    return {"affine": correction.affine.to_dict(), **field}


def reference_band(cube: Cube) -> Raster:
    """The first band of a cube as a raster."""
    return Raster(cube.values[0], cube.grid)
