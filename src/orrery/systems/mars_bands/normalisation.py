"""From I/F to what a network sees and predicts, and back.

The paper's z-scores (none, global, by image, by patch; Appendix A.2) lose the way back to I/F wherever they use the statistics of
the truth itself: a strip without CRISM has none. Here such a prediction is brought back with the means of its region's training
scenes, which is the best that a user could do. Two kinds of ours need no such help, for level, light and shade come from the image as
CRISM would resolve it: `ratio` predicts the logarithm of I/F over that image, `residual` what a straight line from that image,
fitted to the training scenes, leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy import ndimage

from orrery.systems.mars_bands.tile import Statistics

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Kind = Literal["none", "global", "image", "patch", "ratio", "residual"]
DARKEST = 1e-3  # I/F: below it a logarithm would speak of noise alone
CRISM_FWHM_M = 27.0  # 18 m detector elements convolved with the optics (Murchie et al. 2007, JGR 112, E05S03)
SIGMA_PER_FWHM = 0.4247
OF_BANDS = ("mean", "deviation", "slope", "scatter")


@dataclass(frozen=True)
class Moments:
    """Of an image and (B,) bands, I/F (or their log ratio).

    Attributes:
        image_mean, image_deviation: of the image.
        mean, deviation: of each band.
        slope: of the straight line from image to band, by least squares.
        scatter: standard deviation of the bands about their lines.
    """

    image_mean: float
    image_deviation: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    slope: tuple[float, ...]
    scatter: tuple[float, ...]

    def __post_init__(self) -> None:
        if len({len(getattr(self, name)) for name in OF_BANDS}) > 1:
            raise ValueError("moments of differing numbers of bands")


@dataclass(frozen=True)
class Normalisation:
    """One kind with the statistics of the training scenes.

    Attributes:
        kind: see the module.
        overall: of all training scenes, I/F; the image as CRISM would resolve it.
        ratio: of the log ratio, for kind "ratio".
        regions: of the training scenes of each region, I/F.
    """

    kind: Kind
    overall: Moments
    ratio: Moments
    regions: Mapping[str, Moments]

    def image(self, image: Array, statistics: Statistics) -> Array:
        """(H, W) network input from (H, W) I/F; NaN becomes 0.

        Args:
            image: a part of the image.
            statistics: of the whole image, or of this part for kind "patch".
        """
        if self.kind == "none":
            plane = image
        elif self.kind in ("image", "patch"):
            plane = (image - statistics.mean) / max(statistics.standard_deviation, DARKEST)
        elif self.kind in ("global", "residual"):
            plane = (image - self.overall.image_mean) / self.overall.image_deviation
        else:
            plane = (logarithm(image) - self.ratio.image_mean) / self.ratio.image_deviation
        return np.asarray(np.nan_to_num(plane), np.float32)

    def target(self, bands: Array, base: Array, own: Moments) -> Array:
        """(B, H, W) values to learn from (B, H, W) I/F; NaN stays.

        Args:
            bands: truth.
            base: (H, W) image at CRISM's resolution, see `base_of`.
            own: moments of the truth itself: of its image, or of its patch.
        """
        if self.kind == "none":
            return bands
        if self.kind == "ratio":
            return _standard(logarithm(bands) - logarithm(base), self.ratio)
        if self.kind == "residual":
            return np.asarray((bands - self._line(base)) / _column(self.overall.scatter), np.float32)
        return _standard(bands, self.overall if self.kind == "global" else own)

    def reflectance(self, values: Array, base: Array, region: str | None) -> Array:
        """(B, H, W) I/F from predicted values: the inverse of `target`, exact for none, global, ratio and residual."""
        if self.kind == "none":
            return values
        if self.kind == "ratio":
            return np.asarray(np.exp(_raw(values, self.ratio)) * np.maximum(base, DARKEST), np.float32)
        if self.kind == "residual":
            return np.asarray(values * _column(self.overall.scatter) + self._line(base), np.float32)
        return _raw(values, self._moments(region))

    def spread(self, sigma: Array, reflectance: Array, region: str | None) -> Array:
        """(B, H, W) 1-sigma in I/F from that of predicted values."""
        if self.kind == "none":
            return sigma
        if self.kind == "ratio":
            return sigma * _column(self.ratio.deviation) * reflectance
        if self.kind == "residual":
            return sigma * _column(self.overall.scatter)
        return sigma * _column(self._moments(region).deviation)

    def _line(self, base: Array) -> Array:
        """(B, H, W) I/F by the straight line from the image."""
        overall = self.overall
        return np.asarray(
            _column(overall.mean) + _column(overall.slope) * (base - overall.image_mean), np.float32
        )

    def _moments(self, region: str | None) -> Moments:
        known = self.regions.get(region or "")
        return known if known is not None and self.kind in ("image", "patch") else self.overall

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Normalisation:
        """The inverse of `to_dict`.

        Raises:
            ValueError: the content is not that of a normalisation.
        """
        return TypeAdapter(cls).validate_python(content)


def of_bands(moments: Moments, bands: Sequence[int]) -> Moments:
    """The same for some bands."""
    chosen: dict[str, Any] = {
        name: tuple(getattr(moments, name)[band] for band in bands) for name in OF_BANDS
    }
    return replace(moments, **chosen)


def base_of(image: Array, gsd_m: float) -> Array:
    """(H, W) image as CRISM would resolve it; NaN where the image is invalid, which has no weight."""
    sigma = CRISM_FWHM_M * SIGMA_PER_FWHM / gsd_m
    valid = np.isfinite(image)
    weight = ndimage.gaussian_filter(valid.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(np.where(valid, image, 0).astype(np.float32), sigma)
    return np.where(valid, smooth / np.maximum(weight, DARKEST), np.nan).astype(np.float32)


def statistics_of(image: Array) -> Statistics:
    """Of an image or patch, (H, W) I/F."""
    low, high = np.nanpercentile(image, [0.01, 99.99])
    kept = np.clip(image, low, high)
    return Statistics(float(np.nanmean(kept)), float(np.nanstd(kept)), float(low), float(high))


@dataclass
class Sums:
    """Running sums over pixels of an image and its bands, (1 + B,), which moments are made of.

    Attributes:
        count: pixels.
        first, second: sums of values and of their squares.
        cross: sums of their products with the image.
    """

    count: int = 0
    first: Floats = field(default_factory=lambda: np.zeros(1))
    second: Floats = field(default_factory=lambda: np.zeros(1))
    cross: Floats = field(default_factory=lambda: np.zeros(1))

    def add(self, image: Array, bands: Array) -> None:
        """Add (N,) image values and (B, N) bands, all valid."""
        stacked = np.concatenate([image[None], bands]).astype(np.float64)
        self.join(Sums(stacked.shape[1], stacked.sum(1), (stacked**2).sum(1), stacked @ stacked[0]))

    def join(self, other: Sums) -> None:
        """Add what others have added up."""
        self.count += other.count
        self.first, self.second = self.first + other.first, self.second + other.second
        self.cross = self.cross + other.cross

    def moments(self) -> Moments:
        """Of everything that was added."""
        count = max(self.count, 1)
        mean = self.first / count
        deviation = np.sqrt(np.maximum(self.second / count - mean**2, DARKEST**2))
        slope = (self.cross / count - mean * mean[0]) / deviation[0] ** 2
        scatter = np.sqrt(np.maximum(deviation**2 - (slope * deviation[0]) ** 2, DARKEST**2))
        bands = (tuple(values[1:].tolist()) for values in (mean, deviation, slope, scatter))
        return Moments(float(mean[0]), float(deviation[0]), *bands)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "count": self.count,
            "first": self.first.tolist(),
            "second": self.second.tolist(),
            "cross": self.cross.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Sums:
        """The inverse of `to_dict`.

        Raises:
            ValueError, TypeError, KeyError: the content is not that of sums.
        """
        sums = [np.asarray(content[name], np.float64) for name in ("first", "second", "cross")]
        if {each.shape for each in sums} != {(len(sums[0]),)} or len(sums[0]) < 2 or not content["count"] > 0:
            raise ValueError("holds sums of differing lengths, or of no pixel")
        return cls(int(content["count"]), *sums)


def fitted(
    kind: Kind,
    statistics: Mapping[str, Any],
    bands: Sequence[int],
    leave_out: Sequence[str],
    of: str = "reflectance",
) -> Normalisation:
    """A normalisation for some bands from the regions that are trained on.

    Args:
        kind: see the module.
        statistics: region -> {"reflectance", "ratio", "coefficients"}: `Sums.to_dict` of its training scenes, for all bands.
        bands: positions of the bands wanted.
        leave_out: regions that are not trained on.
        of: "reflectance", or "coefficients" of spectra, which have no ratio.
    """
    overall, ratio = Sums(), Sums()
    regions: dict[str, Moments] = {}
    for region, sums in statistics.items():
        if region not in leave_out:
            own = Sums.from_dict(sums[of])
            overall.join(own)
            ratio.join(Sums.from_dict(sums["ratio"]) if of == "reflectance" else own)
            regions[region] = of_bands(own.moments(), bands)
    return Normalisation(kind, of_bands(overall.moments(), bands), of_bands(ratio.moments(), bands), regions)


def moments(image: Array, bands: Array) -> Moments:
    """Of (H, W) image and (B, H, W) bands where all are valid."""
    valid = np.isfinite(image) & np.isfinite(bands).all(0)
    sums = Sums()
    sums.add(image[valid], bands[:, valid])
    return sums.moments()


def logarithm(values: Array) -> Array:
    """Natural logarithm of I/F, from `DARKEST` on."""
    return np.asarray(np.log(np.maximum(values, DARKEST)), np.float32)


def _standard(values: Array, by: Moments) -> Array:
    return np.asarray((values - _column(by.mean)) / _column(by.deviation), np.float32)


def _raw(values: Array, by: Moments) -> Array:
    return np.asarray(values * _column(by.deviation) + _column(by.mean), np.float32)


def _column(numbers: tuple[float, ...]) -> Array:
    return np.asarray(numbers, np.float32)[:, None, None]


def moments_of(content: Mapping[str, Any]) -> Moments:
    """From plain data.

    Raises:
        ValueError: the content is not that of moments.
    """
    return TypeAdapter(Moments).validate_python(content)
