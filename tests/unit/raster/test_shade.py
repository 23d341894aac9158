"""Slopes and shading against planes, whose answers are known."""

import numpy as np
import pytest

from orrery.errors import OrreryError
from orrery.instruments.photometry import Sun
from orrery.raster.shade import hillshade_u8, shade, slope_deg, slopes, sunward_slope
from orrery.seeds import stream

MODELS = ["lunar-lambert", "lambert", "lommel-seeliger", "hapke"]
SUNS = [Sun(30, 45), Sun(135, 20), Sun(250, 70), Sun(315, 8)]


def plane(right: float, up: float, gsd_m: float = 2.0, size: int = 9) -> np.ndarray:
    """Heights, m, of a plane with these slopes; row 0 is the top."""
    rows, columns = np.mgrid[:size, :size]
    return (right * columns * gsd_m - up * rows * gsd_m).astype(np.float32)


def towards(sun: Sun, slope: float) -> tuple[float, float]:
    """Slopes to the right and up of a plane whose normal leans to the sun's azimuth by a slope."""
    azimuth = np.radians(sun.azimuth_deg)
    return -slope * np.sin(azimuth), -slope * np.cos(azimuth)


def test_slopes_of_a_plane_point_right_and_up():
    right, up = slopes(plane(0.3, -0.2), 2.0)
    np.testing.assert_allclose(right, 0.3, atol=1e-5)
    np.testing.assert_allclose(up, -0.2, atol=1e-5)
    np.testing.assert_allclose(slope_deg(plane(1.0, 0.0), 2.0), 45, atol=1e-3)


def test_a_single_row_has_no_slopes():
    with pytest.raises(OrreryError, match="1 x 5 has no slopes"):
        slopes(np.zeros((1, 5), np.float32), 1.0)


@pytest.mark.parametrize("model", MODELS)
def test_flat_ground_is_one_and_ground_that_faces_the_sun_is_brighter(model):
    sun = Sun(200, 25)
    assert shade(plane(0, 0), 2.0, sun, model) == pytest.approx(1)
    facing, turned = (shade(plane(*towards(sun, slope)), 2.0, sun, model) for slope in (0.2, -0.2))
    assert facing.min() > 1.05
    assert turned.max() < 0.95


def test_lambert_is_the_cosine_of_incidence():
    """A plane that leans to the sun by 20 degrees, sun at 30: cos(60 - 20) / cos(60)."""
    sun = Sun(77, 30)
    lit = shade(plane(*towards(sun, np.tan(np.radians(20)))), 2.0, sun, "lambert")
    assert lit == pytest.approx(np.cos(np.radians(40)) / np.cos(np.radians(60)), rel=1e-4)


def test_ground_turned_away_is_black_and_nan_stays():
    sun = Sun(0, 10)
    dark = shade(plane(*towards(sun, -0.5)), 2.0, sun)
    assert (dark == 0).all()
    hole = plane(0, 0)
    hole[4, 4] = np.nan
    assert np.isnan(shade(hole, 2.0, sun)[4, 3])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("sun", SUNS, ids=str)
def test_sunward_slope_undoes_shade(sun, model):
    """Where shading still grows with the slope; a slope beyond the brightest one cannot be told from one before it."""
    tilts = np.linspace(-0.9 * np.tan(np.radians(sun.elevation_deg)), 1.0, 12)
    brightness = np.array([shade(plane(*towards(sun, tilt)), 2.0, sun, model)[4, 4] for tilt in tilts])
    tilts, brightness = tilts[: brightness.argmax()], brightness[: brightness.argmax()]
    assert len(tilts) >= 3
    np.testing.assert_allclose(sunward_slope(brightness, sun, model), tilts, atol=2e-3)


def test_sunward_slope_of_rough_ground_keeps_its_mean_where_mean_brightness_does_not():
    """Ridges across the sun on level ground: their mean slope is 0, but their mean brightness reads as a slope."""
    sun = Sun(90, 20)
    tilt = stream(3, "ridges").normal(0, 0.12, 4000).astype(np.float32)
    brightness = np.array(
        [shade(plane(*towards(sun, value), size=3), 2.0, sun)[1, 1] for value in tilt], np.float32
    )
    by_pixel = float(sunward_slope(brightness, sun).mean() - tilt.mean())
    by_mean = float(sunward_slope(brightness.mean(keepdims=True), sun)[0] - tilt.mean())
    assert abs(by_pixel) < 1e-3
    assert abs(by_mean) > 4e-3


def test_hillshade_for_pictures_is_mid_gray_on_flat_ground_and_zero_without_data():
    heights = plane(0, 0)
    heights[0, 0] = np.nan
    picture = hillshade_u8(heights, 2.0)
    assert picture.dtype == np.uint8
    assert picture[5, 5] == 128
    assert picture[0, 0] == 0
    steeper = hillshade_u8(plane(0.1, 0), 2.0, exaggeration=3.0)
    np.testing.assert_array_equal(steeper, hillshade_u8(plane(0.3, 0), 2.0))
