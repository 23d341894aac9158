"""What a system takes of the options of predict and restore."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from orrery.cli import cli
from orrery.errors import OrreryError
from orrery.stages import predict as stage
from orrery.systems.base import System, get_system

OWNER = SimpleNamespace(
    name="toy", takes={"predict": {"images": True, "dem": True, "sun": False, "align": False}}
)
GIVEN = {"images": (Path("a.tif"),), "dem": Path("d.tif"), "sun": (None, None), "align": None, "stride": None}


def test_what_was_not_given_is_left_to_the_system():
    assert stage.checked(OWNER, GIVEN, "predict") == {"images": (Path("a.tif"),), "dem": Path("d.tif")}
    given = {**GIVEN, "align": False, "sun": (10.0, None)}
    assert stage.checked(OWNER, given, "predict") == {
        "images": (Path("a.tif"),), "dem": Path("d.tif"), "align": False, "sun": (10.0, None),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "verb", "text"),
    [
        ({"dem": None}, "predict", "predict toy needs --dem"),
        ({"images": ()}, "predict", "predict toy needs --image"),
        ({"stride": 2}, "predict", "predict toy takes no --stride; leave it out"),
        ({}, "restore", "toy does not restore; it knows predict"),
    ],
)
def test_an_option_that_is_missing_or_means_nothing_is_named(changed, verb, text):
    with pytest.raises(OrreryError, match=text):
        stage.checked(OWNER, {**GIVEN, **changed}, verb)


def test_every_file_of_a_request_is_a_source():
    request = {"images": [Path("a"), Path("b")], "dem": Path("d"), "cube": Path("c"), "scale": 0.5}
    found = stage.sources(request)
    assert found == {"image_1": Path("a"), "image_2": Path("b"), "dem": Path("d"), "cube": Path("c")}


def test_a_system_restores_nothing_unless_it_says_so():
    assert set(System.takes) == {"predict"}
    with pytest.raises(OrreryError, match="restores nothing"):
        System.restore(SimpleNamespace(name="toy"), None, {}, Path(), None, {})


@pytest.mark.parametrize("name", ["lunar-dtm"])
def test_every_option_that_a_system_takes_is_on_the_command_line(name):
    for verb, takes in get_system(name).takes.items():
        known = {option.name for option in cli.commands[verb].params}
        known |= {"sun"} if "sun_azimuth" in known else set()
        assert set(takes) <= known


@pytest.mark.parametrize("options", [["--stride", "4"], ["--scale", "0"]])
def test_numbers_without_sense_are_refused_at_once(options):
    done = CliRunner().invoke(cli, ["predict", "mars-bands", "--image", "x.tif", "--out", "o", *options])
    assert done.exit_code == 2
    assert options[0] in done.output
