"""What CTX and CRISM record of a known ground, and where the cube lies."""

from __future__ import annotations

import math

import numpy as np
import pytest

from orrery.errors import OrreryError
from orrery.instruments import crism, ctx
from orrery.instruments.photometry import Sun
from orrery.params import load_params
from orrery.raster.grid import check_body
from orrery.world_params import MarsParams, MarsSceneParams
from orrery.worlds.mars.light import Light, light_on, sky_share
from orrery.worlds.mars.minerals import MINERALS, through_ctx
from orrery.worlds.mars.places import Place, all_scenes, drawn_scene, lay_out
from orrery.worlds.mars.pointing import misplace, true_positions
from orrery.worlds.mars.record import ALONG_TRACK, CRISM_PATH, CTX_PATH, Seen, frame, record_ctx, record_cube
from orrery.worlds.mars.regions import REGIONS

PARAMS = MarsParams(
    height_px=240,
    width_px=250,
    wavelengths_nm="all",
    scenes={"a": MarsSceneParams(region="mawrth"), "b": MarsSceneParams(region="gale")},
)
SUN = Sun(270, 35)


def flat(shape: tuple[int, int]) -> Seen:
    """Level ground of dust and sand, half and half."""
    return Seen(
        ("basalt", "dust"), np.full((2, *shape), 0.5, np.float32), Light(*np.ones((2, *shape), np.float32))
    )


def place(name: str = "a") -> Place:
    return lay_out(PARAMS, PARAMS.scenes, 7)[name]


def test_level_ground_gets_beam_and_sky_of_one() -> None:
    light = light_on(np.zeros((30, 30), np.float32), 6.0, SUN)
    np.testing.assert_allclose([light.beam, light.sky], 1, rtol=1e-5)


def test_shadow_keeps_the_skys_light() -> None:
    height = np.zeros((60, 60), np.float32)
    height[:, 10:14] = 80
    light = light_on(height, 6.0, Sun(270, 30))
    assert light.beam[30, 20] == 0
    assert light.sky[30, 20] > 0.9
    assert sky_share(440.0) < sky_share(700.0) == pytest.approx(0.25)


def test_ctx_records_albedo_under_a_slanting_sun() -> None:
    image = record_ctx(flat((80, 200)), SUN, np.random.default_rng(3))
    expected = math.cos(math.radians(55)) * through_ctx(("basalt", "dust")).mean()
    assert expected + CTX_PATH[0] - 1e-3 < image.mean() < expected + CTX_PATH[1] + 1e-3
    noise = math.hypot(float(ctx.noise_sigma(np.float32(image.mean()))), ctx.COLUMN_GAIN * image.mean())
    assert image.std() == pytest.approx(noise, rel=0.1)


def test_cube_records_the_spectrum_within_its_errors() -> None:
    """Level ground: the mean spectrum is that of the mixture plus the air's path light, and noise is as stated."""
    w = crism.wavelengths_nm()
    rows, columns = np.indices((60, 60)) * 3.0 + 10
    cube = record_cube(flat((200, 200)), 6.0, (rows, columns), w, np.random.default_rng(5))
    footprint = np.isfinite(cube[0])
    assert 0.5 < footprint.mean() < 0.9
    median = np.median(cube[:, footprint], axis=1)
    mixture = (MINERALS["dust"].reflectance(w) + MINERALS["basalt"].reflectance(w)) / 2
    np.testing.assert_allclose(median, mixture, atol=CRISM_PATH[1] * 1.6 + ALONG_TRACK * 0.3)
    levelled = cube[:, footprint] / median[:, None]
    spread = 1.4826 * np.median(np.abs(levelled - 1), axis=1)
    noise = crism.noise_share(w) * np.sqrt(0.2 / np.maximum(mixture, 0.01))
    assert (spread > 0.9 * noise).all()
    assert (spread < np.hypot(noise, 0.05)).all()
    spikes = np.abs(cube[:, footprint]) > 1
    assert 0.1 * crism.SPIKE_SHARE < spikes.mean() < 2 * crism.SPIKE_SHARE


def test_stripes_run_along_the_track() -> None:
    """Column means of the frame's own columns scatter by more than noise leaves of them."""
    rows, columns = np.indices((60, 60)) * 3.0 + 10
    wavelengths = np.array([1500.03])
    cube = record_cube(flat((200, 200)), 6.0, (rows, columns), wavelengths, np.random.default_rng(8))[0]
    footprint, across, _ = frame((60, 60), _after_path(np.random.default_rng(8)))
    assert np.array_equal(footprint, np.isfinite(cube))
    column = ((across + 1) / 2 * 60).astype(int)
    kept = footprint & (np.abs(cube - np.nanmedian(cube)) < 0.05)
    means = np.array([np.median(cube[kept & (column == n)]) for n in range(2, 58)])
    jumps = np.std(np.diff(means)) / np.sqrt(2) / np.nanmedian(cube)
    assert jumps == pytest.approx(crism.STRIPE_SHARE, rel=0.35)


def _after_path(rng: np.random.Generator) -> np.random.Generator:
    """The stream as it stands once the air's path light has been drawn."""
    rng.uniform(*CRISM_PATH)
    return rng


def test_footprint_is_an_hourglass_whose_north_leans_west() -> None:
    footprint, across, along = frame((200, 200), np.random.default_rng(1))
    assert np.abs(across[footprint]).max() <= 1
    assert np.abs(along[footprint]).max() <= 1
    widths = footprint.sum(1)
    waist, ends = widths[95:105].mean(), widths[[40, 160]].mean()
    assert waist < ends
    centres = [np.flatnonzero(footprint[row]).mean() for row in (40, 160)]
    assert centres[1] - centres[0] == pytest.approx(120 * math.tan(math.radians(9)), abs=8)  # 6 to 12 degrees
    assert not footprint[[0, -1]].any()
    assert not footprint[:, [0, -1]].any()


@pytest.mark.parametrize("name", ["a", "b"])
def test_cube_lies_within_the_image_as_written_and_in_truth(name: str) -> None:
    site = place(name)
    for seed in range(5):
        written, affine, field = misplace(site, PARAMS, np.random.default_rng(seed))
        assert 200 <= math.hypot(*affine.shift_m) <= 300
        check_body(written.crs, "mars", "crism.tif")
        rows, columns = site.image.rowcol(*true_positions(written, site.image, affine, field))
        footprint, _, _ = frame(written.shape, np.random.default_rng(seed))
        for index, length in ((rows, site.image.height), (columns, site.image.width)):
            assert 0 <= index[footprint].min() < index[footprint].max() <= length - 1
        longitude = np.asarray(written.footprint()["coordinates"][0])[:, 0]
        box = np.asarray(site.image.footprint()["coordinates"][0])[:, 0]
        assert box.min() < longitude.min() < longitude.max() < box.max()


def test_truth_is_the_sum_of_shift_rotation_and_warp() -> None:
    site = place()
    written, affine, field = misplace(site, PARAMS, np.random.default_rng(2))
    x, y = true_positions(written, site.image, affine, field)
    ring = np.asarray(written.footprint()["coordinates"][0])
    degree_m = math.radians(3_396_190.0)
    left_m = ring[:, 0].min() * degree_m * math.cos(math.radians(site.latitude_deg)) + 9
    top_m = ring[:, 1].max() * degree_m - 9
    moved = np.hypot(x[0, 0] - left_m, y[0, 0] - top_m)
    reach_m = PARAMS.warp_m + 1000 * (math.radians(PARAMS.max_rotation_deg) + PARAMS.max_stretch) + 2
    assert moved == pytest.approx(math.hypot(*affine.shift_m), abs=reach_m)
    dx, dy = field.displacement(x, y)
    assert 5 < np.hypot(dx, dy).max() <= PARAMS.warp_m


def test_cube_has_pixels_of_18_m_at_the_latitude_of_its_own_projection() -> None:
    """At 24 degrees north a projection true at 20 stretches parallels by cos 20 / cos 24."""
    written, _, _ = misplace(place("a"), PARAMS, np.random.default_rng(0))
    assert written.gsd_m == 18
    assert written.crs.to_dict()["lat_ts"] == 20
    ring = np.asarray(written.footprint()["coordinates"][0])
    ground_m = np.ptp(ring[:, 0]) * math.radians(3_396_190.0) * math.cos(math.radians(24))
    stretch = math.cos(math.radians(20)) / math.cos(math.radians(24))
    assert ground_m * stretch == pytest.approx(18 * written.width, rel=1e-4)


def test_places_lie_in_their_regions_and_apart() -> None:
    """All scenes of both scales, at the sizes of params.yaml."""
    demo = load_params().ingest.mars
    assert demo is not None
    full = demo.model_copy(update={"height_px": 1024, "width_px": 1024, "drawn_scenes": 240})
    for params in (demo, full):
        scenes = all_scenes(params, 7)
        boxes = []
        for name, site in lay_out(params, scenes, 7).items():
            nature = REGIONS[scenes[name].region]
            ring = np.asarray(site.ground.footprint()["coordinates"][0])
            (west, south), (east, north) = ring.min(0), ring.max(0)
            assert nature.south_deg - 1e-6 <= south < north <= nature.north_deg + 1e-6
            assert nature.west_deg - 1e-6 <= west < east <= nature.east_deg + 1e-6
            boxes.append((west, south, east, north))
        w, s, e, n = np.array(boxes).T
        overlap = (w[:, None] < e) & (w < e[:, None]) & (s[:, None] < n) & (s < n[:, None])
        assert overlap.sum() == len(boxes)


def test_a_scene_more_moves_no_other() -> None:
    more = {**PARAMS.scenes, "c": MarsSceneParams(region="gale")}
    assert lay_out(PARAMS, more, 7)["b"] == place("b")


def test_too_many_scenes_and_too_small_images_are_refused() -> None:
    crowd = {f"s{n}": MarsSceneParams(region="jezero") for n in range(20)}
    large = PARAMS.model_copy(update={"height_px": 3000, "width_px": 3000})
    with pytest.raises(OrreryError, match=r"jezero has room for 6 scenes.*lower ingest\.mars\.drawn_scenes"):
        lay_out(large, crowd, 7)
    small = PARAMS.model_copy(update={"height_px": 130})
    with pytest.raises(OrreryError, match="leaves no room for a cube"):
        lay_out(small, PARAMS.scenes, 7)


def test_drawn_scenes_cover_regions_and_uses() -> None:
    scenes = dict(drawn_scene(number, 7) for number in range(120))
    uses = [name.split("-")[0] for name in scenes]
    assert (uses.count("train"), uses.count("val"), uses.count("test")) == (96, 12, 12)
    assert {scene.region for scene in scenes.values()} == set(REGIONS)
    together = np.mean([scene.time_difference_days == 0 for scene in scenes.values()])
    assert 0.5 < together < 0.85
