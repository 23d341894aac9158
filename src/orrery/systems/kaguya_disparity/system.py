"""kaguya-disparity as the stages see it.

Every method imports what it needs when it runs: most stages need no torch, which takes seconds to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orrery.systems.base import Schedule, System, Trained, Workspace
from orrery.systems.kaguya_disparity.params import KaguyaParams

if TYPE_CHECKING:
    import pandas as pd
    import pytorch_lightning as pl
    from torch import Tensor, nn

    from orrery.systems.kaguya_disparity.data import PatchData
    from orrery.systems.kaguya_disparity.task import ResidualTask

EXAMPLE_PX = 96  # smaller sizes would be frozen into the exported network


class KaguyaDisparity(System[KaguyaParams]):
    """Stereo disparity freed of compression noise."""

    name = "kaguya-disparity"
    section_type = KaguyaParams
    summary = (
        "What on-board compression did to the disparity of a Kaguya Terrain Camera pair, in px, with 1-sigma, from the\n"
        "compressed pair alone, by one call of a network. For elevation models of the darker images."
    )
    limits = (
        "trained on a twin of the Moon; no uncompressed real pair was at hand",
        "of the 32 tables one is published; the others that it was trained on are scalings of JPEG's Annex K (assumed)",
        "pairs must be epipolar along columns; what is left across the track is measured, not corrected",
        "heights have no datum: orbit and attitude of the two passes are not adjusted",
    )
    takes: Mapping[str, Mapping[str, bool]] = {
        "predict": {"left": True, "right": True, "mean_count": False, "count_scale": False, "table": False}
    }

    def align(self, data: Path, out: Path, section: KaguyaParams, seed: int) -> pd.DataFrame:
        """Match every pair before and after compression."""
        import pandas as pd

        from orrery.raster.scene import list_scenes
        from orrery.systems.kaguya_disparity.align import align_scenes

        scenes = list_scenes(data / "kaguya")
        return pd.DataFrame(align_scenes(scenes, out, section.align, section.split, seed))

    def patch(self, aligned: Path, out: Path, section: KaguyaParams, seed: int) -> None:
        """Cut scenes by pair, and by patch as the paper does."""
        from orrery.systems.kaguya_disparity.patches import make_patches

        make_patches(aligned, out, section, seed)

    def data(self, patches: Path, section: KaguyaParams, variant: str, seed: int, workers: int) -> PatchData:
        """Patches as the variant wants them."""
        from orrery.systems.kaguya_disparity.data import PatchData

        return PatchData(patches, section.variants[variant], seed, workers)

    def task(self, section: KaguyaParams, variant: str) -> ResidualTask:
        """The variant's network, method, losses and optimiser."""
        from orrery.systems.kaguya_disparity.task import make_task

        return make_task(section.variants[variant])

    def schedule(self, section: KaguyaParams, variant: str) -> Schedule:
        """The variant's number of steps."""
        options = section.variants[variant].optimiser
        return Schedule(options.steps, options.ema_decay, options.gradient_clip, options.batch_size)

    def recipe(
        self, task: pl.LightningModule, patches: Path, section: KaguyaParams, variant: str
    ) -> Mapping[str, Any]:
        """The variant, the scaling of its residuals, and its 1-sigma calibrated on the validation patches."""
        from orrery.systems.kaguya_disparity.calibration import calibrated
        from orrery.systems.kaguya_disparity.model import DisparityModel
        from orrery.systems.kaguya_disparity.patches import held_out_patches
        from orrery.systems.kaguya_disparity.scaling import scaling_of

        params = section.variants[variant]
        held_out = held_out_patches(patches) if params.split == "patch" else None
        model = DisparityModel(variant, task.eval(), params, scaling_of(patches), test_patches=held_out)
        return calibrated(model, patches).recipe()

    def network(self, section: KaguyaParams, variant: str) -> nn.Module:
        """The bare network."""
        from orrery.systems.kaguya_disparity.nets import build

        return build(section.variants[variant])

    def example(self, section: KaguyaParams, variant: str) -> Tensor:
        """Noise: export looks at shapes only."""
        import torch

        from orrery.systems.kaguya_disparity.nets import multiple, network_planes

        params = section.variants[variant]
        step = multiple(params.network)
        height = -(-EXAMPLE_PX // step) * step
        return torch.rand(2, network_planes(params), height, height + 2 * step)

    def evaluate(
        self, trained: Trained, aligned: Path, section: KaguyaParams, out: Path | None
    ) -> dict[str, Any]:
        """Judge on the test scenes."""
        from orrery.systems.kaguya_disparity.evaluate import evaluate
        from orrery.systems.kaguya_disparity.model import DisparityModel

        model = DisparityModel.from_recipe(trained.recipe, trained.network)
        found = evaluate(model, aligned, section, out)
        return {**found, "table": section.align.table, "mean_count": section.align.mean_count}

    def tables(self, workspace: Workspace, section: KaguyaParams, commit: str) -> None:
        """Baselines and all variants, beside the paper's rows."""
        from orrery.systems.kaguya_disparity.tables import write_tables

        write_tables(workspace, section, commit)

    def predict(
        self,
        trained: Trained,
        request: Mapping[str, Any],
        out: Path,
        section: KaguyaParams,
        tags: Mapping[str, str],
    ) -> str:
        """A compressed pair to disparity, heights and their 1-sigma."""
        from orrery.systems.kaguya_disparity.model import DisparityModel
        from orrery.systems.kaguya_disparity.predict import predict

        model = DisparityModel.from_recipe(trained.recipe, trained.network)
        return str(predict(model=model, out=out, section=section, tags=tags, **request))


SYSTEM = KaguyaDisparity()
