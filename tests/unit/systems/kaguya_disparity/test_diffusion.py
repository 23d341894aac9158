"""kaguya-disparity's diffusion against Gaussian data, whose best predictor and posterior are known in closed form."""

import math
from dataclasses import replace

import pytest
import torch

from orrery.systems.kaguya_disparity.diffusion import (
    LINEAR_ENDS,
    Sampling,
    cosine_schedule,
    draw_gamma,
    linear_schedule,
    mean_of_samples,
    noised,
    sample,
    target_of,
    to_x0,
)

COSINE = cosine_schedule(1000)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def optimal(mean, spread, parameterisation="eps"):
    """The best predictor of Gaussian data: the mean of x0 given y (a linear regression), turned into eps or v."""

    def predict(y, gamma):
        signal, noise = gamma.double().sqrt(), (1 - gamma.double()).sqrt()
        signal, noise = signal[:, None, None, None], noise[:, None, None, None]
        gain = signal * spread**2 / (signal**2 * spread**2 + noise**2)
        x0 = mean + gain * (y - signal * mean)
        eps = (y - signal * x0) / noise
        return eps if parameterisation == "eps" else signal * eps - noise * x0

    return predict


def like(planes=1):
    return torch.empty(1, planes, 140, 140, dtype=torch.float64)


# Levels


def test_cosine_levels_are_the_published_curve():
    t = torch.arange(1, 2001, dtype=torch.float64) / 2000
    curve = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    levels = cosine_schedule(2000)
    torch.testing.assert_close(levels[:-1], curve[:-1], rtol=1e-9, atol=0)
    assert float(levels[-1] / levels[-2]) == pytest.approx(0.001)  # the last beta is cut at .999
    torch.testing.assert_close(
        levels[1:-1:2], COSINE[:-1], rtol=1e-9, atol=0
    )  # one curve for any number of steps


@pytest.mark.parametrize(("steps", "last"), [(2000, math.exp(-10.03)), (1000, math.exp(-46.4))])
def test_linear_levels_have_the_ends_of_the_package(steps, last):
    levels = linear_schedule(steps, *LINEAR_ENDS[steps])
    assert float(levels[0]) == 1 - LINEAR_ENDS[steps][0]
    assert math.log(float(levels[-1])) == pytest.approx(math.log(last), rel=0.01)


def test_drawn_levels_are_even_within_a_step_and_over_the_steps():
    schedule = torch.tensor([0.9, 0.7, 0.1], dtype=torch.float64)
    drawn = draw_gamma(schedule, 20_000, generator())
    assert drawn.dtype == torch.float32
    assert drawn.min() >= 0.1
    assert drawn.max() <= 0.9
    upper = drawn[drawn > 0.7]
    assert len(upper) / 20_000 == pytest.approx(0.5, abs=0.02)
    assert float(upper.mean()) == pytest.approx(0.8, abs=0.003)
    assert float(drawn[drawn < 0.7].std()) == pytest.approx(0.6 / math.sqrt(12), rel=0.02)
    assert torch.equal(draw_gamma(schedule, 9, generator(3)), draw_gamma(schedule, 9, generator(3)))


@pytest.mark.parametrize("spacing", ["log-snr", "steps"])
@pytest.mark.parametrize("calls", [1, 4, 1000])
def test_calls_go_from_noisy_to_clean(spacing, calls):
    levels = Sampling(COSINE, calls=calls, spacing=spacing).levels()
    assert len(levels) == calls
    assert levels == sorted(set(levels))
    assert 0 < levels[0] < 4e-4


def test_as_many_calls_as_steps_are_the_whole_schedule():
    assert Sampling(COSINE, calls=1000, spacing="steps").levels() == COSINE.flip(0).tolist()
    for calls in (0, 1001):
        with pytest.raises(ValueError, match="1000 steps"):
            Sampling(COSINE, calls=calls).levels()


# Targets


@pytest.mark.parametrize("parameterisation", ["eps", "v"])
def test_the_true_output_gives_the_clean_target_back(parameterisation):
    y0, noise = torch.randn(2, 3, 1, 8, 6, generator=generator()).double()
    gamma = torch.tensor([0.02, 0.5, 0.999], dtype=torch.float64)
    y = noised(y0, gamma, noise)
    for sample_y, clean, drawn, level in zip(y, y0, noise, gamma.tolist(), strict=True):
        torch.testing.assert_close(sample_y, math.sqrt(level) * clean + math.sqrt(1 - level) * drawn)
    output = target_of(y0, gamma, noise, parameterisation)
    torch.testing.assert_close(to_x0(y, output, gamma, parameterisation, None), y0)
    torch.testing.assert_close(to_x0(y, output, gamma, parameterisation, 1.0), y0.clamp(-1, 1))


def test_v_turns_a_quarter_from_noise_to_the_negative_target():
    y0, noise = torch.randn(2, 1, 1, 4, 4, generator=generator())
    torch.testing.assert_close(target_of(y0, torch.ones(1), noise, "v"), noise)
    torch.testing.assert_close(target_of(y0, torch.zeros(1), noise, "v"), -y0)


# Samplers

WELL_SAMPLED = [
    ("ancestral", 1000, "steps", 0.015),  # steps draw a little too little where the data is narrow
    ("ddim", 200, "log-snr", 0.02),
    ("dpmpp_2m", 8, "log-snr", 0.045),
    ("dpmpp_2m", 30, "log-snr", 0.02),
]


@pytest.mark.parametrize("parameterisation", ["eps", "v"])
@pytest.mark.parametrize(("sampler", "calls", "spacing", "tolerance"), WELL_SAMPLED)
def test_samples_have_the_mean_and_the_spread_of_the_data(
    sampler, calls, spacing, tolerance, parameterisation
):
    sampling = Sampling(COSINE, sampler, calls, spacing, parameterisation)
    for mean, spread in ((0.0, 0.3), (0.5, 0.6), (-1.0, 0.9)):
        drawn = sample(optimal(mean, spread, parameterisation), like(), sampling, generator())
        assert float(drawn.mean()) == pytest.approx(mean, abs=0.015 * spread + 0.015 * abs(mean))
        assert float(drawn.std()) == pytest.approx(spread, rel=tolerance)


@pytest.mark.parametrize("spread", [0.3, 0.6, 0.9])
def test_second_order_is_nearer_to_many_calls_than_first(spread):
    """Of one noise: ddim and dpmpp_2m follow the same curve, which many calls follow exactly."""

    def end(sampler, calls):
        sampling = Sampling(COSINE, sampler, calls)
        return sample(optimal(0.4, spread), like(), sampling, generator(5))

    many = end("dpmpp_2m", 400)
    torch.testing.assert_close(end("ddim", 1000), many, rtol=0, atol=0.02 * spread)
    first, second = ((end(name, 8) - many).square().mean().sqrt() for name in ("ddim", "dpmpp_2m"))
    assert second < 0.25 * first


def test_levels_even_in_log_snr_bear_an_imperfect_network_and_even_steps_do_not():
    exact = optimal(0.0, 0.6)
    error = generator(1)

    def predict(y, gamma):
        return exact(y, gamma) + 0.03 * torch.randn(y.shape, generator=error)

    spreads = {
        spacing: float(sample(predict, like(), Sampling(COSINE, spacing=spacing), generator()).std()) / 0.6
        for spacing in ("log-snr", "steps")
    }
    assert spreads["log-snr"] == pytest.approx(1, abs=0.05)
    assert spreads["steps"] > 1.3


def test_the_bound_holds_at_every_call_and_can_be_lifted():
    wide = replace(Sampling(COSINE, "ddim", 50), clip=1.0)
    bounded = sample(optimal(0.0, 1.0), like(), wide, generator())
    free = sample(optimal(0.0, 1.0), like(), replace(wide, clip=None), generator())
    assert float(bounded.abs().max()) == 1.0
    assert float((free.abs() > 1).double().mean()) == pytest.approx(0.317, abs=0.03)  # what the package cuts


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "dpmpp_2m"])
def test_noise_is_like_the_target_and_follows_the_seed(sampler):
    condition = torch.randn(2, 2, 16, 24, generator=generator())
    target = torch.empty(2, 1, 16, 24)
    seen = []

    def predict(y, gamma):
        seen.append((y.shape, y.dtype, gamma.shape))
        return y - condition.mean(1, keepdim=True)

    sampling = Sampling(COSINE, sampler, 5)
    one, same, other = (sample(predict, target, sampling, generator(seed)) for seed in (1, 1, 2))
    assert seen == [((2, 1, 16, 24), torch.float32, (2,))] * 15
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


# Several samples


@pytest.mark.parametrize("explained", [0.4, 0.778])
def test_means_of_samples_explain_what_the_theory_says(explained):
    """x0 = rho c + sqrt(1 - rho2) n, hence the posterior N(rho c, 1 - rho2); R2 of the mean of K is rho2 - (1 - rho2) / K."""
    c, n = torch.randn(2, 1, 1, 140, 140, dtype=torch.float64, generator=generator(9))
    truth = math.sqrt(explained) * c + math.sqrt(1 - explained) * n
    predict = optimal(math.sqrt(explained) * c, math.sqrt(1 - explained))
    sampling = Sampling(COSINE, calls=20, clip=None)

    def r2(prediction):
        return float(1 - (truth - prediction).square().sum() / (truth - truth.mean()).square().sum())

    assert r2(sample(predict, like(), sampling, generator())) == pytest.approx(2 * explained - 1, abs=0.02)
    for samples in (2, 4, 8):
        mean, deviation = mean_of_samples(predict, like(), sampling, generator(), samples)
        assert r2(mean) == pytest.approx(explained - (1 - explained) / samples, abs=0.02)
    assert float(deviation.square().mean().sqrt()) == pytest.approx(math.sqrt(1 - explained), rel=0.02)
    with pytest.raises(ValueError, match="standard deviation"):
        mean_of_samples(predict, like(), sampling, generator(), 1)
