"""CTX against the figures of its instrument paper."""

from __future__ import annotations

import numpy as np
import pytest

from orrery.instruments import ctx


def test_band_pass_is_open_from_500_to_700_nm() -> None:
    w = np.arange(400.0, 800.5, 0.5)
    response = ctx.band_pass(w)
    assert np.interp([500, 700], w, response) == pytest.approx([0.5, 0.5], abs=0.01)
    assert response.sum() * 0.5 == pytest.approx(200, rel=0.01)
    assert response[(w < 470) | (w > 730)].max() < 1e-4


def test_transfer_at_half_a_cycle_per_pixel_is_in_the_stated_range() -> None:
    """Fourier transform of the Gaussian, at the Nyquist frequency."""
    assert 0.2 < np.exp(-2 * (np.pi * ctx.PSF_SIGMA_PX * 0.5) ** 2) < 0.3


def test_darkest_ground_keeps_the_required_signal_to_noise() -> None:
    signal = np.array([0.013, 0.1, 0.4], np.float32)
    ratio = signal / ctx.noise_sigma(signal)
    assert ratio[0] > 20
    assert ratio[1] == pytest.approx(96, rel=0.02)
    assert ratio[2] / ratio[1] == pytest.approx(2, rel=0.1)  # photons rule
