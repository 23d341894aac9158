"""Searches in a service that answers as the Orbital Data Explorer does, and the rule that pairs images and cubes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orrery.archives import ode
from orrery.archives.product import Box
from orrery.archives.select import nearest_covering, search_pairs
from orrery.errors import OrreryError
from tests.unit.archives.conftest import ode_entry, serve_ode

JEZERO = (18.0, 18.8, 77.2, 78.4)
CRISM_BOX = (18.30, 18.55, 77.40, 77.60)


def ctx(number, start, box=(17.5, 19.5, 77.2, 77.8)):
    return ode_entry(f"P{number:02d}_CTX", "CTX", "EDR", box, start, [("a.IMG", "http://x/a.IMG", 100)])


def crism(identifier, box=CRISM_BOX, start="2007-03-01T12:00:00.000"):
    return ode_entry(f"FRT{identifier}_07_IF166J_MTR3", "CRISM", "MTRDR", box, start)


def query(**kwargs):
    return ode.Query("mars", "MRO", "CTX", "EDR", **kwargs)


def test_all_pages_are_read_in_order_of_time(archive, http):
    entries = [ctx(n % 100, f"2007-01-{1 + n % 28:02d}T00:00:00") for n in range(100)]
    entries += [{**ctx(0, "2008-01-01T00:00:00"), "pdsid": f"LATER_{n}"} for n in range(130)]
    found = ode.search(query(), http, serve_ode(archive, entries))
    assert len(found) == 230
    assert [product.start for product in found] == sorted(product.start for product in found)
    assert [asked[1]["offset"] for asked in archive.asked] == ["0", "100", "200"]
    assert {asked[1]["order"] for asked in archive.asked} == {"oba"}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_none_one_and_two_are_told_in_different_ways(archive, http, count):
    entries = [ctx(number, "2007-01-01T00:00:00") for number in range(count)]
    found = ode.search(query(), http, serve_ode(archive, entries))
    assert len(found) == count
    for product in found:
        assert product.box == Box(17.5, 19.5, 77.2, 77.8)
        assert product.start == datetime(2007, 1, 1, tzinfo=UTC)
        assert [file.name for file in product.files] == ["a.IMG"]  # browse pictures are left out
        assert product.sun_incidence_deg == 53.1


def test_what_is_asked(archive, http):
    asked = query(
        box=Box(-24.5, -23.4, -34, -32.7), since=datetime(2007, 1, 1, tzinfo=UTC), product_id="P01*"
    )
    ode.search(asked, http, serve_ode(archive, []))
    sent = archive.asked[0][1]
    assert {name: sent[name] for name in ("query", "target", "odemetadb", "ihid", "iid", "pt", "output", "loc")} == {
        "query": "product", "target": "mars", "odemetadb": "mars", "ihid": "MRO", "iid": "CTX", "pt": "EDR", "output": "JSON", "loc": "f",
    }  # fmt: skip
    assert [float(sent[name]) for name in ("minlat", "maxlat", "westernlon", "easternlon")] == [
        -24.5,
        -23.4,
        326,
        327.3,
    ]
    assert (sent["minobtime"], sent["productid"]) == ("2007-01-01T00:00:00", "P01*")
    assert "maxobtime" not in sent


def test_a_box_across_the_meridian_is_asked_in_two(archive, http):
    entries = [
        ctx(1, "2007-01-01T00:00:00", (0, 1, 358.5, 359)),
        ctx(2, "2007-01-01T00:00:00", (0, 1, 0.5, 1)),
    ]
    found = ode.search(query(box=Box(0, 1, 358, 2)), http, serve_ode(archive, entries))
    assert [product.id for product in found] == ["P01_CTX", "P02_CTX"]
    edges = [(float(asked[1]["westernlon"]), float(asked[1]["easternlon"])) for asked in archive.asked]
    assert edges == [(358, 360), (0, 2)]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"ODEResults": {"Status": "ERROR", "Error": "Invalid pt"}}', r"refuses the search \(Invalid pt\)"),
        (b'{"other": 1}', "answers what is no list of products"),
        (b'{"ODEResults": {"Status": "Success", "Products": {"Product": ["x"]}}}', "answers what is no list"),
        (
            b'{"ODEResults": {"Status": "Success", "Products": {"Product": {"pdsid": "A"}}}}',
            r"that is none \(A: ",
        ),
        (b"<html>Maintenance</html>", r"answers with no JSON \(text/html\)"),
    ],
)
def test_answers_that_are_no_products(archive, http, body, message):
    archive.answers["/"] = lambda handler, _: handler.reply(200, body, Content_Type="text/html")
    with pytest.raises(OrreryError, match=message):
        ode.search(query(), http, f"{archive.url}/")


def test_a_service_that_gives_the_same_page_for_ever_is_left(archive, http):
    entries = [{**ctx(0, "2007-01-01T00:00:00"), "pdsid": f"P{n}"} for n in range(100)]
    url = serve_ode(archive, entries)
    honest = archive.answers["/live2/"]
    archive.answers["/live2/"] = lambda handler, sent: honest(handler, {**sent, "offset": "0"})
    assert len(ode.search(query(), http, url)) == 100
    assert len(archive.asked) == 2


def test_one_product_by_its_name(archive, http):
    """Told from longer names, and found behind PDS4's prefix and in its small letters."""
    entries = [ctx(1, "2007-01-01T00:00:00"), ctx(2, "2007-01-01T00:00:00")]
    longer = [{**entries[0], "pdsid": "P01_CTX_BIS"}, {**entries[0], "pdsid": "edr.m1154358210le"}]
    url = serve_ode(archive, entries + longer)
    assert ode.product(query(product_id="P01_CTX"), http, url).id == "P01_CTX"
    assert ode.product(query(product_id="M1154358210LE"), http, url).id == "edr.m1154358210le"
    for name in ("P09_CTX", "P0"):
        with pytest.raises(OrreryError, match=f"{name} names 0 products of MRO CTX EDR; give the whole name"):
            ode.product(query(product_id=name), http, url)


def test_boxes_know_what_they_cover():
    box = Box(-1, 1, 350, 10)
    assert box.width_deg == 20
    assert box.covers(Box(-1, 1, -5, 5))
    assert box.covers(Box(0, 1, 355, 359))
    assert not box.covers(Box(0, 1, 345, 355))
    assert not box.covers(Box(0, 1.1, 355, 359))
    assert not box.covers(Box(0, 1, 5, 15))
    assert Box(-90, 90, -180, 180).covers(box)
    assert box.overlap(Box(0, 1, 0, 30)) == pytest.approx(0.25)
    assert box.overlap(Box(-1, 1, 340, 355)) == pytest.approx(0.25)
    assert box.overlap(Box(-1, 1, 20, 30)) == 0


def test_the_nearest_covering_image_is_chosen(archive, http):
    """Nearer in time but too small, covering but far in time, without a time: only one is right."""
    entries = [
        crism("000047A3"),
        ctx(1, "2006-11-01T00:00:00"),
        ctx(2, "2007-03-11T12:00:00"),
        ctx(3, "2007-03-01T12:00:00", (18.4, 19.5, 77.2, 77.8)),
        ctx(4, "2007-03-01T12:00:00", (17.5, 19.5, 77.45, 77.8)),
        ctx(5, ""),
    ]
    catalogue, alone = search_pairs("jezero", Box(*JEZERO), http, serve_ode(archive, entries))
    (entry,) = catalogue.scenes
    assert entry.products == {"crism": "FRT000047A3_07_IF166J_MTR3", "ctx": "P02_CTX"}
    assert (entry.scene, entry.site, entry.time_difference_days) == ("jezero-frt000047a3", "jezero", 10)
    assert alone == []


def test_cubes_without_an_image_are_named_and_overlaps_are_means(archive, http):
    """Half of the second is covered by the first and none by the third: a quarter on average."""
    entries = [
        crism("00000001", (18.3, 18.5, 77.4, 77.6)),
        crism("00000002", (18.4, 18.6, 77.4, 77.6)),
        crism("00000003", (18.1, 18.2, 78.2, 78.3)),
        ode_entry("HRL00000004_07_IF166J_MTR3", "CRISM", "MTRDR", CRISM_BOX, "2007-03-01T12:00:00"),
        ctx(1, "2007-03-01T12:00:00"),
    ]
    catalogue, alone = search_pairs("jezero", Box(*JEZERO), http, serve_ode(archive, entries))
    assert [entry.overlap_percent for entry in catalogue.scenes] == [25, 25]
    assert alone == ["FRT00000003_07_IF166J_MTR3"]


def test_an_image_without_a_place_covers_nothing(archive, http):
    entries = [crism("00000001"), ctx(1, "2007-03-01T12:00:00")]
    url = serve_ode(archive, [{**entry, "Minimum_latitude": ""} for entry in entries])
    image = ode.search(query(), http, url)
    cube = ode.search(ode.Query("mars", "MRO", "CRISM", "MTRDR"), http, url)[0]
    assert image[0].box is None
    assert nearest_covering(cube, image) is None
