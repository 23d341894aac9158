"""Champion and challenger: judged on the same frozen test set, moved by rules, undone by one command.

Done or not done: a decision counts from the moment that the journal has it; see `orrery.tracking.journal`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from orrery.errors import OrreryError
from orrery.params import PromotionParams
from orrery.tracking.journal import Event, Kind, append, events, settle
from orrery.tracking.registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    LoadedModel,
    aliases,
    find_version,
    load,
)
from orrery.tracking.requirements import Timed, dearer, lacking, network_bytes, outdated, seed_means
from orrery.tracking.root import locked, project_root
from orrery.tracking.rules import Scenes, Seeds, decide
from orrery.tracking.store import connect

__all__ = ["Event", "PromotionParams", "PromotionVerdict", "history", "promote", "rollback"]

VERDICT_TAG = "promotion.verdict"
Evaluate = Callable[[LoadedModel], Scenes]


@dataclass(frozen=True)
class PromotionVerdict:
    """What was decided about a challenger, and on what grounds.

    Attributes:
        system: registered name.
        version: the challenger.
        champion: whom it was compared with; None for a first version.
        promoted: whether the rules let it become champion.
        reasons: for the refusal, one sentence each.
        codes: their kinds, in the same order.
        comparisons: metric -> means of both, relative improvement and its interval.
        scenes: challenger's and champion's values by scene.
        rules: that were applied.
    """

    system: str
    version: str
    champion: str | None
    promoted: bool
    reasons: list[str]
    codes: list[str]
    comparisons: dict[str, Any]
    scenes: dict[str, Any]
    rules: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As plain data without times: equal decisions are equal."""
        return asdict(self)

    def markdown(self) -> str:
        """The verdict with its grounds and figures, for the summary of a job."""
        lines = [f"## {self.message()}", ""]
        lines += [f"- `{code}` {reason}" for code, reason in zip(self.codes, self.reasons, strict=True)]
        lines += ["", "| metric | challenger | champion | improvement | interval |", "|---|---|---|---|---|"]
        for metric, found in sorted(self.comparisons.items()):
            gain, interval = found["improvement"], found["interval"]
            told = f"{gain:.1%} | {interval[0]:.1%} to {interval[1]:.1%}" if interval else "– | –"
            champion = "–" if found["champion"] is None else f"{found['champion']:.5g}"
            lines.append(f"| {metric} | {found['challenger']:.5g} | {champion} | {told} |")
        return "\n".join(lines) + "\n"

    def message(self) -> str:
        """One line for a person."""
        if not self.promoted:
            return f"{self.system} version {self.version} is refused: {'; '.join(self.reasons)}"
        against = f"over version {self.champion}" if self.champion else "as the first"
        return f"{self.system} version {self.version} is champion, {against}"


def promote(
    system: str,
    rules: PromotionParams,
    evaluate: Evaluate,
    *,
    version: str | None = None,
    dry_run: bool = False,
    root: Path | None = None,
) -> PromotionVerdict:
    """Judge a challenger against the champion by `rules`; if they let it pass, make it champion.

    Of several promotions at once each waits for the one before. A promotion of the version that is champion already
    returns the verdict that made it so, so that a killed promotion is simply run again.

    Args:
        system: registered name.
        rules: see `PromotionParams`.
        evaluate: gives the metrics of a model by scene, on the frozen test set, the same for both.
        version: to judge [default: the challenger].
        dry_run: decide, but change nothing.
        root: the clone [default: `project_root()`].

    Raises:
        OrreryError: there is no challenger, or another host moved the champion meanwhile.
    """
    root = root or project_root()
    client = connect(root)
    if dry_run:
        candidate = _candidate(client, system, version)
        return _before(client, system, candidate) or _judge(client, system, candidate, rules, evaluate, root)
    with locked(root, f"promotion-{system}"):
        settle(client, system)
        candidate = _candidate(client, system, version)
        if verdict := _before(client, system, candidate):
            return verdict
        verdict = _judge(client, system, candidate, rules, evaluate, root)
        _require_unmoved(client, verdict)
        _record(client, verdict)
        settle(client, system)
        return verdict


def rollback(system: str, *, root: Path | None = None) -> Event:
    """Make the previous champion champion again, and the champion previous.

    Raises:
        OrreryError: there is no previous champion.
    """
    root = root or project_root()
    client = connect(root)
    with locked(root, f"promotion-{system}"):
        finished = settle(client, system)
        if finished and finished.kind == "rolled back":
            return finished
        champion = str(find_version(client, system, CHAMPION).version)
        previous = aliases(client, system).get(PREVIOUS)
        if previous is None:
            raise OrreryError(
                f"{system} has no previous champion", remedy="promote a version by its number instead"
            )
        moved: dict[str, str | None] = {CHAMPION: previous, PREVIOUS: champion}
        append(client, system, "rolled back", previous, champion, moved, [])
        settle(client, system)
        return history(system, root=root)[-1]


def history(system: str, *, root: Path | None = None) -> list[Event]:
    """All decisions about a registered model, oldest first."""
    return events(connect(root or project_root()), system)


def _candidate(client: MlflowClient, system: str, version: str | None) -> str:
    """The version to judge; after a promotion that was killed late, the one that it promoted."""
    if version is not None:
        return str(find_version(client, system, version).version)
    named, past = aliases(client, system), events(client, system)
    late = past and past[-1].kind == "promoted" and past[-1].version == named.get(CHAMPION)
    if CHALLENGER not in named and late:
        return past[-1].version
    return str(find_version(client, system, CHALLENGER).version)


def _judge(
    client: MlflowClient, system: str, candidate: str, rules: PromotionParams, evaluate: Evaluate, root: Path
) -> PromotionVerdict:
    champion = aliases(client, system).get(CHAMPION)
    version = find_version(client, system, candidate)
    refusals = lacking(version, rules) + outdated(version, rules)
    new, old = (
        load(system, candidate, root=root),
        _load_champion(system, champion, root) if champion else None,
    )
    present = find_version(client, system, champion) if champion else None
    seeds: tuple[Seeds, Seeds] = (seed_means(version, rules), seed_means(present, rules) if present else ())
    mine, theirs = Timed.of(evaluate, new), Timed.of(evaluate, old) if old else None
    comparisons, unmet = decide(rules, mine.scenes, theirs.scenes if theirs else None, seeds)
    refusals += unmet
    if present is not None and theirs is not None:
        sizes = network_bytes(version), network_bytes(present)
        refusals += dearer(rules, (mine.seconds, theirs.seconds), sizes)
    return PromotionVerdict(
        system,
        candidate,
        champion,
        not refusals,
        [refusal.text for refusal in refusals],
        [refusal.code for refusal in refusals],
        {found.metric: found.to_dict() for found in comparisons},
        {"challenger": _plain(mine.scenes), "champion": _plain(theirs.scenes if theirs else {})},
        rules.model_dump(mode="json"),
    )


def _require_unmoved(client: MlflowClient, verdict: PromotionVerdict) -> None:
    """The lock holds back promotions of this clone only; on a server another host may have promoted meanwhile."""
    champion = aliases(client, verdict.system).get(CHAMPION)
    if champion != verdict.champion:
        raise OrreryError(
            f"the champion of {verdict.system} became version {champion} while version {verdict.version} was judged",
            remedy="promote again, against the new champion; let one host or job promote",
        )


def _load_champion(system: str, champion: str, root: Path) -> LoadedModel:
    try:
        return load(system, champion, root=root)
    except OrreryError as error:
        raise OrreryError(
            f"the champion, version {champion}, cannot be judged ({error.problem})",
            file=error.file,
            remedy=f"run `orrery promote {system} --rollback`, or remove its alias in `orrery ui`",
        ) from error


def _plain(scenes: Scenes) -> dict[str, dict[str, float | None]]:
    """Metrics that JSON can hold: what is not finite becomes null."""
    return {
        scene: {name: float(value) if math.isfinite(value) else None for name, value in metrics.items()}
        for scene, metrics in scenes.items()
    }


def _record(client: MlflowClient, verdict: PromotionVerdict) -> None:
    """Write the verdict to run and version, then the event that commits to it."""
    version = find_version(client, verdict.system, verdict.version)
    client.log_dict(str(version.run_id), verdict.to_dict(), _artifact(verdict.system, verdict.version))
    short = {key: value for key, value in verdict.to_dict().items() if key not in ("scenes", "rules")}
    client.set_model_version_tag(
        verdict.system, verdict.version, VERDICT_TAG, json.dumps(short, sort_keys=True)
    )
    moved: dict[str, str | None] = {CHAMPION: verdict.version, CHALLENGER: None}
    if verdict.champion:
        moved[PREVIOUS] = verdict.champion
    kind: Kind = "promoted" if verdict.promoted else "refused"
    append(
        client,
        verdict.system,
        kind,
        verdict.version,
        verdict.champion,
        moved if verdict.promoted else {},
        verdict.reasons,
    )


def _before(client: MlflowClient, system: str, version: str) -> PromotionVerdict | None:
    """The verdict that made a version champion, where it is that already.

    Raises:
        OrreryError: it is, and no verdict is on record.
    """
    if aliases(client, system).get(CHAMPION) != version:
        return None
    run_id = find_version(client, system, version).run_id
    try:
        told = mlflow.artifacts.load_dict(f"runs:/{run_id}/{_artifact(system, version)}")
        return PromotionVerdict(**{"codes": [], **told})  # the first verdicts had no codes
    except (MlflowException, OSError, TypeError) as error:
        raise OrreryError(
            f"{system} version {version} is champion already, but no verdict of it is on record",
            remedy="promote another version",
        ) from error


def _artifact(system: str, version: str) -> str:
    return f"promotion/{system}-{version}.json"
