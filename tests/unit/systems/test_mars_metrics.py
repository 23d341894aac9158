import warnings
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

from orrery.seeds import stream
from orrery.systems.mars_bands import metrics


@pytest.fixture(scope="module")
def pair():
    """Bands that resemble their truth, a footprint of its own in each."""
    draws = stream(0, "metrics")
    truth = draws.gamma(4.0, 0.05, (3, 40, 50))
    predicted = 0.7 * truth + 0.05 + draws.normal(0, 0.03, truth.shape)
    truth[:, :, :12] = np.nan
    truth[1, 5] = np.nan
    predicted[:, 30:, 20:30] = np.nan
    return predicted.astype(np.float32), truth.astype(np.float32)


def known(predicted, truth):
    for p, t in zip(predicted.astype(float), truth.astype(float), strict=True):
        both = np.isfinite(p) & np.isfinite(t)
        yield p[both], t[both]


def test_pearson_bias_and_rmse_of_each_band(pair):
    bands = list(known(*pair))
    assert metrics.pcc(*pair) == pytest.approx([stats.pearsonr(p, t).statistic for p, t in bands])
    assert metrics.bias(*pair) == pytest.approx([p.mean() - t.mean() for p, t in bands])
    assert metrics.band_rmse(*pair) == pytest.approx(
        [np.sqrt(distance.sqeuclidean(p, t) / p.size) for p, t in bands]
    )


def test_r2_follows_from_bias_and_spread_of_the_error(pair):
    wanted = [1 - ((p - t).var() + (p - t).mean() ** 2) / t.var() for p, t in known(*pair)]
    assert metrics.r2(*pair) == pytest.approx(wanted)
    truth = pair[1]
    means = np.broadcast_to(np.nanmean(truth, (1, 2), keepdims=True), truth.shape)
    assert metrics.r2(means, truth) == pytest.approx([0, 0, 0], abs=1e-6)


def test_rmse_and_cosine_take_the_image_as_one_vector(pair):
    p, t = (np.concatenate(side) for side in zip(*known(*pair), strict=True))
    assert metrics.rmse(*pair) == pytest.approx(np.linalg.norm(p - t) / np.sqrt(p.size))
    assert metrics.cosine(*pair) == pytest.approx(1 - distance.cosine(p, t))


def test_the_papers_rmse_counts_unknown_pixels_as_right(pair):
    predicted, truth = (side.astype(float) for side in pair)
    unknown = ~np.isfinite(predicted + truth)
    filled = np.where(unknown, 0, predicted), np.where(unknown, 0, truth)
    assert metrics.rmse_diluted(*pair) == pytest.approx(np.sqrt(np.mean((filled[0] - filled[1]) ** 2)))
    share = metrics.valid_fraction(*pair)
    assert share == pytest.approx(1 - unknown.mean())
    assert metrics.rmse_diluted(*pair) == pytest.approx(metrics.rmse(*pair) * np.sqrt(share))


TABLE_7 = [
    (0.441, 0.844),
    (0.224, 0.959),
    (0.300, 0.926),
    (0.558, 0.731),
    (0.552, 0.738),
    (0.432, 0.838),
    (0.521, 0.796),
]


@pytest.mark.parametrize(("error", "cosine"), TABLE_7)
def test_rows_of_table_7_need_a_rectangle_filled_by_63_to_74_percent(error, cosine):
    """The best prediction of a given cosine is the regression on it; only a diluted error is below its own."""
    draws = stream(0, "table-7").normal(size=(2, 1, 300, 300))
    truth, other = (draws - draws.mean((1, 2, 3), keepdims=True)) / draws.std((1, 2, 3), keepdims=True)
    predicted = cosine**2 * truth + cosine * np.sqrt(1 - cosine**2) * other
    assert metrics.cosine(predicted, truth) == pytest.approx(cosine, abs=0.005)
    assert 0.6 < (error / metrics.rmse(predicted, truth)) ** 2 < 0.76


def test_cosine_is_the_pcc_of_zero_mean_images():
    """Why COSS and PCC of the paper's Table 7 agree to .001."""
    draws = stream(0, "zero-mean").normal(size=(2, 1, 60, 60))
    a, b = draws - draws.mean((1, 2, 3), keepdims=True)
    b = 0.5 * a + b
    assert metrics.cosine(a, b) == pytest.approx(metrics.pcc(a, b)[0])


def test_spectral_angle_is_the_angle_between_spectra(pair):
    predicted, truth = pair
    angle = metrics.spectral_angle_deg(predicted, truth)
    assert np.isnan(angle[:, :12]).all()
    assert np.isnan(angle[30:, 20:30]).all()
    for row, column, bands in ((0, 12, [0, 1, 2]), (5, 40, [0, 2]), (39, 49, [0, 1, 2])):
        p, t = (side[bands, row, column].astype(float) for side in pair)
        assert angle[row, column] == pytest.approx(np.degrees(np.arccos(1 - distance.cosine(p, t))), rel=1e-6)


def test_spectral_angle_of_known_directions():
    tiny = np.array([1.0, 1e-7])
    spectra = np.array([[1, 0], [1, 1], [-1, 0], [2, 2], [0, 0]], float).T[:, None]
    against = np.array([[0, 3], [1, 0], [1, 0], [1, 1], [1, 1]], float).T[:, None]
    assert metrics.spectral_angle_deg(spectra, against)[0, :4] == pytest.approx([90, 45, 180, 0], abs=1e-9)
    assert np.isnan(metrics.spectral_angle_deg(spectra, against)[0, 4])
    small = metrics.spectral_angle_deg(tiny[:, None, None], np.array([1.0, 0.0])[:, None, None])
    assert small[0, 0] == pytest.approx(np.degrees(1e-7), rel=1e-6)


def test_histogram_intersection_counts_what_overlaps(pair):
    for value, (p, t) in zip(metrics.histogram_intersection(*pair), known(*pair), strict=True):
        edges = [-np.inf, *np.linspace(*np.percentile(t, [0.1, 99.9]), 65), np.inf]
        wanted = sum(min(((v >= a) & (v < b)).mean() for v in (p, t)) for a, b in pairwise(edges))
        assert value == pytest.approx(wanted)
    truth = pair[1]
    assert metrics.histogram_intersection(truth, truth) == pytest.approx([1, 1, 1])
    assert metrics.histogram_intersection(truth + 9, truth).max() < 0.01


def test_nothing_known_is_nan_and_no_warning():
    nothing = np.full((2, 4, 4), np.nan, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = metrics.band_metrics(nothing, np.ones_like(nothing))
    assert figures.pop("valid_fraction") == 0
    assert all(np.isnan(value) for value in figures.values())


def test_a_constant_prediction_has_no_correlation_but_the_rest(pair):
    truth = pair[1]
    flat = np.full_like(truth, 0.17)
    figures = metrics.band_metrics(flat, truth)
    assert np.isnan(figures.pop("pcc"))
    assert all(np.isfinite(value) for value in figures.values())


def test_perfection(pair):
    truth = pair[1]
    figures = metrics.band_metrics(truth, truth)
    assert figures["rmse"] == figures["bias"] == figures["spectral_angle_deg"] == 0
    assert figures["pcc"] == figures["r2"] == figures["cosine"] == pytest.approx(1)


def test_bands_keep_their_figures_apart(pair):
    table = metrics.per_band(*pair)
    assert table["pcc"] == metrics.pcc(*pair).tolist()
    assert {len(figures) for figures in table.values()} == {3}


def test_other_numbers_of_bands_are_not_compared(pair):
    with pytest.raises(ValueError, match="zip"):
        metrics.rmse(pair[0][:2], pair[1])
