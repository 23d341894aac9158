"""The full-scale networks and patches of lunar-dtm take a training step: a batch of every sun, on whatever there is."""

import pytest

from orrery.systems.lunar_dtm.system import SYSTEM
from tests.unit.systems.full_scale import check_step, short_section, short_trainings
from tests.unit.systems.small_pipelines import make_raw

pytestmark = pytest.mark.slow
VARIANTS = ("orrery-dtm", "no-sun-sector", "dlunardtmnet")


@pytest.fixture(scope="module")
def full(repository):
    """The section at full scale, but one step of two patches long: one under each sun, which stand in different sectors."""
    once = {"misalignments": 1, "overlap_px": 0}
    changes = {"patch": once, "variants": short_trainings(VARIANTS, batch_size=2)}
    return short_section(SYSTEM, repository, changes)


@pytest.fixture(scope="module")
def work(full, tmp_path_factory):
    work = make_raw("lunar-dtm", tmp_path_factory.mktemp("full"))
    SYSTEM.align(work.data, work.aligned, full, 7)
    SYSTEM.patch(work.aligned, work.patches, full, 7)
    return work


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_is_taken(variant, full, work, repository):
    check_step(SYSTEM, full, variant, work, repository)
