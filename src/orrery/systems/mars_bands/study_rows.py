"""Rows of mars-bands' tables beside the paper's metrics: costs, strides, restoration, ablation, hold-out, whole spectra."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor

from orrery.systems.base import Workspace
from orrery.systems.mars_bands.composites import COMPOSITES
from orrery.systems.mars_bands.data import basis_of, normalisation_of
from orrery.systems.mars_bands.evaluate import evaluate
from orrery.systems.mars_bands.faults import WAYS
from orrery.systems.mars_bands.model import BandsModel
from orrery.systems.mars_bands.params import MarsParams
from orrery.tables import Pick, Result, Row, row_of

PAPER_METRICS = ("rmse", "cosine", "pcc")
BASELINES = ("mean", "linear", "nearest")
METRICS = ("rmse_if", "bias_if", "r2_if", "spectral_angle_deg", *PAPER_METRICS, "rmse_diluted", "valid_fraction",
           "histogram_intersection", "coverage_1sigma")  # fmt: skip
# Trainable parameters, peak memory of a GPU, MB, seconds an epoch, train loss: the same tables
PAPER_COSTS = {
    "fpn": (13_041_219, 2236, 24.31, 0.141),
    "linknet": (11_657_571, 2668, 27.32, 0.163),
    "manet": (21_669_491, 3014, 37.47, 0.286),
    "pspnet": (11_332_771, 1696, 14.12, 0.213),
    "cgan-unet": (54_411_907, 5978, 61.61, 0.265),
    "medical-unet": (7_762_531, 5692, 61.73, 0.213),
    "unet": (14_322_227, 3442, 31.72, 0.153),
    "unetplusplus": (15_964_467, 5448, 64.79, 0.153),
    "unet-densenet121": (13_601_651, 7340, 81.38, 0.218),
    "unet-efficientnet-b0": (6_251_183, 4664, 59.46, 0.174),
    "unet-gernet-s": (12_827_394, 3436, 42.37, 0.219),
    "unet-regnetx-002": (4_780_611, 3444, 46.01, 0.204),
    "unet-regnety-002": (5_258_815, 3388, 49.91, 0.208),
    "unet-resnet18": (14_322_227, 3636, 39.83, 0.225),
    "unet-vgg11": (18_253_171, 4630, 57.49, 0.108),
}
COSTS = ("parameters", "memory_mib", "epoch_s", "train_loss", "training_s", "prediction_s_per_mpx")
# Table 4: one whole image at s = 1, and at s = 2 with Gaussian weights
PAPER_STRIDES = {"1": (0.528, 0.777, 0.809), "2": (0.494, 0.801, 0.833)}
STRIDE_METRICS = ("rmse_if_evc", "seam", "seconds")
FAULTS = ("stripes", "spikes", "block", "sound")
ABLATION_METRICS = ("rmse_if", "pcc", "spectral_angle_deg")


def pick_test(metric: str, region: str | None = None) -> Pick:
    """A metric of the test scenes, or of those of a region."""

    def pick(result: Result) -> list[float]:
        rows = [row for row in result["scenes"].values() if row["set"] == "test"]
        return [
            row[metric] for row in rows if row.get(metric) is not None and region in (None, row["region"])
        ]

    return pick


def cost_rows(name: str, result: Result) -> Iterator[Row]:
    """What a variant takes, on the machine that trained it; the paper's figures are of a GPU and its own epochs."""
    paper = dict(zip(COSTS, PAPER_COSTS.get(name, ()), strict=False))
    if not result.get("training"):
        return
    for cost in COSTS:
        yield row_of("what a variant takes", name, cost, paper.get(cost), result, _pick_cost(cost))


def _pick_cost(cost: str) -> Pick:
    def pick(result: Result) -> list[float]:
        value = {**result["training"], "prediction_s_per_mpx": result["prediction_s_per_mpx"]}.get(cost)
        return [] if value is None else [float(value)]

    return pick


def stride_rows(result: Result) -> Iterator[Row]:
    """The champion on one whole image, by the stride of its tiles, under Gaussian weights."""
    for scene, strides in result.get("strides", {}).items():
        for divisor in strides:
            for place, metric in enumerate((*(f"{name}_evc" for name in PAPER_METRICS), *STRIDE_METRICS)):
                paper = PAPER_STRIDES.get(divisor, ())[place : place + 1]
                yield row_of(
                    f"paper Table 4, strides on {scene}", f"s = {divisor}", metric, paper[0] if paper else None, result,
                    lambda each, scene=scene, divisor=divisor, metric=metric: [each["strides"][scene][divisor][metric]],  # type: ignore[misc]
                )  # fmt: skip


def restoration_rows(result: Result) -> Iterator[Row]:
    """Simulated faults of the test scenes' cubes: I/F error of what was done about them, and the share that was found."""
    judged = result.get("restoration", {})
    for way in (*WAYS, "found") if judged else ():
        for fault in FAULTS:
            name = f"{way}: {fault}"
            if any(name in row for row in judged.values()):
                table = "restoration of simulated faults, RMSE in I/F; share found"
                yield row_of(table, way, fault, None, result, _pick_restored(name))


def _pick_restored(name: str) -> Pick:
    return lambda result: [row[name] for row in result["restoration"].values() if name in row]


def ablation_rows(results: Mapping[str, Result], section: MarsParams) -> Iterator[Row]:
    """What a displaced pair costs: the champion beside variants that differ from it by their placement alone."""
    champion = section.variants[section.champion_variant]
    same = {
        name: variant.placement
        for name, variant in section.variants.items()
        if name in results and variant.model_copy(update={"placement": champion.placement}) == champion
    }
    for name in same if len(same) > 1 else ():
        for group in COMPOSITES:
            for metric in ABLATION_METRICS:
                column, pick = f"{metric}_{group}", pick_test(f"{metric}_{group}")
                yield row_of(
                    "trained on pairs as they are, shifted, aligned", name, column, None, results[name], pick
                )


def hold_out_rows(results: Mapping[str, Result], section: MarsParams) -> Iterator[Row]:
    """Regions that a variant was not trained on, beside models that were."""
    held_out = {
        name: variant.leave_out
        for name, variant in section.variants.items()
        if name in results and variant.leave_out
    }
    for name, regions in held_out.items():
        for region in regions:
            for row in (name, section.champion_variant, *BASELINES):
                for metric in ABLATION_METRICS:
                    pick = pick_test(f"{metric}_evc", region)
                    yield row_of(f"regional hold-out, {region}, EVC", row, metric, None, results[row], pick)


def spectra_rows(work: Workspace, section: MarsParams, results: Mapping[str, Result]) -> Iterator[Row]:
    """Whole spectra, beside their training mean and a straight line from the image; `basis_` is what no coefficient could give."""
    found = {name: result for name, result in results.items() if _has_spectra(section, name)}
    if found:
        found = {**_spectral_baselines(work, section, next(iter(found))), **found}
    for name, result in found.items():
        count = len(result["wavelengths_nm"])
        for metric in (*METRICS, "basis_rmse_if", "basis_spectral_angle_deg"):
            table = f"all {count} bands, pipeline alignment, on the cube's cells"
            yield row_of(table, name, metric, None, result, pick_test(f"{metric}_all"))


def _has_spectra(section: MarsParams, name: str) -> bool:
    """Whether a row's model predicts whole spectra."""
    return name in section.variants and section.variants[name].bands == "all"


def _spectral_baselines(work: Workspace, section: MarsParams, name: str) -> dict[str, Result]:
    """Networks that predict nothing: over their normalisation that is the mean, or the straight line."""
    variant, kept_nm = section.variants[name], section.patch.wavelengths_nm
    found: dict[str, Result] = {}
    for row, kind in (("mean", "global"), ("linear", "residual")):
        still = variant.model_copy(update={"normalisation": kind, "losses": {"squared": 1.0}})
        model = BandsModel(
            row, _nothing(still.targets), still, normalisation_of(work.patches, still, kept_nm),
            (1.0,) * still.targets, basis=basis_of(work.patches, still),
        )  # fmt: skip
        found[row] = evaluate(model, list(model.bands_nm), work.aligned, section, None)
    return found


def _nothing(planes: int) -> Callable[[Tensor], Tensor]:
    return lambda inputs: inputs.new_zeros(len(inputs), planes, *inputs.shape[2:])
