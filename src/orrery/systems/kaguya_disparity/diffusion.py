"""Diffusion of a residual: how it is noised, what a network learns of it, and how samples are drawn in few calls.

Gamma is the share of the signal's variance in a noised residual (alpha-bar of Ho et al. 2020). Networks are told gamma, not the
number of a step, so that schedules of training and sampling may differ (Saharia et al. 2022). The schedulers of ready-made
libraries count steps, and their second-order one does not bound the residual; hence the few lines here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Gammas = NDArray[np.float64]
Parameterisation = Literal["eps", "v"]
Sampler = Literal["ancestral", "ddim", "dpmpp_2m"]
Predict = Callable[[Tensor, Tensor], Tensor]

COSINE_OFFSET = 0.008  # Nichol and Dhariwal 2021
LARGEST_BETA = 0.999
# Of the package: betas of its linear schedules of 2,000 steps in training and 1,000 in sampling.
LINEAR_BETA = {2000: (1e-6, 0.01), 1000: (1e-4, 0.09)}
LEAST_GAMMA = 1e-8


def schedule(name: Literal["cosine", "linear"], steps: int) -> Gammas:
    """(steps,) gammas, falling.

    Args:
        name: cosine (Nichol and Dhariwal 2021), or linear in beta between the package's ends, stretched to the number of steps.
        steps: how many.
    """
    if name == "cosine":
        time = np.arange(steps + 1) / steps
        level = np.cos((time + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2) ** 2
        betas = np.minimum(1 - level[1:] / level[:-1], LARGEST_BETA)
    else:
        known = min(LINEAR_BETA, key=lambda each: abs(each - steps))
        betas = np.minimum(np.linspace(*LINEAR_BETA[known], steps) * known / steps, LARGEST_BETA)
    return np.asarray(np.cumprod(1 - betas))


def draw_gamma(gammas: Gammas, count: int, generator: torch.Generator) -> Tensor:
    """(count,) gammas: evenly between two neighbours of a step that is drawn evenly."""
    step = torch.randint(1, len(gammas), (count,), generator=generator)
    known = torch.from_numpy(gammas)
    upper, lower = known[step - 1], known[step]
    return (lower + (upper - lower) * torch.rand(count, generator=generator, dtype=torch.float64)).float()


def noised(residual: Tensor, gamma: Tensor, noise: Tensor) -> Tensor:
    """Residuals (N, 1, H, W) with noise, each at its own gamma (N,)."""
    signal, rest = _roots(gamma)
    return signal * residual + rest * noise


def wanted(residual: Tensor, noise: Tensor, gamma: Tensor, parameterisation: Parameterisation) -> Tensor:
    """What the network is to predict, (N, 1, H, W): the noise, or the velocity (Salimans and Ho 2022)."""
    if parameterisation == "eps":
        return noise
    signal, rest = _roots(gamma)
    return signal * noise - rest * residual


def to_residual(
    noisy: Tensor, output: Tensor, gamma: Tensor, parameterisation: Parameterisation, clip: float
) -> Tensor:
    """The residual that an output stands for, within +-`clip`, (N, 1, H, W)."""
    signal, rest = _roots(gamma)
    if parameterisation == "eps":
        return ((noisy - rest * output) / signal).clamp(-clip, clip)
    return (signal * noisy - rest * output).clamp(-clip, clip)


def packed(condition: Tensor, noisy: Tensor, gamma: Tensor) -> Tensor:
    """(N, C + 2, H, W): condition, noised residual, and gamma as a plane of its own, so that a network takes one tensor."""
    plane = gamma.to(noisy)[:, None, None, None].expand(len(noisy), 1, *noisy.shape[2:])
    return torch.cat([condition, noisy, plane], 1)


def sample(
    predict: Predict,
    shape: tuple[int, ...],
    sampler: Sampler,
    gammas: Gammas,
    calls: int,
    parameterisation: Parameterisation,
    clip: float,
    generator: torch.Generator,
) -> Tensor:
    """Samples of the residual, (N, 1, H, W) float32.

    Args:
        predict: (N, 1, H, W) noised residuals and (N,) gammas to the network's output.
        shape: of the samples.
        sampler: "ancestral" draws noise at every call (Ho et al. 2020); "ddim" draws none (Song et al. 2021); "dpmpp_2m" is a
            second-order multistep (Lu et al. 2022).
        gammas: schedule.
        calls: of the network, at evenly spaced steps of the schedule.
        parameterisation: what the network predicts.
        clip: bound of the residual at every call.
        generator: of all noise.
    """
    levels = chosen(gammas, calls)
    noisy = torch.randn(shape, generator=generator)
    residual, before, step_before = noisy, None, 0.0
    for number, level in enumerate(levels):
        gamma = torch.full(shape[:1], level, dtype=torch.float32)
        residual = to_residual(noisy, predict(noisy, gamma), gamma, parameterisation, clip)
        if number == len(levels) - 1:
            return residual
        target = levels[number + 1]
        match sampler:
            case "ancestral":
                noisy = _ancestral(noisy, residual, level, target, generator)
            case "ddim":
                noisy = _ddim(noisy, residual, level, target)
            case "dpmpp_2m":
                step = _half_log_snr(target) - _half_log_snr(level)
                noisy = _dpmpp_2m(noisy, residual, before, level, target, step, step_before)
                before, step_before = residual, step
    return residual


def chosen(gammas: Gammas, calls: int) -> list[float]:
    """Gammas of the calls, from noise to signal: evenly spaced steps, the noisiest one first.

    (Evenly spaced in log signal-to-noise ratio instead, few calls leave twice the error: most would be spent where nothing
    but noise is seen.)
    """
    steps = np.unique(np.round(np.linspace(len(gammas) - 1, 0, min(calls, len(gammas)) + 1)[:-1]).astype(int))
    return [max(float(gammas[step]), LEAST_GAMMA) for step in steps[::-1]]


def _ancestral(
    noisy: Tensor, residual: Tensor, level: float, target: float, generator: torch.Generator
) -> Tensor:
    """A draw from the posterior of the next level, given the residual."""
    kept = level / target
    mean = ((1 - kept) * math.sqrt(target) * residual + (1 - target) * math.sqrt(kept) * noisy) / (1 - level)
    spread = math.sqrt((1 - kept) * (1 - target) / (1 - level))
    return mean + spread * torch.randn(noisy.shape, generator=generator)


def _ddim(noisy: Tensor, residual: Tensor, level: float, target: float) -> Tensor:
    """The same noise at the next level; it is what the bounded residual leaves."""
    noise = (noisy - math.sqrt(level) * residual) / math.sqrt(1 - level)
    return math.sqrt(target) * residual + math.sqrt(1 - target) * noise


def _dpmpp_2m(
    noisy: Tensor,
    residual: Tensor,
    before: Tensor | None,
    level: float,
    target: float,
    step: float,
    step_before: float,
) -> Tensor:
    """A step in half the log signal-to-noise ratio, its slope from the residual of the call before."""
    slope = residual
    if before is not None:
        share = step / (2 * step_before)
        slope = (1 + share) * residual - share * before
    carried = math.sqrt((1 - target) / (1 - level))
    return carried * noisy + math.sqrt(target) * -math.expm1(-step) * slope


def _half_log_snr(gamma: float) -> float:
    return 0.5 * math.log(gamma / (1 - gamma))


def _roots(gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Square roots of signal and noise share, (N, 1, 1, 1)."""
    level = gamma[:, None, None, None]
    return level.sqrt(), (1 - level).sqrt()
