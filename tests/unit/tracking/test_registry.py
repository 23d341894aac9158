from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
import torch
from mlflow.tracking import MlflowClient

from orrery.errors import OrreryError
from orrery.files import sha256
from orrery.tracking.registry import aliases, artifacts, find_version, load, register
from orrery.tracking.store import connect
from tests.tracking_helpers import SYSTEM, TinyUNet, example, register_third, write_evidence


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 64, 96), (2, 96, 64), (5, 256, 320)])
def test_a_loaded_network_takes_any_batch_and_tile(clone: Path, batch: int, height: int, width: int) -> None:
    model = load(SYSTEM, "2", root=clone, device="cpu")
    tiles = torch.randn(batch, 4, height, width)
    with torch.inference_mode():
        wanted = TinyUNet(2).eval()(tiles)
    assert torch.allclose(model.network(tiles), wanted, atol=1e-6)
    assert model.recipe == {"seed": 2}
    assert model.run_id == find_version(connect(clone), SYSTEM, "2").run_id


def test_a_version_carries_its_origin_and_the_hash_of_its_evidence(clone: Path) -> None:
    version = find_version(connect(clone), SYSTEM, "challenger")
    assert version.version in (2, "2")
    assert version.description == "# lunar-dtm: ours\n"
    assert version.tags["data.md5"] == "0123456789abcdef0123456789abcdef.dir"
    assert version.tags["variant"] == "ours"
    assert len(version.tags["git.commit"]) == 40
    for name in ("model_card.md", "gate.json", "metrics.json", "mountain.png"):
        assert version.tags[f"evidence/{name}"] == sha256(artifacts(version) / "evidence" / name)


def test_the_same_content_is_registered_once(clone: Path) -> None:
    run_id = load(SYSTEM, "1", root=clone).run_id
    assert register_third(clone, run_id) == "3"
    assert register_third(clone, run_id) == "3"
    assert aliases(connect(clone), SYSTEM)["challenger"] == "3"
    other = write_evidence(clone / "other", passed=False)
    assert register(SYSTEM, TinyUNet(3), example(), {"seed": 3}, other, run_id, root=clone) == "4"


def test_the_network_is_left_as_it_was(clone: Path) -> None:
    network, run_id = TinyUNet(4).train(), load(SYSTEM, "1", root=clone).run_id
    register(SYSTEM, network, example(), {}, clone / "mlruns/evidence-1", run_id, root=clone)
    assert network.training
    assert int(network.norm.num_batches_tracked or 0) == 0


def test_evidence_must_be_complete(clone: Path, tmp_path: Path) -> None:
    evidence = write_evidence(tmp_path / "evidence")
    (evidence / "metrics.json").unlink()
    (evidence / "mountain.png").unlink()
    with pytest.raises(OrreryError, match=r"lacks a picture \(\*\.png\), the evaluation"):
        register(SYSTEM, TinyUNet(1), example(), {}, evidence, "none", root=clone)


def test_an_unknown_run_is_refused(clone: Path) -> None:
    with pytest.raises(OrreryError, match=r"mlflow\.db: holds no run 0123"):
        register(SYSTEM, TinyUNet(1), example(), {}, clone / "mlruns/evidence-1", "0123", root=clone)


def test_what_is_not_in_the_registry(clone: Path) -> None:
    with pytest.raises(OrreryError, match="the registry has no champion of lunar-dtm; promote one"):
        load(SYSTEM, root=clone)
    with pytest.raises(OrreryError, match="no 9 of lunar-dtm"):
        load(SYSTEM, "9", root=clone)
    with pytest.raises(OrreryError, match="no champion of mars-bands"):
        load("mars-bands", root=clone)


@pytest.mark.faults
@pytest.mark.parametrize("name", ["data/model.pt2", "recipe.json"])
def test_files_changed_after_registration_are_refused(clone: Path, name: str) -> None:
    with (artifacts(find_version(connect(clone), SYSTEM, "2")) / name).open("a") as file:
        file.write(" ")
    with pytest.raises(OrreryError, match=rf"{name}: is not what was registered as lunar-dtm version 2"):
        load(SYSTEM, "2", root=clone)


def test_a_pickled_model_registered_by_other_means_is_refused(clone: Path) -> None:
    client: MlflowClient = connect(clone)
    experiment = client.get_experiment_by_name(SYSTEM)
    assert experiment is not None
    with mlflow.start_run(experiment_id=experiment.experiment_id):
        mlflow.pytorch.log_model(
            TinyUNet(1),
            name="pickled",
            serialization_format="pickle",
            registered_model_name=SYSTEM,
            pip_requirements=["torch"],
        )
    with pytest.raises(OrreryError, match="never pickles"):
        load(SYSTEM, "3", root=clone)


@pytest.mark.faults
def test_a_version_whose_files_are_gone_is_registered_anew(clone: Path) -> None:
    run_id = load(SYSTEM, "1", root=clone).run_id
    assert register_third(clone, run_id) == "3"
    (artifacts(find_version(connect(clone), SYSTEM, "3")) / "data/model.pt2").unlink()
    with pytest.raises(OrreryError, match=r"model\.pt2: does not exist.*register the model again"):
        load(SYSTEM, "3", root=clone)
    assert register_third(clone, run_id) == "4"
    assert load(SYSTEM, "challenger", root=clone).recipe == {"seed": 3}
