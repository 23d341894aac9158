import pytest
import torch

from orrery.nets.half_resolution_unet import HalfResolutionUNet
from orrery.systems.lunar_dtm.nets.dlunardtmnet import DLunarDTMNet


def parameters(net):
    return sum(tensor.numel() for tensor in net.parameters())


def test_full_size_has_the_parameters_of_the_reconstruction():
    assert parameters(DLunarDTMNet("full")) == 82_923_489


def test_each_modification_of_the_paper_changes_what_it_names():
    ours = DLunarDTMNet("demo")
    assert ours.conv1.kernel_size == (3, 3)
    assert DLunarDTMNet("demo", stem_kernel=7).conv1.kernel_size == (7, 7)
    deconvolved = DLunarDTMNet("demo", upsampling="deconvolution")
    assert sum(isinstance(module, torch.nn.ConvTranspose2d) for module in deconvolved.modules()) == 4
    assert not any(isinstance(module, torch.nn.ConvTranspose2d) for module in ours.modules())


@pytest.mark.parametrize("size", [(64, 96), (160, 32)])
@pytest.mark.parametrize(
    ("net", "channels", "planes"),
    [(DLunarDTMNet("demo"), 2, 1), (HalfResolutionUNet(8, 2, (8, 8, 12, 16, 16)), 8, 2)],
)
def test_output_has_the_size_of_the_input(net, channels, planes, size):
    out = net.eval()(torch.randn(2, channels, *size))
    assert out.shape == (2, planes, *size)
    assert torch.isfinite(out).all()


def test_every_parameter_learns():
    for net, channels in ((DLunarDTMNet("demo"), 2), (HalfResolutionUNet(5, 2, (8, 8, 12, 16, 16)), 5)):
        torch.manual_seed(0)
        net(torch.rand(2, channels, 64, 64)).square().mean().backward()
        dead = [
            name for name, tensor in net.named_parameters() if tensor.grad is None or not tensor.grad.any()
        ]
        assert not dead, dead


def test_unet_starts_near_no_correction():
    torch.manual_seed(0)
    out = HalfResolutionUNet(8, 2)(torch.randn(2, 8, 64, 64))
    assert out[:, 0].abs().mean() < 0.2


def test_heights_of_the_papers_network_are_not_negative():
    assert (DLunarDTMNet("demo")(torch.randn(2, 2, 64, 64)) >= 0).all()


@pytest.mark.parametrize("seed", range(8))
def test_the_papers_network_can_learn_from_its_first_step_on(seed):
    """Behind its last ReLU what is below zero has no gradient."""
    torch.manual_seed(seed)
    network = DLunarDTMNet("demo")
    output = network(torch.rand(2, 2, 64, 96))
    output.mean().backward()
    assert (output > 0).float().mean() > 0.9
    assert float(network.conv1.weight.grad.abs().sum()) > 0
