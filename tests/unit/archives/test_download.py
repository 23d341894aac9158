"""Downloads from a kind archive and from unkind ones."""

from __future__ import annotations

import hashlib
import time

import numpy as np
import pytest

from orrery.archives.download import CHUNK_BYTES, RemoteFile, fetch, safe_name
from orrery.archives.http import Http
from orrery.errors import OrreryError

CONTENT = np.random.default_rng(0).bytes(3 * CHUNK_BYTES + 17)
SIZE_KB = len(CONTENT) / 1024


def listed(archive, **kwargs):
    """A file that the archive has, and its listing."""
    archive.files["/a.img"] = CONTENT
    return RemoteFile(f"{archive.url}/a.img", "a.img", **{"size_kb": round(SIZE_KB), **kwargs})


def failing(http, file, folder):
    """The error of a fetch, after which no whole file may be there."""
    with pytest.raises(OrreryError) as caught:
        fetch(file, folder, http, quiet=True)
    assert not (folder / "a.img").exists()
    return str(caught.value)


def test_a_file_comes_whole_and_once(archive, http, tmp_path):
    file = listed(archive, checksum=f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")
    path = fetch(file, tmp_path / "new", http, quiet=True)
    assert path.read_bytes() == CONTENT
    assert fetch(file, tmp_path / "new", http, quiet=True) == path
    assert len(archive.asked) == 1
    assert [other.name for other in path.parent.iterdir()] == ["a.img"]


def test_a_broken_off_body_is_continued(archive, http, tmp_path):
    file = listed(archive)
    stops = iter([CHUNK_BYTES, 2 * CHUNK_BYTES, None])
    archive.answers["/a.img"] = lambda handler, _: handler.give(CONTENT, stop=next(stops))
    assert fetch(file, tmp_path, http, quiet=True).read_bytes() == CONTENT
    ranges = [asked[2] for asked in archive.asked]
    assert ranges == [None, f"bytes={CHUNK_BYTES}-", f"bytes={2 * CHUNK_BYTES}-"]


def test_a_killed_fetch_is_continued_by_the_next(archive, http, tmp_path):
    file = listed(archive)
    archive.answers["/a.img"] = lambda handler, _: handler.give(CONTENT, stop=CHUNK_BYTES)
    assert "broke off" in failing(http, file, tmp_path)
    del archive.answers["/a.img"]
    archive.asked.clear()
    assert fetch(file, tmp_path, http, quiet=True).read_bytes() == CONTENT
    assert archive.asked[0][2] == f"bytes={CHUNK_BYTES}-"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_changed_meanwhile_is_taken_anew(archive, http, tmp_path):
    file = listed(archive)
    archive.answers["/a.img"] = lambda handler, _: handler.give(b"x" * len(CONTENT), '"0"', stop=CHUNK_BYTES)
    failing(http, file, tmp_path)
    del archive.answers["/a.img"]
    assert fetch(file, tmp_path, http, quiet=True).read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_is_taken_from_the_start(archive, http, tmp_path):
    file = listed(archive)
    stops = iter([CHUNK_BYTES, None])
    archive.answers["/a.img"] = lambda handler, _: handler.give(CONTENT, stop=next(stops), ranges=False)
    assert fetch(file, tmp_path, http, quiet=True).read_bytes() == CONTENT


def test_a_server_that_gives_another_range_is_taken_from_the_start(archive, http, tmp_path):
    file = listed(archive)

    def confused(handler, _):
        if not handler.headers.get("Range"):
            return handler.give(CONTENT, stop=None if len(archive.asked) > 2 else CHUNK_BYTES)
        return handler.reply(206, CONTENT[5:50], Content_Range=f"bytes 5-49/{len(CONTENT)}")

    archive.answers["/a.img"] = confused
    assert fetch(file, tmp_path, http, quiet=True).read_bytes() == CONTENT


def test_a_body_without_end_is_cut_off(archive, http, tmp_path):
    file = listed(archive, size_kb=2048)
    archive.answers["/a.img"] = lambda handler, _: handler.reply(200, CONTENT * 3, promised=2**40)
    assert "where the archive lists 2048 KB" in failing(http, file, tmp_path)


def test_server_errors_are_tried_again_and_then_told(archive, http, tmp_path):
    file = listed(archive)
    left = [2]

    def moody(handler, _):
        left[0] -= 1
        handler.reply(503) if left[0] >= 0 else handler.give(CONTENT)

    archive.answers["/a.img"] = moody
    assert fetch(file, tmp_path / "first", http, quiet=True).read_bytes() == CONTENT
    archive.answers["/a.img"] = lambda handler, _: handler.reply(500)
    assert "refused by the archive (HTTP 500" in failing(http, file, tmp_path)
    assert len(archive.asked) == 3 + http.retries + 1


def test_a_missing_file_is_not_asked_for_again(archive, http, tmp_path):
    file = RemoteFile(f"{archive.url}/gone.img", "a.img")
    assert "gone.img: is not there (HTTP 404); check the product's name" in failing(http, file, tmp_path)
    assert len(archive.asked) == 1


@pytest.mark.parametrize(
    ("size_kb", "came"), [(3171, f"{len(CONTENT)} bytes"), (2900, f"{3 * CHUNK_BYTES} bytes or more")]
)
def test_a_wrong_size_is_refused(archive, http, tmp_path, size_kb, came):
    message = failing(http, listed(archive, size_kb=size_kb), tmp_path)
    assert f"came with {came} where the archive lists {size_kb} KB" in message
    assert list(tmp_path.iterdir()) == []  # not kept: continuing would not mend it


def test_a_short_body_that_claims_to_be_whole_is_refused(archive, http, tmp_path):
    file = listed(archive)
    archive.answers["/a.img"] = lambda handler, _: handler.reply(200, CONTENT[:5000])
    assert "came with 5000 bytes" in failing(http, file, tmp_path)


@pytest.mark.parametrize(("method", "digits"), [("md5", 32), ("sha256", 64)])
def test_a_wrong_checksum_is_refused(archive, http, tmp_path, method, digits):
    message = failing(http, listed(archive, checksum=f"{method}:{'0' * digits}"), tmp_path)
    assert f"came with {method} {hashlib.new(method, CONTENT).hexdigest()}" in message


def test_the_servers_own_checksum_is_looked_at(archive, http, tmp_path):
    file = listed(archive)
    archive.answers["/a.img"] = lambda handler, _: handler.reply(
        200, CONTENT, Content_MD5="AAAAAAAAAAAAAAAAAAAAAA=="
    )
    assert "where the archive lists 00000000" in failing(http, file, tmp_path)


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"<p>Sorry</p>", "text/html"), (b"\n<!DOCTYPE html><html>", "application/octet-stream")],
)
def test_a_web_page_in_place_of_data_is_refused(archive, http, tmp_path, body, kind):
    file = listed(archive, size_kb=None)
    archive.answers["/a.img"] = lambda handler, _: handler.reply(200, body, Content_Type=kind)
    assert "is answered by a web page, not by data" in failing(http, file, tmp_path)


def test_an_empty_file_is_refused(archive, http, tmp_path):
    file = listed(archive, size_kb=None)
    archive.answers["/a.img"] = lambda handler, _: handler.reply(200)
    assert "came empty" in failing(http, file, tmp_path)


@pytest.mark.parametrize(
    "target", ["http://localhost:1/a.img", "file:///etc/passwd", "http://nasa.gov.evil/a"]
)
def test_redirects_elsewhere_are_refused(archive, http, tmp_path, target):
    file = listed(archive)
    archive.answers["/a.img"] = lambda handler, _: handler.reply(302, Location=target)
    assert f"redirects to {target}, which is no archive" in failing(http, file, tmp_path)


def test_redirects_within_the_archive_are_followed_but_not_in_a_circle(archive, http, tmp_path):
    file = listed(archive)
    archive.files["/b.img"] = CONTENT
    archive.answers["/a.img"] = lambda handler, _: handler.reply(302, Location="/b.img")
    assert fetch(file, tmp_path / "first", http, quiet=True).read_bytes() == CONTENT
    archive.answers["/a.img"] = lambda handler, _: handler.reply(302, Location="/a.img")
    assert "redirects more than 5 times" in failing(http, file, tmp_path)


def test_hosts_that_do_not_answer_are_told(http, tmp_path):
    file = RemoteFile("http://127.0.0.1:1/a.img", "a.img")
    assert "cannot be reached (" in failing(http, file, tmp_path)


@pytest.mark.parametrize(
    "name", ["../a.img", "a/b.img", "..", ".hidden", "a\\b", "", "a\n", "/etc/passwd", "a" * 300]
)
def test_unsafe_names_are_refused(archive, http, tmp_path, name):
    archive.files["/a.img"] = CONTENT
    with pytest.raises(OrreryError, match="which is no safe name"):
        fetch(RemoteFile(f"{archive.url}/a.img", name), tmp_path / "in", http, quiet=True)
    assert list(tmp_path.rglob("*")) == []
    assert safe_name("FRT0000932C_07_IF164J_MTR3.IMG")


def test_a_place_that_cannot_be_written_is_told(archive, http, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OrreryError, match="cannot be written"):
        fetch(listed(archive), tmp_path / "file" / "in", http, quiet=True)


def test_requests_keep_their_distance(archive, tmp_path):
    file, http = listed(archive), Http(interval_s=0.1, retries=0)
    began = time.monotonic()
    for number in range(3):
        fetch(file, tmp_path / str(number), http, quiet=True)
    assert time.monotonic() - began >= 0.2
