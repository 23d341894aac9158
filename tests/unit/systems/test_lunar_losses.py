"""Each term against a formula written out in numpy, pixel by pixel."""

import math

import numpy as np
import pytest
import torch

from orrery.systems.lunar_dtm.losses import Surfaces, elevation, gradient, normal, uncertainty, weighted


@pytest.fixture
def pair():
    random = np.random.default_rng(1)
    predicted, truth = random.normal(size=(2, 7, 9))
    valid = np.ones((7, 9), bool)
    valid[2, 3] = False
    return predicted, truth, valid


def surfaces(predicted, truth, valid, log_sigma=None):
    tensors = [torch.tensor(array)[None, None] for array in (predicted, truth, valid)]
    return Surfaces(*tensors, None if log_sigma is None else torch.tensor(log_sigma)[None, None])


def gradients_by_hand(z, row, column, operator):
    if operator == "difference":
        return (z[row, column + 1] - z[row, column - 1]) / 2, (z[row + 1, column] - z[row - 1, column]) / 2
    right = sum(w * (z[row + d, column + 1] - z[row + d, column - 1]) for d, w in ((-1, 1), (0, 2), (1, 1)))
    down = sum(w * (z[row + 1, column + d] - z[row - 1, column + d]) for d, w in ((-1, 1), (0, 2), (1, 1)))
    return right, down


def interior(valid):
    rows, columns = valid.shape
    for row in range(1, rows - 1):
        for column in range(1, columns - 1):
            if valid[row - 1 : row + 2, column - 1 : column + 2].all():
                yield row, column


def test_elevation(pair):
    predicted, truth, valid = pair
    expected = sum(abs(predicted[i] - truth[i]) for i in zip(*np.nonzero(valid), strict=True)) / valid.sum()
    assert elevation(surfaces(*pair), "sobel").item() == pytest.approx(expected)


@pytest.mark.parametrize("operator", ["difference", "sobel"])
def test_gradient(pair, operator):
    predicted, truth, valid = pair
    each = []
    for row, column in interior(valid):
        a, b = (gradients_by_hand(z, row, column, operator) for z in (predicted, truth))
        each.append(abs(a[0] - b[0]) + abs(a[1] - b[1]))
    assert gradient(surfaces(*pair), operator).item() == pytest.approx(np.mean(each))


@pytest.mark.parametrize("operator", ["difference", "sobel"])
def test_normal(pair, operator):
    predicted, truth, valid = pair
    each = []
    for row, column in interior(valid):
        a, b = (
            np.array([*(-g for g in gradients_by_hand(z, row, column, operator)), 1.0])
            for z in (predicted, truth)
        )
        each.append(1 - a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))
    assert normal(surfaces(*pair), operator).item() == pytest.approx(np.mean(each))


def test_uncertainty_is_least_at_the_mean_absolute_error_and_does_not_pull_the_heights():
    random = np.random.default_rng(2)
    truth, valid = np.zeros((40, 50)), np.ones((40, 50), bool)
    predicted = torch.tensor(random.laplace(scale=0.7, size=(40, 50)), requires_grad=True)
    best = math.log(predicted.abs().mean().item())

    def at(log_sigma):
        plane = torch.full((1, 1, 40, 50), log_sigma, dtype=torch.float64)
        tensors = [torch.tensor(array)[None, None] for array in (truth, valid)]
        return uncertainty(Surfaces(predicted[None, None], *tensors, plane), "difference")

    assert at(best) < min(at(best - 0.1), at(best + 0.1))
    assert not at(best).requires_grad


def test_uncertainty_needs_a_sigma(pair):
    with pytest.raises(ValueError, match="log sigma"):
        uncertainty(surfaces(*pair), "difference")


def test_sum_is_weighted_and_a_weight_of_zero_leaves_the_term_out(pair):
    s = surfaces(*pair)
    total, terms = weighted(s, {"elevation": 2.0, "gradient": 0.5, "normal": 0.0}, "sobel")
    assert set(terms) == {"elevation", "gradient"}
    assert total.item() == pytest.approx(2 * elevation(s, "sobel").item() + 0.5 * gradient(s, "sobel").item())


def test_nothing_valid_gives_zero_not_nan(pair):
    predicted, truth, valid = pair
    s = surfaces(predicted, truth, np.zeros_like(valid))
    for term in (elevation, gradient, normal):
        assert term(s, "difference").item() == 0
