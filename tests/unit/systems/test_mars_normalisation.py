"""mars-bands' normalisations against their formulae, and the way back from each."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from orrery.systems.mars_bands import normalisation as n
from orrery.systems.mars_bands.normalisation import Moments, Normalisation, Sums, fitted

KINDS = ("none", "global", "image", "patch", "ratio", "residual")
RANDOM = np.random.default_rng(4)


def pixels(level, count=4000, bands=3):
    """Base (N,) and bands (B, N) that follow it loosely."""
    base = RANDOM.normal(level, 0.03, count).clip(0.02).astype(np.float32)
    slopes, noise = np.arange(1, bands + 1)[:, None] / 2, RANDOM.normal(0, 0.01, (bands, count))
    return base, (slopes * base + 0.05 + noise).clip(0.01).astype(np.float32)


REGIONS = {"gale": pixels(0.2), "jezero": pixels(0.3), "mawrth": pixels(0.15, 1500)}


def sums_of(base, bands):
    sums = Sums()
    sums.add(base, bands)
    return sums


STATISTICS = {
    region: {
        "reflectance": sums_of(base, bands).to_dict(),
        "ratio": sums_of(np.log(base), np.log(bands) - np.log(base)).to_dict(),
    }
    for region, (base, bands) in REGIONS.items()
}


def scene(seed=1, shape=(24, 30)):
    """Image, base, bands of a scene unlike the training ones, with unknown pixels."""
    random = np.random.default_rng(seed)
    image = random.normal(0.25, 0.04, shape).clip(0.02).astype(np.float32)
    bands = random.normal(0.3, 0.05, (3, *shape)).clip(0.02).astype(np.float32)
    image[:2], bands[:, :, :3] = np.nan, np.nan
    return image, n.base_of(image, 6.0), bands


def assert_moments(found: Moments, base, bands):
    """Against NumPy in double precision."""
    base, bands = base.astype(float), bands.astype(float)
    lines = [np.polyfit(base, band, 1) for band in bands]
    np.testing.assert_allclose(found.image_mean, base.mean(), rtol=1e-9)
    np.testing.assert_allclose(found.image_deviation, base.std(), rtol=1e-6)
    np.testing.assert_allclose(found.mean, bands.mean(1), rtol=1e-9)
    np.testing.assert_allclose(found.deviation, bands.std(1), rtol=1e-6)
    np.testing.assert_allclose(found.slope, [line[0] for line in lines], rtol=1e-6)
    left = [(band - np.polyval(line, base)).std() for band, line in zip(bands, lines, strict=True)]
    np.testing.assert_allclose(found.scatter, left, rtol=1e-5)


@given(st.lists(st.integers(0, 4000), max_size=4))
def test_sums_over_parts_are_those_of_the_whole(cuts):
    base, bands = REGIONS["gale"]
    bounds, total = [0, *sorted(cuts), len(base)], Sums()
    for start, stop in pairwise(bounds):
        total.join(sums_of(base[start:stop], bands[:, start:stop]))
    assert total.count == len(base)
    assert_moments(total.moments(), base, bands)


def test_sums_and_normalisations_survive_json():
    sums = Sums.from_dict(json.loads(json.dumps(STATISTICS["gale"]["reflectance"])))
    assert sums.moments() == sums_of(*REGIONS["gale"]).moments()
    for kind in KINDS:
        made = fitted(kind, STATISTICS, [2, 0], ["jezero"])
        assert Normalisation.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_a_fit_is_of_the_regions_and_bands_asked_for():
    made = fitted("residual", STATISTICS, [2, 0], ["mawrth"])
    assert set(made.regions) == {"gale", "jezero"}
    base = np.concatenate([REGIONS[region][0] for region in ("gale", "jezero")])
    bands = np.concatenate([REGIONS[region][1] for region in ("gale", "jezero")], 1)[[2, 0]]
    assert_moments(made.overall, base, bands)
    assert_moments(made.regions["gale"], REGIONS["gale"][0], REGIONS["gale"][1][[2, 0]])
    assert_moments(made.ratio, np.log(base), np.log(bands) - np.log(base))


def test_moments_of_a_scene_count_pixels_that_are_known_in_all():
    image, _, bands = scene()
    bands[1, 5, 5] = np.nan
    known = np.isfinite(image) & np.isfinite(bands).all(0)
    assert_moments(n.moments(image, bands), image[known], bands[:, known])


@pytest.mark.parametrize("kind", ["none", "global", "ratio", "residual"])
def test_these_lead_back_to_i_over_f_exactly(kind):
    image, base, bands = scene()
    made = fitted(kind, STATISTICS, [0, 1, 2], [])
    target = made.target(bands, base, n.moments(image, bands))
    for region in (None, "gale", "elsewhere"):
        np.testing.assert_allclose(made.reflectance(target, base, region), np.where(
            np.isfinite(base) | (kind in ("none", "global")), bands, np.nan), rtol=2e-6)  # fmt: skip


@pytest.mark.parametrize("kind", ["image", "patch"])
def test_a_z_score_leads_back_to_the_regions_mean_and_spread_alone(kind):
    image, base, bands = scene()
    known = np.isfinite(image) & np.isfinite(bands).all(0)
    made = fitted(kind, STATISTICS, [0, 1, 2], [])
    target = made.target(bands, base, n.moments(image, bands))
    np.testing.assert_allclose(target[:, known].mean(1), 0, atol=1e-4)
    np.testing.assert_allclose(target[:, known].std(1), 1, atol=1e-4)
    for region, of in (("gale", REGIONS["gale"][1]), ("jezero", REGIONS["jezero"][1])):
        back = made.reflectance(target, base, region)[:, known]
        np.testing.assert_allclose(back.mean(1), of.mean(1), rtol=1e-4)
        np.testing.assert_allclose(back.std(1), of.std(1), rtol=1e-3)
    everywhere = np.concatenate([bands for _, bands in REGIONS.values()], 1)
    for unknown in (None, "elsewhere"):
        back = made.reflectance(target, base, unknown)[:, known]
        np.testing.assert_allclose(back.mean(1), everywhere.mean(1), rtol=1e-4)


def test_the_residual_is_what_the_line_of_polyfit_leaves():
    base = np.concatenate([base for base, _ in REGIONS.values()]).astype(float)
    bands = np.concatenate([bands for _, bands in REGIONS.values()], 1).astype(float)
    made = fitted("residual", STATISTICS, [0, 1, 2], [])
    found = made.target(bands[:, :, None].astype(np.float32), base[:, None].astype(np.float32), made.overall)
    for band, left in zip(bands, found[..., 0], strict=True):
        expected = band - np.polyval(np.polyfit(base, band, 1), base)
        np.testing.assert_allclose(left, expected / expected.std(), atol=2e-4)


def test_the_ratio_is_the_standardised_logarithm():
    _, base, bands = scene()
    base_all = np.concatenate([base for base, _ in REGIONS.values()])
    bands_all = np.concatenate([bands for _, bands in REGIONS.values()], 1)
    training = np.log(bands_all / base_all)
    found = fitted("ratio", STATISTICS, [0, 1, 2], []).target(bands, base, None)
    mean, deviation = training.mean(1)[:, None, None], training.std(1)[:, None, None]
    np.testing.assert_allclose(found, (np.log(bands / base) - mean) / deviation, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_spread_is_the_slope_of_the_way_back(kind):
    _, base, bands = scene()
    made = fitted(kind, STATISTICS, [0, 1, 2], [])
    target = made.target(bands, base, n.moments(base, bands))
    middle, step = made.reflectance(target, base, "gale"), np.float32(1e-2)
    apart = made.reflectance(target + step, base, "gale") - made.reflectance(target - step, base, "gale")
    sigma = made.spread(np.ones_like(target), middle, "gale")
    both = np.isfinite(apart) & np.isfinite(sigma)
    assert both.mean() > 0.8
    np.testing.assert_allclose(sigma[both], apart[both] / (2 * step), rtol=2e-3)


def test_inputs_are_standardised_and_unknown_ones_are_zero():
    image, _, _ = scene()
    base = np.concatenate([base for base, _ in REGIONS.values()])
    own = n.statistics_of(image)
    expected = {
        "none": image,
        "global": (image - base.mean()) / base.std(),
        "residual": (image - base.mean()) / base.std(),
        "ratio": (np.log(image) - np.log(base).mean()) / np.log(base).std(),
        "image": (image - own.mean) / own.standard_deviation,
        "patch": (image - own.mean) / own.standard_deviation,
    }
    for kind, plane in expected.items():
        found = fitted(kind, STATISTICS, [0], []).image(image, own)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, np.nan_to_num(plane), atol=2e-4, err_msg=kind)


def test_statistics_of_an_image_cut_off_its_outliers():
    image = RANDOM.normal(0.2, 0.02, (150, 200)).astype(np.float32)
    image[0, 0], image[0, 1], image[5] = 50.0, -50.0, np.nan
    low, high = np.percentile(image[np.isfinite(image)], [0.01, 99.99])
    kept = image[np.isfinite(image)].clip(low, high).astype(float)
    found = n.statistics_of(image)
    expected = (kept.mean(), kept.std(), low, high)
    np.testing.assert_allclose(
        [found.mean, found.standard_deviation, found.low, found.high], expected, rtol=1e-4
    )
    assert found.standard_deviation < 0.03


def test_base_is_a_gaussian_of_crisms_width_that_unknown_pixels_do_not_darken():
    point = np.zeros((61, 61), np.float32)
    point[30, 30] = 1
    profile = n.base_of(point, 3.0)[30]
    wide = np.flatnonzero(profile >= profile.max() / 2)
    assert 27 / 3 - 2 <= len(wide) <= 27 / 3 + 1  # full width at half maximum, px
    expected = ndimage.gaussian_filter(point, 27 / 3 / (2 * np.sqrt(2 * np.log(2))))
    np.testing.assert_allclose(n.base_of(point, 3.0), expected, atol=1e-5)
    level = np.full((40, 40), 0.25, np.float32)
    level[::3] = np.nan
    base = n.base_of(level, 6.0)
    np.testing.assert_array_equal(np.isnan(base), np.isnan(level))
    np.testing.assert_allclose(base[np.isfinite(base)], 0.25, rtol=1e-5)


def test_dark_pixels_and_constant_bands_stay_finite():
    assert n.logarithm(np.array([-1, 0, 1e-9], np.float32)) == pytest.approx(np.log(n.DARKEST))
    level = np.full(50, 0.2, np.float32)
    flat = sums_of(level, np.stack([level, level])).moments()
    assert min(flat.image_deviation, *flat.deviation, *flat.scatter) > 0
    assert np.isfinite([*flat.slope, *flat.mean]).all()
