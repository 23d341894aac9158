"""A whole pair of the Terrain Camera, 3,208 x 4,656 px, to its product by the champion of the last ``dvc repro``: memory and time.

The pair is made of noise of a natural spectrum over a smooth disparity: what is asked here is the cost, not the quality. The memory of a
strip of a quarter of the rows stands beside that of the whole: it should hardly grow. It runs in processes of their own.
``ORRERY_BENCH_PAIR_ROWS`` takes another length.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.apart import measured, peak_gib
from benchmarks.row import Row
from orrery.instruments.terrain_camera import GSD_M, SF008S_A
from orrery.raster.compression import compress
from orrery.seeds import stream

Array = NDArray[np.float32]
SYSTEM = "kaguya-disparity"
ROWS, COLUMNS = int(os.environ.get("ORRERY_BENCH_PAIR_ROWS", "4656")), 3208
MEAN_COUNT, SD_COUNT, REACH_PX = 200.0, 25.0, 8.0
GOAL_GIB = 3.0


def rows() -> list[Row]:
    found = []
    for height in (ROWS // 4, ROWS):
        with tempfile.TemporaryDirectory() as folder:
            for name, image in zip(("left", "right"), _pair(height), strict=True):
                _write(Path(folder) / f"{name}.tif", compress(image, SF008S_A, 10))
            found.append(measured("benchmarks.bench_pair", Path(folder)))
    part, whole = found
    conditions = f"{COLUMNS} x {ROWS} px, one thread, champion of {SYSTEM}; a quarter of the rows beside it"
    size = ROWS * COLUMNS / 1e6
    return [
        Row(
            "whole pair, peak memory",
            whole["gib"],
            "GiB",
            conditions,
            "a quarter",
            part["gib"],
            f"figure <= {GOAL_GIB:g}",
        ),
        Row("whole pair, time", whole["seconds"], "s", conditions, "four quarters", 4 * part["seconds"]),
        Row("whole pair, speed", size / whole["seconds"], "Mpx/s", conditions),
    ]


def _pair(height: int) -> tuple[Array, Array]:
    """Two views of one noisy surface; the second is displaced along the columns by up to `REACH_PX`."""
    random = stream(7, "bench-pair", str(height))
    texture = sum(
        ndimage.gaussian_filter(random.standard_normal((height, COLUMNS)).astype(np.float32), sigma) * sigma
        for sigma in (1.0, 4.0)
    )
    left = np.asarray(MEAN_COUNT + SD_COUNT * texture / texture.std(), np.float32)
    row, column = np.mgrid[0:height, 0:COLUMNS].astype(np.float32)
    disparity = REACH_PX * np.sin(row / 400) * np.cos(column / 500)
    right = ndimage.map_coordinates(left, [row + disparity, column], order=3, mode="nearest")
    return left, np.asarray(right, np.float32)


def _write(path: Path, image: Array) -> None:
    profile = {
        "driver": "GTiff",
        "dtype": "uint16",
        "count": 1,
        "height": image.shape[0],
        "width": image.shape[1],
        "crs": "IAU_2015:30110",
        "transform": Affine(GSD_M, 0, 0, 0, -GSD_M, 0),
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.clip(np.rint(image), 0, 1023).astype(np.uint16), 1)


def main(folder: Path) -> None:
    """The worker: predict, then tell memory and time."""
    from orrery.stages.predict import run

    request = {
        "left": folder / "left.tif",
        "right": folder / "right.tif",
        "table": "SF008S.A",
        "count_scale": 1.0,
    }
    started = time.perf_counter()
    run(SYSTEM, request, folder / "product", "champion")
    print(json.dumps({"seconds": time.perf_counter() - started, "gib": peak_gib()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
