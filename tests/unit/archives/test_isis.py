"""The calibration chains, with stand-ins for ISIS's programs."""

from __future__ import annotations

import pytest

from orrery.archives.isis import CHAINS, map_project, map_template
from orrery.errors import OrreryError
from tests.unit.archives import fake_isis


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "P01.IMG"
    path.write_bytes(b"raw frame")
    return path


def test_ctx_goes_through_its_five_programs_in_order(raw, tmp_path, monkeypatch):
    calls = fake_isis.install(tmp_path / "bin", monkeypatch, CHAINS["CTX"].programs)
    map_project(raw, tmp_path / "out" / "P01.map.cub", "CTX")
    assert (tmp_path / "out" / "P01.map.cub").read_bytes() == b"raw frame"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["P01.map.cub"]
    programs = [words[0] for words in calls()]
    assert programs == ["mroctx2isis", "spiceinit", "ctxcal", "ctxevenodd", "cam2map"]
    told = [dict(word.split("=", 1) for word in words[1:]) for words in calls()]
    assert told[0]["from"] == str(raw)
    assert told[1] == {"from": told[0]["to"], "web": "yes"}
    for before, after in ((0, 2), (2, 3), (3, 4)):
        assert told[after]["from"] == told[before]["to"]
    assert (told[4]["pixres"], told[4]["resolution"]) == ("mpp", "6")


def test_the_map_is_that_of_the_body(tmp_path):
    keys = dict(line.strip().split(" = ") for line in map_template("mars", 0).splitlines()[1:-2])
    assert keys["EquatorialRadius"] == keys["PolarRadius"] == "3396190.0 <meters>"
    assert (keys["ProjectionName"], keys["CenterLatitude"], keys["TargetName"]) == (
        "Equirectangular", "0.000000", "Mars",
    )  # fmt: skip
    assert "1737400.0 <meters>" in map_template("moon", 44.1)


def test_without_isis_the_programs_that_are_missing_are_named(raw, tmp_path, monkeypatch):
    fake_isis.install(tmp_path / "bin", monkeypatch, ["mroctx2isis", "spiceinit", "cam2map"])
    with pytest.raises(OrreryError, match=r"P01\.IMG: .*lacks ctxcal, ctxevenodd on PATH; install ISIS"):
        map_project(raw, tmp_path / "P01.map.cub", "CTX")


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            "echo '**ERROR** no kernels' >&2; exit 1",
            r"spiceinit fails with status 1 \(\*\*ERROR\*\* no kernels\)",
        ),
        (
            "rm $argument_from",
            r"spiceinit fails with status 0 \(it says nothing\); run it by hand: spiceinit",
        ),
    ],
)
def test_a_program_that_fails_is_told_and_nothing_is_left(raw, tmp_path, monkeypatch, action, message):
    fake_isis.install(tmp_path / "bin", monkeypatch, CHAINS["CTX"].programs, spiceinit=action)
    with pytest.raises(OrreryError, match=message):
        map_project(raw, tmp_path / "out" / "P01.map.cub", "CTX")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_unknown_instrument_is_refused(raw, tmp_path):
    with pytest.raises(OrreryError, match="a raw frame of HIRISE, for which no calibration is known"):
        map_project(raw, tmp_path / "a.cub", "HIRISE")
