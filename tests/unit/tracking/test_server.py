"""The same code on MLflow's server, with artifacts on its side, as a team or a cluster would run it."""

from __future__ import annotations

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

import pytest
import torch

from orrery.tracking.promotion import history, promote, rollback
from orrery.tracking.registry import load, register
from orrery.tracking.runs import training_run
from orrery.tracking.store import connect
from tests.tracking_helpers import (
    RULES,
    SYSTEM,
    TinyUNet,
    evaluate,
    example,
    git,
    make_params,
    write_evidence,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def server(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = tmp_path_factory.mktemp("server")
    where = [
        "--backend-store-uri",
        f"sqlite:///{store}/db",
        "--artifacts-destination",
        str(store / "artifacts"),
    ]
    command = [sys.executable, "-m", "mlflow", "server", *where, "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(command, cwd=store, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/health", timeout=2)
            break
        except (urllib.error.URLError, TimeoutError):
            time.sleep(1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    git(project, "init", "-q")
    yield address
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()


def test_train_register_promote_and_load_through_a_server(server: str, project: Path) -> None:
    for seed in (1, 2):
        with training_run(SYSTEM, "ours", make_params()) as run:
            run.logger.log_metrics({"loss": 1.0}, 1)
        evidence = write_evidence(project / f"evidence-{seed}")
        register(SYSTEM, TinyUNet(seed), example(), {"seed": seed}, evidence, run.run_id)
        assert promote(SYSTEM, RULES, evaluate).promoted
    tiles = torch.randn(1, 4, 96, 64)
    with torch.inference_mode():
        assert torch.allclose(load(SYSTEM).network(tiles), TinyUNet(2).eval()(tiles), atol=1e-6)
    rollback(SYSTEM)
    assert load(SYSTEM).recipe == {"seed": 1}
    assert [event.kind for event in history(SYSTEM)] == ["promoted", "promoted", "rolled back"]
    assert connect(project).get_run(run.run_id).info.artifact_uri.startswith("mlflow-artifacts:")
    assert not (project / "mlruns/mlflow.db").exists()
