"""What a system must offer, so that the stages and the command line need to know nothing else about it.

A system is a task (what goes in, what comes out, how it is judged); networks are variants inside it. Its module
registers one instance under the entry-point group ``orrery.systems``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import Field

from orrery.errors import OrreryError
from orrery.gates.expectations import ExpectationParams
from orrery.params import Params, PromotionParams, Section, validate
from orrery.tuning.params import TuneParams

if TYPE_CHECKING:
    import pandas as pd
    import pytorch_lightning as pl
    from torch import Tensor, nn

RECIPE = Path("recipe.json")  # beside the weights
RETRAIN = "run the train stage again, or register the model again"
GROUP = "orrery.systems"
# Folder beside a variant's pictures with one folder a scene: bare PNGs of its ground (`figures.bare`), what went in first, what
# came out second. The report lays them over each other.
COMPARED = "compared"


class SystemSection(Section):
    """What every system's section of params.yaml has.

    Attributes:
        code: folder or file of the system's code, on which its stages depend.
        gate: what is expected of the table that `align` returns, by name.
        variants: how each variant's network is built and trained.
        champion_variant: one of them, which is registered.
        promotion: when a challenger becomes champion.
        tune: what `orrery tune` searches; without it the system is not tuned.
    """

    code: str
    gate: Annotated[dict[str, ExpectationParams], Field(min_length=1)]
    variants: Mapping[str, Any]
    champion_variant: str
    promotion: PromotionParams
    tune: TuneParams | None = None


P = TypeVar("P", bound=SystemSection)


@dataclass(frozen=True)
class Workspace:
    """Where the files of one system are, relative to the project root."""

    system: str
    root: Path = Path()

    @property
    def data(self) -> Path:
        """Raw scenes, immutable."""
        return self.root / "data"

    @property
    def aligned(self) -> Path:
        """Aligned scenes and pairs.parquet."""
        return self.root / "build" / self.system / "aligned"

    @property
    def patches(self) -> Path:
        """Shards and their index."""
        return self.root / "build" / self.system / "patches"

    @property
    def reports(self) -> Path:
        """Tables and pictures."""
        return self.root / "reports" / self.system

    @property
    def gate_verdict(self) -> Path:
        """The sorted JSON verdict of the gate."""
        return self.root / "reports" / "gates" / f"{self.system}.json"

    def report(self, variant: str) -> Path:
        """Metrics and pictures of one variant."""
        return self.reports / "variants" / variant

    def model(self, variant: str, replica: int = 0) -> Path:
        """Weights, recipe and run id of a trained variant; those of further seeds lie below the first one's."""
        first = self.root / "models" / self.system / variant
        return first / f"seed-{replica}" if replica else first

    def scratch(self, variant: str, replica: int = 0) -> Path:
        """Checkpoints of a training under way, kept over a kill."""
        return self.root / "build" / self.system / "training" / variant / f"seed-{replica}"


@dataclass(frozen=True)
class Trained:
    """A network with everything else that is needed to use it, as plain data."""

    network: Callable[[Tensor], Tensor]
    recipe: Mapping[str, Any]


class System(ABC, Generic[P]):
    """One task, from raw scene to judged model. `section` is the system's validated part of params.yaml.

    Attributes:
        name: as in params.yaml and on the command line.
        section_type: the pydantic model of its section.
        summary: what goes in, what comes out, for whom; for the model card.
        limits: known failures, for the model card.
        takes: what `predict` and, where the system has it, `restore` are told: option -> whether it must be given.
    """

    name: str
    section_type: type[P]
    summary: str
    limits: tuple[str, ...]
    takes: Mapping[str, Mapping[str, bool]] = {"predict": {"images": True, "dem": False}}

    def check(self, section: P, variants: Sequence[str]) -> None:
        """Refuse what a valid section does not serve, before any work: `variants` are those that the pipeline trains.

        Raises:
            OrreryError: naming the key.
        """

    @abstractmethod
    def align(self, data: Path, out: Path, section: P, seed: int) -> pd.DataFrame:
        """Bring every scene of `data` onto one grid under `out`; return one row a pair of what was measured."""

    @abstractmethod
    def patch(self, aligned: Path, out: Path, section: P, seed: int) -> None:
        """Cut aligned scenes into shards."""

    @abstractmethod
    def data(
        self, patches: Path, section: P, variant: str, seed: int, workers: int
    ) -> pl.LightningDataModule:
        """Batches for a variant. Its attribute `first_step` is set when a training resumes."""

    @abstractmethod
    def task(self, section: P, variant: str) -> pl.LightningModule:
        """The module to train, with its network in the attribute `net`."""

    @abstractmethod
    def schedule(self, section: P, variant: str) -> Schedule:
        """Length and averaging of a variant's training."""

    @abstractmethod
    def recipe(self, task: pl.LightningModule, patches: Path, section: P, variant: str) -> Mapping[str, Any]:
        """What a user of the trained network must know besides its weights, as plain data."""

    @abstractmethod
    def network(self, section: P, variant: str) -> nn.Module:
        """The bare network of a variant, for its weights to be loaded into."""

    @abstractmethod
    def example(self, section: P, variant: str) -> Tensor:
        """An input to export the network with: batch of two or more, height and width unequal."""

    @abstractmethod
    def evaluate(self, trained: Trained, aligned: Path, section: P, out: Path | None) -> dict[str, Any]:
        """Judge a trained variant on the test scenes; pictures go under `out`.

        Returns:
            Plain data with a mapping ``scenes``: scene -> metric -> value; scenes whose ``set`` is "test" are the frozen
            test set on which promotion decides.
        """

    @abstractmethod
    def tables(self, workspace: Workspace, section: P, commit: str) -> None:
        """Collect all evaluations into reports/<system>/{tables.json, tables.md, pictures}."""

    @abstractmethod
    def predict(
        self, trained: Trained, request: Mapping[str, Any], out: Path, section: P, tags: Mapping[str, str]
    ) -> str:
        """Apply a trained network to a whole scene; return what was written, in one line."""

    def restore(
        self, trained: Trained, request: Mapping[str, Any], out: Path, section: P, tags: Mapping[str, str]
    ) -> str:
        """Fill a faulty observation by a trained network; return what was written, in one line.

        Raises:
            OrreryError: the system does not do that.
        """
        raise OrreryError(f"{self.name} restores nothing", remedy="see `orrery restore --help`")


@dataclass(frozen=True)
class Schedule:
    """How long a training lasts, how its weights are averaged, and how many samples a step sees on all devices together."""

    steps: int
    ema_decay: float
    gradient_clip: float
    batch_size: int


@cache
def get_system(name: str) -> System[Any]:
    """The system called `name`; no other is imported.

    Raises:
        OrreryError: there is none.
    """
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in known:
        raise OrreryError(f"no system {name!r}", remedy=f"choose one of {', '.join(sorted(known))}")
    system: System[Any] = known[name].load()
    return system


def get_section(params: Params, name: str, file: Path = Path("params.yaml")) -> Any:
    """The validated section of a system.

    Raises:
        OrreryError: the section is missing or breaks the system's schema; the message names the key.
    """
    if name not in params.systems:
        raise OrreryError(f"systems.{name} is missing", file=file, remedy="add the section")
    system = get_system(name)
    section = validate(system.section_type, params.systems[name], file=file, at=f"systems.{name}")
    system.check(section, [model.variant for model in params.models.values() if model.system == name])
    return section
