"""All bands of a spectrum from few coefficients: principal components of training spectra about their mean.

A network that predicts the coefficients predicts every band. Cubes have holes (masked columns, bad bands) and spikes far
beyond any reflectance, one of which would turn a whole spectrum; both count as unknown, and the fit and the encoding
take spectra with unknown bands. Probabilistic principal components (Tipping and Bishop
1999, J. R. Stat. Soc. B 61, 611) say how: a coefficient has its variance in training as prior, a band what the basis
leaves unexplained as noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from orrery.errors import OrreryError
from orrery.systems.mars_bands.metrics import rmse, spectral_angle_deg

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
CHUNK = 8192  # spectra at a time, 64 MB of float64 with 489 bands and temporaries
ROUNDS = 50  # of filling holes and fitting anew, at most
SETTLED = 1e-4  # change of the filled values over the spread of the spectra at which that ends
SAME_NM = 1.0  # CRISM's bands are 6.55 nm apart
PHYSICAL = (0.0, 1.0)  # I/F of any surface lies between; MTRDR cubes hold spikes up to 10 that no flag marks
LEAST_SHARE = (
    1e-12  # of the greatest variance, what a coefficient or the noise is granted: keeps equations solvable
)


@dataclass(frozen=True)
class SpectralBasis:
    """Mean and principal components of spectra.

    Attributes:
        wavelengths_nm: (B,) of the bands.
        mean: (B,), I/F.
        components: (D, B), orthonormal, the most telling first.
        variances: (D,) of the coefficients in training, I/F squared.
        residual: (B,) root mean square in training of what the components leave, I/F.
    """

    wavelengths_nm: tuple[float, ...]
    mean: Floats
    components: Floats
    variances: Floats
    residual: Floats

    @classmethod
    def fit(cls, spectra: Array, wavelengths_nm: Sequence[float], dimensions: int) -> SpectralBasis:
        """The basis of training spectra.

        Holes are filled with the basis' own estimate, over and over until that settles.

        Args:
            spectra: (N, B), I/F, NaN where unknown. Spectra with fewer known bands than `dimensions` are left out.
            wavelengths_nm: (B,).
            dimensions: D, number of components.

        Raises:
            OrreryError: too few spectra, or a band that none of them knows.
        """
        values = _physical(spectra)
        values = values[np.isfinite(values).sum(1) >= dimensions]
        known = np.isfinite(values)
        _check(known, wavelengths_nm, dimensions)
        bands = tuple(float(wavelength) for wavelength in wavelengths_nm)
        filled = np.where(known, values, np.nanmean(values, 0))
        for _ in range(ROUNDS):
            basis = cls(bands, *_principal(filled, dimensions))
            estimate = basis._decoded(basis._encoded(values))
            change = np.sum((estimate - filled)[~known] ** 2)
            filled = np.where(known, values, estimate)
            if change <= SETTLED**2 * np.var(filled) * max(1, np.sum(~known)):
                break
        residual = np.sqrt(np.mean((values - estimate) ** 2, 0, where=known))
        return cls(bands, basis.mean, basis.components, basis.variances, residual)

    def first(self, dimensions: int) -> SpectralBasis:
        """The basis of fewer components; what the others told is residual."""
        kept, left = slice(dimensions), slice(dimensions, None)
        told = np.sum(self.variances[left, None] * self.components[left] ** 2, 0)
        return SpectralBasis(
            self.wavelengths_nm,
            self.mean,
            self.components[kept],
            self.variances[kept],
            np.sqrt(self.residual**2 + told),
        )

    def of(self, bands: Sequence[int]) -> SpectralBasis:
        """What decodes to some of the bands, in this order; its components are orthonormal no more, so it encodes nothing."""
        chosen = list(bands)
        return SpectralBasis(
            tuple(self.wavelengths_nm[band] for band in chosen),
            self.mean[chosen],
            self.components[:, chosen],
            self.variances,
            self.residual[chosen],
        )

    @property
    def explained(self) -> Floats:
        """(D,) share of the training spectra's variance that each component explains."""
        shares: Floats = self.variances / (self.variances.sum() + np.sum(self.residual**2))
        return shares

    def encode(self, cube: Array) -> Array:
        """Coefficients (D, H, W), I/F, of a cube (B, H, W).

        A whole spectrum is projected. One with holes gets the likeliest coefficients given its known bands, or NaN where
        these are fewer than D.
        """
        bands, height, width = cube.shape
        spectra = cube.reshape(bands, -1)
        out = np.empty((len(self.components), spectra.shape[1]), np.float32)
        for start in range(0, spectra.shape[1], CHUNK):
            part = slice(start, start + CHUNK)
            out[:, part] = self._encoded(_physical(spectra[:, part].T)).T
        return out.reshape(-1, height, width)

    def decode(self, coefficients: Array) -> Array:
        """Cube (B, H, W), I/F, of coefficients (D, H, W); NaN where they are."""
        cube = np.tensordot(self.components.T.astype(np.float32), coefficients, 1)
        cube += self.mean.astype(np.float32)[:, None, None]
        return cube

    def sigma(self, coefficient_sigma: Array) -> Array:
        """1-sigma (B, H, W) of decoded bands, I/F, from that of independent coefficients (D, H, W) and the residual."""
        variance = np.tensordot((self.components.T**2).astype(np.float32), coefficient_sigma**2, 1)
        variance += (self.residual**2).astype(np.float32)[:, None, None]
        return np.sqrt(variance)

    def report(self, cube: Array) -> dict[str, float]:
        """What encoding and decoding loses of a cube (B, H, W), on its known bands."""
        back, cube = self.decode(self.encode(cube)), _physical(cube).astype(np.float32)
        angle = spectral_angle_deg(back, cube)
        angle = angle[np.isfinite(angle)]
        low, median, high = np.percentile(angle, (5, 50, 95)) if angle.size else (np.nan,) * 3
        return {
            "explained_variance": float(self.explained.sum()),
            "rmse": rmse(back, cube),
            "spectral_angle_5_deg": float(low),
            "spectral_angle_median_deg": float(median),
            "spectral_angle_95_deg": float(high),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "wavelengths_nm": list(self.wavelengths_nm),
            "mean": self.mean.tolist(),
            "components": self.components.tolist(),
            "variances": self.variances.tolist(),
            "residual": self.residual.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SpectralBasis:
        """The inverse of `to_dict`.

        Raises:
            ValueError, TypeError, KeyError: the content is not that of a basis.
        """
        names = ("wavelengths_nm", "mean", "components", "variances", "residual")
        nm, mean, components, variances, residual = (np.array(data[name], np.float64) for name in names)
        wanted = [(len(nm),), (len(variances), len(nm)), (len(components),), (len(nm),)]
        if [each.shape for each in (mean, components, variances, residual)] != wanted:
            raise ValueError("holds arrays whose sizes do not fit")
        return cls(tuple(nm.tolist()), mean, components, variances, residual)

    def _encoded(self, spectra: Floats) -> Floats:
        """(N, D) of (N, B) spectra with holes."""
        known = np.isfinite(spectra)
        deviations = np.where(known, spectra - self.mean, 0)
        coefficients: Floats = deviations @ self.components.T
        holed = np.flatnonzero(~known.all(1))
        if holed.size:
            coefficients[holed] = self._likeliest(coefficients[holed], known[holed])
        coefficients[known.sum(1) < len(self.components)] = np.nan
        return coefficients

    def _likeliest(self, projections: Floats, known: NDArray[np.bool_]) -> Floats:
        """(N, D) most probable coefficients, from projections (N, D) of the known bands (N, B) alone."""
        dimensions, bands = self.components.shape
        floor = LEAST_SHARE * max(float(self.variances[0]), np.finfo(float).tiny)
        noise = max(float(np.mean(self.residual**2)), floor)
        products = (self.components[:, None] * self.components[None]).reshape(-1, bands)
        normal: Floats = (known.astype(np.float64) @ products.T).reshape(-1, dimensions, dimensions)
        prior = np.diag(noise / self.variances.clip(floor))
        solved = np.linalg.solve(normal + prior, projections[..., None])
        return np.asarray(solved[..., 0], np.float64)

    def _decoded(self, coefficients: Floats) -> Floats:
        """(N, B) of (N, D)."""
        spectra: Floats = self.mean + coefficients @ self.components
        return spectra


def check_bands(found_nm: Sequence[float], wanted_nm: Sequence[float], file: Path) -> None:
    """Whole spectra must be of one set of wavelengths.

    Raises:
        OrreryError: naming the file whose are others.
    """
    if len(found_nm) != len(wanted_nm) or np.max(np.abs(np.subtract(found_nm, wanted_nm))) > SAME_NM:
        raise OrreryError(
            f"has {len(found_nm)} bands, which are not the {len(wanted_nm)} of the other cubes",
            file=file,
            remedy="give cubes of one set of wavelengths, or set patch.spectral_dimensions to 0",
        )


def _physical(values: NDArray[np.floating[Any]]) -> Floats:
    """The values as float64, NaN where they are no I/F."""
    inside = (values > PHYSICAL[0]) & (values < PHYSICAL[1])
    return np.where(inside, values, np.nan).astype(np.float64)


def _principal(spectra: Floats, dimensions: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean, components, variances and residual of spectra without holes."""
    mean = spectra.mean(0)
    covariance = np.cov(spectra, rowvar=False, bias=True)
    bands = len(mean)
    ascending, vectors = eigh(covariance, subset_by_index=(bands - dimensions, bands - 1))
    variances: Floats = np.maximum(ascending[::-1], 0.0)
    components: Floats = vectors.T[::-1]
    largest = np.take_along_axis(components, np.abs(components).argmax(1)[:, None], 1)
    components = components * np.sign(largest)  # the sign of an eigenvector is the library's whim
    left = np.diag(covariance) - np.sum(variances[:, None] * components**2, 0)
    return mean, components, variances, np.sqrt(np.maximum(left, 0))


def _check(known: NDArray[np.bool_], wavelengths_nm: Sequence[float], dimensions: int) -> None:
    """Refuse spectra that determine no such basis."""
    count, bands = known.shape
    if len(wavelengths_nm) != bands:
        raise OrreryError(
            f"{bands} bands with {len(wavelengths_nm)} wavelengths", remedy="give one wavelength a band"
        )
    if not 0 < dimensions < min(count, bands + 1):
        raise OrreryError(
            f"{count} usable spectra of {bands} bands for {dimensions} components",
            remedy="give more spectra or ask for fewer components",
        )
    missing = np.flatnonzero(~known.any(0))
    if missing.size:
        named = ", ".join(f"{wavelengths_nm[band]:.2f}" for band in missing[:5])
        raise OrreryError(
            f"{missing.size} bands are unknown in every spectrum ({named} nm …)",
            remedy="leave these bands out",
        )
