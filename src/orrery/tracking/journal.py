"""The history of a registered model, and how aliases move without ever being left half-way.

An event, with the aliases it leads to, is written before any alias moves. From that moment it is done: whoever comes
next (a second `promote` after a kill, say) finishes the move. Before that moment nothing has happened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from mlflow.tracking import MlflowClient
from pydantic import TypeAdapter

from orrery.files import reading
from orrery.tracking.registry import aliases
from orrery.tracking.root import DATABASE

EVENT = "promotion.event."
REASONS_KEPT, REASON_CHARACTERS = 10, 200  # MLflow keeps 5000 characters a tag; the verdict holds all of it

Kind = Literal["promoted", "refused", "rolled back"]


@dataclass(frozen=True)
class Event:
    """One entry of the history of a registered model.

    Attributes:
        number: counts from 1.
        kind: what happened.
        version: the challenger, or whom a rollback restored.
        against: the champion before.
        aliases: where the aliases point afterwards; None removes one.
        reasons: for a refusal.
        at: UTC time, ISO 8601.
        done: whether the aliases have been moved.
    """

    number: int
    kind: Kind
    version: str
    against: str | None
    aliases: dict[str, str | None]
    reasons: list[str]
    at: str
    done: bool

    def message(self) -> str:
        """One line for a person."""
        reasons = f": {'; '.join(self.reasons)}" if self.reasons else ""
        against = f" (champion before: version {self.against})" if self.against else ""
        return f"{self.number}. {self.at} version {self.version} {self.kind}{against}{reasons}"


def events(client: MlflowClient, system: str) -> list[Event]:
    """All events of a registered model, oldest first."""
    known = client.search_registered_models(f"name = '{system}'")
    tags: Mapping[str, str] = known[0].tags if known else {}
    return [_event(key, tags[key]) for key in sorted(tags) if key.startswith(EVENT)]


def _event(key: str, text: str) -> Event:
    with reading(Path(DATABASE), f"a registry whose tag {key} is an event", "restore the database"):
        return TypeAdapter(Event).validate_json(text)


def append(
    client: MlflowClient,
    system: str,
    kind: Kind,
    version: str,
    against: str | None,
    moved: dict[str, str | None],
    reasons: list[str],
) -> None:
    """Add an event, unless it repeats the last refusal."""
    past = events(client, system)
    kept = [reason[:REASON_CHARACTERS] for reason in reasons[:REASONS_KEPT]]
    at = datetime.now(UTC).isoformat(timespec="seconds")
    event = Event(len(past) + 1, kind, version, against, moved, kept, at, done=not moved)
    if past and kind == "refused" and replace(past[-1], number=event.number, at=at) == event:
        return
    _write(client, system, event)


def _write(client: MlflowClient, system: str, event: Event) -> None:
    client.set_registered_model_tag(
        system, f"{EVENT}{event.number:05d}", json.dumps(asdict(event), sort_keys=True)
    )


def settle(client: MlflowClient, system: str) -> Event | None:
    """Move the aliases as the last event says, if that is not done yet; return the event that this finished."""
    past = events(client, system)
    if not past or past[-1].done:
        return None
    named = aliases(client, system)
    for alias, version in sorted(past[-1].aliases.items()):
        if version is not None:
            client.set_registered_model_alias(system, alias, version)
        elif named.get(alias) == past[-1].version:  # never the challenger registered since
            client.delete_registered_model_alias(system, alias)
    _write(client, system, replace(past[-1], done=True))
    return past[-1]
