"""evaluate: judge a trained variant on the frozen test scenes."""

from __future__ import annotations

from orrery.files import read_json, replacing, write_json
from orrery.params import load_params
from orrery.stages.trained import load_trained
from orrery.systems.base import Workspace, get_section, get_system
from orrery.tracking.evaluation import log_evaluation


def run(system: str, variant: str) -> None:
    """Write reports/<system>/variants/<variant>/{metrics.json, pictures}."""
    params, work = load_params(), Workspace(system)
    section = get_section(params, system)
    trained = load_trained(get_system(system), section, variant, work)
    with replacing(work.report(variant)) as temporary:
        temporary.mkdir()
        metrics = get_system(system).evaluate(trained, work.aligned, section, temporary)
        write_json(temporary / "metrics.json", metrics)
    run = read_json(work.model(variant) / "run.json")
    log_evaluation(run["run_id"], metrics, work.report(variant))
