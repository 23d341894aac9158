from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from orrery.errors import OrreryError
from orrery.tracking.export import export, load_export
from tests.tracking_helpers import TinyUNet, example

CPU = torch.device("cpu")


class DeepUNet(nn.Module):
    """Five halvings, as the real networks have."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.downs = nn.ModuleList([nn.Conv2d(4, 4, 3, stride=2, padding=1) for _ in range(5)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(4) for _ in range(5)])
        self.ups = nn.ModuleList([nn.ConvTranspose2d(4, 4, 2, stride=2) for _ in range(5)])
        self.out = nn.Conv2d(4, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        skips = [images]
        for down, norm in zip(self.downs, self.norms, strict=True):
            skips.append(torch.relu(norm(down(skips[-1]))))
        deep = skips.pop()
        for up in self.ups:
            deep = up(deep) + skips.pop()
        result: Tensor = self.out(deep)
        return result


class Noisy(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images + torch.randn_like(images)


class Branching(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images if float(images.sum()) > 0 else -images


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "model"
    export(DeepUNet(), example(128, 96), folder)
    return folder


@pytest.mark.parametrize("size", [(1, 4, 64, 64), (5, 4, 256, 320), (2, 4, 96, 64), (1, 4, 1024, 64)])
def test_sizes_stay_free_through_five_halvings(deep: Path, size: tuple[int, ...]) -> None:
    tiles = torch.randn(size)
    with torch.inference_mode():
        assert torch.allclose(load_export(deep, CPU)(tiles), DeepUNet().eval()(tiles), atol=1e-5)


def test_an_input_of_another_kind_is_one_line(deep: Path) -> None:
    network = load_export(deep, CPU)
    with pytest.raises(OrreryError, match="network of 4 channels"):
        network(torch.zeros(1, 3, 64, 64))
    with pytest.raises(OrreryError, match=r"takes no 32 x 32 px .* at least 64 px"):
        network(torch.zeros(1, 4, 32, 32))


def test_the_graph_moves_to_another_device(deep: Path) -> None:
    """The meta device computes shapes only, and stands for a GPU: no tensor of the graph may stay on the CPU."""
    output = load_export(deep, torch.device("meta"))(torch.zeros(3, 4, 96, 128, device="meta"))
    assert output.device.type == "meta"
    assert output.shape == (3, 2, 96, 128)


@pytest.mark.parametrize("shape", [(1, 4, 64, 96), (2, 4, 64, 64), (2, 4, 32, 64), (4, 64, 96)])
def test_an_example_that_would_freeze_a_size_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(OrreryError, match="would freeze the sizes"):
        export(TinyUNet(0), torch.zeros(shape), tmp_path / "model")


def test_a_network_that_cannot_be_exported_faithfully_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OrreryError, match="cannot be exported"):
        export(Branching(), example(), tmp_path / "branching")
    with pytest.raises(OrreryError, match="differs from the trained one"):
        export(Noisy(), example(), tmp_path / "noisy")


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.path), 0o755)


@pytest.mark.faults
def test_an_archive_with_a_pickle_is_refused_before_it_runs(deep: Path, tmp_path: Path) -> None:
    model, struck = tmp_path / "model", tmp_path / "struck"
    (model / "data").mkdir(parents=True)
    (model / "MLmodel").write_bytes((deep / "MLmodel").read_bytes())
    with (
        zipfile.ZipFile(deep / "data/model.pt2") as source,
        zipfile.ZipFile(model / "data/model.pt2", "w") as target,
    ):
        for name in source.namelist():
            sample = name.endswith("sample_inputs/model.pt")
            target.writestr(name, pickle.dumps(Bomb(struck)) if sample else source.read(name))
    with pytest.raises(OrreryError, match=r"model\.pt2: is not a sound .* model .*pickle"):
        load_export(model, CPU)
    assert not struck.exists()


@pytest.mark.faults
def test_a_truncated_archive_is_refused(deep: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "MLmodel").write_bytes((deep / "MLmodel").read_bytes())
    whole = (deep / "data/model.pt2").read_bytes()
    (tmp_path / "data/model.pt2").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OrreryError, match=r"model\.pt2: is not a sound"):
        load_export(tmp_path, CPU)
