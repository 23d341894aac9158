"""Pairs with a known warp, on synthetic ground: found; and pairs with nothing to find: told apart."""

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from scipy import ndimage

from orrery.errors import OrreryError
from orrery.raster.align import CoregistrationOptions, Correction, SmoothField, coregister
from orrery.raster.align.agreement import agreed
from orrery.raster.align.blocks import Blocks
from orrery.raster.align.features import Scales, despiked, destriped, features
from orrery.raster.align.search import find_shift
from orrery.raster.align.warping import between
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.io import Raster
from orrery.seeds import stream

CTX = CRS.from_string("IAU_2015:49910")
OTHER = CRS.from_proj4("+proj=eqc +lat_ts=-20 +R=3396190 +units=m +no_defs")
GRID = Grid(CTX, Affine(6, 0, 300_000, 0, -6, -80_000), 420, 440)
OPTIONS = CoregistrationOptions()
MOVED = AffineMap(((1.0008, 0.0012), (-0.0011, 1.0005)), (210.0, -130.0), GRID.centre)


def ground(name="ground", shape=(700, 720)) -> np.ndarray:
    """A rough surface: noise of all sizes from 2 px up."""
    rng, values = stream(2, name), np.zeros(shape)
    for sigma in (1.5, 4, 12):
        noise = ndimage.gaussian_filter(rng.standard_normal(shape), sigma)
        values += noise / noise.std()
    return values.astype(np.float32)


def warped_field(size_m=9.0) -> SmoothField:
    left, _, _, top = GRID.bounds
    noise = ndimage.gaussian_filter(stream(6, "field").standard_normal((2, 16, 16)), (0, 1.2, 1.2))
    return SmoothField(left - 1500, top + 1500, 400.0, *(size_m * noise / np.abs(noise).max()))


def pair(tones=lambda values: values, *, size_m=9.0, crs=CTX, missing=lambda rows, columns: rows < 0):
    """Reference at 6 m, moving image at 18 m in any projection, and the truth."""
    scene, truth = ground(), Correction(MOVED, warped_field(size_m))
    reference = Raster(scene[140:560, 140:580], GRID)
    x, y = between(CTX, crs, *([place] for place in GRID.centre))
    grid = Grid(crs, Affine(18, 0, x[0] - 1170, 0, -18, y[0] + 1170), 130, 130)
    rows, columns = GRID.rowcol(*truth.apply(*between(crs, CTX, *grid.xy(*np.indices(grid.shape)))))
    blurred = ndimage.gaussian_filter(tones(scene), 1.2)
    values = ndimage.map_coordinates(blurred, [rows + 140, columns + 140], order=3).astype(np.float32)
    noise = 0.03 * values.std() * stream(1, "noise").standard_normal(values.shape)
    values = np.where(missing(*np.indices(grid.shape)), np.nan, values + noise).astype(np.float32)
    return reference, Raster(values, grid), truth


def error_px(moving: Raster, found: Correction, truth: Correction) -> np.ndarray:
    """(N,) at the moving image's valid pixels."""
    x, y = between(moving.grid.crs, CTX, *moving.grid.xy(*np.nonzero(moving.valid)))
    return np.hypot(*np.subtract(found.apply(x, y), truth.apply(x, y))) / 6


def hourglass(rows, columns):
    return np.abs(columns - 65 - 0.05 * (rows - 65)) > 38 + 0.006 * (rows - 65) ** 2


def holes(rows, columns):
    return ndimage.gaussian_filter(stream(3, "holes").standard_normal(rows.shape), 3) > 0.06


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"crs": OTHER},
        {"missing": hourglass},
        {"missing": holes},
        {"tones": np.negative},
        {"tones": lambda values: np.where(np.arange(720) < 360, values, -values)},
        {"tones": lambda values: np.exp(0.6 * values)},
    ],
    ids=["plain", "another projection", "hourglass", "holes", "inverted", "half inverted", "gamma"],
)
def test_a_known_smooth_warp_is_recovered(options):
    reference, moving, truth = pair(**options)
    found = coregister(moving, reference, OPTIONS)
    errors = error_px(moving, found.correction, truth)
    assert np.median(errors) < 0.15
    assert np.sqrt(np.mean(errors**2)) < 1.25 * found.residual_px
    assert found.residual_px < 1
    assert found.residual_m == pytest.approx(6 * found.residual_px)
    assert found.valid_share > 0.85
    assert found.empty_blocks == 0


@pytest.mark.parametrize("shift_px", [(60, -45), (-75, 20), (0, 0)])
def test_shifts_of_up_to_eighty_pixels_are_found(shift_px):
    scene = ground(shape=(420, 440))
    # the moving image shows the ground that lies `shift_px` to the right and down of where it says
    moving = Raster(
        np.roll(scene, (-shift_px[1], -shift_px[0]), (0, 1))[90:330, 100:340], GRID.window(90, 100, 240, 240)
    )
    found = coregister(moving, Raster(scene, GRID), OPTIONS)
    x, y = GRID.centre
    to = found.correction.apply([x], [y])
    assert (to[0][0] - x, y - to[1][0]) == pytest.approx((6 * shift_px[0], 6 * shift_px[1]), abs=1.0)


def test_nothing_in_common_is_told():
    _, moving, _ = pair()
    found = coregister(moving, Raster(ground("elsewhere")[140:560, 140:580], GRID), OPTIONS)
    assert found.valid_share < 0.5
    assert not found.residual_px < 1
    constant = coregister(moving, Raster(np.full(GRID.shape, 5.0, np.float32), GRID), OPTIONS)
    assert constant.valid_share == 0
    assert constant.field is None
    assert np.isnan(constant.residual_px)


def test_images_that_cannot_meet_are_refused():
    reference, moving, _ = pair()
    away = Raster(moving.values, AffineMap.shift(50_000, 0).moved(moving.grid))
    with pytest.raises(OrreryError, match="hardly any common ground"):
        coregister(away, reference, OPTIONS)
    turned = Raster(reference.values, Grid(CTX, GRID.transform @ Affine.rotation(5), *GRID.shape))
    with pytest.raises(OrreryError, match="not north up"):
        coregister(moving, turned, OPTIONS)


def test_the_judging_points_had_no_part_in_the_field():
    rows, columns = (
        plane.ravel() for plane in np.meshgrid(np.arange(0.0, 1200, 10), np.arange(0.0, 1200, 10))
    )
    judged = np.zeros(rows.size, int)
    for fits, judges in Blocks(200, 24).folds(rows, columns):
        assert not (fits & judges).any()
        judged += judges
        apart = np.maximum(
            np.abs(rows[judges][::40, None] - rows[fits]), np.abs(columns[judges][::40, None] - columns[fits])
        )
        assert apart.min() >= 48
    assert judged.max() == 1
    assert 0.4 < judged.mean() < 0.7


# Parts


def test_edges_are_blind_to_the_sign_of_contrast_and_structure_turns_it():
    values, scales = ground(shape=(120, 130)), Scales(1.5, 10, 24)
    one, other = features(values, scales), features(-values, scales)
    np.testing.assert_allclose(one.edges, other.edges, atol=1e-4)
    np.testing.assert_allclose(one.structure, -other.structure, atol=1e-4)


def test_features_do_not_see_through_nodata():
    values, scales = ground(shape=(120, 130)), Scales(1.5, 10, 24)
    values[40:60, 50:80] = np.nan
    wild = values.copy()
    found = features(wild, scales)
    assert np.isfinite(found.structure).all()
    assert not found.structure[~found.valid].any()
    np.testing.assert_allclose(features(values + 1000, scales).structure, found.structure, atol=5e-3)


def test_column_offsets_are_taken_out():
    """Of a ground that has no columns of its own: isotropic and many times as high as the stripes' reach."""
    values = ndimage.gaussian_filter(ground(shape=(600, 140)), 2)
    stripes = (0.5 * stream(1, "stripes").standard_normal(140)).astype(np.float32)
    left = (destriped(values + stripes) - values)[0]
    fine = left - ndimage.gaussian_filter1d(left, 12)  # coarser offsets are left to the features
    assert fine[12:-12].std() < 0.3 * stripes.std()


def test_a_spike_gets_the_median_of_its_neighbours_and_nothing_else_changes():
    values = ndimage.gaussian_filter(ground(shape=(80, 90)), 2)
    values[:10] = np.nan
    spoiled = values.copy()
    spoiled[70, 70] = 1000
    mended = despiked(spoiled)
    assert mended[70, 70] == pytest.approx(np.median(spoiled[69:72, 69:72]))
    np.testing.assert_array_equal(np.delete(mended, 70, 0), np.delete(values, 70, 0))


def test_the_search_tells_a_shift_from_chance():
    scales = Scales(1.0, 6.0, 16.0)
    values = ground(shape=(110, 120))
    seen = features(values, scales)
    moved = features(np.roll(values, (3, -11), (0, 1)), scales)
    shift = find_shift(seen, moved, 20)
    assert (shift.down, shift.right) == (3, -11)
    chance = find_shift(seen, features(ground("other", (110, 120)), scales), 20)
    assert shift.distinctness > 3 * chance.distinctness


def test_agreement_leaves_out_waves_that_only_one_image_has():
    """One image has a strong grating of 5 px besides: after weighting hardly anything of it is left."""
    values = ndimage.gaussian_filter(ground(shape=(256, 256)), 3)
    wave = np.sin(2 * np.pi * np.arange(256) / 5).astype(np.float32)
    one, other, common = agreed(values, values + values.std() * wave)
    assert common.all()
    spectrum = np.abs(np.fft.rfft2(other)) ** 2
    rows, columns = np.fft.fftfreq(256), np.fft.rfftfreq(256)
    grating = (np.abs(columns - 0.2) < 0.01)[None] & (np.abs(rows) < 0.01)[:, None]
    assert spectrum[grating].sum() < 0.02 * spectrum.sum()
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9
