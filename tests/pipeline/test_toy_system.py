"""A sixth system, known by its entry point and one section of params.yaml, goes through every stage."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy"
SECTION = """
scale: demo
seed: 1
ingest: {}
train: {accelerator: cpu, threads: 1, seeds: 2}
tracking: {wandb: "off"}
models:
  toy-slow: {system: toy, variant: slow, code: toy.py}
  toy-fast: {system: toy, variant: fast, code: toy.py}
systems:
  toy:
    code: toy.py
    align: {}
    patch: {}
    split: {train: [first], validation: [held-out], test: [only], extra: []}
    gate: {residual: {column: residual_px, max: 1.0, severity: critical, reason: the toy demands it}}
    champion_variant: fast
    promotion: {metric: error}
    tune:
      variant: slow
      objectives: [{metric: error}]
      space: {learning_rate: {low: 0.001, high: 1.0, log: true}}
      trials: 5
      seeds: 2
    variants:
      slow: {learning_rate: 0.001, steps: 10}
      fast: {learning_rate: 0.3, steps: 120}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone with the toy installed, run once from data to champion."""
    root = tmp_path_factory.mktemp("clone")
    shutil.copy(REPOSITORY / "dvc.yaml", root)
    shutil.copytree(REPOSITORY / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "params.yaml").write_text(SECTION)
    (root / "params.full.yaml").write_text("train: {threads: 1}\n")
    (root / ".gitignore").write_text("/build\n/models\n/reports\n/mlruns\n/data\n")
    (root / "tuned").mkdir()
    shutil.copy(REPOSITORY / "tuned/dvc.yaml", root / "tuned")
    (root / "tuned/toy.yaml").write_text("{}\n")
    shutil.copy(TOY / "orrery_toy.py", root / "toy.py")
    (root / "data").mkdir()
    (root / "data/toy.txt").write_text(" ".join(str(i / 24) for i in range(24)))
    for command in (
        ["git", "init", "-q"],
        ["dvc", "init", "-q"],
        ["dvc", "add", "-q", "data"],
        ["git", "add", "-A"],
    ):
        run(root, *command)
    run(root, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "toy")
    run(root, "dvc", "repro")
    return root


def begin(root, *command):
    paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": paths,
        "PYTHONPATH": str(TOY),
        "DVC_NO_ANALYTICS": "1",
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("DVC_ROOT", None)
    return subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process, check=True):
    stdout, stderr = process.communicate(timeout=300)
    if check and process.returncode:
        pytest.fail(f"{' '.join(process.args)}\n{stdout}\n{stderr}")
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def run(root, *command, check=True):
    return end(begin(root, *command), check)


def runs_of(root):
    """What MLflow has of the toy, newest first."""
    return [json.loads(line) for line in run(root, "orrery", "runs", "toy", "--json").stdout.splitlines()]


def test_it_ends_with_a_champion(project):
    promotion = json.loads((project / "reports/toy/promotion.json").read_text())
    assert promotion["promoted"]
    metrics = json.loads((project / "reports/toy/variants/fast/metrics.json").read_text())
    assert metrics["scenes"]["only"]["error"] < 0.05
    assert [replica["scenes"]["only"]["error"] < 0.05 for replica in metrics["replicas"]] == [True]
    first, second = (project / "models/toy/fast" / seed / "run.json" for seed in ("", "seed-1"))
    assert json.loads(first.read_text())["run_id"] != json.loads(second.read_text())["run_id"]
    out = run(project, "orrery", "promote", "toy", "--history").stdout
    assert "promoted" in out


def test_a_second_repro_does_nothing(project):
    assert "up to date" in run(project, "dvc", "repro").stdout
    assert (
        not run(project, "dvc", "status", "dvc.yaml")
        .stdout.replace("Data and pipelines are up to date.", "")
        .strip()
    )


def test_one_variants_learning_rate_reruns_that_variant_only(project):
    params = project / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace("0.001", "0.002"))
    listing = run(project, "dvc", "repro", "--dry").stdout
    params.write_text(text)
    reran = [line.split("'")[1] for line in listing.splitlines() if line.startswith("Running stage")]
    assert "train@toy-slow" in reran
    assert "train@toy-fast" not in reran
    assert not [name for name in reran if name.startswith(("align", "gate", "patch"))]


def test_the_overlay_reruns_what_it_may_change(project):
    overlay = project / "params.full.yaml"
    text = overlay.read_text()
    overlay.write_text(text.replace("1", "2"))
    listing = run(project, "dvc", "repro", "--dry", "align@toy", "train@toy-slow").stdout
    overlay.write_text(text)
    assert "Running stage 'align@toy'" in listing
    assert "Running stage 'train@toy-slow'" in listing


def test_predict_uses_the_champion_and_stamps_its_lineage(project):
    (project / "in.txt").write_text("1")
    assert (
        "doubled"
        in run(
            project, "orrery", "predict", "toy", "--image", "in.txt", "--dem", "in.txt", "--out", "product"
        ).stdout
    )
    tags = json.loads((project / "product/product.json").read_text())
    assert "toy" in tags.values()


def test_its_report_is_made_like_any_others(project):
    out = run(project, "orrery", "report").stdout
    champion = json.loads((project / "models/toy/fast/run.json").read_text())["run_id"]
    assert out == f"reports/toy/report.html, logged as runs:/{champion}/report/report.html\n"
    page = (project / "reports/toy/report.html").read_text()
    assert "Doubles brightness." in page
    assert page.count('<figure class="slider"') == 1
    assert "Model card of version 1" in page


def test_a_gate_that_fails_stops_before_patch(project):
    params = project / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace("max: 1.0", "max: -1.0"))
    done = run(project, "dvc", "repro", "patch@toy", check=False)
    params.write_text(text)
    assert done.returncode != 0
    assert "only" in done.stderr + done.stdout
    assert "patch@toy" not in done.stdout


def trials_of(project):
    """Number -> state, of the study's journal, as Optuna reads it."""
    (journal,) = (project / "build/toy/tuning").glob("study.jsonl")
    storage = JournalStorage(JournalFileBackend(str(journal)))
    (study,) = optuna.get_all_study_summaries(storage)
    return optuna.load_study(study_name=study.study_name, storage=storage).get_trials()


@pytest.mark.faults
def test_tuning_that_is_killed_goes_on_and_changes_what_is_confirmed(project, tmp_path):
    clone = tmp_path / "clone"
    shutil.copytree(project, clone, symlinks=True)
    command = [sys.executable, "-m", "orrery", "tune", "toy"]
    environment = {**os.environ, "PYTHONPATH": f"{TOY}:{clone / 'src'}", "OMP_NUM_THREADS": "1"}
    environment.pop("DVC_ROOT", None)
    journal = clone / "build/toy/tuning/study.jsonl"
    for wanted in (1, 3):  # killed twice, once so many trials are done
        process = subprocess.Popen(
            command, cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for line in process.stdout:
            if line.startswith("trial") and "error" in line:
                wanted -= 1
            if wanted <= 0 or line.startswith("confirming"):
                break
        process.kill()
        process.wait()
        assert journal.exists()
    done = run(clone, "orrery", "tune", "toy")
    told = json.loads((clone / "reports/toy/tuning/study.json").read_text())
    ended = [trial for trial in told["trials"] if trial["state"] in ("complete", "pruned")]
    settings = [trial["setting"]["learning_rate"] for trial in ended]
    assert settings[0] == 0.001  # the present one came first
    assert len(set(settings)) == len(settings) == 5
    assert not [trial for trial in trials_of(clone) if trial.state.name == "RUNNING"]
    assert told["confirmation"]["confirmed"], done.stdout  # ten steps at 0.001 leave most of the error
    tuned = YAML(typ="safe").load(clone / "tuned/toy.yaml")
    assert (
        tuned["demo"]["variants"]["slow"]["learning_rate"]
        == min(told["trials"], key=lambda trial: trial["values"][0] if trial["values"] else 9.0)["setting"][
            "learning_rate"
        ]
    )
    listing = run(clone, "dvc", "repro", "--dry").stdout
    assert "Running stage 'train@toy-slow'" in listing
    assert "RUNNING" not in {each["status"] for each in runs_of(clone)}


@pytest.fixture
def other_clone(project, tmp_path):
    """A copy, in which the fast variant's settings changed."""
    clone = tmp_path / "clone"
    shutil.copytree(project, clone, symlinks=True)
    params = clone / "params.yaml"
    params.write_text(params.read_text().replace("learning_rate: 0.3", "learning_rate: 0.2"))
    return clone


@pytest.mark.faults
def test_two_repros_at_once_do_the_work_once(other_clone):
    before = len(runs_of(other_clone))
    begun = [
        begin(other_clone, "dvc", *wait, "repro") for wait in (["--wait-for-lock"], ["--wait-for-lock"], [])
    ]
    for done in [end(process, check=False) for process in begun]:
        # DVC refuses whoever meets the other at one stage, and names the process
        assert done.returncode == 0 or "is busy" in done.stderr or "lock" in done.stderr
    run(other_clone, "dvc", "repro")
    assert "up to date" in run(other_clone, "dvc", "repro").stdout
    runs = runs_of(other_clone)
    assert len(runs) == before + 2  # two seeds, trained once
    assert {each["status"] for each in runs} == {"FINISHED"}
    assert not any((other_clone / "build").rglob("*.partial*"))


@pytest.mark.faults
@pytest.mark.parametrize("options", [[], ["--temp"]], ids=["in place", "in a copy"])
def test_an_experiment_is_a_run_of_its_clone(other_clone, options):
    before = {each["run_id"] for each in runs_of(other_clone)}
    change = ["--set-param", "systems.toy.variants.fast.learning_rate=0.25"]
    run(other_clone, "dvc", "exp", "run", *options, *change, "train@toy-fast")
    fresh = [each for each in runs_of(other_clone) if each["run_id"] not in before]
    assert sorted(each["seed"] for each in fresh) == ["0", "1"]
    assert {each["status"] for each in fresh} == {"FINISHED"}


def test_tuning_is_no_part_of_the_pipeline(project):
    assert "tune" not in run(project, "dvc", "stage", "list").stdout
