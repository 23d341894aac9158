"""One small clone of kaguya-disparity, its commands as processes, and what they leave behind without times and ids."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import rasterio
from ruamel.yaml import YAML

from orrery.files import sha256
from orrery.params import read_yaml
from tests.unit.systems.kaguya_scenes import SIZE, scene_params, section, small_variant

ROOT = Path(__file__).parents[2]
SYSTEM, VARIANT = "kaguya-disparity", "orrery-disparity"
PAIR = "data/kaguya/test-a"
COMMANDS = {
    "ingest": "ingest --no-version",
    "align": f"align {SYSTEM}",
    "gate": f"gate {SYSTEM}",
    "patch": f"patch {SYSTEM}",
    "tune": f"tune {SYSTEM}",
    "train": f"train {SYSTEM} {VARIANT}",
    "evaluate": f"evaluate {SYSTEM} {VARIANT}",
    "tables": f"tables {SYSTEM}",
    "register": f"register {SYSTEM} {VARIANT}",
    "promote": f"promote {SYSTEM} --allow-refusal",
    "predict": f"predict {SYSTEM} --left {PAIR}/tc1.lbl --right {PAIR}/tc2.lbl --table SF008S.A --mean-count 200 --out out",
}
"""Stage -> what is typed, in the order of the pipeline."""
SCENES = {"train-a": "flat", "train-b": "mountain", "val-a": "flat", "test-a": "flat", "test-b": "mountain"}
STEPS = 12
# A server of forks that has imported everything and computed nothing: no thread is there to be lost by a fork.
SERVER = multiprocessing.get_context("forkserver")
PRELOADED = ["tests.faults.small_clone", "orrery.systems.kaguya_disparity.tables", "orrery.training", "orrery.tracking.promotion",
             "orrery.stages.register", "orrery.stages.predict", "orrery.stages.tune", "orrery.systems.kaguya_disparity.predict"]  # fmt: skip


def make_clone(root: Path) -> Path:
    """Parameters and a git repository, nothing else."""
    root.mkdir(exist_ok=True)
    tree = read_yaml(ROOT / "params.yaml")
    scenes = {name: scene_params(kind).model_dump(mode="json") for name, kind in SCENES.items()}
    variant = small_variant(network={"widths": [8, 8, 16]}, optimiser={"steps": STEPS, "warmup_steps": 2})
    part = section(variants={VARIANT: variant}).model_dump(mode="json", exclude_none=True)
    tree |= {
        "ingest": {"kaguya": {**SIZE, "scenes": scenes}},
        "models": {f"{SYSTEM}-{VARIANT}": {"system": SYSTEM, "code": part["code"], "variant": VARIANT}},
        "systems": {SYSTEM: {**part, "variants": {VARIANT: part["variants"][VARIANT]}}},
    }
    tree["train"] |= {"accelerator": "cpu", "threads": 1, "checkpoint_every_steps": 2, "seeds": 1}
    tree["systems"][SYSTEM]["promotion"] |= {"gates": [], "guards": {}, "same_data": False}
    tree["systems"][SYSTEM]["tune"] |= {"trials": 4, "steps": 4, "seeds": 2}
    with (root / "params.yaml").open("w") as stream:
        YAML(typ="safe", pure=True).dump(tree, stream)
    (root / ".gitignore").write_text("/build\n/models\n/reports\n/mlruns\n/data\n/out\n")
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "small"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True, capture_output=True)
    return root


def log_of(root: Path) -> Path:
    """What the last command said; beside the clone, which may be full."""
    return root.with_name(f"{root.name}.log")


def begin(stage: str, root: Path) -> tuple[Any, Connection]:
    """A stage in a process of its own, and where it says that it has begun."""
    SERVER.set_forkserver_preload(PRELOADED)
    receiving, sending = SERVER.Pipe(duplex=False)
    child = SERVER.Process(target=_run, args=(stage, root, sending))
    child.start()
    sending.close()
    assert receiving.poll(120)
    receiving.recv()
    return child, receiving


def finish(stage: str, root: Path) -> float:
    """Run a stage to its end; its seconds."""
    child, _ = begin(stage, root)
    started = time.monotonic()
    child.join(300)
    assert child.exitcode == 0, (stage, log_of(root).read_text()[-3000:])
    return time.monotonic() - started


def killed_after(stage: str, root: Path, seconds: float) -> bool:
    """Kill a stage at that moment; False when it ended before."""
    child, _ = begin(stage, root)
    child.join(seconds)
    child.kill()
    child.join()
    assert child.exitcode in (0, -9), (stage, log_of(root).read_text()[-3000:])
    return bool(child.exitcode)


def _run(stage: str, root: Path, sending: Connection) -> None:
    from orrery.cli import main
    from orrery.systems.kaguya_disparity import system, tables  # noqa: F401  imported before the clock runs

    log = os.open(log_of(root), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(root)
    os.environ["DVC_ROOT"] = str(root)
    sys.argv = ["orrery", *COMMANDS[stage].split()]
    sending.send(None)
    main()


def results(root: Path) -> dict[str, Any]:
    """Everything that the stages leave, without times and ids."""
    found: dict[str, Any] = {}
    for name in ("data", "build", "models", "reports", "out"):
        for path in sorted((root / name).rglob("*")):
            if path.is_file() and not any(part in path.as_posix() for part in UNEQUAL):
                found[path.relative_to(root).as_posix()] = _content(path)
    return found


UNEQUAL = ("-docs/", "tuning/pictures/", "study.jsonl")  # tell times, and the numbers of trials
NAMING = ("run.json", "registered.json", "promotion.json", "item.json")  # tell runs and times


def _content(path: Path) -> Any:
    """Bytes; but the run's id and the time that something took are left out."""
    if path.name in NAMING:
        return sorted(json.loads(path.read_text()))
    if "tuning" in path.parts:
        return _unnumbered(json.loads(path.read_text()))
    if path.name in ("metrics.json", "tables.json"):
        return _timeless(json.loads(path.read_text()))
    if path.name == "tables.md":
        return path.read_text().partition("## cost")[0]
    if path.suffix == ".tif" and "out" in path.parts:
        with rasterio.open(path) as dataset:
            tags = {name: value for name, value in dataset.tags().items() if name != "orrery_run_id"}
            return tags, hashlib.sha256(dataset.read().tobytes()).hexdigest()
    return sha256(path)


def _unnumbered(value: Any) -> Any:
    """What a study found, without the numbers of its trials: one that was killed keeps its own, and is tried again."""
    if isinstance(value, dict):
        numbers = ("number", "trial", "best", "study")
        return {name: _unnumbered(each) for name, each in value.items() if name not in numbers}
    if isinstance(value, list):
        return [
            _unnumbered(each) for each in value if not isinstance(each, dict) or each.get("state") != "fail"
        ]
    return value


def _timeless(value: Any) -> Any:
    """Plain data without how long something took, and when."""
    if isinstance(value, dict):
        return {name: _timeless(each) for name, each in value.items() if name not in ("seconds", "commit")}
    if isinstance(value, list):
        return [
            _timeless(each)
            for each in value
            if not (isinstance(each, dict) and each.get("metric") == "s per Mpx")
        ]
    return value


def tracked(root: Path) -> dict[str, Any]:
    """Runs with their curves, versions, aliases, events, and how many files the artifacts have."""
    reading, sending = SERVER.Pipe(duplex=False)
    child = SERVER.Process(target=_tell, args=(root, sending))
    child.start()
    sending.close()
    found: dict[str, Any] = reading.recv()
    child.join()
    return found


def _tell(root: Path, sending: Connection) -> None:
    from orrery.tracking.promotion import history
    from orrery.tracking.registry import aliases
    from orrery.tracking.store import connect

    os.chdir(root)
    client = connect(root)
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments)
    curves = [
        {
            name: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
            for name in sorted(run.data.metrics)
            if not name.startswith("system/")
        }
        for run in runs
    ]
    files = [path.name for path in (root / "mlruns/artifacts").rglob("*") if path.is_file()]
    sending.send(
        {
            "states": [run.info.status for run in runs],
            "curves": sorted(curves, key=repr),
            "versions": [version.version for version in client.search_model_versions(f"name = '{SYSTEM}'")],
            "models": len(client.search_logged_models(experiments)),
            "aliases": aliases(client, SYSTEM),
            "events": [
                (each.number, each.kind, each.version, each.aliases, each.done)
                for each in history(SYSTEM, root=root)
            ],
            "files": sorted(files),
        }
    )


def orphans(root: Path) -> list[str]:
    """Temporary files that nobody will ever rename."""
    marks = (".partial", ".work", ".dropped", ".part")
    return [
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if ".git" not in path.parts and any(mark in path.name for mark in marks)
    ]
