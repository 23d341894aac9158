"""What a study found, as files: study.json, data for DVC's plots, pictures; and the winner's overlay in tuned/."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import optuna
from matplotlib import pyplot as plt
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState
from optuna.visualization import matplotlib as pictures
from ruamel.yaml import YAML

from orrery.figures import save
from orrery.files import write_json, write_text
from orrery.params import TUNED, overlaid, read_yaml
from orrery.systems.base import SystemSection
from orrery.tuning.confirm import Confirmation
from orrery.tuning.params import TuneParams
from orrery.tuning.setting import Setting, nested, variant_of
from orrery.tuning.study import settings

FEW = 4  # completed trials below which importances say nothing


def write_report(
    study: optuna.Study,
    section: SystemSection,
    options: TuneParams,
    confirmation: Confirmation | None,
    out: Path,
) -> None:
    """Write study.json, plots and pictures into `out`.

    Args:
        study: the finished one.
        section: the system's.
        options: what was searched.
        confirmation: of the winner; None where there is none, as of several objectives.
        out: folder, which exists.
    """
    trials, names = settings(study), [each.metric for each in options.objectives]
    front = [trial.number for trial in study.best_trials]
    write_json(
        out / "study.json",
        {
            "study": study.study_name,
            "variant": variant_of(section),
            "objectives": [each.model_dump() for each in options.objectives],
            "space": {key: each.model_dump(exclude_none=True) for key, each in options.space.items()},
            "trials": [{**trial, "seconds": None} for trial in trials],  # times are no result: two runs differ in them
            "front" if len(names) > 1 else "best": front,
            "importance": _importances(study),
            "confirmation": confirmation.to_dict() if confirmation else None,
            "optuna": optuna.__version__,
        },
    )  # fmt: skip
    done = [each for each in trials if each["values"] and each["state"] == "complete"]
    first = [
        {"trial": each["number"], "value": each["values"][0], "setting": each["setting"]} for each in done
    ]
    write_json(out / "history.json", [{"trial": each["trial"], "value": each["value"]} for each in first])
    write_json(
        out / "slice.json",
        [
            {"key": key, "setting": setting, "value": each["value"]}
            for each in first
            for key, setting in each["setting"].items()
        ],
    )
    found = _importances(study)
    write_json(out / "importance.json", [{"key": key, "importance": found[key]} for key in sorted(found)])
    (out / "pictures").mkdir()
    _pictures(study, names, out / "pictures")


def _importances(study: optuna.Study) -> dict[str, float]:
    """Share of each key in what separates the better trials from the rest; empty for few trials."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(study.directions) > 1 or len(complete) < FEW:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))


def _pictures(study: optuna.Study, names: list[str], out: Path) -> None:
    """History, importance and slices of one objective; the front of several."""
    with warnings.catch_warnings(), mpl.rc_context({"backend": "Agg"}):
        warnings.simplefilter("ignore")  # Optuna calls its pictures experimental
        for name, drawn in _drawn(study, names):
            axes = np.atleast_1d(np.asarray(drawn, dtype=object))
            figure = axes.flat[0].figure
            figure.set_size_inches(max(7.0, 4.0 * axes.size), 4.5)
            save(figure, out / f"{name}.png")
            plt.close("all")


def _drawn(study: optuna.Study, names: list[str]) -> Iterator[tuple[str, Any]]:
    """Name and axes of each picture."""
    if len(names) > 1:
        yield "front", pictures.plot_pareto_front(study, target_names=names)
        return
    yield "history", pictures.plot_optimization_history(study, target_name=names[0])
    yield "slice", pictures.plot_slice(study, target_name=names[0])
    if _importances(study):
        yield "importance", pictures.plot_param_importances(study, evaluator=PedAnovaImportanceEvaluator())


def write_tuned(
    system: str, scale: str, variant: str, setting: Setting, told: Confirmation, root: Path
) -> Path:
    """Lay a confirmed setting down in tuned/<system>.yaml, for one scale; what it holds of others stays."""
    path, yaml = root / TUNED / f"{system}.yaml", YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    tree = overlaid(
        read_yaml(path) if path.exists() else {}, {scale: {"variants": {variant: nested(setting)}}}
    )
    stream = io.StringIO()
    yaml.dump(_plain(tree), stream)
    write_text(
        path, HEAD.format(system=system) + f"# {scale}, {variant}: {told.reason}\n" + stream.getvalue()
    )
    return path


HEAD = "# Laid over systems.{system} of params.yaml, by scale; written by `orrery tune {system}` when a winner is confirmed.\n"


def _plain(value: Any) -> Any:
    """Numbers of numpy and the like as Python's own."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return value.item() if hasattr(value, "item") else value
