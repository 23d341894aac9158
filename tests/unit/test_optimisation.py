"""Courses of the learning rate and orders of batches against their definitions."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from orrery.optimisation import SeededBatches, configured, rate_factor
from orrery.params import OptimiserParams


def options(**changes):
    plain = {
        "steps": 100, "batch_size": 4, "learning_rate": 0.01, "weight_decay": 0.1, "schedule": "cosine",
        "warmup_steps": 10, "ema_decay": 0.0, "gradient_clip": 1.0,
    }  # fmt: skip
    return OptimiserParams.model_validate(plain | changes)


@given(
    schedule=st.sampled_from(["cosine", "step", "constant"]),
    warmup=st.integers(0, 30),
    steps=st.integers(1, 300),
)
def test_a_rate_rises_by_equal_steps_then_never_again(schedule, warmup, steps):
    course = options(schedule=schedule, warmup_steps=warmup, steps=steps)
    factors = [rate_factor(step, course) for step in range(steps + 5)]
    assert all(0 <= factor <= 1 for factor in factors)
    rise, rest = factors[:warmup], factors[warmup:]
    assert rise == pytest.approx([(step + 1) / warmup for step in range(len(rise))])
    assert rest == sorted(rest, reverse=True)
    assert not rest or rest[0] == 1


def test_cosine_is_that_of_torch():
    weight = torch.nn.Parameter(torch.zeros(1))
    theirs = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, T_max=100)
    for step in range(101):
        assert rate_factor(step, options(warmup_steps=0)) == pytest.approx(
            schedule.get_last_lr()[0], abs=1e-6
        )
        theirs.step()
        schedule.step()


def test_steps_divide_by_ten_at_each_quarter_and_constant_does_not_move():
    stepped = options(schedule="step", warmup_steps=0)
    found = [rate_factor(step, stepped) for step in (0, 24, 25, 49, 50, 74, 75, 99)]
    assert found == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3])
    level = options(schedule="constant", warmup_steps=0)
    assert {rate_factor(step, level) for step in range(300)} == {1.0}


def test_an_optimiser_follows_the_course_step_by_step():
    weight = torch.nn.Parameter(torch.ones(3))
    made = configured([weight], options())
    optimiser, course = made["optimizer"], made["lr_scheduler"]
    assert isinstance(optimiser, torch.optim.AdamW)
    assert optimiser.param_groups[0]["weight_decay"] == 0.1
    assert course["interval"] == "step"
    for step in range(20):
        expected = 0.01 * ((step + 1) / 10 if step < 10 else (1 + math.cos(math.pi * (step - 10) / 90)) / 2)
        assert optimiser.param_groups[0]["lr"] == pytest.approx(expected)
        weight.sum().backward()
        optimiser.step()
        course["scheduler"].step()


@given(size=st.integers(1, 20), batch=st.integers(1, 8), steps=st.integers(1, 20), first=st.integers(0, 20))
def test_every_patch_is_seen_equally_often_whenever_a_training_resumes(size, batch, steps, first):
    batches = list(SeededBatches(size, batch, steps, 3))
    assert [len(each) for each in batches] == [batch] * steps
    drawn = [number for each in batches for number in each]
    whole = Counter(drawn[: len(drawn) // size * size])
    assert set(whole.values()) <= {len(drawn) // size}
    assert set(drawn) <= set(range(size))
    resumed = SeededBatches(size, batch, steps, 3, min(first, steps))
    assert list(resumed) == batches[first:]
    assert len(resumed) == steps
