"""A network on another device takes and gives tensors of the processor, and comes back."""

import pytest
import torch

from orrery.devices import best_device, lent


class Elsewhere(torch.nn.Module):
    """Adds a constant that it holds; takes nothing that lies on another device."""

    def __init__(self):
        super().__init__()
        self.constant = torch.nn.Parameter(torch.ones(3))

    def forward(self, inputs):
        assert inputs.device == self.constant.device
        self.seen = inputs.device.type
        return inputs + self.constant


def test_a_network_is_lent_and_comes_back():
    network = Elsewhere()
    with lent(network, torch.device("cpu")) as there:
        assert there(torch.zeros(3)).tolist() == [1, 1, 1]
    assert not network._forward_hooks
    assert not network._forward_pre_hooks
    with lent(network, best_device()):
        network(torch.zeros(3))
    assert network.seen == best_device().type
    assert network.constant.device.type == "cpu"
    assert best_device("cpu").type == "cpu"


def test_it_comes_back_after_an_error_too():
    network = Elsewhere()
    with pytest.raises(RuntimeError), lent(network, best_device()):
        network(torch.zeros(2))
    assert not network._forward_hooks
    assert network(torch.ones(3)).tolist() == [2, 2, 2]


def test_inputs_are_brought_to_where_the_network_is():
    network = Elsewhere()
    with pytest.raises(NotImplementedError, match="meta"), lent(network, torch.device("meta")):
        network(torch.zeros(3))  # gets there, but nothing comes back from a device without memory
    assert network.seen == "meta"
