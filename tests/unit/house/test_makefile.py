"""The commands that a newcomer, CI and pre-commit type are one set of commands."""

import os
import re
import shutil
import subprocess

import pytest
from ruamel.yaml import YAML


@pytest.fixture(scope="module")
def make(repository):
    """Run make without installing anything; returns its output."""

    def call(*arguments, **environment):
        command = ["make", "--always-make", "--no-print-directory", *arguments]
        done = subprocess.run(
            command, cwd=repository, env=os.environ | environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    return call


def without_install(recipe):
    """The lines of a dry run after the environment's own."""
    return recipe.split("touch ", 1)[1].splitlines()[1:]


def test_every_target_tells_what_it_does(repository):
    told = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (repository / "Makefile").read_text(), re.MULTILINE).group(1)
    lines = {line.split()[1]: line.split(maxsplit=2)[2] for line in told.splitlines()}
    assert sorted(lines) == sorted(phony.split())
    assert {"repro", "test", "lint", "bench", "ui", "clean"} <= set(lines)


def test_repro_fetches_the_sample_before_it_runs_the_pipeline(make):
    commands = [line for line in without_install(make("--dry-run", "repro")) if line.startswith("dvc ")]
    assert [commands[0], commands[-1]] == ["dvc pull --quiet data.dvc", "dvc repro"]
    # between them system by system, three at a time, which DVC allows only to who waits for its lock
    (beside,) = commands[1:-1]
    assert "xargs -P 3 " in beside
    assert (
        "dvc --wait-for-lock repro --single-item" in beside
    )  # else each asks for the data, which one finds busy


def test_workers_of_the_tests_do_not_fight_for_the_cores(make):
    (command,) = without_install(make("--dry-run", "test"))
    assert re.fullmatch(r"(\w+_NUM_THREADS=1 )+pytest -n 2", command)


def test_pre_commit_runs_what_make_lint_runs(make, repository):
    hooks = YAML(typ="safe").load(repository / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    entries = [hook["entry"].removeprefix(".venv/bin/") for hook in hooks]
    assert entries == without_install(make("--dry-run", "lint"))
    assert not any(hook["pass_filenames"] for hook in hooks)


def test_the_environment_is_made_from_the_lock_and_its_hashes_alone(make):
    installs = [line.strip() for line in make("--dry-run", "install").splitlines() if "install " in line]
    assert installs
    assert all("--require-hashes" in line or "--no-deps --editable ." in line for line in installs)


def test_an_old_python_is_refused_with_the_remedy(repository, tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    shutil.copy(repository / "Makefile", tmp_path)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    done = subprocess.run(
        ["make", "--no-print-directory", "install", f"PYTHON={old}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == "orrery needs Python 3.11 or later: make PYTHON=/path/to/python3.11\n"
    assert not (tmp_path / ".venv").exists()


def test_ci_runs_the_pipeline_then_the_tests_and_ends_on_their_closing_line(repository):
    script = repository / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = [line for line in script.read_text().splitlines() if line and not line.startswith("#")]
    assert commands[0] == "set -euo pipefail"
    assert [line.split()[-1] for line in commands[-2:]] == ["repro", "test"]


def test_clean_keeps_data_runs_and_cache(make):
    removed = {word for line in make("--dry-run", "clean").splitlines() for word in line.split()}
    assert {"build", "models", "reports"} <= removed
    assert not {"data", "mlruns", ".dvc", "remote", ".venv"} & removed
