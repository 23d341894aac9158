"""Searches in a STAC service."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from orrery.archives import stac
from orrery.archives.product import Box
from orrery.errors import OrreryError


@pytest.fixture
def service(archive):
    """A service of one collection with two items; what is posted is kept."""
    asked = []
    root = {
        "type": "Catalog", "id": "ard", "stac_version": "1.0.0", "description": "ready",
        "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
        "links": [
            {"rel": "self", "href": f"{archive.url}/stac"}, {"rel": "root", "href": f"{archive.url}/stac"},
            {"rel": "search", "type": "application/geo+json", "href": f"{archive.url}/stac/search", "method": "GET"},
        ],
    }  # fmt: skip
    items = [
        {
            "type": "Feature", "stac_version": "1.0.0", "id": f"ctx-{number}", "collection": "ctx", "links": [],
            "bbox": [77.2, 18.0, -100, 78.4, 18.8, 100], "stac_extensions": [],
            "geometry": {"type": "Point", "coordinates": [77.5, 18.4]},
            "properties": {"datetime": f"2007-01-0{number}T00:00:00Z", "instruments": ["ctx"]},
            "assets": {
                "image": {"href": f"{archive.url}/{number}/image.tif", "roles": ["data"], "file:size": 2048,
                          "file:checksum": "1220" + "ab" * 32},
                "thumbnail": {"href": f"{archive.url}/t.png", "roles": ["thumbnail"]},
            },
        }
        for number in (1, 2)
    ]  # fmt: skip

    def search(handler, query):
        asked.append(query)
        content = {"type": "FeatureCollection", "features": items, "links": []}
        handler.reply(200, json.dumps(content).encode(), Content_Type="application/geo+json")

    archive.answers["/stac"] = lambda handler, _: handler.reply(200, json.dumps(root).encode())
    archive.answers["/stac/search"] = search
    return f"{archive.url}/stac", asked


def test_items_become_products_with_their_data(service):
    url, asked = service
    since = datetime(2007, 1, 1, tzinfo=UTC)
    found = stac.search("ctx", "mars", box=Box(18, 18.8, 77.2, 78.4), since=since, url=url)
    assert [product.id for product in found] == ["ctx-1", "ctx-2"]
    assert found[0].box == Box(18.0, 18.8, 77.2, 78.4)
    assert found[1].start == datetime(2007, 1, 2, tzinfo=UTC)
    (file,) = found[0].files
    assert (file.name, file.size_kb, file.checksum) == ("image.tif", 2, f"sha256:{'ab' * 32}")
    assert asked[0]["collections"] == "ctx"
    assert [float(edge) for edge in asked[0]["bbox"].split(",")] == [77.2, 18, 78.4, 18.8]
    assert asked[0]["datetime"].startswith("2007-01-01T00:00:00Z/")


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b'{"type": "Catalog"}'])
def test_what_is_no_stac_is_told(archive, answer):
    archive.answers["/stac"] = lambda handler, _: handler.reply(200, answer)
    with pytest.raises(OrreryError, match="answers no search of ctx"):
        stac.search("ctx", "mars", url=f"{archive.url}/stac")
