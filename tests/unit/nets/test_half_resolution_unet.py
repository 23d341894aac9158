import pytest
import torch

from orrery.nets.half_resolution_unet import HalfResolutionUNet

WIDTHS = (8, 8, 12, 16, 16)


@pytest.mark.parametrize("outputs", [1, 2, 12])
def test_any_number_of_planes(outputs):
    out = HalfResolutionUNet(3, outputs, WIDTHS).eval()(torch.randn(1, 3, 32, 96))
    assert out.shape == (1, outputs, 32, 96)


def test_weights_of_registered_models_still_fit():
    """Names, shapes and first draws of the network as it was when it served lunar-dtm alone."""
    torch.manual_seed(0)
    state = HalfResolutionUNet(8, 2, WIDTHS).state_dict()
    assert len(state) == 122
    assert {"stem.0.0.weight", "down.4.skip.1.running_var", "up.3.0.1.weight", "head.1.bias"} <= set(state)
    assert state["head.1.weight"].shape == (8, 8, 3, 3)
    total = sum(tensor.double().abs().sum() for tensor in state.values())
    assert float(total) == pytest.approx(1604.602082, abs=1e-4)


def test_starts_near_zero_whatever_the_number_of_planes():
    torch.manual_seed(0)
    assert HalfResolutionUNet(1, 57, WIDTHS)(torch.randn(2, 1, 64, 64)).abs().mean() < 0.2
