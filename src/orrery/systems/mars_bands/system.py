"""mars-bands as the stages see it.

Every method imports what it needs when it runs: most stages need no torch, which takes seconds to import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orrery.errors import OrreryError
from orrery.systems.base import Schedule, System, Trained, Workspace
from orrery.systems.mars_bands.params import MarsParams

if TYPE_CHECKING:
    import pandas as pd
    import pytorch_lightning as pl
    from torch import Tensor, nn

    from orrery.systems.mars_bands.data import PatchData
    from orrery.systems.mars_bands.task import BandsTask

EXAMPLE_PX = 96  # sizes below 64 would be frozen into the exported network


class MarsBands(System[MarsParams]):
    """CRISM bands in I/F from one CTX image."""

    name = "mars-bands"
    section_type = MarsParams
    summary = (
        "CRISM-like bands in I/F, with 1-sigma, from one map-projected CTX image. For mapping colour units beyond CRISM's\n"
        "footprints and for filling faulty observations; a prediction from brightness and texture is no measurement of a\n"
        "mineral."
    )
    limits = (
        "trained on a twin of six regions; no co-located real CTX and CRISM pair was at hand",
        "short-wave infrared bands follow what one grey image shows only in part: see the false colour tables",
        "a region unlike those trained on is coloured like the nearest of them: see the regional hold-out",
        "nothing finer than CRISM's 18 m is predicted",
    )

    takes: Mapping[str, Mapping[str, bool]] = {
        "predict": dict.fromkeys(("dem", "sun", "stride", "scale", "image_band", "dem_band"), False)
        | {"images": True},
        "restore": dict.fromkeys(("dem", "sun", "align", "stride", "scale", "image_band", "dem_band"), False)
        | {"images": True, "cube": True},
    }

    def check(self, section: MarsParams, variants: Sequence[str]) -> None:
        """Patches must be of a size that the networks take."""
        from orrery.systems.mars_bands.nets import input_size

        size_px = section.patch.size_px
        for name in variants:
            multiple, smallest = input_size(section.variants[name].network)
            if size_px < smallest or size_px % multiple:
                raise OrreryError(
                    f"systems.mars-bands.variants.{name}.network takes multiples of {multiple} px from {smallest} px on, "
                    f"and patch.size_px is {size_px}",
                    file="params.yaml",
                    remedy="change patch.size_px, or leave the variant to full scale",
                )

    def align(self, data: Path, out: Path, section: MarsParams, seed: int) -> pd.DataFrame:
        """Every CRISM cube onto its CTX image."""
        import pandas as pd

        from orrery.raster.scene import list_scenes
        from orrery.systems.mars_bands.align import align_scenes

        return pd.DataFrame(align_scenes(list_scenes(data / "mars"), out, section.align, seed))

    def patch(self, aligned: Path, out: Path, section: MarsParams, seed: int) -> None:
        """Cut training and validation scenes."""
        from orrery.systems.mars_bands.patches import make_patches

        make_patches(aligned, out, section, seed)

    def data(self, patches: Path, section: MarsParams, variant: str, seed: int, workers: int) -> PatchData:
        """Patches as the variant wants them."""
        from orrery.systems.mars_bands.data import PatchData

        return PatchData(patches, section.variants[variant], section.patch.wavelengths_nm, seed, workers)

    def task(self, section: MarsParams, variant: str) -> BandsTask:
        """The variant's network, head, losses and optimiser."""
        from orrery.systems.mars_bands.task import BandsTask

        self.check(section, [variant])
        return BandsTask(section.variants[variant])

    def schedule(self, section: MarsParams, variant: str) -> Schedule:
        """The variant's number of steps."""
        options = section.variants[variant].optimiser
        return Schedule(options.steps, options.ema_decay, options.gradient_clip, options.batch_size)

    def recipe(
        self, task: pl.LightningModule, patches: Path, section: MarsParams, variant: str
    ) -> Mapping[str, Any]:
        """The variant, its normalisation, its 1-sigma calibrated on the validation patches, and what the training took."""
        from orrery.systems.mars_bands.calibration import calibrated
        from orrery.systems.mars_bands.data import PatchDataset, basis_of, normalisation_of
        from orrery.systems.mars_bands.model import BandsModel
        from orrery.systems.mars_bands.task import BandsTask

        params, kept_nm = section.variants[variant], section.patch.wavelengths_nm
        normalisation = normalisation_of(patches, params, kept_nm)
        basis = basis_of(patches, params)
        model = BandsModel(variant, task.eval(), params, normalisation, (1.0,) * params.targets, basis=basis)
        assert isinstance(task, BandsTask)
        options, count = params.optimiser, len(PatchDataset(patches, "train", params, kept_nm))
        took = task.costs.report(task.net, options.steps, count / options.batch_size)
        return {**calibrated(model, patches, kept_nm).recipe(), "training": took}

    def network(self, section: MarsParams, variant: str) -> nn.Module:
        """The bare network."""
        from orrery.systems.mars_bands.heads import Head

        return Head.of(section.variants[variant]).network()

    def example(self, section: MarsParams, variant: str) -> Tensor:
        """Noise: export looks at shapes only."""
        import torch

        from orrery.systems.mars_bands.nets import input_size

        params = section.variants[variant]
        size = input_size(params.network)
        height = -(-max(size.smallest, EXAMPLE_PX) // size.multiple) * size.multiple
        return torch.zeros(2, 2 if params.dem else 1, height, height + 2 * size.multiple)

    def evaluate(
        self, trained: Trained, aligned: Path, section: MarsParams, out: Path | None
    ) -> dict[str, Any]:
        """Judge on the test and extra scenes."""
        from orrery.systems.mars_bands.evaluate import evaluate
        from orrery.systems.mars_bands.model import BandsModel

        model = BandsModel.from_recipe(trained.recipe, trained.network)
        judged = evaluate(model, list(model.bands_nm), aligned, section, out)
        return {**judged, "training": trained.recipe.get("training", {})}

    def tables(self, workspace: Workspace, section: MarsParams, commit: str) -> None:
        """Baselines and all variants, beside the paper's rows."""
        from orrery.systems.mars_bands.tables import write_tables

        write_tables(workspace, section, commit)

    def predict(
        self,
        trained: Trained,
        request: Mapping[str, Any],
        out: Path,
        section: MarsParams,
        tags: Mapping[str, str],
    ) -> str:
        """A whole strip to COGs with their STAC item."""
        from orrery.systems.mars_bands.model import BandsModel
        from orrery.systems.mars_bands.predict import predict

        model = BandsModel.from_recipe(trained.recipe, trained.network)
        return str(predict(model=model, out=out, params=section.predict, tags=tags, **request))

    def restore(
        self,
        trained: Trained,
        request: Mapping[str, Any],
        out: Path,
        section: MarsParams,
        tags: Mapping[str, str],
    ) -> str:
        """A faulty cube to one that is whole."""
        from orrery.systems.mars_bands.model import BandsModel
        from orrery.systems.mars_bands.restore import restore

        model = BandsModel.from_recipe(trained.recipe, trained.network)
        summary = restore(
            model=model,
            out=out,
            params=section.predict,
            filling=section.restore,
            alignment=section.align,
            tags=tags,
            **request,
        )
        return str(summary)


SYSTEM = MarsBands()
