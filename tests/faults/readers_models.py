"""Files of networks and runs: weights, recipes, checkpoints, exports, the registry, studies, bundles, reports."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from orrery.attempt import Attempt
from orrery.checkpoints import steps_done
from orrery.files import write_json
from orrery.params import load_params
from orrery.reports.results import read_results
from orrery.stages.trained import load_network, load_recipe
from orrery.systems.base import Workspace, get_section, get_system
from orrery.systems.kaguya_disparity.model import DisparityModel
from orrery.systems.kaguya_disparity.scaling import Scaling
from orrery.systems.lunar_dtm.model import TerrainModel
from orrery.systems.mars_bands.model import BandsModel
from orrery.systems.mars_bands.normalisation import Moments, Normalisation
from orrery.tracking.browse import _written_by
from orrery.tracking.bundle import MANIFEST, SCHEMA, _add, _sha256, read_bundle
from orrery.tracking.export import export, load_export
from orrery.tracking.registry import artifacts, find_version, load
from orrery.tracking.store import connect
from orrery.tuning.study import open_storage, open_study, settings, work
from tests.faults.fuzzing import Reader
from tests.faults.readers_made import SPECTRA
from tests.report_results import write_results
from tests.tracking_helpers import SYSTEM, TinyUNet, example, make_clone
from tests.unit.tuning.test_study import NOW, OPTIONS, quadratic

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
Read = Callable[[], Any]


def _whole_section(system: str) -> Any:
    return get_section(load_params(ROOT / "params.yaml"), system)


def _terrain(variant: Any) -> TerrainModel:
    return TerrainModel("orrery-dtm", None, variant, SPECTRA, 1.1)


def _bands(variant: Any) -> BandsModel:
    several = (0.1,) * variant.targets
    overall = Moments(0.15, 0.02, several, several, several, several)
    normalisation = Normalisation(variant.normalisation, overall, overall, {"gale": overall})
    return BandsModel("orrery-bands", torch.nn.Identity(), variant, normalisation, (1.0,) * variant.targets)


def _disparity(variant: Any) -> DisparityModel:
    return DisparityModel(
        "orrery-disparity", torch.nn.Identity(), variant, Scaling(0.05, -0.5, 0.8), 1.2, {"a": [[0, 64]]}
    )


MODELS = {"lunar-dtm": ("orrery-dtm", _terrain), "mars-bands": ("orrery-bands", _bands),
          "kaguya-disparity": ("orrery-disparity", _disparity)}  # fmt: skip


def model(system: str) -> Callable[[Path], Read]:
    """What `evaluate` reads: weights into the network, and the recipe."""
    variant, join = MODELS[system]

    def make(folder: Path) -> Read:
        section, owner, where = _whole_section(system), get_system(system), Workspace(system, folder)
        network, path = owner.network(section, variant), where.model(variant)
        path.mkdir(parents=True)
        state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        save_file(state, path / "weights.safetensors")
        recipe = join(section.variants[variant]).recipe()
        write_json(path / "recipe.json", recipe)
        write_json(path / "run.json", {"run_id": "0" * 32})
        kind = type(join(section.variants[variant]))

        def whole() -> Any:
            network = load_network(owner, section, variant, where)
            joined = kind.from_recipe(load_recipe(variant, where), network)
            weights = list(network.state_dict().values())
            return joined.recipe(), [tensor.double().sum().item() for tensor in weights], _written_by(path)

        return whole

    return make


def checkpoint(folder: Path) -> Read:
    """As Lightning writes it, in small."""
    import pytorch_lightning as pl

    from tests.pipeline.toy.orrery_toy import ToyTask

    task = ToyTask(0.1)
    loader = torch.utils.data.DataLoader([torch.ones(1, 8, 8) for _ in range(4)], batch_size=2)
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }
    trainer = pl.Trainer(max_steps=2, enable_checkpointing=False, **quiet)
    trainer.fit(task, loader)
    trainer.save_checkpoint(folder / "last.ckpt")
    return lambda: steps_done(folder / "last.ckpt")


def attempt(folder: Path) -> Read:
    under_way = Attempt(folder / "scratch", "a key")
    under_way.begin()

    def whole() -> Any:
        """Another key than the kept one empties the folder: what is inside is kept aside."""
        content = {path: path.read_bytes() for path in under_way.scratch.iterdir() if path.is_file()}
        found = under_way.begin()
        under_way.scratch.mkdir(exist_ok=True)
        for path, each in content.items():
            path.write_bytes(each)
        return found

    return whole


def exported(folder: Path) -> Read:
    export(TinyUNet(0), example(), folder / "model")
    image = torch.ones(1, 4, 64, 96)
    return lambda: load_export(folder / "model", CPU)(image)


def registered(folder: Path) -> Read:
    """One version, whose artifacts are damaged where MLflow keeps them."""
    root, before = folder / "clone", Path.cwd()
    try:
        make_clone(root)
    finally:
        os.chdir(before)
    stored = artifacts(find_version(connect(root), SYSTEM, "1"))
    (folder / "stored").symlink_to(stored)
    image = torch.ones(1, 4, 64, 96)

    def whole() -> Any:
        found = load(SYSTEM, "1", root=root, device="cpu")
        return found.recipe, found.network(image)

    return whole


def study(folder: Path) -> Read:
    found = open_study(open_storage(None, folder), "s", OPTIONS, NOW)
    work(found, OPTIONS, quadratic, 7, folder, 4)

    def whole() -> Any:
        again = open_study(open_storage(None, folder), "s", OPTIONS, NOW)
        return [{**trial, "seconds": None} for trial in settings(again)]

    return whole


def bundle(folder: Path) -> Read:
    files = {"artifacts/recipe.json": b"{}", "artifacts/deep/w.bin": bytes(range(256))}
    told = {"schema": SCHEMA, "run_id": "0" * 32, "name": "a", "system": SYSTEM, "status": "FINISHED", "started": 1, "ended": 2,
            "params": {"lr": "0.1"}, "tags": {"a": "b"}, "metrics": {"loss": [[0.5, 1, 1]]},
            "files": {name: _sha256(content) for name, content in files.items()}}  # fmt: skip
    with zipfile.ZipFile(folder / "run.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, MANIFEST, json.dumps(told).encode())
        for name, content in files.items():
            _add(archive, name, content)
    return lambda: read_bundle(folder / "run.zip")


def report(folder: Path) -> Read:
    where, section = write_results(folder, ROOT), _whole_section(SYSTEM)

    def whole() -> Any:
        found = read_results(where, section)
        return (
            found.rows,
            found.preface,
            dict(found.gate),
            found.promotion,
            found.trainings,
            dict(found.metrics),
        )

    return whole


READERS = [
    *(
        Reader(
            f"model of {system}",
            model(system),
            [f"models/{system}/{variant}/{name}" for name in ("weights.safetensors", "recipe.json", "run.json")],
            cut_is_seen=True,
        )
        for system, (variant, _) in MODELS.items()
    ),
    Reader("checkpoint", checkpoint, ["last.ckpt"], cut_is_seen=True),
    Reader("training under way", attempt, ["scratch/training.json"], cut_is_seen=True),
    Reader("exported network", exported, ["model/data/model.pt2", "model/MLmodel"], about=["model"], heavy=True),
    Reader("registered version", registered, [f"stored/{name}" for name in ("data/model.pt2", "recipe.json", "MLmodel")],
           about=["artifacts"], heavy=True),
    Reader("study", study, ["study.jsonl"], optional=True),
    Reader("exported run", bundle, ["run.zip"], cut_is_seen=True),
    Reader("results of a report", report,
           ["reports/gates/lunar-dtm.json", "reports/lunar-dtm/tables.json", "reports/lunar-dtm/promotion.json",
            "reports/lunar-dtm/variants/orrery-dtm/metrics.json", "models/lunar-dtm/orrery-dtm/run.json"], cut_is_seen=True),
]  # fmt: skip
