"""pandora (CNES) on one pair; run by `bench_stereo` with the Python of an environment that has it (``pip install pandora``).

    python pandora_peer.py PAIR.npz OUT.npz

PAIR holds `left` and `right` (H, W) float32 and the whole numbers `low` and `high`. pandora looks along columns of the turned images: what lies
at row y of `left` lies at row y + d of `right`, d from `low` to `high`. OUT holds `disparity_px` (H, W), NaN where it gives none, and `seconds`.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandora  # type: ignore[import-not-found]
import rasterio
from rasterio.errors import NotGeoreferencedWarning

# Correlation in windows, the best one, a parabola, a median: the chain of its documentation, with the window that did best here.
PIPELINE = {
    "matching_cost": {"matching_cost_method": "zncc", "window_size": 11, "subpix": 4},
    "disparity": {"disparity_method": "wta", "invalid_disparity": "NaN"},
    "refinement": {"refinement_method": "quadratic"},
    "filter": {"filter_method": "median", "filter_size": 3},
}


def written(folder: Path, name: str, image: np.ndarray) -> str:
    """An image as pandora reads it, rows turned to columns."""
    turned = np.ascontiguousarray(image.T)
    path = folder / f"{name}.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=turned.shape[0], width=turned.shape[1], count=1, dtype="float32"
    ) as dataset:
        dataset.write(turned, 1)
    return str(path)


def main(pair: str, out: str) -> None:
    """Match and time; a first run on a corner has the machine code made."""
    data = np.load(pair)
    low, high = int(data["low"]), int(data["high"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side in (128, None):
            images = {key: written(folder, key, data[key][:side, :side]) for key in ("left", "right")}
            config = {
                "input": {"left": {"img": images["left"], "disp": [low, high], "nodata": -9999},
                          "right": {"img": images["right"], "nodata": -9999}},
                "pipeline": PIPELINE,
            }  # fmt: skip
            (folder / "config.json").write_text(json.dumps(config))
            started = time.perf_counter()
            pandora.main(str(folder / "config.json"), str(folder / "out"), verbose=False)
            seconds = time.perf_counter() - started
        with rasterio.open(next((folder / "out").rglob("left_disparity.tif"))) as dataset:
            found = dataset.read(1).T
    np.savez(out, disparity_px=found, seconds=seconds)


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    main(*sys.argv[1:])
