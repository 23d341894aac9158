"""The camera's code, noise and blur reproduce what is published about it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from orrery.instruments import nac


def test_companding_follows_the_label_and_uses_every_code() -> None:
    codes = nac.compand(np.arange(4096))
    # Ends of the five straight pieces: slope x DN + offset of the label, by hand.
    assert codes[[0, 31, 32, 135, 136, 543, 2207, 4095]].tolist() == [0, 15, 16, 41, 42, 92, 196, 255]
    assert np.array_equal(np.unique(codes), np.arange(256))
    assert (np.diff(codes.astype(int)) >= 0).all()


def test_decompanding_errs_by_half_a_step_at_most() -> None:
    numbers = np.arange(4095)
    step = 1 / np.take(nac.COMPAND_SLOPE, np.searchsorted(nac.COMPAND_START_DN12, numbers, side="right") - 1)
    error = nac.decompand(nac.compand(numbers)) - numbers
    assert (np.abs(error) <= step / 2 + 0.5).all()
    assert np.array_equal(nac.compand(nac.decompand(np.arange(256))), np.arange(256))


def test_numbers_beyond_twelve_bits_are_clipped() -> None:
    assert nac.compand([-5.0, 1e6]).tolist() == [0, 255]


@pytest.mark.parametrize("camera", [nac.LEFT, nac.RIGHT])
def test_signal_to_noise_at_the_terminator(camera: nac.Camera) -> None:
    """The team gives at least 46 at the terminator; the charge that means is S with S^2 = 46^2 (S + read noise^2)."""
    square = 46.0**2
    charge = (square + np.sqrt(square**2 + 4 * square * camera.read_noise_e**2)) / 2
    read = nac.expose(np.full((600, 600), charge, np.float32), camera, np.random.default_rng(1))
    assert read.mean() / read.std() == pytest.approx(46, rel=0.01)


def test_companding_adds_the_noise_of_its_step() -> None:
    """At 700 DN the step is 16: variances of the camera and of rounding, 16^2 / 12, add up."""
    electrons = np.linspace(690, 710, 1_000_000, dtype=np.float32) * nac.LEFT.gain_e_per_dn
    read = nac.expose(electrons, nac.LEFT, np.random.default_rng(2))
    error = nac.decompand(nac.compand(read)) - electrons / nac.LEFT.gain_e_per_dn
    camera = (700 * nac.LEFT.gain_e_per_dn + nac.LEFT.read_noise_e**2) / nac.LEFT.gain_e_per_dn**2
    # The tent of ten codes that the ramp and its noise cover makes the rounding nearly even: 5 % suffices.
    assert error.var() == pytest.approx(camera + 16**2 / 12, rel=0.05)


@pytest.mark.parametrize("camera", [nac.LEFT, nac.RIGHT])
def test_blur_has_the_published_transfer_at_nyquist(camera: nac.Camera) -> None:
    stripes = np.tile([1.0, -1.0], (8, 200))
    blurred = ndimage.gaussian_filter(stripes, camera.psf_sigma_px, mode="wrap", truncate=8)
    assert np.abs(blurred).max() == pytest.approx(camera.modulation_at_nyquist, abs=1e-3)


def test_geometry_gives_the_published_field_of_view() -> None:
    """10.0042 and 9.9764 microradians a pixel, 2.85 degrees a line (Robinson et al. 2010, Table 1)."""
    assert nac.LEFT.instantaneous_field_rad * 1e6 == pytest.approx(10.0042, rel=2e-4)
    assert nac.RIGHT.instantaneous_field_rad * 1e6 == pytest.approx(9.9764, rel=2e-4)
    swath = 2 * np.degrees(np.arctan(nac.LINE_PX / 2 * nac.LEFT.instantaneous_field_rad))
    assert swath == pytest.approx(2.8502, rel=0.02)
