import numpy as np
import pytest
from scipy import ndimage

from orrery.instruments.photometry import Sun
from orrery.systems.lunar_dtm.metrics import (
    coverage,
    cross_sun_spread_m,
    directional_slope_error,
    effective_resolution_m,
    gradient_coherence,
    height_metrics,
    paper_metrics,
)


@pytest.fixture
def truth():
    noise = np.random.default_rng(0).standard_normal((300, 360))
    return (ndimage.gaussian_filter(noise, 2) * 20).astype(np.float32)


def test_a_constant_error_is_measured_in_metres_and_costs_no_slope(truth):
    found = height_metrics(truth + 3, truth, truth + 1, 2.0)
    assert found["rmse_m"] == pytest.approx(3, rel=1e-4)
    assert found["mae_m"] == pytest.approx(3, rel=1e-4)
    assert found["rmse_to_coarse_m"] == pytest.approx(2, rel=1e-4)
    assert (found["re_2m"], found["re_4m"]) == (0, 1)
    assert found["slope_mae_deg"] == pytest.approx(0, abs=1e-3)


def test_a_tilt_is_measured_in_degrees():
    flat = np.zeros((100, 100), np.float32)
    tilted = np.tile(np.arange(100, dtype=np.float32), (100, 1)) * 2 * np.tan(np.radians(5))
    assert height_metrics(tilted, flat, flat, 2.0)["slope_mae_deg"] == pytest.approx(5, rel=1e-3)


def test_papers_measures_are_of_normalised_heights(truth):
    coarse = ndimage.gaussian_filter(truth, 10)
    tile = coarse[:256, :320]
    found = paper_metrics(truth + 0.3 * tile.std(), truth, coarse)
    assert found["mse"] == pytest.approx(0.09, rel=1e-3)
    assert (found["delta_0.25"], found["delta_0.5"]) == (0, 1)
    z = (truth[:256, :320] - tile.mean()) / tile.std()
    z -= ((tile - tile.mean()) / tile.std()).min()
    assert found["rel"] == pytest.approx((0.3 / z[z > 0.05]).mean(), rel=1e-3)
    assert found["rel_masked"] == pytest.approx((z <= 0.05).mean(), abs=1e-4)


def test_effective_resolution_is_where_detail_is_lost(truth):
    """Detail finer than about 20 px is replaced by other detail."""
    noise = np.random.default_rng(5).standard_normal(truth.shape).astype(np.float32)
    frequency = np.hypot(np.fft.fftfreq(300)[:, None], np.fft.fftfreq(360)[None])
    swap = np.where(frequency[..., None] < 1 / 20, [1, 0], [0, 1])
    mixed = np.fft.ifft2(
        (np.stack([np.fft.fft2(truth), np.fft.fft2(ndimage.gaussian_filter(noise, 2) * 20)], -1) * swap).sum(
            -1
        )
    ).real
    assert effective_resolution_m(mixed.astype(np.float32), truth, 3.0) == pytest.approx(60, rel=0.15)
    _, coherence = gradient_coherence(truth, truth)
    np.testing.assert_allclose(coherence, 1, atol=1e-5)


def test_error_across_the_sun_is_told_from_error_along_it(truth):
    """Rows that differ by an offset: an error whose slope is up and down only."""
    striped = truth + np.random.default_rng(1).normal(0, 1, (300, 1)).astype(np.float32)
    east = directional_slope_error(striped, truth, 1.0, Sun(90, 30))
    assert east["slope_error_along_sun"] < 1e-3
    assert east["slope_error_across_sun"] > 0.1
    north = directional_slope_error(striped, truth, 1.0, Sun(0, 30))
    assert north["slope_error_along_sun"] == pytest.approx(east["slope_error_across_sun"], rel=1e-4)


def test_coverage_of_a_right_sigma_is_68_percent(truth):
    error = np.random.default_rng(2).normal(0, 2, truth.shape)
    sigma = np.full_like(truth, 2)
    assert coverage(truth + error, sigma, truth) == pytest.approx(0.683, abs=0.01)
    assert np.isnan(coverage(truth, sigma * np.nan, truth))


def test_cross_sun_spread(truth):
    assert cross_sun_spread_m([truth, truth + 2]) == pytest.approx(np.sqrt(2), rel=1e-4)
