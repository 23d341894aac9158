"""What a search finds: a product, its place and time, and its files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orrery.archives.download import RemoteFile
from orrery.raster.grid import Body


@dataclass(frozen=True)
class Box:
    """An area between parallels and meridians, planetocentric degrees, longitudes east.

    Attributes:
        south: least latitude.
        north: greatest latitude.
        west: longitude of the western edge, any turn.
        east: of the eastern edge; less than `west` where the area crosses the meridian at which counting begins.
    """

    south: float
    north: float
    west: float
    east: float

    @property
    def width_deg(self) -> float:
        """Longitudes from the western edge to the eastern, in [0, 360]."""
        return 360.0 if self.east - self.west >= 360 else (self.east - self.west) % 360

    def covers(self, other: Box) -> bool:
        """Whether all of the other lies within this."""
        start = 0.0 if self.width_deg == 360 else (other.west - self.west) % 360
        inside = start + other.width_deg <= self.width_deg
        return self.south <= other.south and other.north <= self.north and inside

    def overlap(self, other: Box) -> float:
        """Share of this area that the other covers; both narrower than half a turn."""
        start = (other.west - self.west + 180) % 360 - 180
        width = min(self.width_deg, start + other.width_deg) - max(0.0, start)
        height = min(self.north, other.north) - max(self.south, other.south)
        area = (self.north - self.south) * self.width_deg
        return max(height, 0.0) * max(width, 0.0) / area if area else 0.0


@dataclass(frozen=True)
class Product:
    """One product of an archive.

    Attributes:
        id: as the archive calls it.
        body: what it shows.
        instrument: as the archive calls it.
        product_type: as the archive calls it.
        start: beginning of the observation, with time zone; None where the archive does not tell.
        box: bounding box of the footprint; None where the archive has none.
        files: what it consists of.
        sun_incidence_deg: from the vertical; None where the archive does not tell.
    """

    id: str
    body: Body
    instrument: str
    product_type: str
    start: datetime | None
    box: Box | None
    files: tuple[RemoteFile, ...]
    sun_incidence_deg: float | None = None
