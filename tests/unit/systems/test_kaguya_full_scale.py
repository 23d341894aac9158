"""The full-scale networks and patches of kaguya-disparity take a training step, on whatever there is, one patch at a time."""

import pytest
from ruamel.yaml import YAML

from orrery.params import OVERLAY, TrainParams, load_params, overlaid, validate
from orrery.systems.base import Workspace
from orrery.systems.kaguya_disparity.params import KaguyaParams
from orrery.systems.kaguya_disparity.system import SYSTEM
from orrery.training import fit
from orrery.worlds.moon import stereo_scenes
from tests.unit.systems.kaguya_scenes import scene_params, world

pytestmark = pytest.mark.slow
VARIANTS = ("orrery-disparity", "palette", "palette-literal", "igev", "subpixel-igev")


@pytest.fixture(scope="module")
def full(repository):
    """The section at full scale, but one step of one patch long."""
    overlay = YAML(typ="safe", pure=True).load((repository / OVERLAY).read_text())
    tree = overlaid(
        load_params(repository / "params.yaml").systems["kaguya-disparity"],
        overlay["systems"]["kaguya-disparity"],
    )
    short = {name: {"optimiser": {"steps": 1, "batch_size": 1, "warmup_steps": 0}} for name in VARIANTS}
    few = {"study_means": [], "study_tables": [], "training_draws": 1}
    return validate(KaguyaParams, overlaid(tree, {"align": few, "variants": short}), file=repository)


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
    options = TrainParams(accelerator="cpu", precision="32-true", threads=2)
    project = load_params(repository / "params.yaml").model_copy(update={"train": options})
    before = {name: tensor.clone() for name, tensor in SYSTEM.network(full, variant).state_dict().items()}
    task = fit(SYSTEM, full, variant, project, work, logger=False)
    after = task.net.state_dict()
    assert {name: tensor.shape for name, tensor in before.items()} == {
        name: tensor.shape for name, tensor in after.items()
    }
    assert all(tensor.isfinite().all() for tensor in after.values())
    assert task.global_step == 1
