"""mars-bands' loss terms, heads and task against torch's own and against formulae."""

import math
from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional
from torch.utils.data import DataLoader

from orrery.systems.mars_bands.bins import class_weights, confidence, decode, sid, sigma
from orrery.systems.mars_bands.heads import Head, padded
from orrery.systems.mars_bands.losses import TERMS, Prediction, weighted
from orrery.systems.mars_bands.nets import InputSize, build, input_size
from orrery.systems.mars_bands.task import BandsTask
from tests.unit.systems.mars_patches import variant_of

BINS = {"name": "classification", "n_edges": 9, "spacing": "sid"}


@pytest.fixture
def pair():
    """Predicted and true values of two patches of three bands, seven tenths of them valid; the truth is 0 elsewhere."""
    torch.manual_seed(3)
    mean, valid = torch.randn(2, 3, 12, 14), torch.rand(2, 1, 12, 14) < 0.7
    truth = torch.where(valid, mean + 0.5 * torch.randn_like(mean), torch.zeros(()))
    return Prediction(mean, truth, valid)


def known(p, values):
    return values[p.valid.expand_as(values)]


# Losses


@pytest.mark.parametrize(
    ("name", "theirs"), [("squared", functional.mse_loss), ("absolute", functional.l1_loss)]
)
def test_errors_are_means_over_valid_pixels_or_over_all(pair, name, theirs):
    inside = theirs(known(pair, pair.mean), known(pair, pair.truth))
    torch.testing.assert_close(TERMS[name](pair), inside)
    diluted = TERMS[name](replace(pair, diluted=True))
    torch.testing.assert_close(diluted, inside * pair.valid.float().mean())


@pytest.mark.parametrize("name", TERMS)
def test_what_is_predicted_on_invalid_pixels_does_not_matter(pair, name):
    p = replace(pair, log_sigma=0.1 * pair.mean, logits=torch.randn(2, 3, 8, 12, 14),
                classes=torch.randint(0, 8, (2, 3, 12, 14)), class_weights=torch.rand(8))  # fmt: skip
    spoiled = replace(p, mean=torch.where(p.valid, p.mean, p.mean + 7))
    torch.testing.assert_close(TERMS[name](spoiled), TERMS[name](p))


@pytest.mark.parametrize("diluted", [False, True])
@pytest.mark.parametrize("valid", ["none", "one", "all"])
def test_no_loss_and_no_slope_is_ever_nan(valid, diluted):
    mask = torch.full((1, 1, 6, 6), valid == "all")
    mask[..., 2, 3] = valid != "none"
    values = torch.randn(1, 2, 6, 6, requires_grad=True)
    log_sigma = torch.full((1, 2, 6, 6), 60.0, requires_grad=True)
    logits = (1e3 * torch.randn(1, 2, 8, 6, 6)).requires_grad_()
    classes = torch.randint(0, 8, (1, 2, 6, 6))
    p = Prediction(values, torch.zeros(1, 2, 6, 6), mask, log_sigma, logits, classes, diluted=diluted)
    total, terms = weighted(p, dict.fromkeys(TERMS, 1.0))
    total.backward()
    assert set(terms) == set(TERMS)
    assert torch.isfinite(total)
    assert (total == 0) == (valid == "none")
    assert all(torch.isfinite(part.grad).all() for part in (values, log_sigma, logits))


def test_gradient_is_that_of_the_error_as_numpy_has_it(pair):
    error = np.where(pair.valid, pair.mean - pair.truth, 0)
    right = np.abs(np.diff(error, axis=3, append=error[..., -1:]))
    down = np.abs(np.diff(error, axis=2, append=error[..., -1:, :]))
    expected = (right + down)[np.broadcast_to(pair.valid, error.shape)].mean()
    assert TERMS["gradient"](pair).item() == pytest.approx(expected, rel=1e-5)
    level = replace(pair, mean=pair.truth + 2, valid=torch.ones_like(pair.valid))
    assert TERMS["gradient"](level).item() == pytest.approx(0, abs=1e-5)


def test_uncertainty_is_torchs_likelihood_and_least_at_the_true_spread():
    torch.manual_seed(1)
    truth, valid = 0.3 * torch.randn(1, 1, 200, 200), torch.ones(1, 1, 200, 200, dtype=torch.bool)
    mean, guesses = torch.zeros_like(truth), np.geomspace(0.1, 1.0, 61)
    losses = []
    for guess in guesses:
        p = Prediction(mean, truth, valid, torch.full_like(truth, math.log(guess)))
        losses.append(TERMS["uncertainty"](p).item())
        theirs = functional.gaussian_nll_loss(mean, truth, torch.full_like(truth, guess**2))
        assert losses[-1] == pytest.approx(theirs.item(), abs=1e-4)
    assert guesses[int(np.argmin(losses))] == pytest.approx(truth.std().item(), rel=0.04)


def test_uncertainty_does_not_move_the_mean(pair):
    mean = pair.mean.clone().requires_grad_()
    log_sigma = torch.zeros_like(mean, requires_grad=True)
    TERMS["uncertainty"](replace(pair, mean=mean, log_sigma=log_sigma)).backward()
    assert mean.grad is None
    assert (log_sigma.grad[pair.valid.expand_as(mean)] != 0).all()


@pytest.mark.parametrize("weighting", [False, True])
def test_cross_entropy_is_torchs_own(pair, weighting):
    torch.manual_seed(2)
    logits, classes = torch.randn(2, 3, 8, 12, 14), torch.randint(0, 8, (2, 3, 12, 14))
    weights = torch.rand(8) if weighting else None
    p = replace(pair, logits=logits, classes=classes, class_weights=weights)
    theirs = functional.cross_entropy(logits.transpose(1, 2), classes, weights, reduction="none")
    torch.testing.assert_close(TERMS["cross_entropy"](p), known(pair, theirs).mean())
    torch.testing.assert_close(
        TERMS["cross_entropy"](replace(p, diluted=True)),
        torch.where(pair.valid, theirs, torch.zeros(())).mean(),
    )


def test_terms_are_weighted_and_those_without_weight_left_out(pair):
    total, terms = weighted(pair, {"squared": 2.0, "absolute": 0.5, "uncertainty": 0.0})
    assert list(terms) == ["squared", "absolute"]
    torch.testing.assert_close(total, 2 * TERMS["squared"](pair) + 0.5 * TERMS["absolute"](pair))


@pytest.mark.parametrize("name", ["uncertainty", "cross_entropy"])
def test_a_term_that_the_head_cannot_serve_says_so(pair, name):
    with pytest.raises(ValueError, match=name):
        weighted(pair, {name: 1.0})


# Heads


@pytest.mark.parametrize(
    ("changes", "outputs"),
    [
        ({"losses": {"squared": 1.0}}, 3),
        ({"losses": {"squared": 1.0, "uncertainty": 0.1}}, 6),
        ({"losses": {"squared": 1.0, "uncertainty": 0.0}}, 3),
        ({"head": BINS, "losses": {"cross_entropy": 1.0}}, 3 * 8),
        ({"head": BINS | {"spacing": "equidistant", "n_edges": 21}, "losses": {"cross_entropy": 1.0}}, 60),
        ({"bands": [592.35], "losses": {"squared": 1.0}}, 1),
    ],
)
def test_a_network_has_as_many_planes_as_its_head_reads(changes, outputs):
    variant = variant_of(**changes)
    head = Head.of(variant)
    assert head.outputs == outputs
    assert BandsTask(variant)(torch.zeros(1, 1, 16, 16)).shape == (1, outputs, 16, 16)


def test_a_regression_gives_values_and_a_bounded_spread():
    planes = torch.randn(2, 6, 4, 5)
    planes[0, 3] = 50.0
    values, spread, sure = Head.of(variant_of()).values(planes)
    torch.testing.assert_close(values, planes[:, :3])
    torch.testing.assert_close(spread, planes[:, 3:].clamp(-5, 4).exp())
    assert sure is None
    assert Head.of(variant_of(losses={"squared": 1.0})).values(planes[:, :3])[1:] == (None, None)


@pytest.mark.parametrize("how", ["expectation", "argmax"])
def test_a_classification_is_decoded_band_by_band(how):
    head = Head.of(variant_of(head=BINS | {"decode": how}, losses={"cross_entropy": 1.0}))
    planes = torch.randn(2, 24, 4, 5)
    values, spread, sure = head.values(planes)
    bins = sid(9, 6.0)
    for band in range(3):
        own = planes[:, 8 * band : 8 * (band + 1)]
        chances, stands_for = own.softmax(1), torch.tensor(bins.representatives)
        expected = (chances * stands_for[:, None, None]).sum(1)
        if how == "argmax":
            expected = stands_for[own.argmax(1)]
        torch.testing.assert_close(values[:, band], expected)
        torch.testing.assert_close(spread[:, band], sigma(own[:, None], bins)[:, 0])
        torch.testing.assert_close(sure[:, band], confidence(own[:, None])[:, 0])


@pytest.mark.parametrize("weights", ["none", "literal", "centred"])
def test_a_classification_learns_the_bin_of_the_truth(weights):
    head = Head.of(
        variant_of(head=BINS | {"weights": weights}, losses={"cross_entropy": 1.0}, masking="diluted")
    )
    planes, target = torch.randn(1, 24, 4, 5), 3 * torch.randn(1, 3, 4, 5)
    p = head.prediction(planes, target, torch.ones(1, 1, 4, 5, dtype=torch.bool))
    inner = np.array(head.bins.edges[1:-1], np.float32)
    np.testing.assert_array_equal(p.classes, np.digitize(target, inner))
    torch.testing.assert_close(p.mean, decode(p.logits, head.bins))
    assert p.diluted
    if weights == "none":
        assert p.class_weights is None
    else:
        torch.testing.assert_close(p.class_weights, class_weights(head.bins, weights))


NETWORKS = [
    {"name": "half-resolution-unet", "widths": [8, 8, 8]},
    {"name": "medical-unet"},
    {"name": "conditional-gan-unet"},
    {"name": "smp", "encoder": "efficientnet-b0"},
    {"name": "smp", "encoder": "resnet18"},
]


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (20, 33), (64, 96), (257, 130)])
def test_any_part_of_an_image_is_continued_to_what_the_network_takes(network, shape):
    size = input_size(variant_of(network=network).network)
    inputs = torch.randn(1, 2, *shape)
    found = padded(inputs, size)
    for side, wanted in zip(found.shape[-2:], shape, strict=True):
        assert side % size.multiple == 0
        assert side >= max(size.smallest, wanted)
        assert side < max(size.smallest, wanted + size.multiple) + 1
    assert torch.equal(found[..., : shape[0], : shape[1]], inputs)
    assert torch.isfinite(found).all()


def test_padding_mirrors_where_it_can_and_a_padded_network_runs():
    inputs = torch.arange(24.0).reshape(1, 1, 4, 6)
    found = padded(inputs, InputSize(5, 5))[0, 0]
    np.testing.assert_array_equal(found, np.pad(inputs[0, 0].numpy(), ((0, 1), (0, 4)), mode="reflect"))
    found = padded(inputs, InputSize(12, 12))[0, 0]
    np.testing.assert_array_equal(found, np.pad(inputs[0, 0].numpy(), ((0, 8), (0, 6)), mode="edge"))
    params = variant_of(network=NETWORKS[0]).network
    assert build(params, 1, 3)(padded(torch.zeros(1, 1, 7, 19), input_size(params))).shape[:2] == (1, 3)


# Task


class Batches(torch.utils.data.Dataset):
    """Five patches of noise, each valid on a share of its own."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(5)
        self.items = [self._item(share) for share in (1.0, 0.8, 0.6, 0.4, 0.9)]

    def _item(self, share):
        valid = torch.rand(1, 16, 16, generator=self.generator) < share
        target = torch.randn(3, 16, 16, generator=self.generator) * valid
        return {
            "inputs": torch.randn(1, 16, 16, generator=self.generator),
            "target": target,
            "valid": valid,
        }

    def __len__(self):
        return len(self.items)

    def __getitem__(self, number):
        return self.items[number]


def trainer(steps=1):
    return pl.Trainer(accelerator="cpu", max_steps=steps, logger=False, enable_checkpointing=False,
                      enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)  # fmt: skip


@pytest.mark.parametrize("masking", ["valid", "diluted"])
def test_validation_tells_the_root_of_the_mean_over_batches(masking):
    torch.manual_seed(0)
    task, data = BandsTask(variant_of(masking=masking)), Batches()
    found = trainer().validate(task, DataLoader(data, batch_size=2), verbose=False)[0]
    task.eval()
    means, counts = [], []
    with torch.no_grad():
        for batch in DataLoader(data, batch_size=2):
            error = (task(batch["inputs"])[:, :3] - batch["target"]) ** 2 * batch["valid"]
            count = error.numel() if masking == "diluted" else 3 * batch["valid"].sum()
            means.append(error.sum().item() / int(count))
            counts.append(len(batch["inputs"]))
    assert found[task.monitor] == pytest.approx(np.sqrt(np.average(means, weights=counts)), rel=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"head": BINS, "losses": {"cross_entropy": 0.5, "absolute": 0.5}},
        {"losses": {"squared": 1.0, "gradient": 1.0}, "masking": "diluted"},
    ],
)
def test_a_few_steps_lower_the_loss_and_log_each_term(changes):
    torch.manual_seed(0)
    options = variant_of().optimiser.model_dump() | {"steps": 30, "learning_rate": 1e-2}
    task, data = BandsTask(variant_of(optimiser=options, **changes)), Batches()
    batch = next(iter(DataLoader(data, batch_size=5)))
    before = weighted(task.head.prediction(task(batch["inputs"]), batch["target"], batch["valid"]), task.variant.losses)[0].item()  # fmt: skip
    fitting = trainer(30)
    fitting.fit(task, DataLoader(data, batch_size=5))
    after = fitting.callback_metrics["train/loss"].item()
    assert after < 0.97 * before
    assert {f"train/{name}" for name in task.variant.losses} <= set(fitting.callback_metrics)
