"""A training killed at any step and run again ends with the weights of an undisturbed one, in the same run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from safetensors.numpy import load_file, save_file

pytestmark = pytest.mark.faults
REPOSITORY = Path(__file__).parents[2]
OPTIMISER = "steps: 300, batch_size: 8"  # of orrery-dtm in params.yaml
LEARNING_RATE = 2e-3  # of orrery-dtm in params.yaml


@pytest.fixture
def project(tmp_path):
    """A clone with random patches, enough for a training of 40 steps."""
    text = (REPOSITORY / "params.yaml").read_text()
    assert OPTIMISER in text
    text = text.replace(OPTIMISER, "steps: 40, batch_size: 2").replace(
        "checkpoint_every_steps: 50", "checkpoint_every_steps: 4"
    )
    (tmp_path / "params.yaml").write_text(text.replace("threads: 2", "threads: 1"))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    patches = tmp_path / "build/lunar-dtm/patches"
    random, rows = np.random.default_rng(0), []
    for subset in ("train", "validation"):
        (patches / subset).mkdir(parents=True)
        planes = {
            name: random.normal(1, 0.1, (6, 96, 96)).astype(np.float16)
            for name in ("brightness", "rendered", "photoclinometry")
        }
        heights = {
            name: random.normal(size=(6, 96, 96)).astype(np.float32) for name in ("coarse", "residual")
        }
        save_file({**planes, **heights}, patches / subset / "a-0.safetensors")
        rows += [
            {
                "shard": f"{subset}/a-0.safetensors",
                "position": i,
                "set": subset,
                "sun_azimuth_deg": 30.0 * i,
                "sun_elevation_deg": 30.0,
                "gsd_m": 3.0,
            }
            for i in range(6)
        ]
    pd.DataFrame(rows).to_parquet(patches / "index.parquet")
    spectra = {
        "relief": 1e-4,
        "relief_exponent": 3.0,
        "floor": 1.0,
        "white": 1e-3,
        "red": 1e-6,
        "red_exponent": 2.0,
    }
    (patches / "spectra.json").write_text(json.dumps(spectra))
    return tmp_path


def train(root):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("DVC_ROOT", None)
    command = [Path(sys.executable).parent / "orrery", "train", "lunar-dtm", "orrery-dtm"]
    return subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finished(root):
    process = train(root)
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    return output


def killed(root, seed=0):
    """Train until the next checkpoint of a seed, then kill; the name of the training."""
    checkpoint = root / f"build/lunar-dtm/training/orrery-dtm/seed-{seed}/last.ckpt"
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
    process, deadline = train(root), time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
            break
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[0]
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)  # its pipe closes once further processes have seen that the first is gone
    return json.loads((checkpoint.parent / "training.json").read_text())["attempt"]


def histories(root):
    """Metric -> values by step, of each run: (seed, status, metrics)."""
    client = MlflowClient(f"sqlite:///{root}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("lunar-dtm")
    runs = client.search_runs([experiment.experiment_id], order_by=["tags.replica"])
    names = ("train/loss", "val/rmse")
    return [
        (
            run.data.tags["replica"],
            run.info.status,
            {
                name: [value.value for value in client.get_metric_history(run.info.run_id, name)]
                for name in names
            },
        )
        for run in runs
    ]


def test_killed_twice_and_run_again_is_one_run_as_undisturbed(project, tmp_path_factory):
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("log_every_steps: 10", "log_every_steps: 1"))
    other = tmp_path_factory.mktemp("undisturbed") / "clone"
    shutil.copytree(project, other)
    finished(other)

    name = killed(project)
    assert not (project / "models/lunar-dtm/orrery-dtm").exists()
    assert killed(project) == name
    assert "continuing run" in finished(project)
    assert not (project / "build/lunar-dtm/training/orrery-dtm").exists()
    (run,) = histories(project)
    assert [run] == histories(other)
    assert len(run[2]["train/loss"]) == 40
    weights, expected = (
        load_file(root / "models/lunar-dtm/orrery-dtm/weights.safetensors") for root in (project, other)
    )
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], array, err_msg=name)


@pytest.mark.slow
def test_two_devices_end_where_one_does_killed_or_not(project, tmp_path_factory):
    params = project / "params.yaml"
    text = params.read_text().replace("steps: 40, batch_size: 2", "steps: 12, batch_size: 2")
    text = text.replace("  seeds: 1", "  seeds: 2").replace("log_every_steps: 10", "log_every_steps: 1")
    text = text.replace("precision: auto", "precision: 32-true").replace(
        "accelerator: auto", "accelerator: cpu"
    )
    params.write_text(text)
    clones = tmp_path_factory.mktemp("clones")
    shutil.copytree(project, clones / "one")
    params.write_text(text.replace("  devices: 1", "  devices: 2"))
    shutil.copytree(project, clones / "two")
    finished(clones / "one")
    finished(clones / "two")

    killed(project, seed=1)
    assert "continuing run" in finished(project)

    one, two, resumed = (histories(root) for root in (clones / "one", clones / "two", project))
    assert [(seed, status) for seed, status, _ in two] == [("0", "FINISHED"), ("1", "FINISHED")]
    assert resumed == two
    for (_, _, alone), (_, _, together) in zip(one, two, strict=True):
        for name, values in alone.items():
            assert len(values) >= 4
            np.testing.assert_allclose(together[name], values, rtol=1e-3, err_msg=name)
    for seed in (".", "seed-1"):
        file = f"models/lunar-dtm/orrery-dtm/{seed}/weights.safetensors"
        alone, together, continued = (
            load_file(root / file) for root in (clones / "one", clones / "two", project)
        )
        for name, array in together.items():
            np.testing.assert_array_equal(continued[name], array, err_msg=name)
        # Adam follows the sign of gradients that are no more than rounding: single weights may differ by whole steps.
        differences = [np.abs(together[name] - array).ravel() for name, array in alone.items()]
        assert np.median(np.concatenate(differences)) < 0.05 * LEARNING_RATE


def test_devices_that_cannot_share_a_batch_are_refused_in_one_line(project):
    params = project / "params.yaml"
    params.write_text(
        params.read_text()
        .replace("  devices: 1", "  devices: 3")
        .replace("accelerator: auto", "accelerator: cpu")
    )
    process = train(project)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert output.startswith("orrery: params.yaml: train.devices: 3, but a batch of 2 cannot")
    assert len(output.splitlines()) == 1
