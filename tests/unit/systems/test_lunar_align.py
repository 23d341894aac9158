"""Alignment of lunar scenes: against the twin's truth, along a chain of neighbours, and where it must refuse."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from scipy import ndimage

from orrery.errors import OrreryError
from orrery.files import sha256
from orrery.instruments.nac import decompand
from orrery.instruments.photometry import Sun
from orrery.raster.align import rms_difference_m
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.io import Raster, read, upsample, write
from orrery.raster.scene import list_scenes, read_scene, write_scene
from orrery.raster.shade import shade
from orrery.seeds import stream
from orrery.systems.lunar_dtm.align import AlignParams, align_scene, align_scenes, register_to_dem
from orrery.systems.lunar_dtm.aligned import load_aligned
from orrery.systems.lunar_dtm.strips import StripParams, mosaic, overlay
from orrery.world_params import MoonParams, SiteParams, SunParams
from orrery.worlds.moon import make

MOON = CRS.from_string("IAU_2015:30110")
PARAMS, SEED = AlignParams(), 3
SUN = (120.0, 35.0)
WHEN = datetime(2009, 9, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def twin(tmp_path_factory) -> Path:
    """One scene of the twin, a mountain of 1.9 km."""
    folder = tmp_path_factory.mktemp("twin")
    site = SiteParams(kind="mountain", suns=[SunParams(azimuth_deg=100.0, elevation_deg=30.0)])
    make(folder, MoonParams(gsd_m=3.0, strip_width_px=385, height_px=630, sites={"hill": site}), 5)
    return folder / "hill"


@pytest.fixture(scope="module")
def aligned(twin, tmp_path_factory):
    """Folder and rows of the twin's scene after alignment."""
    folder = tmp_path_factory.mktemp("aligned")
    return folder / "hill", align_scene(read_scene(twin), folder, PARAMS, SEED)


def by_pair(rows):
    return {row["pair"]: row for row in rows}


def test_the_coarse_dem_is_placed_to_a_fraction_of_a_posting(aligned):
    row = by_pair(aligned[1])["to-coarse"]
    assert row["initial_error_m"] > 60
    assert row["true_error_m"] < 0.1 * 60
    assert row["true_error_m"] <= row["initial_error_m"] / 20
    assert 0.3 < row["true_error_m"] / row["expected_error_m"] < 2.5
    assert row["ncc_after"] > max(0.6, row["ncc_before"] + 0.2)
    assert row["shift_px"] == pytest.approx(np.hypot(row["shift_x_m"], row["shift_y_m"]) / 3, rel=1e-6)
    assert row["nmad_m"] < 3
    assert row["incidence_deg"] == pytest.approx(60)


def test_the_right_strip_is_placed_to_a_fifth_of_a_pixel(aligned):
    row = by_pair(aligned[1])["r-to-l"]
    assert row["true_error_m"] / 3 < 0.2 < row["initial_error_m"] / 3
    assert row["residual_px"] < 0.2
    assert row["ncc_after"] > 0.98
    assert row["reference"] == "image_l"
    assert row["tie_points_used"] >= 30
    assert row["tie_points_held_out"] >= 20


def test_the_dem_keeps_its_postings_and_gets_a_corrected_geotransform(aligned, twin):
    folder, rows = aligned
    raw, placed, true = (
        read(twin / "sldem.tif"),
        read(folder / "coarse.tif"),
        read(folder / "coarse_true.tif"),
    )
    np.testing.assert_array_equal(placed.values, raw.values)
    np.testing.assert_array_equal(true.values, raw.values)
    truth = AffineMap.from_dict(read_scene(twin).item.properties["orrery:truth"]["sldem"])
    x, y = true.grid.xy(10, 12)
    assert (float(x), float(y)) == pytest.approx([float(v) for v in truth.apply(*raw.grid.xy(10, 12))])
    offset = np.subtract(placed.grid.centre, raw.grid.centre)
    row = by_pair(rows)["to-coarse"]
    assert offset == pytest.approx([row["shift_x_m"], row["shift_y_m"]], abs=2)


def test_an_aligned_scene_reads_as_one_frame(aligned, twin):
    scene = load_aligned(aligned[0])
    assert scene.kind == "mountain"
    assert scene.truth is not None
    assert scene.truth.grid == scene.image.grid == read(twin / "truth.tif").grid
    np.testing.assert_array_equal(scene.truth.values, read(twin / "truth.tif").values)
    difference = upsample(scene.coarse, scene.image.grid) - scene.truth.values
    assert np.median(np.abs(difference)) < 2
    assert np.nanmean(scene.image.valid) > 0.97


def test_the_mosaic_holds_linear_numbers_of_the_left_strip_untouched(aligned, twin):
    with rasterio.open(twin / "image_l.tif") as dataset:
        codes = dataset.read(1)
    image = read(aligned[0] / "image.tif")
    np.testing.assert_array_equal(image.values[: codes.shape[0], : codes.shape[1]], decompand(codes))


def test_aligning_again_gives_the_same_bytes(aligned, twin, tmp_path):
    rows = align_scene(read_scene(twin), tmp_path, PARAMS, SEED)
    np.testing.assert_equal(rows, aligned[1])
    for path in sorted(aligned[0].iterdir()):
        assert sha256(path) == sha256(tmp_path / "hill" / path.name)


# Strips and their mosaic


def strips(step: float = 1.05):
    """Two strips of one texture: the right one moved by a known map and brighter by `step`."""
    grid = Grid(MOON, Affine(2, 0, 5000, 0, -2, 7000), 400, 500)
    ground = ndimage.gaussian_filter(stream(6, "strips").standard_normal((480, 580)), 1.5) * 150 + 400
    coefficients = ndimage.spline_filter(ground)
    left_grid, right_grid = grid.window(0, 0, 400, 300), grid.window(0, 200, 400, 300)
    true = AffineMap(((1.0004, 0.0006), (-0.0005, 0.9997)), (5.0, -3.4), right_grid.centre)
    random = stream(6, "noise")

    def seen(part: Grid, correction: AffineMap) -> np.ndarray:
        rows, columns = grid.rowcol(*correction.apply(*part.xy(*np.indices(part.shape))))
        return ndimage.map_coordinates(
            coefficients, (rows + 40, columns + 40), prefilter=False
        ) + random.normal(0, 3, part.shape)

    left = Raster(seen(left_grid, AffineMap.identity()).astype(np.float32), left_grid)
    right = Raster((step * seen(right_grid, true)).astype(np.float32), right_grid)
    return left, right, true


def test_an_overlay_is_right_beyond_the_overlap_too():
    left, right, true = strips()
    found = overlay(left, right, StripParams(), SEED)
    assert rms_difference_m(found.map, true, right.grid) < 0.1 * 2
    assert found.row["overlap_fraction"] == pytest.approx(100 / 300, abs=0.01)
    assert found.row["ncc_before"] < 0.9 < found.row["ncc_after"]


def test_a_mosaic_has_no_step_of_brightness():
    left, right, true = strips(step=1.3)
    whole = mosaic(left, right, true)
    assert whole.grid.shape == (400, 500)
    np.testing.assert_array_equal(whole.values[:, :300], left.values)
    beyond = whole.values[10:-10, 310:490]
    assert np.nanmean(beyond) == pytest.approx(left.values.mean(), rel=0.02)


def test_strips_that_do_not_overlap_are_refused():
    left, right, _ = strips()
    apart = Raster(right.values, AffineMap.shift(5000, 0).moved(right.grid))
    with pytest.raises(OrreryError, match="do not overlap"):
        overlay(left, apart, StripParams(), SEED)


# Neighbours


def hills(shape: tuple[int, int]) -> np.ndarray:
    """Rolling ground of several sizes on a 5 m grid, m."""
    random = stream(8, "hills")
    parts = [
        (height, ndimage.gaussian_filter(random.normal(size=shape), sigma, mode="wrap"))
        for height, sigma in ((18, 40), (5, 14), (0.4, 3))
    ]
    return sum(height * part / part.std() for height, part in parts).astype(np.float32)


def neighbours(folder: Path, *, same_dem: bool, overlap_px: int = 60) -> AffineMap:
    """Two images side by side, the second misplaced by (12, -8) m against the first, and a coarse DEM that is off by 150 m.

    Returns:
        The true map of the second scene's DEM.
    """
    whole = Grid(MOON, Affine(5, 0, 40_000, 0, -5, 80_000), 720, 1080)
    heights_m = hills(whole.shape)
    pixels = 900 * shade(heights_m, 5, Sun(*SUN))
    low = ndimage.gaussian_filter(heights_m, 6)[6::12, 6::12]
    offset = AffineMap.shift(-130, 75)
    dem_grid = Grid(
        MOON, whole.window(0, 0, 1, 1).transform * Affine.translation(0.5, 0.5) * Affine.scale(12), *low.shape
    )
    misplaced = AffineMap.shift(12, -8)
    truths = (offset, misplaced.compose(offset))
    for number, truth in enumerate(truths):
        grid = whole.window(120, 120 + number * (400 - overlap_px), 480, 400)
        top, start = 120, 120 + number * (400 - overlap_px)
        place = folder / f"side-p{number}"
        values = pixels[top : top + 480, start : start + 400].astype(np.float32)
        values += stream(8, "noise", number).normal(0, 4, values.shape).astype(np.float32)
        written = misplaced.moved(grid) if number else grid
        write(place / "image_l.tif", {"brightness": values}, written)
        dem = low if same_dem else low + stream(8, "dem", number).normal(0, 0.3, low.shape).astype(np.float32)
        write(place / "sldem.tif", {"elevation_m": dem}, offset.inverse().moved(dem_grid))
        properties = {
            "orrery:site": "side",
            "orrery:kind": "mountain",
            "orrery:truth": {"sldem": truth.to_dict()},
        }
        assets = {name: f"{name}.tif" for name in ("image_l", "sldem")}
        write_scene(place, f"side-p{number}", assets, written, SUN, properties, WHEN)
    return truths[1]


def test_a_neighbour_over_the_same_dem_is_the_reference(tmp_path):
    truth = neighbours(tmp_path / "raw", same_dem=True)
    rows = align_scenes(list_scenes(tmp_path / "raw"), tmp_path / "out", PARAMS, SEED)
    assert [row["scene"] for row in rows] == ["side-p0", "side-p1"]
    assert [row["reference"] for row in rows] == ["simulated", "side-p0"]
    assert max(row["true_error_m"] for row in rows) < 0.1 * 60
    placed, raw = (
        read(tmp_path / "out/side-p1/coarse.tif").grid,
        read(tmp_path / "raw/side-p1/sldem.tif").grid,
    )
    moved = [float(value) for value in truth.apply(*raw.centre)]
    assert placed.centre == pytest.approx(moved, abs=8)


@pytest.mark.parametrize(("same_dem", "overlap_px"), [(False, 60), (True, 12)])
def test_another_dem_or_too_little_overlap_falls_back_to_the_simulated_image(tmp_path, same_dem, overlap_px):
    neighbours(tmp_path / "raw", same_dem=same_dem, overlap_px=overlap_px)
    rows = align_scenes(list_scenes(tmp_path / "raw"), tmp_path / "out", PARAMS, SEED)
    assert {row["reference"] for row in rows} == {"simulated"}
    assert max(row["true_error_m"] for row in rows) < 0.1 * 60


# Any image


def image_and_dem(size: int = 480):
    """An image of rolling hills and a DEM of the same ground, in place."""
    whole = Grid(MOON, Affine(5, 0, 40_000, 0, -5, 80_000), 840, 840)
    heights_m = hills(whole.shape)
    low = ndimage.gaussian_filter(heights_m, 6)[6::12, 6::12]
    dem_grid = Grid(MOON, whole.transform * Affine.translation(0.5, 0.5) * Affine.scale(12), *low.shape)
    pixels = shade(heights_m, 5, Sun(*SUN))[180 : 180 + size, 180 : 180 + size]
    return Raster(pixels, whole.window(180, 180, size, size)), Raster(low, dem_grid)


def test_a_rotated_image_frame_is_no_obstacle():
    """The same pixels with a geotransform turned by 90 degrees, and the DEM turned with it: the sun stays where it was."""
    image, dem = image_and_dem()
    quarter = AffineMap(((0.0, -1.0), (1.0, 0.0)), (90.0, -45.0), image.grid.centre)
    turned = Raster(image.values, quarter.moved(image.grid))
    there = AffineMap(((0.0, -1.0), (1.0, 0.0)), (0.0, 0.0), image.grid.centre)
    found = register_to_dem(turned, Raster(dem.values, there.moved(dem.grid)), Sun(*SUN), PARAMS, SEED)
    assert rms_difference_m(found.map, AffineMap.shift(90, -45), turned.grid) < 4


def test_shadow_and_gaps_do_not_pull_the_map():
    image, dem = image_and_dem()
    values = image.values.copy()
    values[:150, :250] = 0.01
    values[300:, 330:] = np.nan
    found = register_to_dem(Raster(values, image.grid), dem, Sun(*SUN), PARAMS, SEED)
    assert rms_difference_m(found.map, AffineMap.identity(), image.grid) < 5


def test_an_image_of_other_ground_is_told_from_one_that_fits():
    image, dem = image_and_dem(size=120)
    noise = ndimage.gaussian_filter(stream(9, "other").normal(size=image.values.shape), 4)
    other = Raster((1 + 2 * noise).astype(np.float32), image.grid)
    with pytest.raises(OrreryError, match="does not tell where the DEM lies"):
        register_to_dem(other, dem, Sun(*SUN), PARAMS, SEED)


def test_a_dem_elsewhere_or_in_another_projection_is_refused():
    image, dem = image_and_dem()
    far = Raster(dem.values, AffineMap.shift(90_000, 0).moved(dem.grid))
    with pytest.raises(OrreryError, match="does not reach the image"):
        register_to_dem(image, far, Sun(*SUN), PARAMS, SEED)
    grid = dem.grid
    polar = Raster(dem.values, Grid(CRS.from_string("IAU_2015:30135"), grid.transform, *grid.shape))
    with pytest.raises(OrreryError, match="different coordinate systems"):
        register_to_dem(image, polar, Sun(*SUN), PARAMS, SEED)


def test_a_scene_without_coarse_dem_is_refused(twin, tmp_path):
    scene = read_scene(twin)
    del scene.item.assets["sldem"]
    with pytest.raises(OrreryError, match="names no sldem"):
        align_scene(scene, tmp_path, PARAMS, SEED)
    assert not list(tmp_path.iterdir())
