"""evaluate: judge a trained variant on the frozen test scenes."""

from __future__ import annotations

from orrery.devices import best_device, lent
from orrery.files import existing, read_text_of, replacing, write_json
from orrery.params import load_params
from orrery.stages.trained import load_network, load_recipe, replicas
from orrery.systems.base import Trained, Workspace, get_section, get_system
from orrery.tracking.evaluation import log_evaluation


def run(system: str, variant: str) -> None:
    """Write reports/<system>/variants/<variant>/{metrics.json, pictures}; further seeds' metrics under `replicas`."""
    params, work = load_params(), Workspace(system)
    section, judge = get_section(params, system), get_system(system)
    existing(work.aligned)
    numbers = replicas(variant, work)
    with replacing(work.report(variant)) as temporary:
        temporary.mkdir()
        judged = []
        for number in numbers:
            bare = load_network(judge, section, variant, work, number)
            with lent(bare, best_device(params.train.accelerator)) as network:
                trained = Trained(network, load_recipe(variant, work, number))
                judged.append(judge.evaluate(trained, work.aligned, section, None if number else temporary))
        write_json(temporary / "metrics.json", {**judged[0], "replicas": judged[1:]})
    for number, metrics in zip(numbers, judged, strict=True):
        run_id = read_text_of(work.model(variant, number) / "run.json", "run_id")
        log_evaluation(run_id, metrics, None if number else work.report(variant))
