"""Sun directions and photometric functions, against independent formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from orrery.errors import OrreryError
from orrery.instruments.photometry import (
    HIGHLAND,
    MARE,
    WHOLE_MOON,
    Sun,
    hapke,
    lambert,
    lommel_seeliger,
    lunar_lambert,
    mcewen_weight,
)


def test_vector_points_to_the_sun() -> None:
    assert Sun(90, 30).vector() == pytest.approx((math.sqrt(3) / 2, 0, 0.5))
    assert Sun(180, 60).vector() == pytest.approx((0, -0.5, math.sqrt(3) / 2))
    assert Sun(37, 22).incidence_deg == 68
    assert math.hypot(*Sun(123, 17).vector()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("azimuth", "elevation"), [(math.nan, 30), (10, 0), (10, -5), (10, 91), (10, math.nan)]
)
def test_a_sun_that_lights_nothing_is_refused(azimuth: float, elevation: float) -> None:
    with pytest.raises(OrreryError, match="lights no image"):
        Sun(azimuth, elevation)


def test_mcewen_weight_at_tabulated_phases() -> None:
    # 1 - 1.14 + 0.8712 - 0.31536 at 60 degrees, by hand.
    assert mcewen_weight(0) == 1
    assert mcewen_weight(60) == pytest.approx(0.41584, abs=1e-5)


def test_lunar_lambert_lies_between_its_parents() -> None:
    mu0, mu = 0.5, 0.8
    assert lommel_seeliger(mu0, mu) == pytest.approx(1 / 1.3)
    assert lunar_lambert(mu0, mu, 0) == pytest.approx(lommel_seeliger(mu0, mu))
    assert lunar_lambert(mu0, mu, 60) == pytest.approx(0.41584 / 1.3 + 0.58416 * 0.5, abs=1e-5)
    assert lambert(mu0, mu) == 0.5


def test_hapke_against_the_equation_written_out() -> None:
    """Equation 16 of Hapke 1981 with gamma, r0-free H and explicit lobes, for the mean soil at phase 50 degrees."""
    w, b, c, height, width = 0.38, 0.24, 0.32, 1.7, 0.07
    mu0, mu, g = 0.6, 0.9, math.radians(50)
    gamma = math.sqrt(1 - w)
    h0, h = ((1 + 2 * x) / (1 + 2 * x * gamma) for x in (mu0, mu))
    p = (1 + c) / 2 * (1 - b * b) * (1 - 2 * b * math.cos(g) + b * b) ** -1.5
    p += (1 - c) / 2 * (1 - b * b) * (1 + 2 * b * math.cos(g) + b * b) ** -1.5
    surge = height / (1 + math.tan(g / 2) / width)
    bidirectional = w / (4 * math.pi) * mu0 / (mu0 + mu) * ((1 + surge) * p + h0 * h - 1)
    assert hapke(mu0, mu, 50, WHOLE_MOON) == pytest.approx(math.pi * bidirectional)


def test_hapke_orders_mare_and_highland_and_surges_at_opposition() -> None:
    assert 1.5 < hapke(0.5, 1.0, 60, HIGHLAND) / hapke(0.5, 1.0, 60, MARE) < 3
    assert hapke(1.0, 1.0, 0) / hapke(math.cos(0.1), 1.0, math.degrees(0.1)) > 1.2


@pytest.mark.parametrize(
    "law", [lambert, lommel_seeliger, lambda a, b: lunar_lambert(a, b, 55), lambda a, b: hapke(a, b, 55)]
)
def test_arrays_and_tensors_agree(law: object) -> None:
    mu0, mu = np.linspace(0.05, 1, 7), np.linspace(1, 0.3, 7)
    assert callable(law)
    np.testing.assert_allclose(
        law(torch.from_numpy(mu0), torch.from_numpy(mu)).numpy(), law(mu0, mu), rtol=1e-12
    )
