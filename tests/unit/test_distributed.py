"""Two processes that share a batch take the very step that one takes of the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from orrery.distributed import Share, normalise_together, own, whole

SCRIPT = Path(__file__).with_name("gradients_of_a_share.py")


def test_two_processes_have_the_gradients_of_one(tmp_path, repository):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    started = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(tmp_path), str(rank)],
            cwd=repository,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    told = [process.communicate(timeout=300)[1] for process in started]
    assert not any(process.returncode for process in started), "\n".join(told)
    alone, together = (load_file(tmp_path / f"{name}.safetensors") for name in ("alone", "together"))
    assert alone.keys() == together.keys()
    for name, expected in alone.items():
        # Gradients that vanish (of a bias before a normalisation) are compared with the case's others.
        case = name.rsplit(" ", 1)[0]
        size = max(float(part.abs().max()) for other, part in alone.items() if other.startswith(case))
        difference = float((together[name] - expected).abs().max())
        assert difference <= 1e-9 * size, name


def test_alone_nothing_is_gathered_or_shared_out():
    rows = torch.arange(6.0)
    assert whole({"a": [rows]})["a"][0] is rows
    assert own(rows) is rows
    assert list(Share([[1, 2], [3, 4]])) == [[1, 2], [3, 4]]


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_see_all_rows_of_a_batch_once(monkeypatch, rank):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", str(rank))
    batches = [[5, 3, 1, 0], [2, 4, 6, 7]]
    assert list(Share(batches)) == [batch[2 * rank : 2 * rank + 2] for batch in batches]
    assert own(torch.arange(4)).tolist() == [2 * rank, 2 * rank + 1]


def test_layers_together_keep_parameters_state_and_what_they_do_alone():
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    before, x = {name: part.clone() for name, part in network.state_dict().items()}, torch.randn(2, 2, 4, 4)
    expected, weight = network(x), network[1].weight
    network.load_state_dict(before)
    assert normalise_together(network)
    assert network[1].weight is weight
    assert network.state_dict().keys() == before.keys()
    torch.testing.assert_close(network(x), expected, rtol=0, atol=0)


def test_a_batch_norm_of_another_kind_is_told():
    assert not normalise_together(nn.Sequential(nn.BatchNorm1d(3)))
    assert normalise_together(nn.Sequential(nn.BatchNorm1d(3).eval()))
