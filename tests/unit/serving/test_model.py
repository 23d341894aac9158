"""The pyfunc as MLflow's scoring server loads and asks it."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
from affine import Affine
from fastapi.testclient import TestClient
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel

from orrery.errors import OrreryError
from orrery.params import load_params
from orrery.serving.model import Served, _load_pyfunc, medians
from orrery.serving.server import application
from orrery.tracking.export import ExportedNetwork
from orrery.tracking.registry import LoadedModel
from orrery.tracking.store import connect
from tests.tracking_helpers import SYSTEM, TinyUNet


@pytest.fixture
def model(clone: Path, repository: Path) -> PyFuncModel:
    (clone / "params.yaml").write_text((repository / "params.yaml").read_text())
    connect(clone)
    return mlflow.pyfunc.load_model(f"models:/{SYSTEM}/2")


@pytest.fixture
def served(tmp_path: Path, repository: Path) -> Served:
    """A version without a registry around it."""
    network = ExportedNetwork(TinyUNet(1).eval(), 4, torch.device("cpu"), Path())
    return Served(
        LoadedModel(SYSTEM, "1", "run", network, {}, {}), load_params(repository / "params.yaml"), [tmp_path]
    )


def test_tiles_are_what_the_network_makes_of_them(model):
    tiles = torch.randn(2, 4, 64, 96)
    with torch.inference_mode():
        wanted = TinyUNet(2).eval()(tiles).numpy()
    for inputs in (tiles.numpy(), {"tiles": tiles.numpy().astype(float)}):
        np.testing.assert_allclose(model.predict(inputs), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (np.zeros((2, 5, 64, 96)), "for a network of 4 channels; give"),
        (np.zeros((4, 64, 96)), r"tiles of the shape \(4, 64, 96\)"),
        (np.zeros((0, 4, 64, 96)), r"tiles of the shape \(0, 4, 64, 96\)"),
        (np.full((1, 4, 64, 96), np.nan), "tiles with NaN"),
        (np.full((1, 4, 64, 96), 1e39), "tiles with NaN or numbers beyond float32"),
        (np.array([["a"]]), "no array of numbers"),
        ([[1.0], [1.0, 2.0]], "no array of numbers"),
        ({"pictures": np.zeros((1, 4, 64, 96))}, "call them `tiles`"),
        (pd.DataFrame(), "no record was sent"),
        (pd.DataFrame([{"image": "/etc/passwd", "out": "/etc"}]), "outside the folders that are served"),
    ],
)
def test_bad_input_is_the_askers_mistake(served, inputs, text):
    with pytest.raises(MlflowException, match=text) as told:
        served.predict(inputs)
    assert told.value.get_http_status_code() == 400


def test_no_record_is_worked_on_where_one_is_wrong(served, tmp_path):
    good = {"image": f"{tmp_path}/a.tif", "dem": f"{tmp_path}/d.tif", "out": f"{tmp_path}/new"}
    with pytest.raises(MlflowException, match="needs --dem"):
        served.predict(pd.DataFrame([good, {**good, "dem": None}]))
    assert not (tmp_path / "new").exists()


def test_a_foreign_host_name_is_refused_and_no_traceback_told(served):
    client = TestClient(application(served), base_url="http://127.0.0.1:5001")
    assert client.get("/ping").status_code == 200
    assert client.get("/ping", headers={"Host": "localhost:5001"}).status_code == 200
    assert client.get("/ping", headers={"Host": "example.org"}).status_code == 400
    answer = client.post("/invocations", json={"inputs": [[1.0]]})
    assert answer.status_code == 400
    assert "tiles of the shape (1, 1)" in answer.json()["message"]
    assert "stack_trace" not in answer.json()


def test_what_is_no_version_is_not_served(tmp_path):
    with pytest.raises(OrreryError, match="is no version of the registry"):
        _load_pyfunc(str(tmp_path))


def test_medians_are_of_valid_real_numbers(tmp_path):
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    values[0] = np.nan
    profile = {"driver": "GTiff", "height": 4, "width": 4, "count": 2, "dtype": "float32", "nodata": np.nan}
    profile["transform"] = Affine.scale(2.0)
    with rasterio.open(tmp_path / "a.tif", "w", **profile) as dataset:
        dataset.write(np.stack([values, np.full_like(values, np.nan)]))
        dataset.set_band_description(1, "elevation_m")
    assert medians(tmp_path / "a.tif") == {"elevation_m": 9.5, "band 2": None}
