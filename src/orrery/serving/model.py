"""The pyfunc that MLflow's scoring server imports: what a version does with rasters by path, and with plain tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import rasterio
import torch
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.store.artifact.models_artifact_repo import REGISTERED_MODEL_META_FILE_NAME
from numpy.typing import NDArray

from orrery.errors import OrreryError
from orrery.params import Params, load_params, read_yaml
from orrery.serving.rasters import parsed, served_roots
from orrery.stages.predict import applied, checked
from orrery.systems.base import get_section, get_system
from orrery.tracking.registry import LoadedModel, load

Tiles = NDArray[np.float32]
TILES_REMEDY = "give numbers as (tiles, channels, height, width)"
MEDIAN_PX = 1024  # a longer side is decimated for a median


def _load_pyfunc(folder: str) -> Served:
    """What MLflow calls with the folder of a version; the version itself is loaded, and verified, by our registry."""
    told = Path(folder) / REGISTERED_MODEL_META_FILE_NAME
    if not told.is_file():
        raise OrreryError(
            "is no version of the registry", file=folder, remedy="serve models:/SYSTEM@champion or another version"
        )  # fmt: skip
    meta = read_yaml(told)
    return Served.of(str(meta["model_name"]), str(meta["model_version"]))


class Served:
    """A version at work on the CPU, one request at a time.

    Args:
        model: the version.
        params: in force while it serves.
        roots: folders outside which no file is read or written.
    """

    def __init__(self, model: LoadedModel, params: Params, roots: Sequence[Path]) -> None:
        get_section(params, model.system)  # refused now, not at the first request
        self.model, self.params, self.roots = model, params, roots
        self.name = f"{model.system} version {model.version}"
        self._at_work = Lock()

    @classmethod
    def of(cls, system: str, model: str, roots: Sequence[Path] = ()) -> Served:
        """A version by alias or number, with the parameters of this clone; for the folders see `served_roots`.

        Raises:
            OrreryError: there is no such version, or one of the folders.
        """
        return cls(load(system, model, device="cpu"), load_params(), served_roots(roots))

    def predict(self, inputs: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Apply the version.

        Args:
            inputs: records of `RasterRequest`, or tiles (N, C, H, W), bare or under the name "tiles".
            params: of MLflow's protocol; there are none.

        Returns:
            For each record its product; for tiles what the network gives, (N, D, H, W) float32.

        Raises:
            MlflowException: bad input (answered with status 400), or a disk at fault (500).
        """
        try:
            with self._at_work:
                if isinstance(inputs, pd.DataFrame):
                    return self._products(inputs.to_dict("records"))
                return self._tiles(inputs)
        except OrreryError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from error
        except OSError as error:
            raise MlflowException(f"{error.filename}: {error.strerror}", INTERNAL_ERROR) from error

    def _products(self, records: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
        """Every record is checked before the first is worked on."""
        if not records:
            raise OrreryError("no record was sent", remedy="send one for each product")
        owner = get_system(self.model.system)
        wanted = [parsed(record, self.roots) for record in records]
        ready = [(checked(owner, request, "predict"), out) for request, out in wanted]
        return [self._product(request, out) for request, out in ready]

    def _product(self, request: Mapping[str, Any], out: Path) -> dict[str, Any]:
        summary = applied(self.model, self.params, request, out)
        files = sorted(file for file in out.iterdir() if file.is_file())
        return {
            "model": self.name,
            "out": str(out),
            "files": [file.name for file in files],
            "medians": {file.name: medians(file) for file in files if file.suffix == ".tif"},
            "summary": summary,
        }

    def _tiles(self, inputs: Any) -> Tiles:
        if isinstance(inputs, Mapping):
            if set(inputs) != {"tiles"}:
                raise OrreryError(f"tiles under the names {sorted(inputs)}", remedy="call them `tiles`")
            inputs = inputs["tiles"]
        values = _numbers(inputs)
        if values.ndim != 4 or 0 in values.shape:
            raise OrreryError(f"tiles of the shape {values.shape}", remedy=TILES_REMEDY)
        if not np.isfinite(values).all():
            raise OrreryError("tiles with NaN or numbers beyond float32", remedy="fill them first")
        outputs: Tiles = self.model.network(torch.from_numpy(values)).cpu().numpy()
        return outputs


def _numbers(inputs: Any) -> Tiles:
    try:
        values = np.asarray(inputs)
        if values.dtype.kind not in "iuf":
            raise ValueError(f"values of the type {values.dtype}")
        with np.errstate(over="ignore"):  # told by the caller
            return values.astype(np.float32)
    except ValueError as error:  # ragged lists among them
        raise OrreryError(f"tiles that are no array of numbers ({error})", remedy=TILES_REMEDY) from error


def medians(raster: Path) -> dict[str, float | None]:
    """Median of each band of a product that holds real numbers, by its description; None where no pixel is valid.

    A raster longer than 1024 px is judged by that many rows or columns of it.
    """
    with rasterio.open(raster) as dataset:
        shrink = max(1.0, max(dataset.shape) / MEDIAN_PX)
        shape = tuple(max(1, round(side / shrink)) for side in dataset.shape)
        found: dict[str, float | None] = {}
        for band, kind in zip(dataset.indexes, dataset.dtypes, strict=True):
            if kind.startswith("float"):
                values = dataset.read(band, out_shape=shape, masked=True).compressed()
                finite = values[np.isfinite(values)]
                name = dataset.descriptions[band - 1] or f"band {band}"
                found[name] = float(np.median(finite)) if finite.size else None
        return found
