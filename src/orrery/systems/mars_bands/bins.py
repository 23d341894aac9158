"""Bands as classes: where the class borders lie, what a class stands for, and values back from class scores.

A value belongs to class k when edges[k] <= value < edges[k + 1]. The paper counts N_B bins, but the parameter counts of
its Table 6 are those of N_B edges, that is N_B - 1 classes a band: the edge count is the parameter here. Logits are
(N, B, K, H, W): patches, bands, classes, rows, columns; values are z-scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from orrery.errors import OrreryError

Floats = NDArray[np.float64]
FEWEST_EDGES = 3  # two classes


@dataclass(frozen=True)
class Bins:
    """Classes of a value; all bands share them.

    Attributes:
        edges: (E,) ascending, from minus to plus infinity.
        representatives: (K,), K = E - 1: the value that each class stands for.
        variances: (K,) of the values within each class about its representative.
    """

    edges: tuple[float, ...]
    representatives: tuple[float, ...]
    variances: tuple[float, ...]

    @property
    def classes(self) -> int:
        """K, how many there are: the network needs K outputs a band."""
        return len(self.representatives)

    def fitted(self, values: NDArray[np.floating[Any]]) -> Bins:
        """With the outer classes, which have no centre, standing for the mean of the training values in them.

        Args:
            values: of any shape, NaN where unknown. An outer class without values stays as it is.
        """
        known = values[np.isfinite(values)].astype(np.float64)
        outside = known[known < self.edges[1]], known[known >= self.edges[-2]]
        means, variances = list(self.representatives), list(self.variances)
        for place, inside in zip((0, -1), outside, strict=True):
            if inside.size:
                means[place], variances[place] = float(inside.mean()), float(inside.var())
        return Bins(self.edges, tuple(means), tuple(variances))

    def to_dict(self) -> dict[str, list[float]]:
        """Plain data; the infinite edges, which JSON lacks, are left out."""
        return {
            "inner_edges": list(self.edges[1:-1]),
            "representatives": list(self.representatives),
            "variances": list(self.variances),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Sequence[float]]) -> Bins:
        """The inverse of `to_dict`."""
        edges = (-math.inf, *data["inner_edges"], math.inf)
        return cls(edges, tuple(data["representatives"]), tuple(data["variances"]))


def equidistant(n_edges: int, limit: float = 6.0) -> Bins:
    """Edges at equal distances over [-limit, limit], the paper's base configuration.

    Raises:
        OrreryError: fewer than three edges.
    """
    return _bins(limit * _places(n_edges))


def sid(n_edges: int, limit: float = 6.0, spread: float = 1.0) -> Bins:
    """Spacing-increasing discretisation: from zero outwards, each bin is wider than the last by one factor.

    The paper shows it without a formula. This is that of Fu et al. (2018, CVPR, Eq. 1), whose intervals are equal in the
    logarithm, shifted by `spread` to reach zero and mirrored: below about `spread`, bins are nearly of one width.

    Raises:
        OrreryError: fewer than three edges.
    """
    places = _places(n_edges)
    return _bins(np.sign(places) * spread * np.expm1(np.abs(places) * math.log1p(limit / spread)))


def class_weights(bins: Bins, how: Literal["literal", "centred"], floor: float = 0.05) -> Tensor:
    """(K,) weights of the classes in the cross entropy, small where values abound (paper, Eq. 1).

    "literal" is Eq. 1 with N_B edges: one class next to the middle weighs nothing at all and the two sides differ.
    "centred" puts the least weight on the middle class and none below `floor`, so that every class is learned.
    """
    index = torch.arange(bins.classes, dtype=torch.float32)
    if how == "literal":
        return -torch.expm1(-((2 * index / len(bins.edges) - 1) ** 2))
    place = 2 * (index + 0.5) / bins.classes - 1
    return (-torch.expm1(-(place**2))).clamp(min=floor)


def class_indices(values: Tensor, bins: Bins) -> Tensor:
    """The class of each value, same shape, int64; NaN falls into the last class, to be masked by the caller."""
    inner = torch.tensor(bins.edges[1:-1], device=values.device, dtype=values.dtype)
    return torch.bucketize(values, inner, right=True)


def as_logits(outputs: Tensor, bins: Bins) -> Tensor:
    """A network's (N, B * K, H, W) as logits (N, B, K, H, W)."""
    patches, planes, height, width = outputs.shape
    return outputs.reshape(patches, planes // bins.classes, bins.classes, height, width)


def decode(logits: Tensor, bins: Bins, how: Literal["expectation", "argmax"] = "expectation") -> Tensor:
    """Values (N, B, H, W): the mean of the class distribution, or what its likeliest class stands for."""
    values = _per_class(bins.representatives, logits)
    if how == "argmax":
        return values[logits.argmax(2)]
    return torch.einsum("nbkhw,k->nbhw", logits.float().softmax(2), values)


def sigma(logits: Tensor, bins: Bins) -> Tensor:
    """Standard deviation (N, B, H, W) of the predicted distribution: between the classes and within them."""
    chances = logits.float().softmax(2)
    values = _per_class(bins.representatives, logits)
    mean = torch.einsum("nbkhw,k->nbhw", chances, values)
    squares = (values[:, None, None] - mean.unsqueeze(2)) ** 2
    within = _per_class(bins.variances, logits)[:, None, None]
    return (chances * (squares + within)).sum(2).sqrt()


def confidence(logits: Tensor) -> Tensor:
    """(N, B, H, W) in [0, 1]: one minus the entropy over its greatest value; 1 for one class, 0 for no preference."""
    log_chances = functional.log_softmax(logits.float(), 2)
    entropy = -(log_chances.exp() * log_chances).sum(2)
    return (1 - entropy / math.log(logits.shape[2])).clamp(0, 1)


def _places(n_edges: int) -> Floats:
    """(E,) in [-1, 1], equidistant."""
    if n_edges < FEWEST_EDGES:
        raise OrreryError(
            f"{n_edges} edges make less than two classes", remedy=f"give at least {FEWEST_EDGES} edges"
        )
    return np.linspace(-1, 1, n_edges)


def _bins(spaced: Floats) -> Bins:
    """Classes that stand for their centres; values are taken as uniform within. Then the outer edges go to infinity."""
    centres, widths = (spaced[:-1] + spaced[1:]) / 2, np.diff(spaced)
    edges = (-math.inf, *spaced[1:-1].tolist(), math.inf)
    return Bins(edges, tuple(centres.tolist()), tuple((widths**2 / 12).tolist()))


def _per_class(numbers: Sequence[float], logits: Tensor) -> Tensor:
    return torch.tensor(numbers, device=logits.device, dtype=torch.float32)
