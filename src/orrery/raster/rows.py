"""Planes of a product on disk while they are made, from top to bottom; a killed run goes on where it stopped.

The planes are plain little-endian float32 files, so that finished rows are never rewritten, memory stays free, and GDAL
reads them through a small VRT without another copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from orrery.files import reading, remove, replacing, write_text
from orrery.raster.grid import Grid

Array = NDArray[np.float32]
GDAL_TYPES = {"float32": "Float32", "uint8": "Byte"}
REMEDY = "delete the folder .work of the product to predict it from the beginning"
NODATA = {"float32": "nan", "uint8": "0"}


@dataclass(frozen=True)
class RowStore:
    """Planes of one grid, written in order of rows.

    Attributes:
        folder: where the files are.
        name: prefix of their names.
        planes: names of the planes.
        grid: where they lie.
        dtype: of the values, "float32" (NaN invalid) or "uint8" (0 invalid).
    """

    folder: Path
    name: str
    planes: tuple[str, ...]
    grid: Grid
    dtype: str = "float32"

    def write(self, row: int, values: NDArray[Any]) -> None:
        """Write (planes, rows, width) values from `row` on; the same rows may be written again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for plane, part in zip(self.planes, values, strict=True):
            path = self._path(plane)
            path.touch()
            with path.open("r+b") as stream:
                stream.seek(row * self._stride)
                stream.write(np.ascontiguousarray(part, self._disk_type).data)

    def rows(self, start: int, stop: int, plane: str) -> NDArray[Any]:
        """(stop - start, width) values of one plane."""
        path = self._path(plane)
        with reading(path, "a plane under way", REMEDY), path.open("rb") as stream:
            stream.seek(start * self._stride)
            values = np.fromfile(stream, self._disk_type, (stop - start) * self.grid.width)
            return values.reshape(stop - start, self.grid.width)

    def mapped(self, plane: str) -> NDArray[Any]:
        """(H, W) values of a finished plane, of which only what is used is read."""
        path = self._path(plane)
        with reading(path, "a finished plane", REMEDY):
            return np.memmap(path, self._disk_type, "r", shape=self.grid.shape)

    def save_progress(self, finished: int, sums: Array) -> None:
        """Remember, after `finished` rows were written, what the next ones begin with."""
        with replacing(self._progress) as temporary, temporary.open("wb") as stream:
            np.savez(stream, finished=finished, sums=sums)

    def progress(self) -> tuple[int, Array | None]:
        """Rows that are finished, and the sums saved with them; (0, None) at the beginning."""
        if not self._progress.exists():
            return 0, None
        with (
            reading(self._progress, "the progress of a prediction", REMEDY),
            np.load(self._progress, allow_pickle=False) as saved,
        ):
            finished, sums = int(saved["finished"]), saved["sums"]
            if not 0 <= finished <= self.grid.height or sums.dtype != np.float32:
                raise ValueError(f"{finished} rows of {self.grid.height}")
            return finished, sums

    def discard(self) -> None:
        """Remove the planes' files."""
        for plane in self.planes:
            remove(self._path(plane))

    def write_vrt(
        self, units: Mapping[str, str], tags: Mapping[str, str], overviews: Sequence[Path] = ()
    ) -> Path:
        """Describe the planes as one raster that GDAL opens.

        Args:
            units: plane -> unit.
            tags: metadata of the raster.
            overviews: the same planes at half, a quarter, … of the resolution.
        """
        root = ElementTree.Element(
            "VRTDataset", rasterXSize=str(self.grid.width), rasterYSize=str(self.grid.height)
        )
        _add(root, "SRS", self.grid.crs.to_wkt())
        _add(root, "GeoTransform", ", ".join(repr(float(value)) for value in self.grid.transform.to_gdal()))
        metadata = _add(root, "Metadata")
        for key, value in sorted(tags.items()):
            _add(metadata, "MDI", str(value), key=key)
        for number, plane in enumerate(self.planes, 1):
            band = self._describe(root, number, plane, units.get(plane, ""))
            for overview in overviews:
                element = _add(band, "Overview")
                _add(element, "SourceFilename", overview.name, relativeToVRT="1")
                _add(element, "SourceBand", str(number))
        path = (
            self.folder / f"{self.name}.{self.planes[0]}.vrt"
        )  # other planes may be described at the same time
        write_text(path, ElementTree.tostring(root, encoding="unicode"))
        return path

    def _describe(self, root: ElementTree.Element, number: int, plane: str, unit: str) -> ElementTree.Element:
        kind = {"dataType": GDAL_TYPES[self.dtype], "band": str(number), "subClass": "VRTRawRasterBand"}
        band = _add(root, "VRTRasterBand", **kind)
        _add(band, "Description", plane)
        _add(band, "UnitType", unit)
        _add(band, "NoDataValue", NODATA[self.dtype])
        _add(band, "SourceFilename", self._path(plane).name, relativeToVRT="1")
        _add(band, "ImageOffset", "0")
        _add(band, "PixelOffset", str(self._disk_type.itemsize))
        _add(band, "LineOffset", str(self._stride))
        _add(band, "ByteOrder", "LSB")
        return band

    @property
    def _disk_type(self) -> np.dtype[Any]:
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def _stride(self) -> int:
        return self.grid.width * self._disk_type.itemsize

    @property
    def _progress(self) -> Path:
        return self.folder / f"{self.name}.progress.npz"

    def _path(self, plane: str) -> Path:
        return self.folder / f"{self.name}.{plane}.raw"


@dataclass(frozen=True)
class Plane:
    """One plane of a finished store, read by windows."""

    store: RowStore
    name: str

    @property
    def grid(self) -> Grid:
        """Where it lies."""
        return self.store.grid

    def read(self, row: int, column: int, height: int, width: int) -> Array:
        """(height, width) values from (row, column) on; NaN beyond the raster."""
        out = np.full((height, width), np.nan, np.float32)
        top, left = max(row, 0), max(column, 0)
        bottom, right = min(row + height, self.grid.height), min(column + width, self.grid.width)
        if bottom > top and right > left:
            part = self.store.mapped(self.name)[top:bottom, left:right]
            out[top - row : bottom - row, left - column : right - column] = part
        return out


def _add(
    parent: ElementTree.Element, tag: str, text: str | None = None, **attributes: str
) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, tag, attributes)
    child.text = text
    return child
