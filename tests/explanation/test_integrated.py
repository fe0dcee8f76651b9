"""Integrated gradients: closed forms, completeness, and a residual that tells what was missed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from listeners import Weighing, noise

from subterfuge.errors import SubterfugeError
from subterfuge.explanation.evidence import evidence
from subterfuge.explanation.gradients import gradient, gradient_times_value
from subterfuge.explanation.integrated import integrated_gradients, path


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.integers(0, 2**20), st.integers(1, 40), st.sampled_from([1.0, 10.0, 1e6]), st.integers(1, 9))
def test_a_linear_function_is_divided_exactly(seed, steps, spread, chunk):
    generator = torch.Generator().manual_seed(seed)
    w, x, x0 = (torch.randn(7, generator=generator, dtype=torch.float64) for _ in range(3))
    found = integrated_gradients(lambda y: y @ w + 3, x, baseline=x0, steps=steps, spread=spread, chunk=chunk)
    torch.testing.assert_close(found.attribution, w * (x - x0), atol=1e-12, rtol=1e-12)
    assert found.residual == pytest.approx(0, abs=1e-12)
    assert found.difference == pytest.approx(float(w @ (x - x0)))


def test_a_linear_victim_is_explained_exactly():
    y, start = noise(seconds=0.1)[0], noise(seconds=0.1, seed=1)[0]
    victim = Weighing(noise(seconds=0.1, seed=2)[0])
    heard = evidence(victim, 0, victim.hear(y[None], probabilities=True))
    assert heard.unit == "score"
    found = integrated_gradients(heard, y, baseline=start, steps=8)
    torch.testing.assert_close(found.attribution, victim.weight.double() * (y - start).double())
    torch.testing.assert_close(
        gradient_times_value(heard, y[None], baseline=start[None])[0], victim.weight * (y - start)
    )


def test_squares_products_and_a_baseline():
    x = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    squares = integrated_gradients(lambda y: y.square().sum(1), x, steps=4, spread=1)
    torch.testing.assert_close(squares.attribution, x.square())
    # Of x0 x1, each factor has half: the path from zero is the diagonal.
    product = integrated_gradients(lambda y: y[:, 0] * y[:, 1], x, steps=4, spread=1)
    torch.testing.assert_close(product.attribution, torch.tensor([-1.0, -1.0, 0.0], dtype=torch.float64))
    # Gradient times value would give each factor all of it.
    torch.testing.assert_close(
        gradient_times_value(lambda y: y[:, 0] * y[:, 1], x[None])[0, :2], torch.full((2,), -2.0).double()
    )


def test_decibels_need_a_path_that_begins_slowly():
    x = torch.tensor([3.0, 4.0], dtype=torch.float64)

    def level(y):
        return torch.log(y.square().sum(1) + 1e-8)

    slow, even = (integrated_gradients(level, x, steps=32, spread=s) for s in (1e6, 1.0))
    assert slow.difference == pytest.approx(math.log(25 + 1e-8) - math.log(1e-8))
    assert abs(slow.residual) < 0.01 * slow.difference < abs(even.residual)
    # By energy, as the gradient of a logarithm of a sum of squares has it all along the path.
    assert (slow.attribution / slow.attribution.sum()).tolist() == pytest.approx([9 / 25, 16 / 25])


def test_what_no_gradient_sees_is_in_the_residual():
    x = torch.tensor([2.0, 1.0])
    found = integrated_gradients(lambda y: (y.sum(1) > 1).float() + y[:, 0], x, steps=8)
    assert found.difference == 3 and found.residual == pytest.approx(1, abs=1e-6)
    flat = integrated_gradients(lambda y: torch.zeros(len(y)), x, steps=8)
    assert flat.attribution.tolist() == [0, 0] and flat.residual == 0


@pytest.mark.parametrize("spread", [1.0, 100.0, 1e6])
def test_the_path(spread):
    places, weights = path(64, spread)
    assert len(places) == 64 and weights.sum() == pytest.approx(1, abs=1e-14)
    assert 0 < places[0] < places[-1] < 1 and (places[1:] > places[:-1]).all() and (weights > 0).all()
    assert weights @ places**2 == pytest.approx(1 / 3, rel=1e-3)


def test_progress_rows_and_mistakes():
    told = []
    integrated_gradients(lambda y: y.sum(1), torch.ones(3), steps=10, progress=lambda *a: told.append(a))
    assert told == [(8, 12), (12, 12)]
    values, slopes = gradient(lambda y: y[:, 0] * y[:, 1], torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert values.tolist() == [2, 12] and slopes.tolist() == [[2, 1], [4, 3]]
    with pytest.raises(SubterfugeError, match="shapes"):
        integrated_gradients(lambda y: y.sum(1), torch.ones(3), baseline=torch.ones(4))
    with pytest.raises(SubterfugeError, match="not finite"):
        integrated_gradients(lambda y: (y - y).sqrt().sum(1) + (0 * y).log().sum(1), torch.ones(2), steps=4)
    for steps, spread in ((0, 1.0), (4, 0.5), (4, math.inf)):
        with pytest.raises(SubterfugeError, match="at least 1"):
            path(steps, spread)
