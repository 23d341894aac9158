"""Servers as a user starts them, MLflow's and ours, asked over loopback; their answers are those of `orrery predict`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from orrery.files import sha256
from orrery.params import load_params
from orrery.systems.base import get_section, get_system
from orrery.tracking.registry import CHAMPION, load, register
from orrery.tracking.root import DATABASE
from orrery.tracking.store import connect
from tests.tracking_helpers import SYSTEM
from tests.unit.systems.lunar_scenes import SUN, make_scene

pytestmark = pytest.mark.slow
VARIANT = "orrery-dtm"
SPECTRA = {
    "floor": 202.0,
    "white": 1.6e-3,
    "red": 1.3e-4,
    "red_exponent": 2.4,
    "relief": 2.6e-5,
    "relief_exponent": 4.1,
}
PLAIN = ("mlflow", "models", "serve", "-m", f"models:/{SYSTEM}@champion", "--env-manager", "local")
# The kernel ends a server whose test was killed before it could; 1 is PR_SET_PDEATHSIG.
BOUND = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execv(sys.argv[1], sys.argv[1:])"
WAIT_S = 600  # MLflow and torch are imported, on a machine that may have much else to do


@pytest.fixture
def champion(clone: Path, repository: Path) -> Path:
    """A clone whose champion is a network as the pipeline builds it, untrained, and a scene beside it."""
    (clone / "params.yaml").write_text((repository / "params.yaml").read_text())
    section, owner = get_section(load_params(), SYSTEM), get_system(SYSTEM)
    torch.manual_seed(0)
    variant = section.variants[VARIANT].model_dump(mode="json")
    recipe = {"name": VARIANT, "sigma_px": None, "sigma_scale": 1.0, "spectra": SPECTRA, "variant": variant}
    run_id, evidence = load(SYSTEM, "1").run_id, clone / "mlruns/evidence-1"
    network, example = owner.network(section, VARIANT), owner.example(section, VARIANT)
    version = register(SYSTEM, network, example, recipe, evidence, run_id)
    connect(clone).set_registered_model_alias(SYSTEM, CHAMPION, version)
    make_scene(clone / "scene", 150, 140)
    return clone


def command(*words: str) -> list[str]:
    return [str(Path(sys.executable).parent / words[0]), *words[1:]]


@pytest.fixture(params=[PLAIN, ("orrery", "serve", SYSTEM)], ids=["mlflow", "orrery"])
def port(champion: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    """Of a running server; it ends with the test, whatever happens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": paths, "MLFLOW_TRACKING_URI": f"sqlite:///{DATABASE}"}
    words = command(*request.param, "--port", str(number))
    bound = [sys.executable, "-c", BOUND, *words]
    process = subprocess.Popen(bound, cwd=champion, env=environment, start_new_session=True)
    try:
        ends = time.monotonic() + WAIT_S
        while not is_up(number):
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < ends, "the server does not answer"
            time.sleep(0.5)
        yield number
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def is_up(port: int) -> bool:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2).status == 200
    except (urllib.error.URLError, TimeoutError):
        return False


def ask(port: int, body: dict[str, Any]) -> tuple[int, Any]:
    kind = {"Content-Type": "application/json"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), kind)
    try:
        with urllib.request.urlopen(asked, timeout=WAIT_S) as answer:
            return answer.status, json.load(answer)["predictions"]
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def listening(port: int) -> set[str]:
    """Addresses, as the kernel writes them, on which anybody listens at a port (TCP over IPv4 and IPv6)."""
    rows = [
        row.split()
        for name in ("tcp", "tcp6")
        for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}


def test_a_server_answers_as_predict_does_and_on_loopback_alone(port: int, champion: Path) -> None:
    assert listening(port) == {"0100007F"}

    network = load(SYSTEM, device="cpu").network
    tiles = np.random.default_rng(0).standard_normal((2, network.channels, 64, 96), np.float32)
    status, answer = ask(port, {"inputs": tiles.tolist()})
    assert status == 200
    np.testing.assert_allclose(
        np.float32(answer), network(torch.from_numpy(tiles)).numpy(), rtol=1e-5, atol=1e-6
    )

    scene, sun = champion / "scene", {"sun_azimuth": SUN[0], "sun_elevation": SUN[1]}
    record = {
        "image": f"{scene}/image.tif",
        "dem": f"{scene}/dem.tif",
        **sun,
        "out": f"{champion}/out/served",
    }
    status, answer = ask(port, {"dataframe_records": [record]})
    assert status == 200, answer
    options = [f"--{name.replace('_', '-')}={value}" for name, value in record.items() if name != "out"]
    done = command("orrery", "predict", SYSTEM, *options, "--out", "out/predicted")
    told = subprocess.run(done, cwd=champion, capture_output=True, text=True, check=True).stdout
    served, predicted = champion / "out/served", champion / "out/predicted"
    rasters = sorted(file.name for file in predicted.glob("*.tif"))
    assert rasters == ["dtm.tif", "hillshade.tif", "slope.tif"]
    assert {name: sha256(served / name) for name in rasters} == {
        name: sha256(predicted / name) for name in rasters
    }
    assert answer[0]["summary"].partition(": ")[2] == told.strip().partition(": ")[2]
    assert answer[0]["files"] == sorted(file.name for file in predicted.iterdir())
    assert np.isfinite(answer[0]["medians"]["dtm.tif"]["elevation_m"])

    for wrong in ({"inputs": [[1.0]]}, {"dataframe_records": [{**record, "image": "/etc/passwd"}]}):
        status, answer = ask(port, wrong)
        assert status == 400
        assert "Traceback" not in answer
