"""Reflection instead of zeros beyond the borders, for networks that were written with zeros.

Zeros are the mean of a normalised image, so a zero border looks like an edge: the corner artefacts of the paper's
Table 2 networks, which reflection removed (its section 5.1).
"""

from __future__ import annotations

from torch import nn


def reflected(network: nn.Module) -> nn.Module:
    """Let every padded convolution of `network` mirror its input at the border; changes it in place, and returns it.

    Transposed convolutions keep their zeros (there is no reflecting one). Weights are untouched.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d) and any(module.padding):
            module.padding_mode = "reflect"
        for name, child in module.named_children():
            if isinstance(child, nn.ZeroPad2d):  # "same" padding of the efficientnets, a layer of its own
                setattr(module, name, nn.ReflectionPad2d(child.padding))
    return network
