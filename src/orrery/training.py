"""The one training entry: any system's task and data, on whatever device there is, resumed after a kill."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, TQDMProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy

from orrery.checkpoints import LAST, BestWeights, LoggedCheckpoint, steps_done
from orrery.distributed import normalise_together, rank
from orrery.errors import OrreryError
from orrery.params import Params, Section, TrainParams
from orrery.seeds import derive, replica_seed
from orrery.systems.base import Schedule, System, Workspace

# Lightning tells of devices that are not there and of services that are not used, and warns of its own internals.
logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=r".*treespec, LeafSpec.*")
warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
# DDP's buckets hold kernels of one pixel in another order than channels_last does: it copies them, which is cheap.
warnings.filterwarnings("ignore", message=r"Grad strides do not match bucket view strides")
# Every process validates on all patches, so what it logs of them is the same everywhere.
warnings.filterwarnings("ignore", message=r".*recommended to use `self.log\(.*sync_dist=True.*")


def precision(choice: str) -> Any:
    """bf16 where the hardware multiplies it natively (elsewhere it is many times slower than float32)."""
    if choice != "auto":
        return choice
    if torch.cuda.is_available():
        return "bf16-mixed"
    return (
        "bf16-mixed"
        if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
        else "32-true"
    )


def make_trainer(
    schedule: Schedule,
    params: TrainParams,
    logger: Logger | bool,
    scratch: Path,
    further: Sequence[pl.Callback] = (),
) -> pl.Trainer:
    """A trainer that counts steps, keeps its last state in `scratch` and shows a progress bar."""
    checkpoint = LoggedCheckpoint(
        scratch,
        filename="step",
        save_last=True,
        save_top_k=0,
        every_n_train_steps=params.checkpoint_every_steps,
        enable_version_counter=False,
    )
    callbacks: list[pl.Callback] = [checkpoint, TQDMProgressBar(refresh_rate=20), *further]
    if schedule.ema_decay > 0:
        callbacks.append(EMAWeightAveraging(decay=schedule.ema_decay))
    return pl.Trainer(
        accelerator=params.accelerator,
        devices=params.devices,
        # static: an encoder may have parameters that its decoder never asks for, in every step the same ones
        strategy=DDPStrategy(static_graph=True) if params.devices > 1 else "auto",
        use_distributed_sampler=False,  # batches are shared out by `distributed.Share`, validation is not
        precision=precision(params.precision),
        max_steps=schedule.steps,
        gradient_clip_val=schedule.gradient_clip,
        check_val_every_n_epoch=None,
        val_check_interval=max(1, schedule.steps // params.validations),
        num_sanity_val_steps=0,
        log_every_n_steps=params.log_every_steps,
        logger=logger,
        callbacks=callbacks,
        enable_model_summary=False,
        deterministic="warn",
    )


def fit(
    system: System[Any],
    section: Section,
    variant: str,
    params: Params,
    work: Workspace,
    logger: Logger | bool,
    replica: int = 0,
    callbacks: Sequence[pl.Callback] = (),
) -> pl.LightningModule:
    """Train a variant to the end of its schedule, from its last checkpoint if there is one; return the task.

    The averaged weights, or those of the best validation (`train.keep`), are in the task's `net` afterwards. `callbacks` join those
    that every training has. On several devices Lightning starts this very command once more for each further one; see `orrery.distributed`.

    Raises:
        OrreryError: the devices are not there, or cannot share this variant's batches.
    """
    scratch, seed = work.scratch(variant, replica), replica_seed(params.seed, replica)
    if params.train.accelerator != "gpu":
        torch.set_num_threads(params.train.threads)
    own = [rank()] if rank() else []  # each draws its own dropout; the first one's weights are sent to all
    pl.seed_everything(derive(seed, "train", system.name, variant, *own) % 2**32, verbose=False)
    task = system.task(section, variant)
    _prepare_devices(task, params.train, system.schedule(section, variant).batch_size)
    channels_last(task)
    data = system.data(work.patches, section, variant, seed, params.train.workers)
    last = scratch / LAST
    if last.exists():
        data.first_step = steps_done(last)  # type: ignore[attr-defined]
    best = BestWeights(scratch) if params.train.keep == "best" else None
    further = [*([best] if best else []), *callbacks]
    trainer = make_trainer(system.schedule(section, variant), params.train, logger, scratch, further)
    with _interrupts_are_errors():
        trainer.fit(task, data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    if best:
        best.restore(task.net)  # type: ignore[arg-type]
    return task


def _prepare_devices(task: pl.LightningModule, params: TrainParams, batch_size: int) -> None:
    """Refuse what several devices cannot do as one does, before any starts; let the network see whole batches."""
    if params.devices == 1:
        return
    gpu = params.accelerator == "gpu" or (params.accelerator == "auto" and torch.cuda.is_available())
    problem = None
    if gpu and params.devices > torch.cuda.device_count():
        problem = f"there are {torch.cuda.device_count()} GPUs"
    elif batch_size % params.devices:
        problem = f"a batch of {batch_size} cannot be shared out evenly"
    elif not normalise_together(task.train()):
        problem = "this network has batch normalisations that cannot be taken over all devices"
    if problem:
        raise OrreryError(
            f"train.devices: {params.devices}, but {problem}",
            file=Path("params.yaml"),
            remedy="set train.devices to a number that fits; 1 always does",
        )
    os.environ.setdefault("OMP_NUM_THREADS", str(params.threads))  # else Lightning shares out all cores


def channels_last(task: pl.LightningModule) -> None:
    """Convolutions over images on a CPU take a quarter less time so; on a GPU it suits the tensor cores. Volumes stay."""
    for parameter in task.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


@contextmanager
def _interrupts_are_errors() -> Iterator[None]:
    """A terminated training must fail, not look finished: Lightning swallows SIGTERM and Ctrl-C otherwise."""

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
