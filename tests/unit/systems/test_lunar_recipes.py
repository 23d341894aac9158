import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orrery.instruments.photometry import Sun
from orrery.systems.lunar_dtm.features import Planes, Turn, exposure_field
from orrery.systems.lunar_dtm.params import PaperRecipeParams, PhysicalRecipeParams
from orrery.systems.lunar_dtm.recipes import make_recipe

PHYSICAL = {
    "name": "physical",
    "sun_sector": True,
    "photoclinometry": True,
    "base": "photoclinometry",
    "sun_constants": True,
}


def planes(azimuth=200.0, shape=(32, 48), seed=0):
    random = np.random.default_rng(seed)
    brightness, rendered, photoclinometry, coarse = random.normal(1, 0.2, (4, *shape)).astype(np.float32)
    return Planes(brightness, rendered, photoclinometry, coarse * 50, Sun(azimuth, 30), 3.0)


@given(st.floats(-360, 720))
def test_every_azimuth_is_turned_into_the_sector(azimuth):
    turn = Turn.towards(Sun(azimuth, 30))
    assert 0 <= turn.sun.azimuth_deg <= 45


@pytest.mark.parametrize("azimuth", [10, 80, 100, 170, 190, 260, 280, 350])
def test_turning_a_picture_turns_its_sun(azimuth):
    """A ramp that rises towards the sun must rise towards the turned sun after turning."""
    sun = Sun(azimuth, 30)
    rows, columns = np.mgrid[0:9, 0:9].astype(np.float32)
    right, up, _ = sun.vector()
    ramp = right * columns - up * rows
    turn = Turn.towards(sun)
    turned = turn.apply(ramp)
    down, across = np.gradient(turned)
    right, up, _ = turn.sun.vector()
    np.testing.assert_allclose([across.mean(), -down.mean()], [right, up], atol=1e-5)
    np.testing.assert_array_equal(turn.undo(turned), ramp)


@pytest.mark.parametrize(
    "switch",
    [
        {},
        {"sun_sector": False},
        {"photoclinometry": False, "base": "coarse"},
        {"base": "coarse"},
        {"sun_constants": False},
    ],
)
@pytest.mark.parametrize("azimuth", [20, 140, 300])
def test_physical_recipe_gives_back_what_it_was_asked_to_learn(switch, azimuth):
    recipe = make_recipe(PhysicalRecipeParams(**{**PHYSICAL, **switch}))
    scene = planes(azimuth)
    encoded = recipe.encode(scene)
    truth = scene.coarse + np.random.default_rng(3).normal(size=scene.coarse.shape).astype(np.float32)
    assert encoded.inputs.shape[0] == recipe.channels
    np.testing.assert_allclose(encoded.heights(encoded.target(truth)), truth, atol=1e-4)


def test_no_correction_gives_the_base():
    for base in ("photoclinometry", "coarse"):
        scene = planes(300)
        encoded = make_recipe(PhysicalRecipeParams(**{**PHYSICAL, "base": base})).encode(scene)
        expected = scene.coarse + (scene.photoclinometry if base == "photoclinometry" else 0)
        np.testing.assert_allclose(
            encoded.heights(np.zeros((2, *encoded.base.shape[1:]))), expected, atol=1e-5
        )


def test_sigma_is_turned_back_like_the_heights():
    encoded = make_recipe(PhysicalRecipeParams(**PHYSICAL)).encode(planes(200))
    output = np.stack([np.zeros(encoded.base.shape[1:]), encoded.base[0]])
    np.testing.assert_allclose(
        np.log(encoded.sigma(output)), encoded.heights(np.zeros_like(output)), rtol=1e-5
    )


def test_papers_normalisation_is_inverted_exactly_with_its_bias():
    scene = planes()
    encoded = make_recipe(PaperRecipeParams(name="paper", truth_statistics="coarse")).encode(scene)
    assert encoded.inputs[0].min() == 0
    assert encoded.inputs[0].max() == 1
    assert encoded.inputs[1].min() == pytest.approx(0, abs=1e-6)
    assert encoded.inputs[1].std() == pytest.approx(1, rel=1e-4)
    truth = scene.coarse * 1.3 + 7
    np.testing.assert_allclose(encoded.heights(encoded.target(truth)), truth, rtol=1e-4)


def test_own_statistics_lose_scale_and_offset():
    """The paper's text normalises truth by its own statistics; scale recovery then cannot know them."""
    scene = planes()
    encoded = make_recipe(PaperRecipeParams(name="paper", truth_statistics="own")).encode(scene)
    np.testing.assert_allclose(
        encoded.heights(encoded.target(scene.coarse * 2 + 100)), scene.coarse, rtol=1e-3, atol=1e-3
    )


def test_invalid_pixels_do_not_poison_an_input():
    scene = planes()
    scene.brightness[3:6, 4:9] = np.nan
    for params in (
        PhysicalRecipeParams(**PHYSICAL),
        PaperRecipeParams(name="paper", truth_statistics="coarse"),
    ):
        assert np.isfinite(make_recipe(params).encode(scene).inputs).all()


def test_exposure_follows_albedo_and_ignores_invalid_pixels():
    rendered = np.ones((300, 300), np.float32)
    image = np.full((300, 300), 40, np.float32)
    image[:, 150:] = 80
    image[100:110] = np.nan
    exposure = exposure_field(image, rendered, gsd_m=20.0)
    assert exposure[50, 5] == pytest.approx(40, rel=0.01)
    assert exposure[50, -5] == pytest.approx(80, rel=0.01)
    assert np.isfinite(exposure).all()
