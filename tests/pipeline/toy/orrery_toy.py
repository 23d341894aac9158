"""A sixth system, as a stranger would add it: brightness doubled by a one-weight network, from numbers in a text file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.utils.data import DataLoader

from orrery.figures import bare, levels, save
from orrery.files import read_json, write_json, write_text
from orrery.params import Count, Positive, Section
from orrery.systems.base import COMPARED, Schedule, System, SystemSection
from orrery.tables import row_of


class ToyVariant(Section):
    learning_rate: Positive
    steps: Count


class ToyParams(SystemSection):
    align: dict[str, float]
    patch: dict[str, float]
    split: dict[str, list[str]]
    variants: dict[str, ToyVariant]


class Gain(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 1)

    def forward(self, x):
        return self.convolution(x)


class ToyTask(pl.LightningModule):
    def __init__(self, rate):
        super().__init__()
        self.net, self.rate = Gain(), rate

    def training_step(self, batch, index):
        loss = (self.net(batch) - 2 * batch).square().mean()
        self.log("train/loss", loss, batch_size=len(batch))
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.rate)


class ToyData(pl.LightningDataModule):
    def __init__(self, values, steps):
        super().__init__()
        self.values, self.steps, self.first_step = values, steps, 0

    def train_dataloader(self):
        return DataLoader([self.values] * (self.steps - self.first_step), batch_size=1)


class Toy(System[ToyParams]):
    name = "toy"
    section_type = ToyParams
    summary = "Doubles brightness."
    limits = ("a toy",)

    def align(self, data, out, section, seed):
        values = np.tile(np.loadtxt(data / "toy.txt").reshape(4, 6), (16, 16))
        np.save(out / "scene.npy", values)
        return pd.DataFrame([{"scene": "only", "pair": "none", "residual_px": float(values.min())}])

    def patch(self, aligned, out, section, seed):
        out.mkdir(parents=True, exist_ok=True)
        np.save(out / "patches.npy", np.load(aligned / "scene.npy")[None])
        pd.DataFrame({"patch": [0]}).to_parquet(out / "index.parquet")

    def data(self, patches, section, variant, seed, workers):
        return ToyData(
            torch.tensor(np.load(patches / "patches.npy"), dtype=torch.float32),
            section.variants[variant].steps,
        )

    def task(self, section, variant):
        return ToyTask(section.variants[variant].learning_rate)

    def schedule(self, section, variant):
        return Schedule(section.variants[variant].steps, 0.0, 10.0, batch_size=1)

    def recipe(self, task, patches, section, variant):
        return {"variant": variant}

    def network(self, section, variant):
        return Gain()

    def example(self, section, variant):
        return torch.zeros(2, 1, 64, 96)

    def evaluate(self, trained, aligned, section, out):
        values = torch.tensor(np.load(aligned / "scene.npy")[None, None], dtype=torch.float32)
        with torch.no_grad():
            error = float((trained.network(values) - 2 * values).abs().mean())
        if out is not None:
            figure = Figure(figsize=(1, 1))
            save(figure, out / "only.png")
            for number, plane in enumerate((values, trained.network(values).detach())):
                bare(
                    levels(plane[0, 0].numpy(), (0, 2)),
                    f"plane {number}",
                    out / COMPARED / f"only/{number}.png",
                )
        judged = section.split["test"]  # the one image stands for all scenes
        return {"scenes": {name: {"set": "test", "error": error} for name in judged}}

    def tables(self, workspace, section, commit):
        found = {
            path.parent.name: read_json(path)
            for path in sorted(workspace.reports.glob("variants/*/metrics.json"))
        }
        rows = [
            row_of("toy", name, "error", None, each, lambda result: [result["scenes"]["only"]["error"]])
            for name, each in found.items()
        ]
        write_json(
            workspace.reports / "tables.json", [row | {"commit": commit, "data": "twin"} for row in rows]
        )
        write_text(workspace.reports / "tables.md", "\n".join(found))
        (workspace.reports / "pictures").mkdir(parents=True, exist_ok=True)

    def predict(self, trained, request: Mapping, out: Path, section, tags):
        write_json(out / "product.json", dict(tags))
        return "doubled"


SYSTEM = Toy()
