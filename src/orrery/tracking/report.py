"""What the registry tells a report, and the report put where the registry leads to it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from orrery.errors import OrreryError
from orrery.tracking.registry import (
    CARD,
    CHALLENGER,
    CHAMPION,
    DESCRIPTION_CHARACTERS,
    EVIDENCE,
    aliases,
    artifacts,
    find_version,
)
from orrery.tracking.root import project_root
from orrery.tracking.store import connect

FOLDER, PAGE = "report", "report.html"
TAG = "report"
LINK = re.compile(r"\A\[Report\]\([^)]*\)\n\n")


@dataclass(frozen=True)
class VersionFacts:
    """A registered version as a report shows it.

    Attributes:
        system: registered name.
        version: number as text.
        alias: by which it was found, "champion" or, where nothing was promoted yet, "challenger".
        run_id: of its training.
        tags: of the version.
        card: its model card, Markdown.
    """

    system: str
    version: str
    alias: str
    run_id: str
    tags: Mapping[str, str]
    card: str


def version_facts(system: str, *, root: Path | None = None) -> VersionFacts:
    """The champion of a system, or the challenger where there is no champion.

    Raises:
        OrreryError: nothing is registered, or the files of the version are gone.
    """
    client = connect(root or project_root())
    alias = CHAMPION if CHAMPION in aliases(client, system) else CHALLENGER
    version = find_version(client, system, alias)
    card = artifacts(version) / EVIDENCE / CARD
    try:
        text = card.read_text(encoding="utf-8")
    except OSError as error:
        raise OrreryError("does not exist", file=card, remedy="register the model again") from error
    return VersionFacts(system, str(version.version), alias, str(version.run_id), dict(version.tags), text)


def run_facts(run_ids: Sequence[str], *, root: Path | None = None) -> dict[str, dict[str, str]]:
    """Run id -> its tags, its seed as `seed`; a run that is gone is left out.

    Raises:
        OrreryError: there is no database.
    """
    client = connect(root or project_root())
    found = {}
    for run_id in run_ids:
        try:
            data = client.get_run(run_id).data
        except MlflowException:
            continue
        found[run_id] = {
            **data.tags,
            **{name: data.params[name] for name in ("seed",) if name in data.params},
        }
    return found


def publish(facts: VersionFacts, page: Path, *, root: Path | None = None) -> str:
    """Log a page with the run that trained a version; let the version's description and its tag `report` lead there.

    Run again it takes the place of the earlier page.

    Args:
        facts: of the version that the page is about.
        page: an HTML file that needs no other.
        root: the clone [default: `project_root()`].

    Returns:
        The page's address, ``runs:/<run id>/report/report.html``.

    Raises:
        OrreryError: the run is unknown or its artifacts cannot be written.
    """
    client = connect(root or project_root())
    version = find_version(client, facts.system, facts.version)
    address = f"runs:/{facts.run_id}/{FOLDER}/{PAGE}"
    try:
        client.log_artifact(facts.run_id, str(page), FOLDER)
        client.set_model_version_tag(facts.system, facts.version, TAG, address)
        client.update_model_version(facts.system, facts.version, _description(client, version))
    except (MlflowException, OSError) as error:
        problem = f"cannot be logged to run {facts.run_id} ({error})"
        raise OrreryError(
            problem, file=page, remedy="make mlruns writable, or open the file itself"
        ) from error
    return address


def _description(client: MlflowClient, version: ModelVersion) -> str:
    """The version's description with a link to the page before it."""
    experiment = client.get_run(str(version.run_id)).info.experiment_id
    link = f"[Report](#/experiments/{experiment}/runs/{version.run_id}/artifacts/{FOLDER}/{PAGE})\n\n"
    return (link + LINK.sub("", version.description or ""))[:DESCRIPTION_CHARACTERS]
