"""The section `ingest` of params.yaml: which scenes the twins make, one class a world."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from orrery.section import Count, Degrees, NonNegative, Positive, Section

Region = Literal["eberswalde", "gale", "holden", "jezero", "mawrth", "melas"]


class SunParams(Section):
    """A direction to the sun: azimuth clockwise from north, elevation above the horizon, degrees."""

    azimuth_deg: Degrees
    elevation_deg: Annotated[float, Field(gt=0, le=90)]


class SiteParams(Section):
    """One place of the twin: its terrain and the images taken of it.

    With one pair, each sun gives a scene. With several adjacent pairs, each pair has its own sun, in the order given, or
    all have the one that is given: neighbouring strips are taken on different orbits.
    """

    kind: Literal["flat", "mountain", "wall"]
    suns: Annotated[list[SunParams], Field(min_length=1)]
    adjacent_pairs: Count = 1
    ground: Annotated[str | None, Field(description="another site whose ground this is; its own if none")] = (
        None
    )

    @model_validator(mode="after")
    def _suns_fit_pairs(self) -> SiteParams:
        if self.adjacent_pairs > 1 and len(self.suns) not in (1, self.adjacent_pairs):
            raise ValueError("adjacent pairs need one sun in all or one each")
        return self


class SldemParams(Section):
    """The coarse elevation model that the twin records (real one: Barker et al. 2016, 3 to 4 m typical error)."""

    posting_m: Annotated[Positive, Field(description="distance of its points, m")] = 60.0
    margin_m: Annotated[
        NonNegative, Field(description="how far it reaches beyond the images at least, m")
    ] = 600.0
    smoothing_m: Annotated[Positive, Field(description="standard deviation of its blur, m")] = 30.0
    noise_m: Annotated[NonNegative, Field(description="vertical noise, correlated over two postings, m")] = (
        0.35
    )
    stripes_m: Annotated[NonNegative, Field(description="offsets of single altimeter tracks, m")] = 0.35
    max_offset_postings: Annotated[NonNegative, Field(description="largest horizontal offset, postings")] = (
        5.0
    )
    max_rotation_deg: Annotated[
        NonNegative, Field(description="largest rotation against the images, degrees")
    ] = 0.1
    max_stretch: Annotated[NonNegative, Field(description="largest error of scale, as a share")] = 0.001


class MoonParams(Section):
    """The lunar twin: what LRO would bring home."""

    gsd_m: Positive
    strip_width_px: Count
    height_px: Count
    overlap_px: Annotated[Count, Field(description="columns that the left and right camera share")] = 135
    pair_overlap_px: Annotated[Count, Field(description="columns that adjacent pairs share")] = 60
    photometry: Annotated[
        Literal["lunar-lambert", "hapke"], Field(description="how the twin's ground scatters light")
    ] = "lunar-lambert"
    sldem: SldemParams = SldemParams()
    sites: Annotated[dict[str, SiteParams], Field(min_length=1)]
    drawn_sites: Annotated[int, Field(ge=0, description="further sites drawn from the seed")] = 0

    @model_validator(mode="after")
    def _strips_and_grounds_fit(self) -> MoonParams:
        if self.overlap_px >= self.strip_width_px:
            raise ValueError("overlap_px must be less than strip_width_px")
        for name, site in self.sites.items():
            owner = self.sites.get(site.ground or name)
            if owner is None or (owner.kind, owner.adjacent_pairs) != (site.kind, site.adjacent_pairs):
                raise ValueError(
                    f"sites.{name}.ground: no site {site.ground!r} of that kind and number of pairs"
                )
        return self


class MarsSceneParams(Section):
    """One pair of the Martian twin: a CTX image and the CRISM cube nearest to it in time."""

    region: Region
    time_difference_days: Annotated[
        NonNegative, Field(description="from the CTX image to the cube: sun and dust change")
    ] = 0.0


class MarsParams(Section):
    """The Martian twin: what the Mars Reconnaissance Orbiter would bring home.

    The misplacement of the cube is that of real pairs: 213 to 260 m, once some 300 m, after ISIS's map projection.
    """

    gsd_m: Annotated[Positive, Field(description="pixel size of the CTX image, m")] = 6.0
    height_px: Count
    width_px: Count
    wavelengths_nm: Annotated[
        list[Positive] | Literal["all"],
        Field(description="bands of the cube, each the nearest of the 489 of an MTRDR"),
    ]
    min_offset_m: Annotated[NonNegative, Field(description="smallest shift of the cube, m")] = 200.0
    max_offset_m: Annotated[NonNegative, Field(description="largest shift of the cube, m")] = 300.0
    max_rotation_deg: Annotated[NonNegative, Field(description="largest rotation of the cube, degrees")] = 0.1
    max_stretch: Annotated[NonNegative, Field(description="largest error of scale, as a share")] = 0.001
    warp_m: Annotated[NonNegative, Field(description="largest local displacement beyond that, m")] = 45.0
    warp_knots_m: Annotated[Positive, Field(description="distance of the knots of that warp, m")] = 900.0
    scenes: Annotated[dict[str, MarsSceneParams], Field(min_length=1)]
    drawn_scenes: Annotated[int, Field(ge=0, description="further scenes drawn from the seed")] = 0

    @model_validator(mode="after")
    def _offsets_are_ordered(self) -> MarsParams:
        if self.min_offset_m > self.max_offset_m:
            raise ValueError("min_offset_m must not exceed max_offset_m")
        if self.wavelengths_nm != "all" and not self.wavelengths_nm:
            raise ValueError("wavelengths_nm must name a band, or be all")
        return self


class StereoSceneParams(Section):
    """One stereo pair of the lunar twin, as Kaguya's Terrain Camera takes it."""

    kind: Literal["flat", "highland", "mountain", "wall"]
    sun: SunParams
    mean_count: Annotated[
        Positive, Field(description="of both images, in counts of the 10-bit converter")
    ] = 250.0


class KaguyaParams(Section):
    """The pairs that SELENE would bring home uncompressed."""

    gsd_m: Annotated[Positive, Field(description="pixel size, m")] = 10.0
    height_px: Count
    width_px: Count
    scenes: Annotated[dict[str, StereoSceneParams], Field(min_length=1)]
    drawn_scenes: Annotated[int, Field(ge=0, description="further scenes drawn from the seed")] = 0


class IngestParams(Section):
    """What `orrery ingest --source twin` makes: a world whose section is left out is not made."""

    moon: MoonParams | None = None
    mars: MarsParams | None = None
    kaguya: KaguyaParams | None = None
