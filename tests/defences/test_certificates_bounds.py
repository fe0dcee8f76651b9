"""Bounds on what a perturbation does to the features: cases by hand, brute force, thousands of samples."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from subterfuge.defences.certificates.crossings import (
    chain,
    crossing_rate,
    crossings,
    step_weights,
    turning_costs,
)
from subterfuge.defences.certificates.curves import Curves, half_axes, stepwise
from subterfuge.defences.certificates.melbands import most_down, most_up
from subterfuge.defences.certificates.waveform import feature_bounds
from subterfuge.features.summary import librosa25
from subterfuge.victims.plain import librosa25_plain

SR = 22050


def clip(kind: str, samples: int = 5000) -> np.ndarray:
    rng = np.random.default_rng(3)
    t = np.arange(samples) / SR
    made = {
        "noise": 0.1 * rng.normal(size=samples),
        "tone": 0.4 * np.sin(2 * np.pi * 440 * t) + 1e-4 * rng.normal(size=samples),
        "plucked": 0.5 * np.exp(-6 * t) * np.sin(2 * np.pi * 660 * t) + 1e-3 * rng.normal(size=samples),
        "half silent": np.where(np.arange(samples) < samples // 2, 0.2 * rng.normal(size=samples), 0.0),
    }
    return made[kind].astype(np.float32)


def perturbations(y: np.ndarray, rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Directions of every sort that a perturbation may take: unit vectors."""
    n, out = len(y), []
    t = np.arange(n)
    for k in range(count):
        kind = k % 7
        if kind == 0:
            d = rng.normal(size=n)
        elif kind == 1:
            d = np.sin(2 * np.pi * rng.uniform(0.001, 0.5) * t + rng.uniform(0, 6))
        elif kind == 2:
            d = np.zeros(n)
            d[rng.integers(0, n, 1 + int(rng.integers(0, 5)))] = rng.choice([-1, 1])
        elif kind == 3:
            d = rng.choice([-1.0, 1.0]) * y
        elif kind == 4:  # the quietest samples are turned
            d = np.where(
                np.abs(y) < np.quantile(np.abs(y), rng.uniform(0.002, 0.2)), -y - 1e-9 * np.sign(y), 0
            )
        elif kind == 5:
            start = int(rng.integers(0, n))
            d = np.where((t >= start) & (t < start + int(rng.integers(10, 2000))), rng.normal(size=n), 0)
        else:
            spectrum = np.fft.rfft(rng.normal(size=n)) * (np.arange(n // 2 + 1) > rng.uniform(0, n / 2))
            d = np.fft.irfft(spectrum, n)
        size = np.linalg.norm(d)
        out.append(d / size if size > 0 else np.eye(1, n)[0])
    return out


def test_a_linear_gain_is_bounded_by_cauchy_and_schwarz() -> None:
    """psi = a h has D = sum a^2 / (4 m), and the most on a budget is sqrt(B sum a^2)."""
    a = np.array([1.0, 2.0, 0.5])
    m = np.geomspace(1e-4, 1e6, 200)
    curves = Curves(m, a[:, None] ** 2 / (4 * m))
    weights = np.array([1.0, 0.3, 4.0])
    for budget in (1e-6, 1e-2, 1.0, 100.0):
        exact = np.sqrt(budget * ((weights * a) ** 2).sum())
        found = float(curves.most(weights, np.array([budget]))[0])
        assert exact <= found <= 1.01 * exact
        axes = half_axes(curves, budget)
        # Of linear gains the ellipsoid is exact: half-axes a sqrt(B).
        np.testing.assert_allclose(axes, a * np.sqrt(budget), rtol=0.08)
        assert (axes >= a * np.sqrt(budget) * (1 - 1e-9)).all()


def test_steps_are_priced_at_where_they_begin() -> None:
    costs, gains = np.array([[1.0, 4.0]]), np.array([[0.0, 3.0]])
    np.testing.assert_allclose(stepwise(costs, gains, np.array([0.0, 1.0, 2.0, 4.0])), [3, 2, 1, 0])


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.floats(0, 100),
    st.floats(1e-6, 1e4),
    st.sampled_from([0.0, 1e-3, 1.0, 50.0]),
    st.sampled_from([1e-10, 0.3]),
)
def test_a_cells_best_move_by_brute_force(root: float, multiplier: float, lift: float, least: float) -> None:
    def level(z: np.ndarray) -> np.ndarray:
        return 10 * np.log10(np.maximum(z**2 + lift, least))

    h = np.concatenate([[0.0], np.geomspace(1e-9, 1e4, 200_001)])
    up = level(root + h) - level(np.array(root)) - multiplier * h**2
    h = np.minimum(h, root)
    down = level(np.array(root)) - level(root - h) - multiplier * h**2
    for found, tried in (
        (most_up(np.array([root]), np.array([multiplier]), lift=lift, least=least), up),
        (most_down(np.array([root]), np.array([multiplier]), lift=lift, least=least), down),
    ):
        assert found[0, 0] >= tried.max() - 1e-9
        assert found[0, 0] <= max(tried.max(), 0) + 1e-4 * (1 + tried.max())


def test_the_crossing_rate_is_librosas() -> None:
    for kind in ("noise", "tone", "half silent"):
        y = clip(kind)
        assert crossing_rate(y.astype(float)) == pytest.approx(librosa25_plain(y, SR)[4], abs=1e-12)


def test_turned_signs_by_brute_force() -> None:
    """The chain's answer is that of trying every choice of signs."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        y = rng.normal(size=9)
        weights = np.append(0.0, rng.uniform(0.1, 1, 8))
        costs, side = turning_costs(y) * rng.uniform(0.05, 2), float(rng.choice([-1, 1]))
        base = y < 0
        best = 0.0
        for turned in product([False, True], repeat=9):
            signs = base ^ np.array(turned)
            change = weights[1:] @ ((signs[1:] != signs[:-1]).astype(float) - (base[1:] != base[:-1]))
            best = max(best, side * change - float(costs[np.array(turned)].sum()))
        assert chain(y, costs, weights, side) == pytest.approx(best, abs=1e-12)


def test_a_small_sample_beside_a_crossing_adds_none() -> None:
    """Turning 0.001 only moves the crossing; only the larger ones can add some, at their own price."""
    y = np.concatenate([np.full(600, 0.5), [0.001], np.full(600, -0.5)])
    weights = step_weights(len(y))
    cheap = np.where(np.abs(y) < 0.01, turning_costs(y), np.inf)
    # Only the step's place in a frame or two may differ.
    assert chain(y, cheap, weights, 1.0) <= abs(weights[600] - weights[601]) + 1e-15
    budget = np.array([0.2])
    assert Curves(crossings(y).multipliers, crossings(y).values[:1]).most(np.ones(1), budget)[0] < 1e-3


@pytest.mark.parametrize(
    ("kind", "norm"),
    [
        ("noise", "l2"),
        ("tone", "l2"),
        ("plucked", "l2"),
        ("half silent", "l2"),
        ("noise", "linf"),
        ("tone", "linf"),
    ],
)
def test_sampled_perturbations_stay_within(kind: str, norm: str) -> None:
    """Box, weighted sums and ellipsoid hold what librosa itself hears of perturbations of every sort."""
    y, rng = clip(kind), np.random.default_rng(0)
    bounds = feature_bounds(y, sr=SR)
    clean = librosa25_plain(y, SR)
    np.testing.assert_allclose(bounds.features, clean, atol=2e-3)
    level = float(np.linalg.norm(y.astype(float)))
    whole = level if norm == "l2" else level / np.sqrt(len(y))
    sizes = whole * 10 ** (-np.array([85.0, 60, 35]) / 20)
    moves = bounds.within(sizes, norm=norm)
    fall, rise = moves.box()
    assert (np.diff(rise, axis=0) >= 0).all() and (np.diff(fall, axis=0) >= 0).all()
    scale = np.maximum(np.abs(clean), 1.0)
    weights = rng.normal(size=(12, 25)) / scale
    most = np.stack([moves.most(w) for w in weights])
    for n, size in enumerate(sizes):
        shape = moves.ellipsoid(np.diag(1 / scale), n)
        for direction in perturbations(y, rng, 28):
            d = (
                direction * size
                if norm == "l2"
                else np.sign(direction) * np.minimum(np.abs(direction) * size * np.sqrt(len(y)), size)
            )
            changed = (y + d).astype(np.float32)
            # What rounding to float32 adds is not part of the perturbation.
            real = changed.astype(float) - y
            big = np.linalg.norm(real) if norm == "l2" else np.abs(real).max()
            if big > size:
                changed = (y + d * (size / big) * (1 - 1e-6)).astype(np.float32)
            move = librosa25_plain(changed, SR) - bounds.features
            assert (move <= rise[n] + 1e-12).all() and (-move <= fall[n] + 1e-12).all()
            assert (weights @ move <= most[:, n] + 1e-12).all()
            v = weights * scale
            assert (v @ (move / scale) <= np.sqrt(np.einsum("ij,jk,ik->i", v, shape, v)) + 1e-12).all()


@pytest.mark.parametrize("kind", ["noise", "tone", "plucked"])
def test_gradient_ascent_stays_within(kind: str) -> None:
    """Steps up a weighted sum of features on the sphere come near the bound, and never over it."""
    y, rng = clip(kind), np.random.default_rng(1)
    bounds = feature_bounds(y, sr=SR)
    base = torch.from_numpy(y).double()
    level = float(base.norm())
    nearest = 0.0
    for snr in (80.0, 55.0, 35.0):
        size = np.array([level * 10 ** (-snr / 20)])
        moves = bounds.within(size)
        for w in (
            rng.normal(size=25) / np.maximum(np.abs(bounds.features), 1),
            -np.eye(25)[6],
            np.eye(25)[9],
        ):
            weights, delta = (
                torch.from_numpy(w),
                torch.randn(len(y), generator=torch.Generator().manual_seed(2)),
            )
            delta = delta.double()
            bound, reached = float(moves.most(w)[0]), 0.0
            for _ in range(25):
                delta = (delta * (float(size[0]) / delta.norm())).requires_grad_()
                change = librosa25((base + delta)[None], sr=SR)[0] - torch.from_numpy(bounds.features)
                value = weights @ change
                reached = max(reached, float(value.detach()))
                (slope,) = torch.autograd.grad(value, delta)
                delta = delta.detach() + 0.3 * float(size[0]) * slope / slope.norm()
            assert reached <= bound + 1e-12
            nearest = max(nearest, reached / bound)
    assert nearest > 0.2


def test_a_floor_of_energy_makes_bounds_better() -> None:
    """What hardened features add before the logarithm: a near-silent band is moved far less."""
    y = clip("tone")
    size = np.array([float(np.linalg.norm(y)) * 1e-3])
    wide = feature_bounds(y, sr=SR).within(size)
    tight = feature_bounds(y, sr=SR, floor=1.0, top_db=None).within(size)
    assert tight.most(np.eye(25)[7])[0] < 0.3 * wide.most(np.eye(25)[7])[0]


def test_a_floor_of_energy_is_bounded_soundly() -> None:
    y, rng = clip("plucked"), np.random.default_rng(0)
    size = float(np.linalg.norm(y)) * 10 ** (-40 / 20)
    from subterfuge.features.cepstral import melspectrogram, mfcc, power_to_db

    def hardened(x: np.ndarray) -> np.ndarray:
        S = melspectrogram(y=torch.from_numpy(x.astype(np.float64)), sr=SR) + 0.05
        return mfcc(S=power_to_db(S, top_db=None)).mean(-1).numpy()

    bounds = feature_bounds(y, sr=SR, floor=0.05, top_db=None)
    np.testing.assert_allclose(bounds.features[5:], hardened(y), atol=1e-6)
    fall, rise = bounds.within(np.array([size])).box()
    for direction in perturbations(y, rng, 70):
        move = hardened(y + size * direction) - bounds.features[5:]
        assert (move <= rise[0, 5:]).all() and (-move <= fall[0, 5:]).all()
