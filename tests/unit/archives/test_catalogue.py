"""The catalogues that come with orrery, against what the papers print; and files that are none."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from orrery.archives.catalogue import names, read_catalogue, write_catalogue
from orrery.errors import OrreryError

# Table 1 of Stepcenkov et al. 2022: cubes of each place.
PRINTED = {"eberswalde": 11, "mawrth": 12, "holden": 11, "melas": 15, "jezero": 10, "gale": 13}


@pytest.fixture(scope="module")
def mars():
    return read_catalogue("ctx-crism")


@pytest.fixture(scope="module")
def moon():
    return read_catalogue("dlunardtmnet")


def ctx_place(identifier):
    """Latitude and east longitude that a CTX product's name tells, degrees."""
    latitude, north, west = re.fullmatch(r"\w+_(\d\d)([NS])(\d{3})W", identifier).groups()
    return (1 if north == "N" else -1) * int(latitude), -int(west)


def test_each_place_has_as_many_cubes_as_printed(mars):
    assert Counter(entry.site for entry in mars.scenes) == PRINTED


def test_sets_and_time_differences_are_those_of_the_paper(mars):
    """One validation and one test cube a place; 29 days between the images on average, of those that are used."""
    for site in PRINTED:
        sets = Counter(entry.set for entry in mars.scenes if entry.site == site)
        assert (sets["val"], sets["test"]) == (1, 1)
    days = [entry.time_difference_days for entry in mars.scenes if entry.set is not None]
    assert int(np.mean(days)) == 29


def test_no_cube_is_named_twice_and_ids_are_well_formed(mars):
    cubes = [entry.products["crism"] for entry in mars.scenes]
    assert len(set(cubes)) == len(cubes) == 72
    for entry in mars.scenes:
        assert re.fullmatch(r"FRT[0-9A-F]{8}_07_IF16\dJ_MTR3", entry.products["crism"])
        assert re.fullmatch(r"[PBG]\d\d_\d{6}_\d{4}_X[IN]_\d\d[NS]\d{3}W", entry.products["ctx"])
        assert entry.scene == f"{entry.site}-{entry.products['crism'][:11].lower()}"


def test_images_lie_where_the_places_are(mars):
    """A strip is up to 3 degrees long. Gale's box as printed is north of all of its products."""
    for entry in mars.scenes:
        box = mars.sites[entry.site].box.box
        latitude, longitude = ctx_place(entry.products["ctx"])
        assert (longitude - box.west + 1.5) % 360 < box.width_deg + 3
        if entry.site != "gale":
            assert box.south - 3 < latitude < box.north + 3
    assert mars.sites["gale"].box.south > -4


def test_the_test_strip_of_holden_is_shared_with_training(mars):
    """Said in the remarks; a split by strip must find it."""
    users = {}
    for entry in mars.scenes:
        users.setdefault(entry.products["ctx"], set()).add(entry.set)
    assert [strip for strip, sets in users.items() if len(sets) > 1] == ["P04_002721_1538_XI_26S034W"]


def test_the_lunar_pairs_are_those_of_the_table(moon):
    pairs = [entry for entry in moon.scenes if "image_l" in entry.products]
    assert Counter(entry.site for entry in pairs) == {"ce-3": 6, "ce-4": 8}
    for entry in pairs:
        number = entry.scene.split("-")[-1].upper()
        assert (entry.products["image_l"], entry.products["image_r"]) == (f"{number}LE", f"{number}RE")
        assert 14 < entry.sun.elevation_deg < 45


def test_every_catalogue_survives_reading_and_writing(tmp_path):
    for name in names():
        catalogue = read_catalogue(name)
        write_catalogue(catalogue, tmp_path / "copy.yaml")
        assert read_catalogue(str(tmp_path / "copy.yaml")) == catalogue


VALID = "name: a\nbody: mars\nsource: b\nkinds: {ctx: {host: MRO, instrument: CTX, product_type: EDR}}\nsites: {j: {title: J}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenes: [", "is not YAML"),
        ("scenes: []\nother: 1", "other: Extra inputs"),
        ("scenes: [{scene: ../a, site: j, products: {}}]", r"scenes\.0\.scene: String should match"),
        (
            "scenes: [{scene: a, site: j, products: {ctx: a/b}}]",
            r"scenes\.0\.products\.ctx: String should match",
        ),
        ("scenes: [{scene: a, site: k, products: {}}]", r"scenes\.a: no site or kind k"),
        ("scenes: [{scene: a, site: j, products: {dem: X}}]", r"scenes\.a: no site or kind dem"),
        (
            "scenes: [{scene: a, site: j, products: {}}, {scene: a, site: j, products: {}}]",
            "two scenes have one",
        ),
    ],
)
def test_files_that_are_none_are_refused_with_the_place(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(VALID + text)
    with pytest.raises(OrreryError, match=rf"c\.yaml: .*{message}"):
        read_catalogue(str(path))


def test_a_kind_is_searched_or_addressed_not_both(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(VALID.replace("host: MRO", "host: MRO, files: ['http://x/{id}']") + "scenes: []")
    with pytest.raises(OrreryError, match="give either host, instrument and product_type, or files"):
        read_catalogue(str(path))


def test_an_unknown_name_tells_the_known_ones():
    with pytest.raises(
        OrreryError, match="ctx-crim: is no catalogue; give a file, or one of ctx-crism, dlunardtmnet"
    ):
        read_catalogue("ctx-crim")


@pytest.mark.real
def test_the_tables_of_the_paper_line_by_line(shared_data, mars):
    paper = shared_data.parent / "papers" / "ctx-crism.txt"
    if not paper.is_file():
        pytest.skip("no paper beside the products")
    rows = re.findall(r"^(FRT\w+)\t(\w+)\t(\d+)\t([\d.]+)\t(\S+)$", paper.read_text(), re.MULTILINE)
    ours = [
        (*entry.products.values(), str(round(entry.time_difference_days)), f"{entry.overlap_percent:.1f}",
         entry.set or "-")
        for entry in mars.scenes
    ]  # fmt: skip
    assert sorted(ours) == sorted(rows)
