import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from orrery.errors import OrreryError
from orrery.optimisation import SeededBatches
from orrery.systems.lunar_dtm.calibration import ONE_SIGMA, calibrated
from orrery.systems.lunar_dtm.data import PatchDataset
from orrery.systems.lunar_dtm.model import TerrainModel
from orrery.systems.lunar_dtm.params import PhysicalRecipeParams, VariantParams
from orrery.systems.lunar_dtm.photoclinometry import Spectra
from orrery.systems.lunar_dtm.recipes import make_recipe
from orrery.systems.split import SplitParams, split_of

RECIPE = {
    "name": "physical",
    "sun_sector": True,
    "photoclinometry": True,
    "base": "coarse",
    "sun_constants": True,
}
VARIANT = {
    "network": {"name": "unet", "widths": [8, 8]},
    "recipe": RECIPE,
    "losses": {"elevation": 1.0},
    "gradient_operator": "difference",
    "optimiser": {
        "steps": 10, "batch_size": 2, "learning_rate": 0.1, "weight_decay": 0.0, "schedule": "step",
        "warmup_steps": 2, "ema_decay": 0.0, "gradient_clip": 1.0,
    },
}  # fmt: skip


@pytest.fixture
def patches(tmp_path):
    """Two patches of each set; the truth is 0.5 px above the coarse DEM, give or take one."""
    random = np.random.default_rng(0)
    rows = []
    for subset in ("train", "validation"):
        (tmp_path / subset).mkdir()
        planes = {
            name: random.normal(1, 0.1, (2, 128, 160)).astype(np.float16)
            for name in ("brightness", "rendered", "photoclinometry")
        }
        coarse = random.normal(size=(2, 128, 160)).astype(np.float32)
        residual = random.normal(0.5, 1, (2, 128, 160)).astype(np.float32)
        residual[0, :3] = np.nan
        save_file({**planes, "coarse": coarse, "residual": residual}, tmp_path / subset / "a-0.safetensors")
        rows += [
            {
                "shard": f"{subset}/a-0.safetensors",
                "position": i,
                "set": subset,
                "sun_azimuth_deg": 200.0,
                "sun_elevation_deg": 30.0,
                "gsd_m": 3.0,
            }
            for i in range(2)
        ]
    pd.DataFrame(rows).to_parquet(tmp_path / "index.parquet")
    return tmp_path


def test_an_item_leads_back_to_its_heights_and_masks_what_is_unknown(patches):
    data = PatchDataset(patches, "train", make_recipe(PhysicalRecipeParams(**RECIPE)))
    item, encoded, truth = data.item(0)
    assert item["inputs"].shape == (8, 128, 160) or item["inputs"].shape == (8, 160, 128)
    assert item["valid"].sum() == np.isfinite(truth).sum() == 125 * 160
    assert (item["target"][~item["valid"]] == 0).all()
    found = encoded.heights(item["target"].numpy())
    np.testing.assert_allclose(found[np.isfinite(truth)], truth[np.isfinite(truth)], atol=1e-5)


def test_a_set_without_patches_is_told(patches):
    with pytest.raises(OrreryError, match="no patches of the set 'test'"):
        PatchDataset(patches, "test", make_recipe(PhysicalRecipeParams(**RECIPE)))


def test_a_resumed_training_sees_the_batches_it_would_have_seen():
    undisturbed = list(SeededBatches(size=7, batch_size=3, steps=12, seed=5))
    resumed = list(SeededBatches(size=7, batch_size=3, steps=12, seed=5, first_step=4))
    assert resumed == undisturbed[4:]
    drawn = [number for batch in undisturbed[:7] for number in batch]
    assert sorted(drawn) == sorted(list(range(7)) * 3)  # every patch once an epoch
    assert undisturbed != list(SeededBatches(size=7, batch_size=3, steps=12, seed=6))


def test_sigma_is_calibrated_to_cover_68_percent(patches):
    import torch

    def network(inputs):
        height, width = inputs.shape[-2:]
        return torch.stack([torch.full((1, height, width), 0.5), torch.zeros(1, height, width)], 1)

    model = TerrainModel(
        "v", network, VariantParams.model_validate(VARIANT), Spectra(1e-4, 3.0, 1.0, 1e-3, 1e-6, 2.0)
    )
    assert calibrated(model, patches).sigma_scale == pytest.approx(
        1, abs=0.03
    )  # errors are normal, of unit variance
    assert pytest.approx(0.6827) == ONE_SIGMA


SPLIT = SplitParams(train=["train-*"], validation=["val-*"], test=["test-*"], extra=["suns-*"])


@pytest.mark.parametrize(
    ("site", "subset"), [("train-flat-0", "train"), ("val-wall", "validation"), ("suns-flat-s0", "extra")]
)
def test_scenes_are_split_by_name(site, subset):
    assert split_of(site, SPLIT) == subset


def test_a_site_in_no_set_or_in_two_is_refused():
    with pytest.raises(OrreryError, match="no set"):
        split_of("elsewhere", SPLIT)
    both = SPLIT.model_copy(update={"test": ["train-flat-*"]})
    with pytest.raises(OrreryError, match="train and test"):
        split_of("train-flat-0", both)
