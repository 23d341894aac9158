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
from safetensors.numpy import load_file, save_file

pytestmark = pytest.mark.faults
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path):
    """A clone with random patches, enough for a training of 40 steps."""
    text = (REPOSITORY / "params.yaml").read_text()
    text = text.replace("steps: 200, batch_size: 8", "steps: 40, batch_size: 2").replace(
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


def test_killed_and_run_again_is_as_undisturbed(project, tmp_path_factory):
    other = tmp_path_factory.mktemp("undisturbed") / "clone"
    shutil.copytree(project, other)
    finished(other)
    expected = load_file(other / "models/lunar-dtm/orrery-dtm/weights.safetensors")

    checkpoint = project / "build/lunar-dtm/training/orrery-dtm/seed-0/last.ckpt"
    process = train(project)
    deadline = time.monotonic() + 300
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()[0]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (project / "models/lunar-dtm/orrery-dtm").exists()
    run_id = json.loads((checkpoint.parent / "training.json").read_text())["run_id"]

    assert "continuing run" in finished(project)
    assert json.loads((project / "models/lunar-dtm/orrery-dtm/run.json").read_text())["run_id"] == run_id
    assert not checkpoint.parent.parent.exists()
    weights = load_file(project / "models/lunar-dtm/orrery-dtm/weights.safetensors")
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], array, err_msg=name)
