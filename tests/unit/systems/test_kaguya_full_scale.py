"""The full-scale networks and patches of kaguya-disparity take a training step, on whatever there is, one patch at a time."""

import pytest

from orrery.systems.base import Workspace
from orrery.systems.kaguya_disparity.system import SYSTEM
from orrery.worlds.moon import stereo_scenes
from tests.unit.systems.full_scale import check_step, short_section, short_trainings
from tests.unit.systems.kaguya_scenes import scene_params, world

pytestmark = pytest.mark.slow
VARIANTS = ("orrery-disparity", "palette", "palette-literal", "igev", "subpixel-igev")


@pytest.fixture(scope="module")
def full(repository):
    """The section at full scale, but one step of one patch long."""
    few = {"study_means": [], "study_tables": [], "training_draws": 1}
    changes = {"align": few, "variants": short_trainings(VARIANTS, batch_size=1)}
    return short_section(SYSTEM, repository, changes)


@pytest.fixture(scope="module")
def work(full, tmp_path_factory):
    work = Workspace("kaguya-disparity", tmp_path_factory.mktemp("full"))
    size = {"height_px": 432, "width_px": 384}  # a patch of 256 px fits into what both views see
    scenes = world(train_a=scene_params(), train_b=scene_params(), val_a=scene_params())
    stereo_scenes.make(work.root / "data" / "kaguya", scenes.model_copy(update=size), 7)
    SYSTEM.align(work.data, work.aligned, full, 7)
    SYSTEM.patch(work.aligned, work.patches, full, 7)
    return work


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_is_taken(variant, full, work, repository):
    check_step(SYSTEM, full, variant, work, repository)
