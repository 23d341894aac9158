"""Matching recovers known shifts to hundredths of a pixel, and says where it cannot."""

import numpy as np
import pytest
from scipy import ndimage

from orrery.errors import OrreryError
from orrery.raster.stereo import MatchParams, filled, match, rectified, refine, search, span, triangle_mean
from orrery.raster.stereo.consistency import islands, outliers
from orrery.raster.stereo.sampling import sampled, spline
from tests.unit.systems.kaguya_scenes import textured

INNER = np.s_[24:-24, 24:-24]


def _shifted(image: np.ndarray, shift_px: np.ndarray | float) -> np.ndarray:
    """An image whose row y + shift holds the row y of `image`."""
    rows = np.arange(len(image), dtype=np.float32)[:, None] - np.broadcast_to(shift_px, image.shape)
    return sampled(spline(image), np.asarray(rows, np.float32))[0]


@pytest.mark.parametrize("shift_px", [0.0, 0.3, -0.47, 5.25, -7.8])
def test_a_uniform_shift_is_found_to_a_hundredth_of_a_pixel(shift_px: float) -> None:
    image = textured(160, 140)
    found = match(image, _shifted(image, shift_px), MatchParams(search_px=12))
    error = (found.disparity_px - shift_px)[40:-40, 24:-24]
    assert np.abs(error).max() < 0.01
    assert found.valid[40:-40, 24:-24].mean() > 0.99


def test_gain_and_offset_between_the_images_do_not_matter() -> None:
    image = textured(160, 140)
    found = match(image, 0.6 * _shifted(image, 2.3) + 55, MatchParams(search_px=6))
    assert np.abs(found.disparity_px - 2.3)[INNER].max() < 0.01


def test_a_slowly_varying_disparity_is_followed() -> None:
    image = textured(240, 160)
    truth = 3 * np.sin(np.arange(240) / 60)[:, None] + np.linspace(-1, 1, 160)
    # right(y + d(y)) = left(y), so the right image is sampled where y + d(y) is a whole row
    rows = np.stack([np.interp(np.arange(240), np.arange(240) + d, np.arange(240)) for d in truth.T], 1)
    right = sampled(spline(image), rows.astype(np.float32))[0]
    found = match(image, right, MatchParams(search_px=8))
    assert np.sqrt(np.mean((found.disparity_px - truth)[INNER] ** 2)) < 0.02


def test_parabola_of_the_search_has_the_bias_that_least_squares_removes() -> None:
    image = textured(160, 140)
    right = _shifted(image, 0.3)
    coarse = search(image, right, 15, -3, 3).disparity_px
    fine = refine(image, right, coarse, 7, 3)
    assert np.abs(fine - 0.3)[INNER].mean() < 0.2 * np.abs(coarse - 0.3)[INNER].mean()


def test_what_lies_outside_the_other_image_is_invalid() -> None:
    image = textured(200, 140)
    found = match(image, _shifted(image, -40.0), MatchParams(search_px=8), -40)
    assert not found.valid[:30].any()
    assert found.valid[70:-30, 20:-20].mean() > 0.99


def test_invalid_pixels_spread_by_the_window_and_no_further() -> None:
    left, right = textured(160, 140), _shifted(textured(160, 140), 1.0)
    left[80:90, 60:70] = np.nan
    right[40, 50] = np.nan
    found = match(left, right, MatchParams(search_px=6))
    assert not found.valid[75:95, 55:75].any()
    assert not found.valid[39, 50]
    assert found.valid[110:140, 20:120].all()


def test_unlike_images_give_nothing_to_trust() -> None:
    found = match(textured(160, 140, 1), textured(160, 140, 2), MatchParams(search_px=6))
    assert found.valid.mean() < 0.05


def test_images_of_other_width_or_too_small_are_refused() -> None:
    image = textured(160, 140)
    with pytest.raises(OrreryError, match="columns"):
        match(image, image[:, :-1], MatchParams())
    with pytest.raises(OrreryError, match="too small"):
        match(image[:30], image[:30], MatchParams())
    with pytest.raises(OrreryError, match="no valid pixel"):
        match(np.full_like(image, np.nan), image, MatchParams())


def test_span_finds_the_range_of_disparities() -> None:
    image = textured(320, 200)
    right = _shifted(image, -30.0)
    right[:, 100:] = _shifted(image, -50.0)[:, 100:]
    middle, reach = span(image, right, 0, 4)
    assert middle - reach <= -50
    assert middle + reach >= -30
    assert reach < 30


def test_rectified_right_image_is_the_left_one() -> None:
    image = textured(160, 140)
    back = rectified(_shifted(image, 3.4), np.full(image.shape, 3.4, np.float32))
    assert np.abs(back - image)[INNER].max() < 1.0


def test_triangle_mean_is_a_box_twice() -> None:
    values = textured(40, 30)
    twice = ndimage.uniform_filter(
        ndimage.uniform_filter(values.astype(float), 5, mode="nearest"), 5, mode="nearest"
    )
    assert np.allclose(triangle_mean(values, 5), twice, rtol=1e-4)


def test_outliers_and_islands_are_found() -> None:
    disparity = np.zeros((60, 60), np.float32)
    disparity[20, 20] = 3
    assert outliers(disparity, 0.5)[20, 20]
    assert outliers(disparity, 0.5).sum() == 1
    disparity[40:45, 40:45] = 9
    alone = islands(disparity, np.ones((60, 60), bool), 1.0, 100)
    assert alone[41:44, 41:44].all()
    assert not alone[:15].any()


def test_filled_takes_the_nearest_valid_pixel() -> None:
    image = np.array([[1, np.nan, np.nan, 4]], np.float32)
    assert filled(image).tolist() == [[1, 1, 4, 4]]
