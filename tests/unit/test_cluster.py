"""Work shared out: in order, with our errors, over workers that die, and refused where it cannot be done."""

import multiprocessing
import os
import pickle
import signal
import sys
import time

import pytest

from orrery.cluster import ahead, each, shared, using
from orrery.errors import OrreryError


def _square(number):
    return number**2


def _refuse(number):
    raise OrreryError(f"{number} is bad", file="a.tif", remedy="give another")


def _where(number):
    return os.getpid(), os.getcwd()


def _die_once(path):
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def test_our_error_comes_back_from_another_process_as_itself():
    error = pickle.loads(pickle.dumps(OrreryError("is bad", file="a.tif", remedy="give another")))
    assert (error.problem, error.file, error.remedy) == ("is bad", "a.tif", "give another")
    assert str(error) == "a.tif: is bad; give another"


def test_one_process_needs_no_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)  # an import of it fails
    assert each(_square, [3, 1, 2], "square") == [9, 1, 4]
    assert shared(lambda numbers: [number + 1 for number in numbers], [1, 2, 3]) == [2, 3, 4]
    with using(workers=1):
        assert each(_where, [0], "where") == [(os.getpid(), os.getcwd())]


def test_a_scheduler_that_does_not_answer_is_one_error(monkeypatch):
    monkeypatch.setattr("orrery.cluster.CONNECT_S", 0.5)
    with pytest.raises(OrreryError, match="no scheduler"), using("tcp://127.0.0.1:9"):
        each(_square, [1], "square")


@pytest.mark.slow
def test_two_workers_keep_order_raise_our_errors_and_outlive_one_that_dies(tmp_path):
    with using(workers=2):
        assert each(_square, range(20), "square") == [number**2 for number in range(20)]
        assert list(ahead(_square, iter(range(9)))) == [number**2 for number in range(9)]
        places = each(_where, range(20), "where")
        assert os.getpid() not in {process for process, _ in places}
        assert {folder for _, folder in places} == {os.getcwd()}
        with pytest.raises(OrreryError, match=r"a\.tif: 1 is bad; give another"):
            each(_refuse, [1, 2], "refuse")
        names = [tmp_path / name for name in "abc"]
        assert each(_die_once, names, "die") == ["a", "b", "c"]


def _note_and_sleep(path):
    path.write_text(str(os.getpid()))
    time.sleep(60)


def _parent(path):
    with using(workers=2):
        each(_note_and_sleep, [path], "sleep")


def _lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _soon(met, seconds):
    deadline = time.monotonic() + seconds
    while not met() and time.monotonic() < deadline:
        time.sleep(0.05)
    return met()


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(tmp_path):
    """They would go on writing where a restart writes, too."""
    noted = tmp_path / "pid"
    parent = multiprocessing.get_context("spawn").Process(target=_parent, args=(noted,))
    parent.start()
    assert _soon(lambda: noted.exists() and noted.read_text(), 120)
    worker = int(noted.read_text())
    assert _lives(worker)
    parent.kill()
    parent.join()
    assert _soon(lambda: not _lives(worker), 20)
