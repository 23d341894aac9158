"""The paper's tables beside ours: rows {table, row, metric, paper, ours, interval, interval_over, seeds, data, commit}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orrery.files import replacing, write_json, write_text
from orrery.systems.base import Workspace
from orrery.systems.lunar_dtm.evaluate import evaluate
from orrery.systems.lunar_dtm.model import TerrainModel
from orrery.systems.lunar_dtm.params import LunarParams
from orrery.systems.lunar_dtm.photoclinometry import spectra_of
from orrery.systems.lunar_dtm.plots import illumination_plot, quality_plot
from orrery.tables import Pick, Result, Row, gathered, markdown, row_of

BASELINES = ("bicubic", "photoclinometry")
KINDS = ("flat", "mountain", "wall")
# Chen et al. 2022, Table I: delta_0.1, delta_0.25, delta_0.5, REL, MSE
PAPER_TABLE_1 = {
    "earlier-network": (0.357, 0.623, 0.798, 0.184, 0.340),
    "stem-7x7": (0.343, 0.621, 0.804, 0.190, 0.335),
    "deconvolution": (0.352, 0.620, 0.799, 0.193, 0.350),
    "no-normal-loss": (0.365, 0.626, 0.800, 0.192, 0.382),
    "no-gradient-loss": (0.360, 0.627, 0.805, 0.194, 0.370),
    "dlunardtmnet": (0.363, 0.630, 0.805, 0.173, 0.318),
}
TABLE_1_METRICS = ("delta_0.1", "delta_0.25", "delta_0.5", "rel", "mse")
# Chen et al. 2022, section III-B1: mean absolute difference to SLDEM over six illuminations of the CE-3 site
PAPER_MAE_TO_COARSE_M = 1.56
METRES = ("rmse_m", "mae_m", "re_1m", "re_2m", "re_4m", "re_10m", "slope_mae_deg", "rmse_to_coarse_m",
          "effective_resolution_m", "slope_error_along_sun", "slope_error_across_sun", "coverage_1sigma")  # fmt: skip


def write_tables(work: Workspace, section: LunarParams, commit: str) -> None:
    """Judge the baselines, gather every variant's metrics, write tables.json, tables.md and the plots."""
    results = {name: _baseline(name, work, section) for name in BASELINES}
    results |= gathered(work, section)
    rows = [{**row, "data": "twin", "commit": commit} for row in _rows(results)]
    with replacing(work.reports / "pictures") as out:
        out.mkdir()
        quality_plot(rows, out / "quality.png")
        illumination_plot(results, out / "illumination.png")
    title = "lunar-dtm: the paper's figures beside ours"
    write_text(work.reports / "tables.md", markdown(title, _preface(section.champion_variant, rows), rows))
    write_json(work.reports / "tables.json", rows)


def _baseline(name: str, work: Workspace, section: LunarParams) -> dict[str, Any]:
    spectra = spectra_of(work.patches)
    return evaluate(TerrainModel(name, None, None, spectra), work.aligned, section, None)


def _rows(results: Mapping[str, Result]) -> Iterator[Row]:
    for name, result in results.items():
        yield from _table_1(name, result)
        yield from _terrain(name, result)
        yield from _illumination(name, result)


def _table_1(name: str, result: Result) -> Iterator[Row]:
    """Table I: every test scene together, true alignment (the paper's tiles are co-registered products)."""
    paper = PAPER_TABLE_1.get(name, (None,) * len(TABLE_1_METRICS))
    for metric, figure in zip(TABLE_1_METRICS, paper, strict=True):
        yield row_of("paper Table I", name, metric, figure, result, _of_kinds(f"{metric}@true", KINDS))


def _terrain(name: str, result: Result) -> Iterator[Row]:
    """In metres, by terrain, at true alignment and at the pipeline's own."""
    for suffix, table in (("@true", "true alignment"), ("", "pipeline alignment")):
        for kind in KINDS:
            for metric in METRES:
                yield row_of(
                    f"{kind}, {table}", name, metric, None, result, _of_kinds(metric + suffix, (kind,))
                )


def _illumination(name: str, result: Result) -> Iterator[Row]:
    """The six-illumination study: agreement with each other and with the coarse DEM."""
    for site in result["sites"]:
        for metric in ("cross_sun_spread_m", "pairwise_mae_m"):
            yield row_of("six illuminations", name, metric, None, result, _of_site(site, metric))
    if any(scene.startswith("suns-") for scene in result["scenes"]):
        metric = "rmse_to_coarse_m"
        yield row_of("six illuminations", name, metric, PAPER_MAE_TO_COARSE_M, result, _of_suns(metric))


def _of_kinds(metric: str, kinds: tuple[str, ...]) -> Pick:
    def pick(result: Result) -> list[float]:
        rows = result["scenes"].values()
        chosen = [row for row in rows if row["kind"] in kinds and row["set"] == "test"]
        return [row[metric] for row in chosen if row.get(metric) is not None]

    return pick


def _of_site(site: str, metric: str) -> Pick:
    return lambda result: [result["sites"][site][metric]]


def _of_suns(metric: str) -> Pick:
    return lambda result: [
        row[metric] for scene, row in result["scenes"].items() if scene.startswith("suns-")
    ]


def _preface(champion: str, rows: list[Row]) -> str:
    seeds = max(row["seeds"] for row in rows)
    trained = "one seed" if seeds == 1 else f"means of {seeds} seeds with the 95 % interval of the mean"
    return (
        f"All figures are of the twin's test scenes; {trained}. The paper's figures were measured on real NAC\n"
        "stereo models: they compare methods, not numbers. `@true` alignment uses the\n"
        f"twin's known geometry, the pipeline's is what align found. {champion} is the model that is promoted.\n"
    )
