"""How good predicted bands are: the paper's measures, and those that mean something in reflectance.

All take predicted and true bands of one shape, (B, H, W), NaN where unknown, and count the values known in both. They
suit I/F and z-scores alike, save the spectral angle, which means something in I/F only. A measure that is not defined
(nothing known, correlation with a constant) is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
HISTOGRAM_BINS = 64
HISTOGRAM_PERCENTILES = (0.1, 99.9)  # of the truth; what lies outside falls into one more bin on either side
CONSTANT = 1e-7  # spread over mean below which float32 values are all the same


def band_metrics(predicted: Array, truth: Array) -> dict[str, float]:
    """Every measure over all bands: pooled where the paper pools, else the mean over bands or pixels."""
    angle = spectral_angle_deg(predicted, truth)
    return {
        "rmse": rmse(predicted, truth),
        "rmse_diluted": rmse_diluted(predicted, truth),
        "valid_fraction": valid_fraction(predicted, truth),
        "cosine": cosine(predicted, truth),
        "pcc": _mean(pcc(predicted, truth)),
        "bias": _mean(bias(predicted, truth)),
        "r2": _mean(r2(predicted, truth)),
        "histogram_intersection": _mean(histogram_intersection(predicted, truth)),
        "spectral_angle_deg": _mean(angle),
        "spectral_angle_median_deg": _mean(angle, np.median),
    }


def per_band(predicted: Array, truth: Array) -> dict[str, list[float]]:
    """The measures that each band has of its own, B figures each."""
    measures = {
        "rmse": band_rmse,
        "pcc": pcc,
        "bias": bias,
        "r2": r2,
        "histogram_intersection": histogram_intersection,
    }
    return {name: measure(predicted, truth).tolist() for name, measure in measures.items()}


def rmse(predicted: Array, truth: Array) -> float:
    """Root mean square error over all known values."""
    squares, count = _squares(predicted, truth)
    return float(np.sqrt(squares / count)) if count else np.nan


def rmse_diluted(predicted: Array, truth: Array) -> float:
    """Root mean square error as the paper seems to have it, for comparison with its tables only.

    Unknown values count as zeros in both, over the whole rectangle: `rmse` times the root of `valid_fraction`. Against a
    z-scored image no RMSE^2 is below 1 - cosine^2 on known pixels. Every row of the paper's Table 7 is, by a factor of
    .63 to .74: about the share of its rectangle that a CRISM footprint fills (.72 of FRT0000932C).
    """
    squares, count = _squares(predicted, truth)
    return float(np.sqrt(squares / truth.size)) if count else np.nan


def valid_fraction(predicted: Array, truth: Array) -> float:
    """Share of the rectangle's values that are known in both."""
    return _squares(predicted, truth)[1] / truth.size


def cosine(predicted: Array, truth: Array) -> float:
    """Cosine between the two images, all known values of all bands as one vector (the paper's Cosine and COSS).

    Of images with zero mean it is the PCC; of positive ones it is near 1 whatever the prediction.
    """
    sums = np.zeros(3)
    for p, t in _bands(predicted, truth):
        sums += p @ t, p @ p, t @ t
    size = np.sqrt(sums[1] * sums[2])
    return float(sums[0] / size) if size > 0 else np.nan


def band_rmse(predicted: Array, truth: Array) -> Floats:
    """(B,) root mean square error of each band."""
    return _each(predicted, truth, lambda p, t: float(np.sqrt(np.mean((p - t) ** 2))))


def bias(predicted: Array, truth: Array) -> Floats:
    """(B,) mean of predicted minus true."""
    return _each(predicted, truth, lambda p, t: float(np.mean(p - t)))


def pcc(predicted: Array, truth: Array) -> Floats:
    """(B,) Pearson correlation of each band."""

    def correlation(p: Floats, t: Floats) -> float:
        if _constant(p) or _constant(t):
            return np.nan
        p, t = p - p.mean(), t - t.mean()
        return float((p @ t) / np.sqrt((p @ p) * (t @ t)))

    return _each(predicted, truth, correlation)


def r2(predicted: Array, truth: Array) -> Floats:
    """(B,) coefficient of determination: 1 is perfect, 0 is as good as each band's own mean."""

    def determination(p: Floats, t: Floats) -> float:
        return np.nan if _constant(t) else float(1 - np.mean((p - t) ** 2) / np.var(t))

    return _each(predicted, truth, determination)


def histogram_intersection(predicted: Array, truth: Array) -> Floats:
    """(B,) share of the two histograms that overlaps (the paper shows them in its Figure 8); 1 where they agree."""

    def overlap(p: Floats, t: Floats) -> float:
        return float(np.minimum(*_shares(p, t)[1]).sum())

    return _each(predicted, truth, overlap)


def histograms(predicted: Array, truth: Array) -> dict[str, list[list[float]]]:
    """`edges` between the bins of each band, and the shares of `predicted` and `truth` in them (the paper's Figure 8).

    What lies beyond the outer edges is in none of them.
    """
    parts = [_shares(p, t) for p, t in _bands(predicted, truth) if p.size]
    return {
        "edges": [edges.tolist() for edges, _ in parts],
        "predicted": [shares[0][1:-1].tolist() for _, shares in parts],
        "truth": [shares[1][1:-1].tolist() for _, shares in parts],
    }


def _shares(p: Floats, t: Floats) -> tuple[Floats, tuple[Floats, Floats]]:
    """Edges of bins over the range of the truth, and the shares of both in them and in one more bin on either side."""
    low, high = np.percentile(t, HISTOGRAM_PERCENTILES)
    inner = np.linspace(low, high, HISTOGRAM_BINS + 1)
    counts = (
        np.bincount(np.searchsorted(inner, v, "right"), minlength=HISTOGRAM_BINS + 2) / v.size for v in (p, t)
    )
    first, second = counts
    return inner, (first, second)


def spectral_angle_deg(predicted: Array, truth: Array) -> Floats:
    """(H, W) angle between predicted and true spectrum over the bands known in both, degrees.

    NaN with fewer than two such bands or a spectrum of zeros. Kahan's form, exact at small angles too.
    """
    count, sizes = np.zeros(truth.shape[1:]), np.zeros((2, *truth.shape[1:]))
    for p, t, known in _planes(predicted, truth):
        count += known
        sizes += p**2, t**2
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = 1 / np.sqrt(sizes)
    parts = np.zeros((2, *truth.shape[1:]))
    for p, t, _ in _planes(predicted, truth):
        with np.errstate(invalid="ignore"):
            a, b = p * scale[0], t * scale[1]
        parts += (a - b) ** 2, (a + b) ** 2
    angle = np.degrees(2 * np.arctan2(*np.sqrt(parts)))
    return np.where((count >= 2) & (sizes > 0).all(0), angle, np.nan)


def seam_ratio(plane: Array, edges: Sequence[Collection[int]]) -> float:
    """Mean absolute step between neighbours where a tile begins or ends, over that everywhere else.

    Args:
        plane: (H, W).
        edges: rows, then columns, before which such a border lies; those beyond the plane are ignored.
    """
    across, inside = [], []
    for axis, (size, borders) in enumerate(zip(plane.shape, edges, strict=True)):
        steps = np.abs(np.diff(plane, axis=axis))
        is_border = np.isin(np.arange(1, size), list(borders))
        across.append(np.compress(is_border, steps, axis).ravel())
        inside.append(np.compress(~is_border, steps, axis).ravel())
    border, rest = (np.concatenate(parts) for parts in (across, inside))
    return float(np.nanmean(border) / np.nanmean(rest))


def _squares(predicted: Array, truth: Array) -> tuple[float, int]:
    """Sum of squared errors over known values, and how many those are."""
    total, count = 0.0, 0
    for p, t in _bands(predicted, truth):
        total += float(np.sum((p - t) ** 2))
        count += p.size
    return total, count


def _each(predicted: Array, truth: Array, measure: Callable[[Floats, Floats], float]) -> Floats:
    """(B,) of a measure of the known values of one band; NaN where there are none."""
    return np.array([measure(p, t) if p.size else np.nan for p, t in _bands(predicted, truth)])


def _bands(predicted: Array, truth: Array) -> Iterator[tuple[Floats, Floats]]:
    """Band after band, so that a full cube needs no copy: values known in both, predicted and true."""
    for p, t, known in _planes(predicted, truth):
        yield p[known], t[known]


def _planes(predicted: Array, truth: Array) -> Iterator[tuple[Floats, Floats, NDArray[np.bool_]]]:
    """Band after band: predicted and true plane with zeros where either is unknown, and where both are known."""
    for p, t in zip(predicted, truth, strict=True):
        known = np.isfinite(p) & np.isfinite(t)
        yield np.where(known, p, 0).astype(np.float64), np.where(known, t, 0).astype(np.float64), known


def _constant(values: Floats) -> bool:
    return bool(values.std() <= CONSTANT * abs(values.mean()))


def _mean(values: Floats, how: Callable[[Floats], np.floating] = np.mean) -> float:
    known = values[np.isfinite(values)]
    return float(how(known)) if known.size else np.nan
