"""kaguya-disparity from raw scenes to a judged model, in small: every way of learning, the same twice."""

import shutil

import numpy as np
import pytest
import torch

from orrery.files import read_json
from orrery.params import TrainParams, load_params
from orrery.systems.base import Trained, Workspace, get_system
from orrery.systems.kaguya_disparity.aligned import load_aligned
from orrery.systems.kaguya_disparity.model import DisparityModel
from orrery.systems.kaguya_disparity.system import SYSTEM
from orrery.systems.kaguya_disparity.tables import write_tables
from orrery.tracking.export import export, load_export
from orrery.training import fit
from tests.unit.systems.kaguya_scenes import aligned_workspace, section, small_variant

SMALL = {"widths": [8, 8, 16]}
VARIANTS = {
    "orrery-disparity": small_variant(network=SMALL),
    "one-condition": small_variant("one-condition", network=SMALL),
    "random-patches": small_variant("random-patches", network=SMALL),
    "palette": small_variant("palette", network={"width": 8}, method={"calls": 2, "samples": 8}),
    "palette-literal": small_variant("palette-literal", network={"width": 8}, method={"calls": 3}),
    "igev": small_variant("igev", network={"training_iterations": 1, "iterations": 1}),
    "subpixel-igev": small_variant("subpixel-igev", network={"width": 8, "hidden": 8, "iterations": 1}),
}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return aligned_workspace(tmp_path_factory.mktemp("kaguya"))[0]


@pytest.fixture(scope="module")
def params():
    whole = section()
    return whole.model_copy(update={"variants": section(variants=VARIANTS).variants})


@pytest.fixture
def train(work, params, tmp_path, repository, monkeypatch):
    """Train a variant in a project of its own."""
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)  # the other tests' affair
    options = TrainParams(accelerator="cpu", precision="32-true", threads=1)
    project = load_params(repository / "params.yaml").model_copy(update={"train": options})

    def run(variant, name="one"):
        own = Workspace("kaguya-disparity", tmp_path / name)
        shutil.copytree(work.patches, own.patches)
        task = fit(SYSTEM, params, variant, project, own, logger=False)
        recipe = SYSTEM.recipe(task, own.patches, params, variant)
        network = SYSTEM.network(params, variant)
        network.load_state_dict(task.net.state_dict())
        return Trained(network.eval(), recipe)

    return run


def test_the_entry_point_leads_here():
    assert get_system("kaguya-disparity") is SYSTEM


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_variant_is_trained_and_judged(variant, train, work, params, tmp_path):
    trained = train(variant)
    out = tmp_path / "report"
    out.mkdir()
    found = SYSTEM.evaluate(trained, work.aligned, params, out)
    leaky = params.variants[variant].split == "patch"
    assert {row["set"] for row in found["scenes"].values()} == {"test-patches" if leaky else "test"}
    for row in found["scenes"].values():
        assert np.isfinite([row[name] for name in ("r2", "sd_px", "mean_px", "height_sd_m", "r2@true")]).all()
        if "coverage_1sigma" in row:
            shares = row["reliability"]
            within = np.interp(0.6827, shares["expected"], shares["observed"])
            assert abs(within - row["coverage_1sigma"]) < 0.05
    assert (out / "examples.safetensors").exists()
    assert all(len(list(folder.glob("*.png"))) == 4 for folder in (out / "compared").glob("*"))
    assert bool(list((out / "compared").glob("*"))) is not leaky
    assert bool(list(out.glob("*-scatter.png"))) is not leaky
    if params.variants[variant].conditioned:
        assert {"@sf008s.a-100", "@sf008s.a-400", "@annex-k-q90-200", "standard", "@true"} == set(
            found["pooled"]
        )


@pytest.mark.parametrize("variant", ["orrery-disparity", "palette"])
def test_a_registered_network_takes_any_size(variant, params, tmp_path):
    network = SYSTEM.network(params, variant).eval()
    example = SYSTEM.example(params, variant)
    export(network, example, tmp_path / "model.pt2")
    smaller = example[:1, :, :64, :64]
    with torch.inference_mode():
        expected, got = (
            network(smaller),
            load_export(tmp_path / "model.pt2", torch.device("cpu"))(smaller),
        )
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("variant", ["orrery-disparity", "palette"])
def test_training_twice_gives_equal_weights_and_equal_estimates(variant, train, work, params):
    one, two = train(variant, "one"), train(variant, "two")
    for first, second in zip(
        one.network.state_dict().values(), two.network.state_dict().values(), strict=True
    ):
        assert torch.equal(first, second)
    assert one.recipe == two.recipe
    drop = ("seconds",)
    judged = [SYSTEM.evaluate(each, work.aligned, params, None) for each in (one, two)]
    for each in judged:
        each["cost"] = {name: value for name, value in each["cost"].items() if name not in drop}
    assert judged[0] == judged[1]


def test_a_tile_with_its_context_is_estimated_as_in_the_whole(train, work):
    trained = train("orrery-disparity")
    model = DisparityModel.from_recipe(trained.recipe, trained.network)
    pair = load_aligned(work.aligned / "test-a")
    planes = pair.planes(pair.conditions[0])
    names = ("left", "right", "disparity")
    whole = model.residual(*(planes[name] for name in names), pair.conditions[0])
    border = model.context_px // 8 * 8
    part = np.s_[0 : 64 + border, 0 : 64 + border]
    tile = model.residual(*(planes[name][part] for name in names), pair.conditions[0])
    assert np.abs(tile.mean_px[:64, :64] - whole.mean_px[:64, :64]).max() < 0.05 * whole.mean_px.std()


def test_one_sigma_covers_what_it_says_on_the_validation_scene(train, work, params):
    trained = train("orrery-disparity")
    model = DisparityModel.from_recipe(trained.recipe, trained.network)
    pair = load_aligned(work.aligned / "val-a")
    shares = []
    for condition in pair.conditions:
        planes = pair.planes(condition)
        found = model.residual(planes["left"], planes["right"], planes["disparity"], condition)
        inside = np.abs(found.mean_px - planes["residual"]) <= found.sigma_px
        shares.append(inside[planes["valid"] > 0].mean())
    assert np.mean(shares) == pytest.approx(0.683, abs=0.06)


def test_tables_set_methods_beside_each_other(train, work, params, tmp_path):
    own = Workspace("kaguya-disparity", work.root)
    for variant in ("orrery-disparity", "palette"):
        trained = train(variant, variant)
        out = own.report(variant)
        out.mkdir(parents=True)
        from orrery.files import write_json

        write_json(
            out / "metrics.json", {**SYSTEM.evaluate(trained, work.aligned, params, out), "replicas": []}
        )
    write_tables(own, params, "abc")
    rows = read_json(own.reports / "tables.json")
    named = {(row["table"], row["row"], row["metric"]): row for row in rows}
    assert named["Table IV, all pixels", "palette", "r2"]["paper"] == 0.487
    assert named["Table III, means over scenes", "none", "r2"]["ours"] == pytest.approx(0, abs=0.05)
    assert {row["data"] for row in rows} == {"twin"}
    assert ("mean of K samples, R2", "palette", "K = 8") in named
    assert named["cost", "orrery-disparity", "network calls"]["ours"] == 1
    assert named["cost", "palette", "network calls"]["ours"] == 16
    assert (own.reports / "pictures" / "methods.png").exists()
    assert (own.reports / "pictures" / "brightness.png").exists()
    assert "Table III" in (own.reports / "tables.md").read_text()
