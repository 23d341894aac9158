"""mars-bands from raw scenes to a judged model, in small: the same twice, and what the stages ask of a system."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from orrery.params import TrainParams, load_params
from orrery.seeds import derive
from orrery.systems.base import Trained, Workspace, get_system
from orrery.systems.mars_bands.nets import input_size
from orrery.systems.mars_bands.system import SYSTEM
from orrery.training import fit
from tests.unit.systems.mars_patches import VARIANT, section_of
from tests.unit.systems.mars_scenes import make_scene

SIX = [442.63, 533.74, 592.35, 1079.96, 1500.03, 2503.12]
BINS = {"name": "classification", "n_edges": 9, "spacing": "sid"}
SECTION = section_of(
    {"wavelengths_nm": SIX, "clip": {"name": "percentile", "percentile": 0.01}, "overlap_px": 0},
    variants={
        "ours": VARIANT | {"bands": SIX[::-1]},
        "bins": VARIANT
        | {"head": BINS, "normalisation": "image", "placement": "none", "losses": {"cross_entropy": 1.0}},
        "paper": VARIANT | {"network": {"name": "smp", "encoder": "resnet18"}, "dem": True},
    },
)
GAN = VARIANT | {"network": {"name": "conditional-gan-unet"}, "losses": {"squared": 1.0}}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A training, a validation and a test scene, aligned and cut."""
    work = Workspace("mars-bands", tmp_path_factory.mktemp("mars"))
    for number, name in enumerate(("train-gale-0", "val-gale-0", "test-gale-0")):
        make_scene(work.data / "mars", name, 300_000.0 + 20_000 * number, sun_true_north=(100.0, 50.0))
    table = SYSTEM.align(work.data, work.aligned, SECTION, 7)
    assert list(table["scene"]) == ["test-gale-0", "train-gale-0", "val-gale-0"]
    SYSTEM.patch(work.aligned, work.patches, SECTION, 7)
    return work


@pytest.fixture
def train(work, tmp_path, repository, monkeypatch):
    """Train a variant in a project of its own."""
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)  # the other tests' affair
    options = TrainParams(accelerator="cpu", precision="32-true", threads=1)
    params = load_params(repository / "params.yaml").model_copy(update={"train": options})

    def run(variant, name):
        own = Workspace("mars-bands", tmp_path / name)
        shutil.copytree(work.patches, own.patches)
        task = fit(SYSTEM, SECTION, variant, params, own, logger=False)
        recipe = SYSTEM.recipe(task, own.patches, SECTION, variant)
        network = SYSTEM.network(SECTION, variant)
        network.load_state_dict(task.net.state_dict())
        return task, Trained(network.eval(), recipe)

    return run


def test_a_training_is_the_same_twice_and_its_model_is_judged(work, train, tmp_path):
    (first, trained), (second, again) = train("ours", "one"), train("ours", "two")
    torch.manual_seed(derive(0, "another"))
    before = SYSTEM.task(SECTION, "ours").net.state_dict()
    after, other = first.net.state_dict(), second.net.state_dict()
    assert all(torch.equal(after[name], other[name]) for name in after)
    assert not all(torch.equal(after[name], before[name]) for name in after)
    took, _ = (each.recipe.pop("training") for each in (trained, again))
    assert trained.recipe == again.recipe
    assert took["parameters"] == sum(part.numel() for part in first.net.parameters())
    assert took["training_s"] > 0
    assert took["epoch_s"] == pytest.approx(took["training_s"] * len(pd.read_parquet(
        work.patches / "index.parquet").query("set == 'train'")) / 2 / 4)  # fmt: skip
    assert took["memory_mib"] > 100
    assert took["train_loss"] == pytest.approx(float(torch.stack(first.costs.losses).mean()))
    assert all(0.1 < scale < 20 for scale in trained.recipe["sigma_scale"])
    judged = SYSTEM.evaluate(trained, work.aligned, SECTION, tmp_path / "pictures")
    again_judged = SYSTEM.evaluate(again, work.aligned, SECTION, None)
    assert judged["scenes"] == again_judged["scenes"]
    assert judged["histograms"] == again_judged["histograms"]
    assert judged["restoration"] == again_judged["restoration"]
    assert judged["prediction_s_per_mpx"] > 0
    assert judged["variant"] == "ours"
    assert judged["wavelengths_nm"] == SIX[::-1]
    row = judged["scenes"]["test-gale-0"]
    assert {f"{metric}_{group}{suffix}" for metric in ("rmse_if", "rmse", "spectral_angle_deg", "coverage_1sigma")
            for group in ("evc", "fc", "all") for suffix in ("", "@true")} <= set(row)  # fmt: skip
    assert (
        row["r2_if_all@true"] > 0.9
    )  # bands are straight lines from the image, which this variant starts from
    assert row["rmse_if_all@true"] == pytest.approx(row["rmse_if_all"], rel=0.5)
    assert np.isfinite([value for value in row.values() if isinstance(value, float)]).all()
    assert (tmp_path / "pictures" / "test-gale-0.png").exists()


def test_a_classification_of_z_scores_is_trained_and_judged_too(work, train):
    _, trained = train("bins", "one")
    judged = SYSTEM.evaluate(trained, work.aligned, SECTION, None)
    row = judged["scenes"]["test-gale-0"]
    assert not any("_fc" in name for name in row)
    assert 0 < row["rmse_evc"] < 3
    assert 0 <= row["coverage_1sigma_evc"] <= 1
    assert trained.recipe["variant"]["placement"] == "none"


@pytest.mark.parametrize("variant", [*SECTION.variants, "gan"])
def test_an_example_is_one_that_the_network_takes(variant):
    section = section_of({"size_px": 256}, variants={"gan": GAN}) if variant == "gan" else SECTION
    example, params = SYSTEM.example(section, variant), section.variants[variant]
    size = input_size(params.network)
    assert example.shape[:2] == (2, 2 if params.dem else 1)
    height, width = example.shape[2:]
    assert height != width
    for side in (height, width):
        assert side % size.multiple == 0
        assert side >= size.smallest


def test_the_system_is_known_by_its_name_and_tells_its_schedule():
    assert get_system("mars-bands") is SYSTEM
    schedule = SYSTEM.schedule(SECTION, "ours")
    assert (schedule.steps, schedule.ema_decay, schedule.gradient_clip) == (4, 0.0, 1.0)
    assert set(SYSTEM.takes) == {"predict", "restore"}
    assert SYSTEM.takes["restore"]["cube"]
