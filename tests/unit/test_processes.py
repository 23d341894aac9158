"""Workers end with the process that started them."""

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

from orrery.processes import end_with_parent


def _note_and_sleep(path):
    path.write_text(str(os.getpid()))
    time.sleep(60)


def _parent(path):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=end_with_parent) as pool:
        pool.submit(_note_and_sleep, path).result()


def _lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_ends_when_its_parent_is_killed(tmp_path):
    parent = multiprocessing.get_context("spawn").Process(target=_parent, args=(tmp_path / "pid",))
    parent.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker = int((tmp_path / "pid").read_text())
    assert _lives(worker)
    parent.kill()
    parent.join()
    deadline = time.monotonic() + 10
    while _lives(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _lives(worker)
