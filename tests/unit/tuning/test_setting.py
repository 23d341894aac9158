"""The space of a search: what is refused, and a setting put over the section."""

import pytest

from orrery.errors import OrreryError
from orrery.params import load_params, overlaid
from orrery.systems.base import get_section
from orrery.tuning.setting import distributions, nested, present, with_setting
from orrery.tuning.training import judged_by_validation


@pytest.fixture
def section_of(repository):
    params = load_params(repository / "params.yaml")

    def make(system="lunar-dtm", **tune):
        tree = overlaid(params.systems[system], {"tune": tune})
        return get_section(params.model_copy(update={"systems": {**params.systems, system: tree}}), system)

    return make


@pytest.mark.parametrize("system", ["lunar-dtm", "mars-bands", "kaguya-disparity"])
def test_the_present_setting_lies_in_the_space(system, section_of):
    section = section_of(system)
    now = present(section)
    assert set(now) == set(section.tune.space)
    for key, each in distributions(section.tune.space).items():
        assert each._contains(each.to_internal_repr(now[key]))


def test_a_setting_changes_its_variant_and_nothing_else(section_of):
    section = section_of()
    changed = with_setting(section, {"losses.gradient": 3.5, "optimiser.learning_rate": 1e-3}, steps=9)
    ours = changed.variants["orrery-dtm"]
    assert (ours.losses["gradient"], ours.optimiser.learning_rate, ours.optimiser.steps) == (3.5, 1e-3, 9)
    assert ours.losses["elevation"] == section.variants["orrery-dtm"].losses["elevation"]
    others = {name: each for name, each in changed.variants.items() if name != "orrery-dtm"}
    assert others == {name: each for name, each in section.variants.items() if name != "orrery-dtm"}
    assert changed.split == section.split


@pytest.mark.parametrize(
    ("tune", "said"),
    [
        ({"space": {"losses.nothing": {"low": 1.0, "high": 2.0}}}, "has no such key"),
        ({"space": {"losses.gradient": {"low": 3.0, "high": 8.0}}}, "lies outside"),
        ({"space": {"losses.elevation": {"low": 0.5, "high": 2.0}}}, "no loss weight is fixed to 1"),
        ({"space": {"losses.gradient": {"low": 2.0, "high": 1.0}}}, "low must be below high"),
        ({"space": {"losses.gradient": {"low": 0.0, "high": 1.0, "log": True}}}, "low above 0"),
        ({"space": {"losses.gradient": {"choices": [1.0, 2.0]}}}, "give low and high, or choices"),
        ({"trials": 1}, "trials"),
        ({"objectives": []}, "objectives"),
        ({"pruner": "median"}, "extra"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(tune, said, section_of):
    if "losses.elevation" in tune.get("space", {}):  # then all four weights are searched, or none is 1
        tune["space"]["losses.normal"] = {"low": 0.25, "high": 4.0}
    with pytest.raises(OrreryError, match=said):
        present(section_of(**tune))


def test_dotted_keys_become_a_tree():
    assert nested({"a.b": 1, "a.c.d": 2, "e": 3}) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


def test_trials_are_judged_on_validation_scenes_and_see_no_test_scene(section_of):
    section = section_of()
    judged = judged_by_validation(section)
    assert judged.split.test == section.split.validation
    assert set(section.split.test) <= set(judged.split.train)
