"""A coarse DEM three postings off that alignment cannot mend must stop `dvc repro` before a single patch is cut."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

pytestmark = pytest.mark.faults
SCENE = "train-mountain-1-s0"
POSTINGS_OFF = 3


@pytest.fixture
def project(tmp_path, repository):
    """A clone with one scene, whose coarse DEM shows the ground three postings away, where nothing can find it."""
    if not (repository / "data/moon" / SCENE).is_dir():
        pytest.skip("the sample scenes are not checked out (dvc pull)")
    for name in ("dvc.yaml", "params.yaml", "params.full.yaml"):
        shutil.copy(repository / name, tmp_path)
    shutil.copytree(repository / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    scene = tmp_path / "data/moon" / SCENE
    shutil.copytree(repository / "data/moon" / SCENE, scene, copy_function=shutil.copyfile)
    params = tmp_path / "params.yaml"
    text = params.read_text()
    assert "search_postings" not in text
    params.write_text(
        text.replace("    align: {}", "    align: {coarse: {search_postings: 1.0, shift_m: 10.0}}")
    )
    _misplace(scene / "sldem.tif")
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "add", "-q", "data"]):
        run(tmp_path, *command)
    return tmp_path


def _misplace(path: Path) -> None:
    with rasterio.open(path, "r+") as dataset:
        dataset.write(np.roll(dataset.read(1), (POSTINGS_OFF, POSTINGS_OFF), (0, 1)), 1)


def run(root, *command):
    paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": paths, "DVC_NO_ANALYTICS": "1"}
    environment.pop("DVC_ROOT", None)
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def test_repro_stops_and_names_the_scene(project):
    done = run(project, "dvc", "repro", "patch@lunar-dtm")
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert SCENE in told
    assert "Running stage 'patch@lunar-dtm'" not in told
    assert not (project / "build/lunar-dtm/patches").exists()
