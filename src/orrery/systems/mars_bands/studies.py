"""What is asked of the champion alone: what the stride of its tiles costs and gains, and what its bands are good for in filling cubes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orrery.raster.rows import RowStore
from orrery.raster.windows import block_means
from orrery.systems.mars_bands.aligned import load_aligned
from orrery.systems.mars_bands.faults import judge_restoration
from orrery.systems.mars_bands.filling import FillParams
from orrery.systems.mars_bands.inputs import opened, statistics_of
from orrery.systems.mars_bands.metrics import seam_ratio
from orrery.systems.mars_bands.model import BandsModel
from orrery.systems.mars_bands.placed import PlacedScene, elevation_of
from orrery.systems.mars_bands.predict import PredictParams
from orrery.systems.mars_bands.whole_image import VALID, finished, predict_image

Array = NDArray[np.float32]
DIVISORS = (1, 2, 3)  # the paper's s, its Table 4


def strided(
    model: BandsModel, scene: PlacedScene, params: PredictParams, divisor: int
) -> tuple[Array, dict[str, float]]:
    """The bands of a scene's image as `predict` makes them, in the variant's order, and what that took and left.

    Args:
        model: what predicts a tile.
        scene: an aligned scene.
        params: size and weights of tiles.
        divisor: a tile's side over the stride.

    Returns:
        (B, H, W) I/F; `seconds`, and `seam`: the mean step across tile borders over that inside, of the first band.
    """
    tiling = params.with_stride(divisor).tiling()
    dem = scene.scene.asset("dem") if model.uses_dem else None
    sun = (None, elevation_of(scene.scene))
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(scene.scene.folder / "ctx.tif", dem, uses_dem=model.uses_dem, sun=sun) as strip,
    ):
        store = RowStore(Path(folder), "image", (*model.blended, VALID), strip.grid)
        start = time.perf_counter()
        predict_image(strip, statistics_of(strip, int), model, tiling, store, int)
        seconds = time.perf_counter() - start
        store = finished(store, model)
        bands = np.stack([np.array(store.mapped(f"{nm:.2f} nm")) for nm in model.bands_nm])
    edges = [
        {edge for start in axis.starts for edge in (start, start + axis.tile)}
        for axis in map(tiling.axis, strip.grid.shape)
    ]
    return bands, {"seconds": seconds, "seam": seam_ratio(bands[0], edges)}


def restoration(model: BandsModel, scene: PlacedScene, values: Array, params: FillParams) -> dict[str, float]:
    """What filling simulated faults of the scene's cube gains, from (B, H, W) predicted I/F: see `faults`."""
    bands_nm = list(model.bands_nm)
    pair = load_aligned(scene.scene.folder, bands_nm)
    predicted = np.stack([block_means(band, pair.step) for band in values])
    return judge_restoration(pair.bands.values, predicted, bands_nm, params, scene.id)
