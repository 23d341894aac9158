"""An aligned scene as the later stages read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from orrery.errors import OrreryError
from orrery.raster.cube import Cube, read_cube
from orrery.raster.io import Raster, read
from orrery.raster.scene import Scene, read_scene

Alignment = Literal["local", "global", "none", "true"]


@dataclass(frozen=True)
class AlignedPair:
    """A CTX image and CRISM bands of one ground.

    Attributes:
        scene: with its properties.
        ctx: I/F at the image's pixel size, NaN invalid; its sides are whole multiples of `step`.
        bands: I/F on the cells of `step` x `step` image pixels.
        valid: (h, w) cells that the image and the band matched on both show.
        dem: heights on those cells, m; None for a scene without.
        step: image pixels along a side of a cell.
    """

    scene: Scene
    ctx: Raster
    bands: Cube
    valid: NDArray[np.bool_]
    dem: Raster | None
    step: int

    @property
    def id(self) -> str:
        """Name of the scene."""
        return self.scene.id


def load_aligned(
    folder: Path, wavelengths_nm: Sequence[float] | None = None, alignment: Alignment = "local"
) -> AlignedPair:
    """Read one folder that the align stage wrote.

    Args:
        folder: of the scene.
        wavelengths_nm: bands to read; all without it.
        alignment: "local" through the warp that was found; "global" by its one best shift; "none" as the products
            are written; "true" as only the twin knows. The last three hold the bands of `align.study_wavelengths_nm`.

    Raises:
        OrreryError: the folder lacks a file, or the scene is no twin and has no true alignment.
    """
    scene = read_scene(folder)
    paths = {name: _asset(scene, name) for name in ("ctx", "valid", bands_name(alignment))}
    ctx, valid = read(paths["ctx"], body="mars"), read(paths["valid"], body="mars")
    bands = read_cube(paths[bands_name(alignment)], wavelengths_nm)
    dem = scene.asset("dem")
    step = round(bands.grid.gsd_m / ctx.grid.gsd_m)
    heights = read(dem, body="mars") if dem else None
    return AlignedPair(scene, ctx, bands, valid.values == 1, heights, step)


def bands_name(alignment: Alignment) -> str:
    """Of the asset that holds the bands of an alignment."""
    return "bands" if alignment == "local" else f"bands_{alignment}"


def _asset(scene: Scene, name: str) -> Path:
    path = scene.asset(name)
    if path is None:
        raise OrreryError(f"lacks {name}.tif", file=scene.folder, remedy="run the align stage again")
    return path
