from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb

from orrery.tracking.mirror import Mirror
from orrery.tracking.runs import training_run
from orrery.tracking.store import connect
from tests.tracking_helpers import SYSTEM, make_params


class Recorder:
    """What a W&B run is asked to do; it breaks at the call named."""

    def __init__(self, breaks_at: str = "") -> None:
        self.calls: list[tuple[str, Any]] = []
        self.breaks_at = breaks_at

    def _called(self, name: str, content: object) -> None:
        if name == self.breaks_at:
            raise ConnectionError("the network\nis gone")
        self.calls.append((name, content))

    def log(self, content: dict[str, Any]) -> None:
        self._called("log", content)

    def finish(self, exit_code: int) -> None:
        self._called("finish", exit_code)


def finished(root: Path, run_id: str) -> bool:
    return bool(connect(root).get_run(run_id).info.status == "FINISHED")


def test_the_mirror_shows_the_same_under_the_same_id(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, started = Recorder(), {}
    monkeypatch.setattr(wandb, "init", lambda **options: (started.update(options), recorder)[1])
    with training_run(SYSTEM, "ours", make_params("offline"), root=clone) as tracked:
        tracked.logger.log_metrics({"loss": 0.5}, 7)
        tracked.logger.log_image("terrain", [np.zeros((4, 4), np.uint8)], 7)
    assert started["id"] == tracked.run_id
    assert (started["resume"], started["mode"], started["project"]) == ("allow", "offline", "orrery")
    assert started["config"]["variant.lr"] == "0.001"
    assert recorder.calls[0] == ("log", {"loss": 0.5, "trainer/global_step": 7})
    assert list(recorder.calls[1][1]) == ["terrain", "trainer/global_step"]
    assert recorder.calls[2] == ("finish", 0)


def test_a_failed_training_fails_in_the_mirror_too(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr(wandb, "init", lambda **options: recorder)
    with (
        pytest.raises(ValueError, match="broken"),
        training_run(SYSTEM, "ours", make_params("offline"), root=clone),
    ):
        raise ValueError("broken")
    assert recorder.calls == [("finish", 1)]


@pytest.mark.faults
@pytest.mark.parametrize("breaks_at", ["init", "log", "finish"])
def test_its_failure_is_one_line(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], breaks_at: str
) -> None:
    recorder = Recorder(breaks_at)

    def init(**options: object) -> Recorder:
        recorder._called("init", options)
        return recorder

    monkeypatch.setattr(wandb, "init", init)
    with training_run(SYSTEM, "ours", make_params("offline"), root=clone) as tracked:
        tracked.logger.log_metrics({"loss": 0.5}, 1)
        tracked.logger.log_metrics({"loss": 0.4}, 2)
    assert finished(clone, tracked.run_id)
    assert len(connect(clone).get_metric_history(tracked.run_id, "loss")) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "W&B" in line]
    assert lines == ["W&B mirror off (ConnectionError: the network is gone); the run goes on in MLflow"]


@pytest.mark.faults
def test_without_a_key_nobody_is_asked_for_one(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb"))
    with training_run(SYSTEM, "ours", make_params("online"), root=clone) as tracked:
        tracked.logger.log_metrics({"loss": 0.5}, 1)
    assert finished(clone, tracked.run_id)
    assert "W&B mirror off" in capsys.readouterr().err


class Refusing(BaseHTTPRequestHandler):
    """A server that knows no key."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = b'{"errors": [{"message": "user is not logged in"}]}'
        self.send_response(401)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST  # noqa: N815 - named by the standard library

    def log_message(self, *told: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("lost", [False, True], ids=["wrong key", "no network"])
def test_a_training_goes_on_without_its_mirror(
    clone: Path, tmp_path: Path, refusing: str, repository: Path, lost: bool
) -> None:
    """In a process of its own, as W&B keeps what it was told of servers and keys."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment |= {
        "WANDB_BASE_URL": "http://127.0.0.1:9" if lost else refusing, "WANDB_API_KEY": "0" * 40, "HOME": str(tmp_path),
        "WANDB_CONFIG_DIR": str(tmp_path / "wandb"), "PYTHONPATH": str(repository),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", AROUND], cwd=clone, env=environment, capture_output=True, text=True, timeout=300, check=True
    )  # fmt: skip
    assert "W&B mirror off" in done.stderr
    assert finished(clone, done.stdout.split()[-1])


AROUND = """
from pathlib import Path
from orrery.tracking.runs import training_run
from tests.tracking_helpers import SYSTEM, make_params
with training_run(SYSTEM, "ours", make_params("online"), root=Path.cwd()) as tracked:
    for step in range(3):
        tracked.logger.log_metrics({"loss": 0.5}, step)
print(tracked.run_id)
"""


def test_off_means_off(monkeypatch: pytest.MonkeyPatch, clone: Path) -> None:
    monkeypatch.setattr(wandb, "init", lambda **options: pytest.fail("started"))
    with training_run(SYSTEM, "ours", make_params("off"), root=clone) as tracked:
        tracked.logger.log_metrics({"loss": 0.5}, 1)
    Mirror().finish(failed=True)
