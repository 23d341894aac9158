"""Diffusion between a z-scored residual and Gaussian noise: levels, targets, and samplers of few and of many calls.

A level is gamma, the share of signal in the variance (Palette's gamma, others' alpha-bar): y = sqrt(gamma) x0 +
sqrt(1 - gamma) noise. Networks see gamma and never a step, so any schedule may be sampled with any other's network.

The schedulers of diffusers do not fit: all are indexed by a step, and their DPM-Solver++ has no fixed bound of x0.
Two faults of the package that the paper used are avoided: its noise has as many planes as the condition, and it bounds
x0 at 1, which cuts 32 % of a z-scored target. Here noise is like the target, and the bound is a parameter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

Parameterisation = Literal["eps", "v"]
SamplerName = Literal["ancestral", "ddim", "dpmpp_2m"]
Spacing = Literal["log-snr", "steps"]
# Noisy target (N, C, H, W) and gamma (N,) to eps or v, like the target.
Predict = Callable[[Tensor, Tensor], Tensor]

COSINE_OFFSET = 0.008  # Nichol and Dhariwal 2021, equation 17
MAX_BETA = 0.999  # the same
LINEAR_ENDS = {2000: (1e-6, 0.01), 1000: (1e-4, 0.09)}  # beta of the package, in training and in sampling
# Where few calls begin and end, and why in log SNR: of Gaussian data of spread .3/.6/.9, eight calls of dpmpp_2m return
# .96/1.00/1.01 of the spread, against .92/.99/.97 with even steps (four calls: .73/.82/.80 and .73/.82/.80). Even steps
# begin at the noisiest level, where x0 is the error of a predicted eps times 1 / sqrt(gamma) = 4e4: an error of .03 makes
# 1.45/1.55/1.51 of the spread there, and .98/1.02/1.02 in log SNR. Beginning at -8 costs 1 % of the mean.
LOG_SNR_ENDS = (-8.0, 6.0)


def cosine_schedule(steps: int) -> Tensor:
    """Levels of the cosine schedule (Nichol and Dhariwal 2021), clean to noisy: (steps,) float64."""
    t = torch.arange(steps + 1, dtype=torch.float64) / steps
    signal = torch.cos((t + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2) ** 2
    beta = (1 - signal[1:] / signal[:-1]).clamp(max=MAX_BETA)
    return torch.cumprod(1 - beta, 0)


def linear_schedule(steps: int, first_beta: float, last_beta: float) -> Tensor:
    """Levels of a schedule whose beta grows linearly, clean to noisy: (steps,) float64; see `LINEAR_ENDS`."""
    return torch.cumprod(1 - torch.linspace(first_beta, last_beta, steps, dtype=torch.float64), 0)


def draw_gamma(schedule: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Levels of a batch in training, (count,) float32: a step from 1 on, and evenly between it and the one before."""
    device = generator.device
    step = torch.randint(1, len(schedule), (count,), generator=generator, device=device)
    share = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
    levels = schedule.to(device)
    return torch.lerp(levels[step], levels[step - 1], share).float()


def noised(y0: Tensor, gamma: Tensor, noise: Tensor) -> Tensor:
    """The noisy target at levels (N,); all others (N, C, H, W)."""
    signal, spread = _amplitudes(gamma)
    return signal * y0 + spread * noise


def target_of(y0: Tensor, gamma: Tensor, noise: Tensor, parameterisation: Parameterisation) -> Tensor:
    """What the network learns: the noise, or v = sqrt(gamma) noise - sqrt(1 - gamma) y0 (Salimans and Ho 2022)."""
    if parameterisation == "eps":
        return noise
    signal, spread = _amplitudes(gamma)
    return signal * noise - spread * y0


def to_x0(
    y: Tensor, output: Tensor, gamma: Tensor, parameterisation: Parameterisation, clip: float | None
) -> Tensor:
    """The clean target that a network's output at levels (N,) stands for, within +-`clip` if that is given."""
    signal, spread = _amplitudes(gamma)
    x0 = (y - spread * output) / signal if parameterisation == "eps" else signal * y - spread * output
    return x0 if clip is None else x0.clamp(-clip, clip)


def _amplitudes(gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Of signal and noise, (N, 1, 1, 1)."""
    gamma = gamma[:, None, None, None]
    return gamma.sqrt(), (1 - gamma).sqrt()


@dataclass(frozen=True)
class Sampling:
    """How samples are drawn.

    Attributes:
        schedule: levels, clean to noisy; need not be that of the training.
        sampler: "ancestral" (as published), "ddim" (Song et al. 2021, eta 0) or "dpmpp_2m" (Lu et al. 2022, second order).
        calls: of the network, a sample.
        spacing: of the calls' levels: even in log SNR between `LOG_SNR_ENDS`, or even in the steps of the schedule; the
            latter with as many calls as steps is the published sampling.
        parameterisation: what the network predicts.
        clip: bound of x0 in z units, or None.
    """

    schedule: Tensor
    sampler: SamplerName = "dpmpp_2m"
    calls: int = 8
    spacing: Spacing = "log-snr"
    parameterisation: Parameterisation = "eps"
    clip: float | None = 4.0

    def levels(self) -> list[float]:
        """The levels of the calls, noisy to clean.

        Raises:
            ValueError: no call, or more than the schedule has steps.
        """
        steps = len(self.schedule)
        if not 1 <= self.calls <= steps:
            raise ValueError(f"{self.calls} calls in a schedule of {steps} steps")
        if self.spacing == "log-snr":
            noisy = max(LOG_SNR_ENDS[0], _log_snr(float(self.schedule[-1])))
            clean = min(LOG_SNR_ENDS[1], _log_snr(float(self.schedule[0])))
            return torch.sigmoid(torch.linspace(noisy, clean, self.calls, dtype=torch.float64)).tolist()
        middles = [(2 * part + 1) * steps // (2 * self.calls) for part in range(self.calls)]
        return [float(self.schedule[step]) for step in (*middles[:-1], steps - 1)][::-1]


def sample(predict: Predict, like: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """One sample of the clean target.

    Args:
        predict: the network with its condition.
        like: a tensor of the target's shape (N, C, H, W), type and device; its values are not used.
        sampling: sampler, levels and bound.
        generator: of all noise; on the CPU it gives the same noise for every device.
    """

    def denoise(y: Tensor, gamma: float) -> Tensor:
        levels = y.new_full((len(y),), gamma)
        return to_x0(y, predict(y, levels), levels, sampling.parameterisation, sampling.clip)

    def noise() -> Tensor:
        drawn = torch.randn(like.shape, generator=generator, device=generator.device)
        return drawn.to(like)

    return SAMPLERS[sampling.sampler](denoise, noise, sampling.levels())


def mean_of_samples(
    predict: Predict, like: Tensor, sampling: Sampling, generator: torch.Generator, samples: int
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of independent samples, pixel by pixel; each (N, C, H, W).

    If a share rho2 of the variance can be explained at all, one faithful sample has R2 = 2 rho2 - 1 and the mean of K has
    rho2 - (1 - rho2) / K: averaging tends to what regression learns at once; the deviation is what sampling adds.

    Raises:
        ValueError: fewer than two samples, which have no deviation.
    """
    if samples < 2:
        raise ValueError(f"{samples} samples have no standard deviation")
    drawn = torch.stack([sample(predict, like, sampling, generator) for _ in range(samples)])
    return drawn.mean(0), drawn.std(0)


Denoise = Callable[[Tensor, float], Tensor]
Noise = Callable[[], Tensor]


def ancestral(denoise: Denoise, noise: Noise, levels: list[float]) -> Tensor:
    """Draws from the posterior of each next level given x0 and this one (Ho et al. 2020, equations 6 and 7)."""
    y = noise()
    for gamma, cleaner in pairwise(levels):
        kept = gamma / cleaner  # alpha of the step
        mean = (1 - kept) * math.sqrt(cleaner) * denoise(y, gamma) + (1 - cleaner) * math.sqrt(kept) * y
        variance = (1 - kept) * (1 - cleaner) / (1 - gamma)
        y = mean / (1 - gamma) + math.sqrt(variance) * noise()
    return denoise(y, levels[-1])


def ddim(denoise: Denoise, noise: Noise, levels: list[float]) -> Tensor:
    """Goes to each next level with the noise that (the bounded) x0 leaves (Song et al. 2021, equation 12, eta 0)."""
    y = noise()
    for gamma, cleaner in pairwise(levels):
        x0 = denoise(y, gamma)
        rest = (y - math.sqrt(gamma) * x0) / math.sqrt(1 - gamma)
        y = math.sqrt(cleaner) * x0 + math.sqrt(1 - cleaner) * rest
    return denoise(y, levels[-1])


def dpmpp_2m(denoise: Denoise, noise: Noise, levels: list[float]) -> Tensor:
    """DPM-Solver++(2M): x0 extrapolated from the last two calls in half the log SNR (Lu et al. 2022, algorithm 2).

    The first and the last step, which goes to no noise at all, are of first order.
    """
    y, before, step_before = noise(), None, 0.0
    for gamma, cleaner in pairwise(levels):
        x0 = denoise(y, gamma)
        step = 0.5 * (_log_snr(cleaner) - _log_snr(gamma))
        ahead = x0 if before is None else x0 + (x0 - before) * (step / (2 * step_before))
        y = math.sqrt((1 - cleaner) / (1 - gamma)) * y - math.sqrt(cleaner) * math.expm1(-step) * ahead
        before, step_before = x0, step
    return denoise(y, levels[-1])


def _log_snr(gamma: float) -> float:
    return math.log(gamma / (1 - gamma))


SAMPLERS: dict[SamplerName, Callable[[Denoise, Noise, list[float]], Tensor]] = {
    "ancestral": ancestral,
    "ddim": ddim,
    "dpmpp_2m": dpmpp_2m,
}
