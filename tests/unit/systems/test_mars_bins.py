import json

import numpy as np
import pytest
import torch
from scipy import special, stats

from orrery.errors import OrreryError
from orrery.seeds import stream
from orrery.systems.mars_bands.bins import (
    Bins,
    as_logits,
    class_indices,
    class_weights,
    confidence,
    decode,
    equidistant,
    sid,
    sigma,
)
from orrery.systems.mars_bands.nets import SmpParams, build

BINS = equidistant(20)


@pytest.fixture(scope="module")
def logits():
    draws = stream(0, "bins").standard_normal((2, 3, 19, 4, 5), np.float32)
    return torch.from_numpy(3 * draws)


@pytest.mark.parametrize(
    ("n_edges", "count"), [(10, 6_254_663), (20, 6_259_013), (40, 6_267_713), (80, 6_285_113)]
)
def test_networks_have_the_parameters_of_table_6(n_edges, count):
    params = SmpParams(name="smp", architecture="unet", encoder="efficientnet-b0")
    with torch.device("meta"):
        network = build(params, 1, 3 * equidistant(n_edges).classes)
    assert sum(tensor.numel() for tensor in network.parameters()) == count


def test_equidistant_edges_over_the_papers_range():
    inner = np.array(BINS.edges[1:-1])
    assert BINS.edges[0] == -np.inf
    assert BINS.edges[-1] == np.inf
    assert np.allclose(np.diff(inner), 12 / 19)
    assert np.allclose(np.diff(BINS.representatives), 12 / 19)
    assert BINS.classes == 19
    assert BINS.representatives[9] == pytest.approx(0)
    assert BINS.representatives[0] == pytest.approx(-6 + 6 / 19)


@pytest.mark.parametrize("n_edges", [20, 21])
def test_sid_widens_outwards_by_one_factor_and_is_symmetric(n_edges):
    bins = sid(n_edges, limit=6.0, spread=0.8)
    edges = np.array([-6.0, *bins.edges[1:-1], 6.0])
    assert np.allclose(edges, -edges[::-1])
    outwards = np.diff(edges[edges >= 0])
    assert np.allclose(outwards[1:] / outwards[:-1], outwards[1] / outwards[0])
    assert outwards[1] > outwards[0]


def test_sid_edges_are_equal_steps_of_the_shifted_logarithm():
    edges = np.array([*sid(21, limit=6.0, spread=0.8).edges[11:-1], 6.0])
    assert np.allclose(edges + 0.8, np.geomspace(0.8, 6.8, 11)[1:])


def test_sid_loses_less_of_a_z_score_than_equal_bins():
    values = stream(0, "z").standard_normal(20_000)

    def loss(bins):
        standing = np.array(bins.representatives)[np.digitize(values, bins.edges[1:-1])]
        return np.abs(standing - values).mean()

    assert loss(sid(20)) < 0.75 * loss(equidistant(20))


def test_outer_classes_stand_for_the_training_values_in_them():
    values = np.array([[-9.0, -7.0, 0.1, np.nan], [3.0, 0.2, -0.3, 12.0]])
    bins = equidistant(8, limit=6.0).fitted(values)
    assert bins.representatives[0] == pytest.approx(-8)
    assert bins.variances[0] == pytest.approx(1)
    assert bins.representatives[-1] == pytest.approx(12)
    assert bins.representatives[1:-1] == equidistant(8, limit=6.0).representatives[1:-1]
    assert equidistant(8).fitted(np.zeros(3)) == equidistant(8)


@pytest.mark.parametrize("bins", [BINS, sid(13, 5.0, 0.5)])
def test_classes_are_those_of_numpy(bins):
    values = np.concatenate([stream(0, "v").normal(0, 4, 500), bins.edges[1:-1]])
    wanted = np.digitize(values, bins.edges) - 1
    assert np.array_equal(class_indices(torch.from_numpy(values), bins).numpy(), wanted)
    assert wanted.min() == 0
    assert wanted.max() == bins.classes - 1


def test_literal_weights_are_equation_1():
    weights = class_weights(BINS, "literal").numpy()
    i = np.arange(19)
    assert np.allclose(weights, 1 - np.exp(-((2 * i / 20 - 1) ** 2)), atol=1e-6)
    assert weights[10] == 0


def test_centred_weights_are_symmetric_and_never_nothing():
    weights = class_weights(BINS, "centred", floor=0.05).numpy()
    assert np.allclose(weights, weights[::-1])
    assert weights.min() == weights[9] == pytest.approx(0.05)
    assert np.allclose(weights[:5], 1 - np.exp(-((2 * (np.arange(5) + 0.5) / 19 - 1) ** 2)), atol=1e-6)


def test_expectation_sigma_and_confidence_are_those_of_the_distribution(logits):
    chances = special.softmax(logits.double().numpy(), axis=2)
    values = np.array(BINS.representatives)
    decoded, spread, sure = decode(logits, BINS), sigma(logits, BINS), confidence(logits)
    for place in np.ndindex(2, 3, 4, 5):
        n, b, h, w = place
        p = chances[n, b, :, h, w]
        discrete = stats.rv_discrete(values=(np.arange(19), p / p.sum()))
        mean = discrete.expect(lambda k: values[k.astype(int)])
        second = discrete.expect(lambda k: values[k.astype(int)] ** 2 + (12 / 19) ** 2 / 12)
        assert decoded[place] == pytest.approx(mean, abs=1e-4)
        assert spread[place] == pytest.approx(np.sqrt(second - mean**2), abs=1e-4)
        assert sure[place] == pytest.approx(1 - stats.entropy(p, base=19), abs=1e-4)


def test_arg_max_gives_what_the_likeliest_class_stands_for(logits):
    wanted = np.array(BINS.representatives)[logits.numpy().argmax(2)]
    assert np.allclose(decode(logits, BINS, "argmax").numpy(), wanted, atol=1e-6)


def test_certainty_and_ignorance():
    one_hot = torch.full((1, 1, 19, 1, 1), -50.0)
    one_hot[0, 0, 4] = 50
    assert decode(one_hot, BINS).item() == pytest.approx(BINS.representatives[4], abs=1e-5)
    assert confidence(one_hot).item() == pytest.approx(1)
    assert sigma(one_hot, BINS).item() == pytest.approx(12 / 19 / np.sqrt(12), rel=1e-4)
    flat = torch.zeros(1, 1, 19, 1, 1)
    assert confidence(flat).item() == pytest.approx(0, abs=1e-6)
    assert sigma(flat, BINS).item() == pytest.approx(12 / np.sqrt(12), rel=1e-4)


def test_planes_of_a_network_fall_to_their_bands():
    outputs = torch.arange(2 * 57 * 4.0).reshape(2, 57, 2, 2)
    logits = as_logits(outputs, BINS)
    assert logits.shape == (2, 3, 19, 2, 2)
    assert torch.equal(logits[1, 2, 5], outputs[1, 2 * 19 + 5])


def test_plain_data_and_back():
    bins = sid(20).fitted(np.array([-20.0, 30.0]))
    assert Bins.from_dict(json.loads(json.dumps(bins.to_dict(), allow_nan=False))) == bins


def test_one_class_is_none():
    with pytest.raises(OrreryError, match="classes"):
        equidistant(2)
