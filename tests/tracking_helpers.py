"""A clone with runs and models, made once a session, and processes that die on purpose."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from mlflow.tracking import MlflowClient
from torch import Tensor, nn

from orrery.params import GuardParams, Params, PromotionParams
from orrery.tracking import promotion, registry
from orrery.tracking.promotion import promote, rollback
from orrery.tracking.registry import LoadedModel, find_version, register
from orrery.tracking.root import locked
from orrery.tracking.runs import training_run
from orrery.tracking.store import bootstrap, connect

SYSTEM = "lunar-dtm"
RULES = PromotionParams(
    metric="rmse_m",
    min_relative_improvement=0.02,
    guards={
        "slope_deg": GuardParams(max_relative_worsening=0.05, maximum=20.0, reason="rough terrain misleads")
    },
)


class TinyUNet(nn.Module):
    """(N, 4, H, W) to (N, 2, H, W), H and W multiples of 4, with what the real ones are made of."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.down = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.deep = nn.Conv2d(6, 6, 3, stride=2, padding=1)
        self.out = nn.Conv2d(12, 8, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, images: Tensor) -> Tensor:
        shallow = torch.relu(self.norm(self.down(images)))
        deep = nn.functional.interpolate(
            torch.relu(self.deep(shallow)), size=shallow.shape[-2:], mode="bilinear"
        )
        result: Tensor = self.shuffle(self.out(torch.cat([shallow, deep], dim=1)))
        return result


def example(height: int = 64, width: int = 96) -> Tensor:
    return torch.randn(2, 4, height, width, generator=torch.Generator().manual_seed(0))


def make_params(wandb: str = "off", learning_rate: float = 1e-3) -> Params:
    return Params.model_validate(
        {
            "scale": "demo",
            "seed": 7,
            "ingest": {},
            "train": {"checkpoint_every_steps": 5},
            "tracking": {"wandb": wandb},
            "models": {},
            "systems": {
                SYSTEM: {
                    "patch": {"height_px": 64},
                    "variants": {"ours": {"lr": learning_rate, "losses": {"l1": 1.0}}},
                }
            },
        }
    )


def write_evidence(folder: Path, *, passed: bool = True) -> Path:
    folder.mkdir(parents=True)
    (folder / "model_card.md").write_text("# lunar-dtm: ours\n")
    (folder / "gate.json").write_text(json.dumps({"passed": passed}))
    (folder / "metrics.json").write_text(json.dumps({"scenes": {}}))
    (folder / "mountain.png").write_bytes(b"a picture")
    return folder


def git(folder: Path, *arguments: str) -> None:
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    subprocess.run(["git", "-C", str(folder), *author, *arguments], check=True, capture_output=True)


def make_clone(root: Path) -> None:
    """A git clone with two trained and registered versions and no champion yet."""
    root.mkdir()
    git(root, "init", "-q")
    (root / ".gitignore").write_text("/mlruns/\n/data\n/.dvc/\n")
    (root / "data.dvc").write_text("outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  path: data\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "start")
    os.chdir(root)
    for seed in (1, 2):
        evidence = write_evidence(root / "mlruns" / f"evidence-{seed}")
        with training_run(SYSTEM, "ours", make_params(), root=root) as run:
            run.logger.log_metrics({"loss": 1.0 / seed}, step=1)
        register(SYSTEM, TinyUNet(seed), example(), {"seed": seed}, evidence, run.run_id, root=root)


def copy_clone(template: Path, target: Path) -> Path:
    shutil.copytree(template, target)
    return target


def evaluate(model: LoadedModel) -> dict[str, dict[str, float]]:
    """Version 2 is a fifth better than version 1, everywhere."""
    rmse = {"1": 10.0, "2": 8.0}[model.version]
    return {f"scene-{number}": {"rmse_m": rmse + number, "slope_deg": 5.0} for number in range(3)}


def in_processes(target: Callable[..., None], arguments: Sequence[tuple[object, ...]]) -> list[int | None]:
    """Run `target` once for each arguments, all at the same time; return the exit codes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["orrery.tracking.promotion", "orrery.tracking.runs"]
    )  # slow imports, once
    started = [context.Process(target=target, args=each) for each in arguments]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    return [process.exitcode for process in started]


WRITES = (
    "log_dict",
    "set_model_version_tag",
    "set_registered_model_tag",
    "set_registered_model_alias",
    "delete_registered_model_alias",
    "create_logged_model",
    "log_model_artifacts",
    "finalize_logged_model",
    "log_outputs",
    "create_model_version",
)


def die_at_write(count: int) -> None:
    """Kill this process just before its write number `count` (from 0) to the registry."""
    done = 0

    def counted(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal done
            if done == count:
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1
            return original(*arguments, **options)

        return call

    for name in WRITES:
        setattr(MlflowClient, name, counted(getattr(MlflowClient, name)))


def quick_load(system: str, name: str, *, root: Path) -> LoadedModel:
    """A version without its network, which no table of metrics needs."""
    version = find_version(connect(root), system, name)
    return LoadedModel(system, str(version.version), str(version.run_id), None, {}, version.tags)  # type: ignore[arg-type]


def quick_export(network: nn.Module, example: Tensor, folder: Path) -> None:
    """Another network's export: what is in the files does not matter to who counts them."""
    model = next(Path.cwd().glob("mlruns/artifacts/lunar-dtm/models/*/artifacts"))
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("recipe.json", "evidence"))


def promote_and_die(root: Path, count: int) -> None:
    promotion.load = quick_load
    die_at_write(count)
    promote(SYSTEM, RULES, evaluate, root=root)


def roll_back_and_die(root: Path, count: int) -> None:
    die_at_write(count)
    rollback(SYSTEM, root=root)


def register_third(root: Path, run_id: str) -> str:
    return register(
        SYSTEM, TinyUNet(3), example(), {"seed": 3}, root / "mlruns/evidence-1", run_id, root=root
    )


def register_and_die(root: Path, run_id: str, count: int) -> None:
    os.chdir(root)
    registry.export = quick_export
    die_at_write(count)
    register_third(root, run_id)


def promote_here(root: Path) -> None:
    promote(SYSTEM, RULES, evaluate, root=root)


def bootstrap_here(root: Path) -> None:
    bootstrap(root, SYSTEM)


def train_and_die(root: Path) -> None:
    os.chdir(root)
    with training_run(SYSTEM, "ours", make_params(), attempt="dying", root=root) as run:
        run.logger.log_metrics({"loss": 0.5}, step=3)
        os.kill(os.getpid(), signal.SIGKILL)


def hold_lock_and_die(root: Path) -> None:
    with locked(root, "test"):
        os.kill(os.getpid(), signal.SIGKILL)
