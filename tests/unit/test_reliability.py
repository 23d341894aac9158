from __future__ import annotations

import numpy as np

from orrery.reliability import EXPECTED, reliability


def test_errors_that_are_what_the_sigma_says_lie_on_the_diagonal() -> None:
    random = np.random.default_rng(1)
    sigma = random.uniform(0.1, 3, (300, 300)).astype(np.float32)
    found = reliability(random.normal(0, sigma).astype(np.float32), sigma)
    assert found["expected"] == list(EXPECTED)
    assert np.abs(np.subtract(found["observed"], EXPECTED)).max() < 0.006


def test_a_sigma_half_as_large_promises_too_much() -> None:
    random = np.random.default_rng(2)
    found = reliability(random.normal(0, 1, 90_000).astype(np.float32), np.full(90_000, 0.5, np.float32))
    # within 0.5 * 1.6449 standard deviations lie 58.9 % (tables of the normal distribution), not 90 %
    assert abs(found["observed"][EXPECTED.index(0.9)] - 0.589) < 0.006


def test_what_is_unknown_does_not_count() -> None:
    error = np.array([0.1, np.nan, 5.0, 0.1], np.float32)
    sigma = np.array([1.0, 1.0, 1.0, np.nan], np.float32)
    assert reliability(error, sigma)["observed"][-1] == 0.5
    assert reliability(error[1:2], sigma[1:2]) == {}
