"""The full-scale networks and patches of lunar-dtm take a training step: a batch of every sun, on whatever there is."""

import pytest

from orrery.params import OVERLAY, TrainParams, load_params, overlaid, read_yaml, validate
from orrery.systems.lunar_dtm.params import LunarParams
from orrery.systems.lunar_dtm.system import SYSTEM
from orrery.training import fit
from tests.unit.systems.small_pipelines import make_raw

pytestmark = pytest.mark.slow
VARIANTS = ("orrery-dtm", "no-sun-sector", "dlunardtmnet")


@pytest.fixture(scope="module")
def full(repository):
    """The section at full scale, but one step of two patches long: one under each sun, which stand in different sectors."""
    tree = overlaid(
        load_params(repository / "params.yaml").systems["lunar-dtm"],
        read_yaml(repository / OVERLAY)["systems"]["lunar-dtm"],
    )
    short = {name: {"optimiser": {"steps": 1, "batch_size": 2, "warmup_steps": 0}} for name in VARIANTS}
    once = {"misalignments": 1, "overlap_px": 0}
    return validate(LunarParams, overlaid(tree, {"patch": once, "variants": short}), file=repository)


@pytest.fixture(scope="module")
def work(full, tmp_path_factory):
    work = make_raw("lunar-dtm", tmp_path_factory.mktemp("full"))
    SYSTEM.align(work.data, work.aligned, full, 7).to_parquet(work.aligned / "pairs.parquet")
    SYSTEM.patch(work.aligned, work.patches, full, 7)
    return work


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_is_taken(variant, full, work, repository):
    options = TrainParams(accelerator="cpu", precision="32-true", threads=2)
    project = load_params(repository / "params.yaml").model_copy(update={"train": options})
    task = fit(SYSTEM, full, variant, project, work, logger=False)
    assert task.global_step == 1
    assert all(tensor.isfinite().all() for tensor in task.net.state_dict().values())
