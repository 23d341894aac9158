"""The model registry: a version is a network without pickle, its recipe, and the evidence for it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import torch
from mlflow.entities import LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient
from safetensors.torch import save
from torch import Tensor, nn

from orrery.devices import best_device
from orrery.errors import OrreryError
from orrery.files import read_json, sha256, write_json
from orrery.tracking.export import ARCHIVE, ExportedNetwork, export, load_export
from orrery.tracking.root import DATABASE, locked, project_root
from orrery.tracking.store import connect

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
EVIDENCE = "evidence"
RECIPE = "recipe.json"
CARD = "model_card.md"
GATE = "gate.json"
CONTENT_TAG = "content.sha256"
USED = {"archive.sha256": ARCHIVE, "recipe.sha256": RECIPE}
FROM_RUN = ("variant", "git.commit", "git.dirty", "data.md5", "params.sha256")
DESCRIPTION_CHARACTERS = 5000  # MLflow's limit


@dataclass(frozen=True)
class LoadedModel:
    """A registered version, ready to use.

    Attributes:
        system: registered name.
        version: number as text.
        run_id: of its training.
        network: (N, C, H, W) float32 to (N, D, H, W).
        recipe: everything else that its use needs, as plain data.
        tags: of the version.
    """

    system: str
    version: str
    run_id: str
    network: ExportedNetwork
    recipe: Mapping[str, Any]
    tags: Mapping[str, str]


def register(
    system: str,
    network: nn.Module,
    example: Tensor,
    recipe: Mapping[str, Any],
    evidence: Path,
    run_id: str,
    *,
    root: Path | None = None,
) -> str:
    """Register a trained network with its evidence, and name it challenger.

    Registering the same content again returns the version that exists, so a killed registration is simply run again.

    Args:
        system: registered name.
        network: see `export`; it is not changed.
        example: input with a batch of two or more and H != W.
        recipe: plain data that JSON can hold.
        evidence: folder with model_card.md, gate.json (the gate's verdict), the evaluation as JSON and a picture.
        run_id: of the training.
        root: the clone [default: `project_root()`].

    Returns:
        The version.

    Raises:
        OrreryError: evidence is missing, the run is unknown, or the network cannot be exported.
    """
    root = root or project_root()
    files = evidence_files(evidence)
    client = connect(root)
    run_tags = _run_tags(client, run_id, root)
    content = _content(network, recipe, files, run_id)
    with locked(root, f"registry-{system}"):
        version = _registered(client, system, content)
        if version is None:
            with TemporaryDirectory() as folder:
                model = Path(folder) / "model"
                export(network, example, model)
                write_json(model / RECIPE, dict(recipe))
                shutil.copytree(evidence, model / EVIDENCE)
                tags = {name: run_tags[name] for name in FROM_RUN if name in run_tags}
                tags |= {f"{EVIDENCE}/{name}": digest for name, digest in files.items()}
                tags |= {name: sha256(model / file) for name, file in USED.items()} | {CONTENT_TAG: content}
                version = _create(client, system, model, run_id, tags)
        if aliases(client, system).get(CHAMPION) != version:
            client.set_registered_model_alias(system, CHALLENGER, version)
    return version


def evidence_files(folder: Path) -> dict[str, str]:
    """Relative path and SHA-256 of every file of an evidence folder.

    Raises:
        OrreryError: a kind of evidence is missing.
    """
    files = {
        str(file.relative_to(folder)): sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()
    }
    kinds = {"a picture (*.png)": ".png", "the evaluation (*.json beside gate.json)": ".json"}
    missing = [name for name in (CARD, GATE) if name not in files]
    missing += [
        kind for kind, ending in kinds.items() if not any(n.endswith(ending) and n != GATE for n in files)
    ]
    if missing:
        raise OrreryError(
            f"lacks {', '.join(missing)}", file=folder, remedy="register only with the evidence complete"
        )
    return files


def _content(network: nn.Module, recipe: Mapping[str, Any], files: Mapping[str, str], run_id: str) -> str:
    """One hash over weights, recipe, evidence and run: the identity of a version."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    rest = json.dumps([recipe, files, run_id], sort_keys=True)
    return hashlib.sha256(save(weights) + rest.encode()).hexdigest()


def _run_tags(client: MlflowClient, run_id: str, root: Path) -> dict[str, str]:
    try:
        return dict(client.get_run(run_id).data.tags)
    except MlflowException as error:
        raise OrreryError(
            f"holds no run {run_id}",
            file=root / DATABASE,
            remedy="train again with this database (`dvc repro --force`), then register",
        ) from error


def _registered(client: MlflowClient, system: str, content: str) -> str | None:
    """The version that holds this content already, undamaged."""
    for version in client.search_model_versions(f"name = '{system}'"):
        if version.tags.get(CONTENT_TAG) == content and _is_intact(version):
            return str(version.version)
    return None


def _is_intact(version: ModelVersion) -> bool:
    try:
        _verified(version)
    except OrreryError:
        return False
    return True


def _create(client: MlflowClient, system: str, model: Path, run_id: str, tags: Mapping[str, str]) -> str:
    """Store the files, then the version with all its tags at once: before that last step nothing is registered."""
    experiment = client.get_run(run_id).info.experiment_id
    used = {version.source for version in client.search_model_versions(f"name = '{system}'")}
    for orphan in client.search_logged_models([experiment], f"tags.`{CONTENT_TAG}` = '{tags[CONTENT_TAG]}'"):
        if f"models:/{orphan.model_id}" in used:
            continue
        get_artifact_repository(orphan.artifact_location).delete_artifacts()  # type: ignore[no-untyped-call]
        client.delete_logged_model(orphan.model_id)
    logged = client.create_logged_model(experiment, name=system, source_run_id=run_id, tags=dict(tags))
    client.log_model_artifacts(logged.model_id, str(model))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    if not client.search_registered_models(f"name = '{system}'"):
        client.create_registered_model(system)
    card = (model / EVIDENCE / CARD).read_text(encoding="utf-8")[:DESCRIPTION_CHARACTERS]
    source = f"models:/{logged.model_id}"
    version = client.create_model_version(
        system, source, run_id, dict(tags), description=card, model_id=logged.model_id
    )
    return str(version.version)


def load(
    system: str, alias_or_version: str = CHAMPION, *, root: Path | None = None, device: str = "auto"
) -> LoadedModel:
    """Load a version by alias or number; no pickle is read.

    Args:
        system: registered name.
        alias_or_version: "champion", "challenger", "previous" or a number.
        root: the clone [default: `project_root()`].
        device: where the network computes; "auto" is the GPU where there is one.

    Raises:
        OrreryError: there is no such version, it holds pickles, or its files were changed since.
    """
    client = connect(root or project_root())
    version = find_version(client, system, alias_or_version)
    folder = _verified(version)
    network = load_export(folder, best_device() if device == "auto" else torch.device(device))
    recipe = read_json(folder / RECIPE)
    return LoadedModel(system, str(version.version), str(version.run_id), network, recipe, dict(version.tags))


def find_version(client: MlflowClient, system: str, name: str) -> ModelVersion:
    """The version with an alias or a number.

    Raises:
        OrreryError: there is none.
    """
    try:
        return (
            client.get_model_version(system, name)
            if name.isdigit()
            else client.get_model_version_by_alias(system, name)
        )
    except MlflowException as error:
        remedies = {
            CHAMPION: f"promote one with `orrery promote {system}`, or run `make repro`",
            CHALLENGER: f"register one with `orrery register {system} VARIANT`",
        }
        remedy = remedies.get(name, "see `orrery ui` for the versions that exist")
        raise OrreryError(f"the registry has no {name} of {system}", remedy=remedy) from error


def aliases(client: MlflowClient, system: str) -> dict[str, str]:
    """Alias -> version of a registered model; empty where nothing is registered."""
    known = client.search_registered_models(f"name = '{system}'")
    return {alias: str(version) for alias, version in known[0].aliases.items()} if known else {}


def artifacts(version: ModelVersion) -> Path:
    """A local folder with the files of a version.

    Raises:
        OrreryError: they are gone.
    """
    try:  # by their place: by the version's name MLflow would write beside them, and they may lie where nobody may
        place = MlflowClient().get_model_version_download_uri(version.name, version.version)
        return Path(mlflow.artifacts.download_artifacts(place))
    except (MlflowException, OSError) as error:
        problem = f"the files of {version.name} version {version.version} are gone"
        raise OrreryError(problem, remedy="register the model again, or restore mlruns/artifacts") from error


def _verified(version: ModelVersion) -> Path:
    """The folder of a version whose network and recipe are what was registered."""
    folder = artifacts(version)
    for tag, name in USED.items():
        if not (folder / name).is_file():
            problem = "does not exist; only .pt2 models with a recipe are loaded, never pickles"
            raise OrreryError(problem, file=folder / name, remedy="register the model again")
        if sha256(folder / name) != version.tags.get(tag):
            raise OrreryError(
                f"is not what was registered as {version.name} version {version.version}",
                file=folder / name,
                remedy="name another version, or register the model again",
            )
    return folder
