"""The paper's tables beside ours, for mars-bands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from orrery.files import replacing, write_json, write_text
from orrery.systems.base import Workspace
from orrery.systems.mars_bands.baselines import baselines
from orrery.systems.mars_bands.composites import COMPOSITES
from orrery.systems.mars_bands.evaluate import evaluate
from orrery.systems.mars_bands.params import MarsParams
from orrery.systems.mars_bands.plots import histogram_plot, quality_plot
from orrery.systems.mars_bands.study_rows import (
    METRICS,
    PAPER_METRICS,
    ablation_rows,
    cost_rows,
    hold_out_rows,
    pick_test,
    restoration_rows,
    spectra_rows,
    stride_rows,
)
from orrery.tables import Result, Row, gathered, markdown, row_of

# RMSE, cosine and PCC of test patches (Tables 2 and 3) and whole test images (mean of the two in Table 7), EVC
# bands, z-scored: Stepcenkov et al. 2022, Remote Sensing 14(14):3457
PAPER = {
    "Table 2, architectures": {
        "fpn": (0.657, 0.556, 0.618),
        "linknet": (0.650, 0.567, 0.604),
        "manet": (0.890, 0.547, 0.612),
        "pspnet": (0.673, 0.530, 0.602),
        "cgan-unet": (0.688, 0.545, 0.612),
        "medical-unet": (0.673, 0.532, 0.556),
        "unet": (0.666, 0.546, 0.586),
        "unetplusplus": (0.668, 0.553, 0.601),
    },
    "Table 3, encoders": {
        "unet-densenet121": (0.681, 0.533, 0.602),
        "unet-efficientnet-b0": (0.680, 0.543, 0.598),
        "unet-gernet-s": (0.674, 0.545, 0.586),
        "unet-regnetx-002": (0.666, 0.557, 0.610),
        "unet-regnety-002": (0.677, 0.538, 0.604),
        "unet-resnet18": (0.679, 0.535, 0.601),
        "unet-vgg11": (0.658, 0.556, 0.586),
    },
    "Table 6, numbers of bins": {
        "bins-10": (0.644, 0.589, 0.627),
        "bins-20": (0.640, 0.585, 0.637),
        "bins-40": (0.629, 0.607, 0.628),
        "bins-80": (0.635, 0.588, 0.630),
    },
    "Table 7, whole test images": {"final": (0.492, 0.788, 0.8305)},
}
# Table 5: RMSE and cosine of bands scaled to 0 to 1, and PCC. Its image-wise regression stands there twice; this is the second.
PAPER_UNIT = {
    "unet-none": (0.157, 0.950, 0.445),
    "unet-global": (0.161, 0.950, 0.510),
    "unet-patch": (0.137, 0.959, 0.591),
    "unet-efficientnet-b0": (0.124, 0.969, 0.640),
    "unet-dem": (0.121, 0.967, 0.643),
    "bins-20": (0.120, 0.968, 0.650),
    "bins-20-l1": (0.119, 0.967, 0.636),
}
PAPER_UNIT_METRICS = ("rmse_unit", "cosine_unit", "pcc")
GROUP_TITLES = {"evc": "enhanced visible colour", "fc": "false colour"}
PLACEMENT_TITLES = {"": "pipeline alignment", "@true": "true alignment"}


def write_tables(work: Workspace, section: MarsParams, commit: str) -> None:
    """Judge the baselines, gather every variant's metrics, write tables.json, tables.md and the plot."""
    results = {**_baselines(work, section), **gathered(work, section)}
    further = chain(
        ablation_rows(results, section), hold_out_rows(results, section), spectra_rows(work, section, results)
    )
    rows = [{**row, "data": "twin", "commit": commit} for row in chain(_rows(results), further)]
    with replacing(work.reports / "pictures") as out:
        out.mkdir()
        quality_plot(rows, out / "quality.png")
        histogram_plot(results, out / "histograms.png")
    title = "mars-bands: the paper's figures beside ours"
    write_text(work.reports / "tables.md", markdown(title, _preface(section.champion_variant, rows), rows))
    write_json(work.reports / "tables.json", rows)


def _baselines(work: Workspace, section: MarsParams) -> dict[str, Result]:
    """Fitted for the bands of the champion, so that they stand beside it in every table."""
    champion, kept_nm = section.variants[section.champion_variant], section.patch.wavelengths_nm
    if champion.bands == "all":
        champion = champion.model_copy(update={"bands": kept_nm})
    bands_nm = [float(nm) for nm in champion.bands]
    found = baselines(work.patches, champion, kept_nm)
    return {model.name: evaluate(model, bands_nm, work.aligned, section, None) for model in found}


def _rows(results: Mapping[str, Result]) -> Iterator[Row]:
    for name, result in results.items():
        yield from _paper(name, result)
        yield from _groups(name, result)
        yield from _regions(name, result)
        yield from stride_rows(result)
        yield from restoration_rows(result)
    for name, result in results.items():
        yield from cost_rows(name, result)


def _paper(name: str, result: Result) -> Iterator[Row]:
    """The paper's z-scored figures, EVC, over all test scenes, where its variant was trained."""
    for table, figures in PAPER.items():
        if name in figures:
            for metric, figure in zip(PAPER_METRICS, figures[name], strict=True):
                yield row_of(f"paper {table}", name, metric, figure, result, pick_test(f"{metric}_evc"))
    for metric, figure in zip(PAPER_UNIT_METRICS, PAPER_UNIT.get(name, ()), strict=False):
        yield row_of("paper Table 5, ablation", name, metric, figure, result, pick_test(f"{metric}_evc"))


def _groups(name: str, result: Result) -> Iterator[Row]:
    """All metrics by group of bands and alignment, over all test scenes."""
    for group in COMPOSITES:
        if any(f"rmse_if_{group}" in row for row in result["scenes"].values()):
            for suffix, placement in PLACEMENT_TITLES.items():
                table = f"{GROUP_TITLES[group]}, {placement}"
                for metric in METRICS:
                    yield row_of(table, name, metric, None, result, pick_test(f"{metric}_{group}{suffix}"))


def _regions(name: str, result: Result) -> Iterator[Row]:
    """I/F error of the EVC bands by region: a region that a variant left out is where generalisation shows."""
    for region in dict.fromkeys(row["region"] for row in result["scenes"].values() if row["set"] == "test"):
        yield row_of(
            "RMSE of EVC by region, I/F", name, region, None, result, pick_test("rmse_if_evc", region)
        )


def _preface(champion: str, rows: list[Row]) -> str:
    seeds = max(row["seeds"] for row in rows)
    trained = "one seed" if seeds == 1 else f"means of {seeds} seeds with the 95 % interval of the mean"
    return (
        f"All figures are of the twin's test scenes; {trained}. The paper's figures were measured on real\n"
        "CRISM: they compare methods, not numbers. `rmse`, `cosine` and `pcc` are of z-scores by\n"
        "the truth's own mean and deviation on valid pixels; `rmse_diluted` counts invalid pixels as met, as the paper does;\n"
        "`_if` and the spectral angle are of reflectance. Cosine is of flattened bands. "
        f"{champion} is the model that is promoted.\n"
    )
