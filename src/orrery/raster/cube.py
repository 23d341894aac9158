"""Spectral cubes from files: CRISM's MTRDR and TRR3, and the GeoTIFFs that scenes hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orrery.errors import OrreryError
from orrery.raster.complete import check_complete
from orrery.raster.grid import Body, Grid
from orrery.raster.raster import Array
from orrery.raster.reading import LARGEST_WHOLE_PX, Source, open_windows

# CRISM's fill of I/F (Murchie et al. 2007, J. Geophys. Res. 112, E05S03); not every label declares it.
CRISM_FILL = 65535.0
NM_PER_UNIT = {"nm": 1.0, "nanometers": 1.0, "um": 1e3, "µm": 1e3, "micrometers": 1e3, "microns": 1e3}
NAMED_WAVELENGTH = re.compile(r"^\s*([\d.]+(?:[eE][+-]?\d+)?)\s*([a-zµ]+)\b", re.IGNORECASE)
TABLE_COLUMN = "wavelength_nm"


@dataclass(frozen=True)
class Cube:
    """Images of one ground at several wavelengths.

    Attributes:
        values: (B, H, W) float32, NaN invalid; I/F for CRISM.
        wavelengths_nm: (B,) centre of each band, nm.
        grid: where it lies.
    """

    values: Array
    wavelengths_nm: NDArray[np.float64]
    grid: Grid

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(H, W), true where every band has a value."""
        return np.asarray(np.isfinite(self.values).all(0))


def read_cube(
    path: Path,
    wavelengths_nm: Sequence[float] | None = None,
    tolerance_nm: float = 8.0,
    *,
    body: Body | None = "mars",
    table: Path | None = None,
    plausible: tuple[float, float] | None = None,
) -> Cube:
    """Read a cube, whole or at the asked wavelengths.

    Args:
        path: GeoTIFF, ENVI image (.img with its .hdr), or the detached PDS3 label of one.
        wavelengths_nm: what to read, nm: the nearest band to each, in this order; without it all bands in
            ascending order, however the file stores them.
        tolerance_nm: how far the nearest band may lie from what was asked, nm; CRISM's bands are 6.55 nm apart.
        body: where it must lie; None takes camera geometry (TRR3) too.
        table: CSV with a column `wavelength_nm`, one row a band in the file's order, for files that do not tell.
        plausible: values outside become NaN; TRR3 and MTRDR hold artefacts of thousands in I/F.

    Raises:
        OrreryError: as `raster.io.read`; or the wavelengths are unknown, or asked ones are not in the file.
    """
    with open_windows(path, body=body) as source:
        found = _wavelengths_nm(source, table)
        if wavelengths_nm is None:
            chosen = np.argsort(found, kind="stable")
        else:
            chosen = _nearest(found, wavelengths_nm, tolerance_nm, path)
        values = _read(source, [int(index) + 1 for index in chosen])
        grid = source.grid
    values[values == CRISM_FILL] = np.nan
    if plausible is not None:
        low, high = plausible
        values[~((values >= low) & (values <= high))] = np.nan
    if not np.isfinite(values).any():
        raise OrreryError("holds no valid pixel", file=path, remedy="give other wavelengths or another file")
    return Cube(values, found[chosen], grid)


def wavelengths_of(
    path: Path, *, body: Body | None = "mars", table: Path | None = None
) -> NDArray[np.float64]:
    """(B,) wavelengths of a cube's bands in the file's order, nm; arguments and errors as `read_cube`."""
    with open_windows(path, body=body) as source:
        return _wavelengths_nm(source, table)


def _read(source: Source, bands: list[int]) -> Array:
    """(B, H, W) values of bands that are all in the file."""
    height, width = source.grid.shape
    if len(bands) * height * width > LARGEST_WHOLE_PX:
        problem = f"has {len(bands)} bands of {height} x {width} pixels, too many to hold at once"
        raise OrreryError(problem, file=source.path, remedy="ask for fewer wavelengths")
    for band in () if source.pixel_interleaved else bands:  # one band was checked when it was opened
        check_complete(source.dataset, band, source.path)
    return source.read_bands(bands, 0, 0, height, width)


def _nearest(
    found: NDArray[np.float64], asked: Sequence[float], tolerance_nm: float, path: Path
) -> NDArray[np.intp]:
    """Index of the nearest band to each asked wavelength."""
    distance = np.abs(found[None] - np.asarray(asked, float)[:, None])
    nearest = distance.argmin(1)
    absent = [nm for nm, row in zip(asked, distance, strict=True) if not row.min() <= tolerance_nm]
    if absent:
        names = ", ".join(f"{nm:g}" for nm in absent)
        problem = f"has no band within {tolerance_nm:g} nm of {names} nm"
        remedy = (
            f"it holds {found.min():.1f} to {found.max():.1f} nm in {len(found)} bands; give another cube"
        )
        raise OrreryError(problem, file=path, remedy=remedy)
    return np.asarray(nearest)


def _wavelengths_nm(source: Source, table: Path | None) -> NDArray[np.float64]:
    """(B,) of every band in the file's order: from the table, else from the names of the bands."""
    dataset = source.dataset
    if table is not None:
        return _from_table(table, dataset.count, source.path)
    named = [_named(name or "") for name in dataset.descriptions]
    known = [nm for nm in named if nm is not None]
    header = _beside(source.path, ".hdr")
    if not known and header is not None:
        known = _from_header(header)
    if len(known) != dataset.count:
        problem = f"tells the wavelengths of {len(known)} of its {dataset.count} bands"
        remedy = f"put its .hdr beside it, or give a table with a column {TABLE_COLUMN}"
        raise OrreryError(problem, file=source.path, remedy=remedy)
    return np.array(known)


def _named(name: str) -> float | None:
    """Wavelength in nm of a band's name, e.g. "592.35 nm" or "0.59235 Micrometers" (as GDAL reads .hdr)."""
    match = NAMED_WAVELENGTH.match(name)
    factor = NM_PER_UNIT.get(match[2].lower()) if match else None
    return float(match[1]) * factor if match and factor else None


def _beside(path: Path, suffix: str) -> Path | None:
    """The file of this name with another suffix, in either case; a PDS3 label has its header there (MTRDR)."""
    both = (path.with_suffix(suffix), path.with_suffix(suffix.upper()))
    return next((other for other in both if other.is_file()), None)


def _from_header(header: Path) -> list[float]:
    """Wavelengths in nm that an ENVI header tells; empty when it tells none."""
    text = header.read_text(encoding="latin-1")
    numbers = re.search(r"^wavelength\s*=\s*\{([^}]*)\}", text, re.MULTILINE | re.IGNORECASE)
    unit = re.search(r"^wavelength units\s*=\s*(\w+)", text, re.MULTILINE | re.IGNORECASE)
    factor = NM_PER_UNIT.get(unit[1].lower()) if unit else None
    if numbers is None or factor is None:
        return []
    try:
        return [float(number) * factor for number in numbers[1].split(",")]
    except ValueError as error:
        problem = f"tells wavelengths that are no numbers ({error})"
        raise OrreryError(problem, file=header, remedy="fetch it again") from error


def _from_table(table: Path, count: int, path: Path) -> NDArray[np.float64]:
    try:
        numbers = pd.read_csv(table, comment="#")[TABLE_COLUMN].to_numpy(np.float64)
    except (OSError, ValueError, KeyError) as error:
        problem = f"is no table of wavelengths ({' '.join(str(error).split())})"
        remedy = f"give a CSV with a column {TABLE_COLUMN}, one row a band"
        raise OrreryError(problem, file=table, remedy=remedy) from error
    if len(numbers) != count or not (numbers > 0).all():
        problem = f"has {count} bands, but {table.name} tells {len(numbers)} wavelengths or one that is none"
        raise OrreryError(problem, file=path, remedy="give the table that belongs to it")
    return numbers
