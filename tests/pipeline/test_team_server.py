"""The whole of a small lunar-dtm against the services of compose.yaml, run without containers; and a server that is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from mlflow.tracking import MlflowClient
from ruamel.yaml import YAML

from orrery.params import read_yaml
from tests.pipeline.team_services import BINARIES, ROOT, SECRETS, Team, stop, team

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BINARIES, reason="no PostgreSQL under /usr/lib/postgresql"),
]
SYSTEM, VARIANT, STEPS = "lunar-dtm", "orrery-dtm", 12
SITES = ("train-flat-0", "train-mountain-0", "val-mountain", "test-mountain")
MEMBER = {"username": "member", "password": "of0the0member"}
TRAIN = ("train", SYSTEM, VARIANT)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The services, with one user beside the administrator."""
    with team(tmp_path_factory.mktemp("services")) as found:
        administrator = ("admin", SECRETS["MLFLOW_ADMIN_PASSWORD"])
        users = f"{found.address}/api/2.0/mlflow/users/create"
        requests.post(users, auth=administrator, json=MEMBER, timeout=60).raise_for_status()
        yield found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with few scenes, cut into patches; nothing of it is on a server yet."""
    root = tmp_path_factory.mktemp("clones") / "prepared"
    root.mkdir()
    with (root / "params.yaml").open("w") as stream:
        YAML(typ="safe", pure=True).dump(small(), stream)
    (root / ".gitignore").write_text("/build\n/models\n/reports\n/mlruns\n/data\n/out\n")
    for words in ("init -q", "add -A", "-c user.name=t -c user.email=t@t commit -qm small"):
        subprocess.run(["git", *words.split()], cwd=root, check=True)
    for stage in (("ingest", "--no-version"), ("align", SYSTEM), ("gate", SYSTEM), ("patch", SYSTEM)):
        orrery(root, *stage)
    return root


def small() -> dict[str, Any]:
    """params.yaml with lunar-dtm alone, in few scenes and steps, that anything promotes."""
    tree = read_yaml(ROOT / "params.yaml")
    section, moon = tree["systems"][SYSTEM], tree["ingest"]["moon"]
    variant = section["variants"][VARIANT]
    variant["optimiser"] |= {"steps": STEPS, "batch_size": 2, "warmup_steps": 2}
    moon["sites"] = {name: moon["sites"][name] for name in SITES}
    section["variants"] = {VARIANT: variant}
    section["patch"]["misalignments"] = 1
    section["promotion"] |= {"gates": [], "guards": {}, "same_data": False}
    section["tune"] |= {"trials": 2, "steps": 4, "seeds": 2}
    tree["train"] |= {"accelerator": "cpu", "threads": 1, "checkpoint_every_steps": 2, "log_every_steps": 1, "seeds": 1}  # fmt: skip
    models = {f"{SYSTEM}-{VARIANT}": tree["models"][f"{SYSTEM}-{VARIANT}"]}
    return tree | {"ingest": {"moon": moon}, "models": models, "systems": {SYSTEM: section}}


def start(root: Path, *words: str, server: Team | None = None, **environment: str) -> subprocess.Popen[bytes]:
    """`orrery …` in a clone, on a server or on the clone's own database."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    known |= {"DVC_ROOT": str(root), "OMP_NUM_THREADS": "1", "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false"}
    if server:
        known |= {"MLFLOW_TRACKING_URI": server.address}
        known |= {f"MLFLOW_TRACKING_{name.upper()}": value for name, value in MEMBER.items()}
    log = (root / "build.log").open("wb")
    return subprocess.Popen(
        [sys.executable, "-m", "orrery", *words],
        cwd=root,
        env=known | environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def orrery(root: Path, *words: str, server: Team | None = None, status: int = 0, **environment: str) -> str:
    """Run it to its end; what it said."""
    process = start(root, *words, server=server, **environment)
    try:
        process.wait(900)
    finally:
        stop(process)
    told = (root / "build.log").read_text()
    assert process.returncode == status, told[-3000:]
    return told


def copied(prepared: Path, root: Path) -> Path:
    subprocess.run(["cp", "-a", prepared, root], check=True)
    return root


def client(server: Team, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    for name, value in MEMBER.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name.upper()}", value)
    return MlflowClient(server.address)


def keys(server: Team) -> list[str]:
    """Names of all objects in the bucket."""
    store = boto3.client(
        "s3",
        endpoint_url=server.objects,
        region_name="us-east-1",
        aws_access_key_id=SECRETS["S3_ACCESS_KEY"],
        aws_secret_access_key=SECRETS["S3_SECRET_KEY"],
    )
    return [each["Key"] for each in store.list_objects_v2(Bucket="orrery").get("Contents", [])]


def curves(client: MlflowClient, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """Every metric of a run but the machine's own, by step; Lightning logs the epoch with training and again with validation."""
    names = [name for name in client.get_run(run_id).data.metrics if not name.startswith("system/")]
    return {name: sorted({(each.step, each.value) for each in client.get_metric_history(run_id, name)}) for name in names}  # fmt: skip


def test_all_of_lunar_dtm(
    services: Team, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(prepared, tmp_path / "clone")
    for stage in (TRAIN, ("evaluate", SYSTEM, VARIANT), ("tables", SYSTEM), ("register", SYSTEM, VARIANT)):
        orrery(root, *stage, server=services)
    orrery(root, "promote", SYSTEM, server=services)
    site = next((root / "data/moon").glob("test-mountain*"))
    images = ("--image", str(site / "image_l.tif"), "--dem", str(site / "sldem.tif"))
    orrery(root, "predict", SYSTEM, *images, "--out", "out", server=services)
    told = client(services, monkeypatch)
    (version,) = told.search_model_versions(f"name = '{SYSTEM}'")
    assert told.get_model_version_by_alias(SYSTEM, "champion").version == version.version
    run = told.get_run(json.loads((root / f"models/{SYSTEM}/{VARIANT}/run.json").read_text())["run_id"])
    assert (run.info.status, version.run_id) == ("FINISHED", run.info.run_id)
    assert max(step for step, _ in curves(told, run.info.run_id)["train/loss"]) >= STEPS - 1
    stored = keys(services)
    assert [key for key in stored if f"{run.info.run_id}/artifacts/model/weights.safetensors" in key]
    assert [key for key in stored if "/models/" in key and key.endswith("model.pt2")]
    lineage = orrery(root, "lineage", "out/dtm.tif", server=services)
    assert f"run ok {run.info.run_id}" in " ".join(lineage.split())
    assert not (root / "mlruns/mlflow.db").exists()


def test_a_wrong_password_is_one_clear_error(services: Team, prepared: Path) -> None:
    told = orrery(prepared, "runs", SYSTEM, server=services, status=2, MLFLOW_TRACKING_PASSWORD="wrong")
    assert told.count("\n") == 1
    assert f"{services.address}: does not accept this user and password" in told


def test_a_foreign_host_name_is_refused(services: Team) -> None:
    where = f"{services.address}/api/2.0/mlflow/experiments/search?max_results=1"
    login = (MEMBER["username"], MEMBER["password"])
    assert requests.get(where, auth=login, timeout=60).status_code == 200
    assert requests.get(where, auth=login, headers={"Host": "elsewhere"}, timeout=60).status_code == 403
    assert requests.get(where, timeout=60).status_code == 401


def test_two_workers_share_a_study_in_postgresql(
    services: Team, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(prepared, tmp_path / "clone")
    orrery(root, "tune", SYSTEM, "--workers", "2", "--storage", services.studies, server=services)
    study = json.loads((root / f"reports/{SYSTEM}/tuning/study.json").read_text())
    assert [trial["state"] for trial in study["trials"]] == ["complete", "complete"]
    assert not (root / f"build/{SYSTEM}/tuning/study.jsonl").exists()


@pytest.mark.faults
def test_a_lost_server_costs_nothing(
    services: Team, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm, struck = copied(prepared, tmp_path / "calm"), copied(prepared, tmp_path / "struck")
    orrery(calm, *TRAIN, server=services)
    process = start(struck, *TRAIN, server=services, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
    try:
        while process.poll() is None and not list(struck.glob(f"build/{SYSTEM}/**/last.ckpt")):
            time.sleep(0.05)
        services.lose()
        assert process.wait(300) == 2, (struck / "build.log").read_text()[-3000:]
        told = (struck / "build.log").read_text()
        assert "what was computed is kept" in told
        assert "Traceback" not in told
        told = orrery(struck, *TRAIN, server=services, status=2)
        assert "cannot be reached" in told
    finally:
        stop(process)
        services.start()
    assert "continuing run" in orrery(struck, *TRAIN, server=services)
    told_by = client(services, monkeypatch)
    runs = [json.loads((root / f"models/{SYSTEM}/{VARIANT}/run.json").read_text())["run_id"] for root in (calm, struck)]  # fmt: skip
    assert curves(told_by, runs[0]) == curves(told_by, runs[1])
    weights = [(root / f"models/{SYSTEM}/{VARIANT}/weights.safetensors").read_bytes() for root in (calm, struck)]  # fmt: skip
    assert weights[0] == weights[1]
    experiment = told_by.get_run(runs[1]).info.experiment_id
    assert {run.info.status for run in told_by.search_runs([experiment])} == {"FINISHED"}
