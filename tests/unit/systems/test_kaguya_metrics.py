"""Figures against independent formulas; losses; parameters that do not go together."""

import numpy as np
import pytest
import torch

from orrery.errors import OrreryError
from orrery.params import validate
from orrery.systems.kaguya_disparity import losses
from orrery.systems.kaguya_disparity.baselines import LowPass, baselines
from orrery.systems.kaguya_disparity.features import FEATURES, REACH_PX, features
from orrery.systems.kaguya_disparity.metrics import (
    Sums,
    coverage,
    expected_r2,
    mean_over_patches,
    residual_figures,
)
from orrery.systems.kaguya_disparity.params import VariantParams
from tests.unit.systems.kaguya_scenes import small_variant, textured

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(0.01, 0.07, 5000).astype(np.float32)
GUESS = (0.6 * TRUTH + RNG.normal(0, 0.03, 5000)).astype(np.float32)


def test_figures_equal_their_definitions():
    found = residual_figures(TRUTH, GUESS, 10.0)
    error = TRUTH.astype(float) - GUESS
    assert found["mean_px"] == pytest.approx(error.mean(), abs=1e-9)
    assert found["sd_px"] == pytest.approx(error.std(), rel=1e-6)
    assert found["r"] == pytest.approx(np.corrcoef(TRUTH, GUESS)[0, 1], rel=1e-6)
    assert found["r2"] == pytest.approx(1 - (error**2).sum() / ((TRUTH - TRUTH.mean()) ** 2).sum(), rel=1e-5)
    assert found["r2_swapped"] == pytest.approx(
        1 - (error**2).sum() / ((GUESS - GUESS.mean()) ** 2).sum(), rel=1e-4
    )
    assert found["height_sd_m"] / found["sd_px"] == pytest.approx(18.66, abs=0.01)
    assert found["height_sd_paper_m"] / found["sd_px"] == pytest.approx(18.17, abs=0.01)


def test_sums_of_parts_are_those_of_the_whole():
    parts = Sums.of(TRUTH[:2000], GUESS[:2000]) + Sums.of(TRUTH[2000:], GUESS[2000:])
    assert parts.figures() == pytest.approx(Sums.of(TRUTH, GUESS).figures())


def test_nothing_estimated_has_no_correlation_and_explains_nothing():
    found = Sums.of(TRUTH, np.zeros_like(TRUTH)).figures()
    assert "r" not in found
    assert "r2_swapped" not in found
    assert found["r2"] == pytest.approx(-((TRUTH.mean() / TRUTH.std()) ** 2), abs=1e-3)
    assert mean_over_patches([(TRUTH[:1], GUESS[:1])]) == {}


def test_coverage_counts_what_lies_within_sigma():
    assert coverage(TRUTH, GUESS, np.full_like(TRUTH, 10)) == 1
    assert coverage(TRUTH, GUESS, np.full_like(TRUTH, (TRUTH - GUESS).std())) == pytest.approx(
        0.683, abs=0.03
    )


def test_the_law_of_means_of_samples():
    assert expected_r2(0.778, 1) == pytest.approx(2 * 0.778 - 1)
    assert expected_r2(0.3, 8) == pytest.approx(0.3 - 0.7 / 8)


def test_losses_equal_independent_formulas_and_ignore_what_is_invalid():
    draws = torch.Generator().manual_seed(0)
    mean, log_sigma, target = (0.5 * torch.randn(2, 1, 8, 8, generator=draws) for _ in range(3))
    valid = (torch.rand(2, 1, 8, 8, generator=draws) > 0.3).float()
    chosen = valid > 0
    error = (mean - target)[chosen]
    output = torch.cat([mean, log_sigma], 1)
    total, terms = losses.total(
        output, target, valid, {"squared": 0.5, "absolute": 0.0, "weighted": 1.0, "uncertainty": 2.0}
    )
    sigma = log_sigma[chosen].exp()
    assert terms["squared"] == pytest.approx(float((error**2).mean()), rel=1e-4)
    assert terms["weighted"] == pytest.approx(float((error**2 / sigma).mean()), rel=1e-4)
    likelihood = -torch.distributions.Normal(mean[chosen], sigma).log_prob(target[chosen]).mean()
    assert terms["uncertainty"] == pytest.approx(float(likelihood) - 0.5 * np.log(2 * np.pi), rel=1e-4)
    assert float(total) == pytest.approx(
        float(0.5 * terms["squared"] + terms["weighted"] + 2 * terms["uncertainty"])
    )
    spoilt = torch.where(chosen, target, torch.full_like(target, 1e6))
    assert losses.total(output, spoilt, valid, {"squared": 1.0})[0] == pytest.approx(float(terms["squared"]))


def test_uncertainty_does_not_move_the_mean_nor_weighted_the_sigma():
    output = torch.randn(1, 2, 4, 4, requires_grad=True)
    target, valid = torch.randn(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    losses.total(output, target, valid, {"uncertainty": 1.0})[0].backward()
    assert not output.grad[:, 0].any()
    assert output.grad[:, 1].any()
    output.grad = None
    losses.total(output, target, valid, {"weighted": 1.0})[0].backward()
    assert output.grad[:, 0].any()
    assert not output.grad[:, 1].any()


def test_features_do_not_depend_on_brightness_but_for_noise():
    left, right = textured(96, 80), textured(96, 80) + np.float32(0.5)
    disparity = 0.1 * textured(96, 80, 5) / 20
    bright = features(left, right, disparity, 200.0, 0.08)
    dark = features(left / 4, right / 4, disparity, 50.0, 0.08)
    assert bright.shape == (len(FEATURES), 96, 80)
    assert np.allclose(bright, dark, atol=1e-4)
    assert 0.3 < bright[0].std() < 3


def test_features_reach_no_further_than_stated():
    images = [textured(160, 160, seed) for seed in range(3)]
    changed = [image.copy() for image in images]
    for image in changed:
        image[:20, :20] += 50
    before, after = (features(*each, 200.0, 0.08) for each in (images, changed))
    far = np.s_[:, 20 + REACH_PX :, 20 + REACH_PX :]
    assert np.array_equal(before[far], after[far])


def test_low_pass_is_what_the_paper_did():
    from scipy import ndimage

    disparity = textured(64, 64)
    expected = ndimage.gaussian_filter(disparity.astype(float), 3.0, mode="nearest", truncate=8) - disparity
    assert np.abs(LowPass().estimate({"disparity": disparity}) - expected).max() < 0.1 * expected.std()


class _Scene:
    """A training scene whose residual is half of what a Gaussian of 3 px takes away, with some noise."""

    conditions = (None,)

    def planes(self, condition):
        disparity = textured(128, 128) / np.float32(200)
        residual = 0.5 * LowPass().estimate({"disparity": disparity})
        noise = RNG.normal(0, 0.1 * residual.std(), residual.shape).astype(np.float32)
        blank = np.zeros_like(disparity)
        further = {"window-5": blank, "window-11": blank, "prefiltered": blank}
        return {"disparity": disparity, "residual": residual + noise, "valid": blank + 1, **further}


def test_filters_are_fitted_to_training_scenes():
    planes = _Scene().planes(None)
    found = {each.name: each for each in baselines([_Scene()])}
    assert set(found) == {"none", "low-pass", "low-pass-tuned", "linear"}
    assert (found["low-pass-tuned"].sigma_px, found["low-pass-tuned"].gain) == (
        3.0,
        pytest.approx(0.5, abs=0.02),
    )
    r2 = {
        name: Sums.of(planes["residual"].ravel(), each.estimate(planes).ravel()).figures()["r2"]
        for name, each in found.items()
    }
    assert r2["linear"] > 0.95
    assert r2["low-pass-tuned"] > 0.95
    assert r2["low-pass"] < 0.2


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        (
            "orrery-disparity",
            {"losses": {"squared": 0.0, "weighted": 0.0, "uncertainty": 0.0}},
            "none has a weight",
        ),
        ("orrery-disparity", {"method": {"name": "stereo"}}, "does not do stereo"),
        ("igev", {"conditioned": True}, "left and right"),
        ("igev", {"inputs": ["left", "right", "fine"]}, "left and right"),
        ("palette", {"losses": {"absolute": 1.0}}, "only squared"),
        ("orrery-disparity", {"inputs": ["nothing"]}, "inputs"),
        ("orrery-disparity", {"optimiser": {"steps": "many"}}, "optimiser.steps"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(name, changes, said, tmp_path):
    with pytest.raises(OrreryError, match=said):
        validate(VariantParams, small_variant(name, **changes), file=tmp_path / "params.yaml", at="variants")
