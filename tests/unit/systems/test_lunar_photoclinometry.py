import numpy as np
import pytest

from orrery.instruments.photometry import Sun
from orrery.raster.shade import shade
from orrery.systems.lunar_dtm.photoclinometry import Spectra, fit_spectra, gain, solve

POSTING_PX = 20.0


def rough(seed, shape=(256, 320), amplitude=0.4):
    """Self-affine relief between the image's resolution and the coarse DEM's, px."""
    k = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None])
    k[0, 0] = 1
    spectrum = np.fft.fft2(np.random.default_rng(seed).standard_normal(shape)) * k**-1.8
    relief = np.fft.ifft2(spectrum * (k > 1 / POSTING_PX)).real
    return (relief / relief.std() * amplitude).astype(np.float32)


def seen(relief, sun, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.01, relief.shape)
    return (shade(relief, 1.0, sun) - 1 + noise).astype(np.float32)


@pytest.mark.parametrize("azimuth", [0, 75, 130, 200, 300])
def test_gain_is_the_derivative_of_shading(azimuth):
    sun = Sun(azimuth, 28)
    right, up = gain(sun)
    rows, columns = np.mgrid[0:8, 0:8].astype(np.float32)
    step = 1e-3
    for plane, expected in ((columns * step, right), (-rows * step, up)):
        assert (shade(plane, 1.0, sun)[4, 4] - 1) / step == pytest.approx(expected, rel=0.01, abs=0.003)


@pytest.mark.parametrize("azimuth", [30, 120, 250])
def test_relief_is_recovered_best_along_the_sun(azimuth):
    sun, relief = Sun(azimuth, 30), rough(1)
    spectra = fit_spectra(
        [rough(2), rough(3)], [seen(rough(2), sun), seen(rough(3), sun)], [sun, sun], POSTING_PX
    )
    found = solve(seen(relief, sun), sun, spectra, POSTING_PX)
    assert np.corrcoef(found.ravel(), relief.ravel())[0, 1] > 0.75  # relief across the sun casts no shading
    down, across = np.gradient(relief - found)
    right, up, _ = sun.vector()
    along, cross = right * across - up * down, up * across + right * down
    assert along.std() < 0.7 * cross.std()


def test_no_shading_says_nothing():
    spectra = Spectra(1e-4, 3.0, 1.0, 1e-3, 1e-6, 2.0)
    assert np.abs(solve(np.zeros((64, 80), np.float32), Sun(40, 30), spectra, POSTING_PX)).max() == 0


def test_invalid_pixels_spread_no_further_than_themselves():
    spectra = Spectra(1e-4, 3.0, 1.0, 1e-3, 1e-6, 2.0)
    shading = np.zeros((64, 80), np.float32)
    shading[10:20, 10:20] = np.nan
    assert np.isfinite(solve(shading, Sun(40, 30), spectra, POSTING_PX)).all()


def test_noisier_images_are_trusted_less():
    sun, relief = Sun(60, 30), rough(1)
    quiet = Spectra(1e-4, 3.0, 1.0, 1e-4, 1e-7, 2.0)
    loud = Spectra(1e-4, 3.0, 1.0, 1e-1, 1e-7, 2.0)
    shading = seen(relief, sun)
    assert solve(shading, sun, loud, POSTING_PX).std() < 0.6 * solve(shading, sun, quiet, POSTING_PX).std()
