"""Two workers give the bytes of one process."""

import shutil

import pytest

from orrery.cluster import using
from tests.unit.systems.small_pipelines import Workspace, align_and_patch, digests, make_raw

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("system", ["lunar-dtm", "mars-bands", "kaguya-disparity"])
def test_align_and_patch(system, tmp_path):
    raw, found = make_raw(system, tmp_path / "raw"), []
    for workers in (1, 2):
        work = Workspace(system, tmp_path / str(workers))
        shutil.copytree(raw.data, work.data)
        with using(workers=workers):
            align_and_patch(work)
        found.append(digests(work.root / "build"))
    assert len(found[0]) > 20
    assert found[0] == found[1]
