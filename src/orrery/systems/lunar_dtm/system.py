"""lunar-dtm as the stages see it.

Every method imports what it needs when it runs: most stages need no torch, which takes seconds to import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orrery.errors import OrreryError
from orrery.systems.base import Schedule, System, Trained, Workspace
from orrery.systems.lunar_dtm.params import LunarParams

if TYPE_CHECKING:
    import pandas as pd
    import pytorch_lightning as pl
    from torch import Tensor, nn

    from orrery.systems.lunar_dtm.data import PatchData
    from orrery.systems.lunar_dtm.task import TerrainTask


class LunarDTM(System[LunarParams]):
    """Terrain at image resolution from one NAC image and a coarse DEM."""

    name = "lunar-dtm"
    section_type = LunarParams
    summary = (
        "Elevation and 1-sigma at image resolution from one map-projected LROC NAC image (or another with known sun) and a\n"
        "coarse DEM such as SLDEM2015. For terrain studies and site selection; not for navigation."
    )
    limits = (
        "trained on a twin of the Moon; figures on real images are few and reported apart",
        "incidence 40 to 85 degrees; in cast shadow the heights are an interpolation, and 1-sigma says so only roughly",
        "errors of the coarse DEM and of its registration, beyond what training drew, pass into the result",
        "albedo contrasts sharper than a few hundred metres look like slopes",
    )

    takes: Mapping[str, Mapping[str, bool]] = {
        "predict": {
            "images": True,
            "dem": True,
            "sun": False,
            "align": False,
            "image_band": False,
            "dem_band": False,
        }
    }

    def check(self, section: LunarParams, variants: Sequence[str]) -> None:
        """What is turned to the sun must be square, or batches would mix shapes."""
        if section.patch.height_px == section.patch.width_px:
            return
        for name in variants:
            if getattr(section.variants[name].recipe, "sun_sector", False):
                raise OrreryError(
                    f"systems.lunar-dtm.variants.{name} turns patches to the sun, and those of patch are no squares",
                    file="params.yaml",
                    remedy="let patch.height_px and patch.width_px be equal",
                )

    def align(self, data: Path, out: Path, section: LunarParams, seed: int) -> pd.DataFrame:
        """NAC-R to NAC-L, and the SLDEM to both; neighbours are chained."""
        import pandas as pd

        from orrery.raster.scene import list_scenes
        from orrery.systems.lunar_dtm.align import align_scenes

        return pd.DataFrame(align_scenes(list_scenes(data / "moon"), out, section.align, seed))

    def patch(self, aligned: Path, out: Path, section: LunarParams, seed: int) -> None:
        """Cut training and validation scenes."""
        from orrery.systems.lunar_dtm.patches import make_patches

        make_patches(aligned, out, section, seed)

    def data(self, patches: Path, section: LunarParams, variant: str, seed: int, workers: int) -> PatchData:
        """Patches as the variant's recipe wants them."""
        from orrery.systems.lunar_dtm.data import PatchData
        from orrery.systems.lunar_dtm.recipes import make_recipe

        params = section.variants[variant]
        options = params.optimiser
        return PatchData(
            patches, make_recipe(params.recipe), options.batch_size, options.steps, seed, workers
        )

    def task(self, section: LunarParams, variant: str) -> TerrainTask:
        """The variant's network, losses and optimiser."""
        from orrery.systems.lunar_dtm.task import TerrainTask

        return TerrainTask(section.variants[variant])

    def schedule(self, section: LunarParams, variant: str) -> Schedule:
        """The variant's number of steps."""
        options = section.variants[variant].optimiser
        return Schedule(options.steps, options.ema_decay, options.gradient_clip, options.batch_size)

    def recipe(
        self, task: pl.LightningModule, patches: Path, section: LunarParams, variant: str
    ) -> Mapping[str, Any]:
        """The variant, the spectra, and the 1-sigma calibrated on the validation patches."""
        from orrery.systems.lunar_dtm.calibration import calibrated
        from orrery.systems.lunar_dtm.model import TerrainModel
        from orrery.systems.lunar_dtm.photoclinometry import spectra_of

        spectra = spectra_of(patches)
        model = TerrainModel(variant, task.eval(), section.variants[variant], spectra)
        return calibrated(model, patches).recipe()

    def network(self, section: LunarParams, variant: str) -> nn.Module:
        """The bare network."""
        from orrery.systems.lunar_dtm.nets import build

        return build(section.variants[variant])

    def example(self, section: LunarParams, variant: str) -> Tensor:
        """Noise: export looks at shapes only."""
        import torch

        from orrery.systems.lunar_dtm.recipes import make_recipe

        return torch.zeros(2, make_recipe(section.variants[variant].recipe).channels, 96, 160)

    def evaluate(
        self, trained: Trained, aligned: Path, section: LunarParams, out: Path | None
    ) -> dict[str, Any]:
        """Judge on the test and extra scenes."""
        from orrery.systems.lunar_dtm.evaluate import evaluate
        from orrery.systems.lunar_dtm.model import TerrainModel

        return evaluate(
            TerrainModel.from_recipe(dict(trained.recipe), trained.network), aligned, section, out
        )

    def tables(self, workspace: Workspace, section: LunarParams, commit: str) -> None:
        """Baselines and all variants, beside the paper's rows."""
        from orrery.systems.lunar_dtm.tables import write_tables

        write_tables(workspace, section, commit)

    def predict(
        self,
        trained: Trained,
        request: Mapping[str, Any],
        out: Path,
        section: LunarParams,
        tags: Mapping[str, str],
    ) -> str:
        """A whole scene to a COG with its STAC item."""
        from orrery.systems.lunar_dtm.model import TerrainModel
        from orrery.systems.lunar_dtm.predict import predict

        model = TerrainModel.from_recipe(dict(trained.recipe), trained.network)
        summary = predict(
            model=model,
            out=out,
            params=section.predict,
            tags=tags,
            registration=section.align.coarse,
            **request,
        )
        return str(summary)


SYSTEM = LunarDTM()
