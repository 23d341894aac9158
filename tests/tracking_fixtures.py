"""Fixtures of tracking: one clone with runs and models a session, copied for each test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mlflow.tracking._tracking_service import utils

from tests.tracking_helpers import copy_clone, make_clone


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never to be changed; use `clone`."""
    before = Path.cwd()
    root = tmp_path_factory.mktemp("tracking") / "template"
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    try:
        make_clone(root)
    finally:
        os.chdir(before)
    return root


@pytest.fixture
def clone(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A moved copy of the template (so that each test also tests that), as the current project."""
    root = copy_clone(template, tmp_path / "clone")
    utils._artifact_repos_cache.clear()  # MLflow knows the template's runs by the same ids
    monkeypatch.chdir(root)
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return root
