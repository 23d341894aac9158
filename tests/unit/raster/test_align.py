"""Tie points, affine fits and refinement against displacements that are known."""

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from scipy import fft, ndimage

from orrery.raster.align import (
    Spread,
    TiePoints,
    correlations,
    displacement,
    expected_rms_m,
    fit_affine,
    from_numbers,
    held_out,
    match,
    numbers,
    peak,
    refine,
    rms_difference_m,
)
from orrery.raster.align.affine import directions
from orrery.raster.grid import AffineMap, Grid
from orrery.seeds import stream

MOON = CRS.from_string("IAU_2015:30110")
GRID = Grid(MOON, Affine(15, 0, 600_000, 0, -15, -400_000), 160, 180)
PRIOR = Spread(shift_m=200, stretch=2e-3, rotation_deg=0.2, shear=1e-3)
TRUE = AffineMap(((1.0012, 0.0018), (-0.0021, 0.9992)), (31.0, -22.0), GRID.centre)


def texture(shape=(160, 180), sigma_px=2.5, name="texture") -> np.ndarray:
    """Smooth random values of unit spread that go round the edges."""
    noise = ndimage.gaussian_filter(stream(1, name).standard_normal(shape), sigma_px, mode="wrap")
    return (noise / noise.std()).astype(np.float32)


def shifted(values: np.ndarray, down: float, right: float) -> np.ndarray:
    """Values moved by a fraction of a pixel, exactly (they go round the edges)."""
    return fft.ifftn(ndimage.fourier_shift(fft.fftn(values), (down, right))).real.astype(np.float32)


# Tie points


@pytest.mark.parametrize(("down", "right"), [(0, 0), (0.25, -0.4), (-3.5, 2.1)])
def test_displacement_to_a_twentieth_of_a_pixel(down, right):
    values = texture()
    found = displacement(values[20:90, 20:90], shifted(values, down, right)[30:80, 30:80])
    assert found[:2] == pytest.approx((10 - down, 10 - right), abs=0.05)
    assert found[2] > 0.97


def test_a_maximum_at_the_rim_is_no_match():
    values = texture(sigma_px=12)
    down, right, _ = displacement(values[20:80, 20:80], values[14:64, 25:75])
    assert np.isnan(down)
    assert np.isnan(right)


def test_places_with_few_valid_pixels_are_not_chosen():
    around = texture()[:100, :100].copy()
    window = around[55:85, 60:90].copy()
    around[:, 72:] = np.nan
    scores = correlations(around, window)
    assert scores[55, 60] == -1
    assert scores[10, 10] > -1
    assert correlations(np.full((20, 20), np.nan, np.float32), window[:5, :5]).max() == -1


def test_peak_is_the_vertex_of_a_parabola():
    rows, columns = np.mgrid[:9, :9]
    scores = (
        1 - 0.02 * (rows - 4.3) ** 2 - 0.03 * (columns - 3.8) ** 2 + 0.01 * (rows - 4.3) * (columns - 3.8)
    )
    assert peak(scores.astype(np.float32))[:2] == pytest.approx((4.3, 3.8), abs=1e-5)


def test_match_tells_where_the_reference_shows_the_same_ground():
    """A source shifted by 1.5 px down and 0.75 px left: its ground lies up and to the right in the reference."""
    reference = texture()
    source = shifted(reference, 1.5, -0.75)
    source[:40] = np.nan
    points = match(reference, source, GRID, window_px=32, spacing_px=24, search_px=4)
    assert len(points) == 28
    assert (points.source_y_m < GRID.xy(40 - 0.3 * 32, 0)[1]).all()
    np.testing.assert_allclose(points.reference_x_m - points.source_x_m, 0.75 * 15, atol=0.6)
    np.testing.assert_allclose(points.reference_y_m - points.source_y_m, 1.5 * 15, atol=0.6)


def test_unlike_ground_gives_no_tie_points():
    points = match(
        texture(), texture(name="other"), GRID, window_px=32, spacing_px=32, search_px=3, least_score=0.5
    )
    assert len(points) == 0


# Affine maps


def test_six_numbers_describe_a_map_and_directions_are_its_derivatives():
    six = numbers(TRUE, GRID.centre)
    again = from_numbers(six, GRID.centre)
    assert rms_difference_m(again, TRUE, GRID) < 1e-6
    x, y = np.array([600_100.0, 602_000.0]), np.array([-401_000.0, -400_500.0])
    moves = directions(x, y, GRID.centre)
    for index, step in enumerate((1, 1, 1e-6, 1e-6, 1e-6, 1e-6)):
        change = np.zeros(6)
        change[index] = step
        moved = np.subtract(from_numbers(six + change, GRID.centre).apply(x, y), again.apply(x, y)) / step
        np.testing.assert_allclose(moved, moves[index], atol=1e-3)


def tie_points(truth: AffineMap, count: int, noise_m: float, name: str) -> TiePoints:
    """Places spread over the grid, and where a map and noise put them."""
    random = stream(2, name)
    x, y = GRID.xy(random.uniform(0, 159, count), random.uniform(0, 179, count))
    to_x, to_y = truth.apply(x, y)
    noise = random.normal(0, noise_m, (2, count))
    return TiePoints(x, y, to_x + noise[0], to_y + noise[1], np.ones(count))


def test_a_fit_finds_the_map_among_false_matches():
    points = tie_points(TRUE, 120, 2.0, "outliers")
    points.reference_x_m[:36] += stream(2, "false").uniform(-90, 90, 36)
    fit = fit_affine(points, GRID.centre, PRIOR, tolerance_m=10, rng=stream(2, "ransac"))
    assert rms_difference_m(fit.map, TRUE, GRID) < 1.2
    assert fit.inliers[36:].mean() > 0.95
    assert fit.inliers[:36].mean() < 0.35


def test_a_fit_knows_its_error():
    """Root mean square of true over expected error, over 30 draws of noise, is near 1."""
    ratios = []
    for draw in range(30):
        points = tie_points(TRUE, 60, 4.0, f"draw-{draw}")
        fit = fit_affine(points, GRID.centre, PRIOR, tolerance_m=20, rng=stream(2, "ransac"))
        expected_m = expected_rms_m(fit.covariance, GRID, GRID.centre)
        ratios.append(rms_difference_m(fit.map, TRUE, GRID) / expected_m)
    assert np.sqrt(np.mean(np.square(ratios))) == pytest.approx(1, abs=0.25)


def test_without_tie_points_the_prior_stands():
    none = tie_points(TRUE, 3, 0, "few")
    fit = fit_affine(none, GRID.centre, PRIOR, tolerance_m=10, rng=stream(2, "ransac"), around=TRUE)
    assert rms_difference_m(fit.map, TRUE, GRID) < 1e-6
    np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance)), PRIOR.vector())
    assert not fit.inliers.any()


def test_expected_rms_is_that_of_draws_from_the_covariance():
    mixing = stream(4, "covariance").normal(size=(6, 6)) * np.array([3, 3, 2e-3, 2e-3, 1e-3, 1e-3])[:, None]
    draws = mixing @ stream(4, "draws").normal(size=(6, 2000))
    distances = [
        rms_difference_m(from_numbers(six, GRID.centre), AffineMap.identity(), GRID) for six in draws.T
    ]
    expected_m = expected_rms_m(mixing @ mixing.T, GRID, GRID.centre)
    assert np.sqrt(np.mean(np.square(distances))) == pytest.approx(expected_m, rel=0.05)


# Held-out judgement


def test_held_out_points_are_judged_by_maps_that_never_saw_their_ground():
    fold = (np.indices(GRID.shape)[0] // 40) % 4
    points = tie_points(TRUE, 400, 0, "held-out")
    given = []

    def without(weight):
        given.append(weight)
        return AffineMap.shift(len(given), 0).compose(TRUE)

    distances = held_out(points, fold, GRID, 24, without)
    assert [set(fold[weight == 0]) for weight in given] == [{0}, {1}, {2}, {3}]
    assert set(np.rint(distances)) == {1, 2, 3, 4}
    # a window of 24 px fits at 40 - 24 of the 40 rows of a fold, of those at the image's edge a little more
    assert 0.3 < len(distances) / len(points) < 0.6


# Refinement


def scene(noise: float, name: str):
    """An observation on the grid and the model that shows it where `TRUE` says: smoother, and of another gain."""
    shape, finer = (400, 420), Grid(MOON, Affine(15, 0, 598_200, 0, -15, -398_200), 400, 420)
    ground = ndimage.spline_filter(texture(shape, 4.0, name))

    def sampled(to_model: AffineMap) -> np.ndarray:
        x, y = to_model.apply(*GRID.xy(*np.indices(GRID.shape)))
        return ndimage.map_coordinates(ground, finer.rowcol(x, y), prefilter=False).astype(np.float32)

    disturbance = stream(5, name, "noise").normal(0, noise, GRID.shape)
    rough = ndimage.gaussian_filter(disturbance, 1.0) * 3.5 + 0.7 * sampled(TRUE)
    return (rough + 5).astype(np.float32), sampled


def refined(observed, sampled, weight=None, start=None, prior=PRIOR):
    return refine(
        observed,
        np.ones(GRID.shape, np.float32) if weight is None else weight,
        GRID,
        sampled,
        start=start or AffineMap.shift(60, 20),
        prior=prior,
        around=AffineMap.identity(),
        bearing_deg=40,
        posting_m=60,
    )


def test_refinement_finds_an_affine_map_to_a_hundredth_of_a_posting():
    found = refined(*scene(0.02, "clear"))
    assert rms_difference_m(found.map, TRUE, GRID) < 0.6


def test_refinement_knows_its_error():
    """Root mean square of true over expected error, over 12 scenes with noise as strong as the signal, is near 1."""
    ratios = []
    for number in range(12):
        found = refined(*scene(0.7, f"noisy-{number}"))
        expected_m = expected_rms_m(found.covariance, GRID, GRID.centre)
        ratios.append(rms_difference_m(found.map, TRUE, GRID) / expected_m)
    assert np.sqrt(np.mean(np.square(ratios))) == pytest.approx(1, abs=0.4)


def test_refinement_leaves_out_what_has_no_weight():
    observed, sampled = scene(0.02, "gap")
    weight = np.ones(GRID.shape, np.float32)
    weight[50:110, 60:140] = 0
    observed[50:110, 60:140] = np.nan
    assert rms_difference_m(refined(observed, sampled, weight).map, TRUE, GRID) < 1.0


def test_without_evidence_the_prior_stands():
    _, sampled = scene(0.0, "nothing")
    tight = Spread(5, 1e-4, 0.01, 1e-4)
    found = refined(texture(GRID.shape, 1.0, "unrelated"), sampled, start=AffineMap.identity(), prior=tight)
    assert rms_difference_m(found.map, AffineMap.identity(), GRID) < 12
    assert expected_rms_m(found.covariance, GRID, GRID.centre) > 3
