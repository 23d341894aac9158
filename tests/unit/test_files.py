import os

import pytest

from orrery.errors import OrreryError
from orrery.files import read_json, replacing, write_json, write_text
from orrery.seeds import derive, stream


def test_an_error_leaves_the_old_content_and_no_other_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": 2})

    def interrupted():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert read_json(path) == {"a": 2, "b": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "out"
    for content in ("old", "new"):
        with replacing(path) as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert os.listdir(path) == ["new"]


def test_what_a_killed_process_left_is_swept_away(tmp_path):
    (tmp_path / ".a.partial.txt").write_text("left over")
    write_text(tmp_path / "a.txt", "whole")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_unwritable_place_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OrreryError, match="cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_a_full_disk_is_told(tmp_path):
    """/dev/full fails every write with ENOSPC."""

    def fill():
        with replacing(tmp_path / "a.txt"), open("/dev/full", "w") as stream:
            stream.write("x" * 10_000)

    with pytest.raises(OrreryError, match="No space left"):
        fill()


def test_json_is_sorted_and_refuses_nan(tmp_path):
    write_json(tmp_path / "a", {"b": 1, "a": 1})
    assert (tmp_path / "a").read_text() == '{\n "a": 1,\n "b": 1\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "b", float("nan"))
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("text", ["", "{", "\x80"])
def test_broken_json_is_told(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text.encode("latin1"))
    with pytest.raises(OrreryError, match="not readable JSON"):
        read_json(tmp_path / "a.json")


def test_streams_are_the_same_everywhere_and_independent():
    assert derive(7, "moon", "flat") == 18266559048281497916
    assert stream(7, "a").integers(1 << 30) == stream(7, "a").integers(1 << 30)
    assert stream(7, "a").integers(1 << 30) != stream(7, "b").integers(1 << 30)
