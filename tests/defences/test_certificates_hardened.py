"""Bounds on the hardened features: by hand, by thousands of perturbations, by ascent, and of a victim."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from subterfuge.attacks.whitebox.minimal import minimal
from subterfuge.criteria import Untargeted
from subterfuge.defences.certificates.bracket import bracket, certify_clip
from subterfuge.defences.certificates.hardened import _largest, _steps, hardened_bounds
from subterfuge.errors import SubterfugeError
from subterfuge.features.hardened import hardened25, hardened25_plain
from subterfuge.victims.svm import SvmVictim

SR, SAMPLES = 16000, 9000


def clip(kind: str) -> np.ndarray:
    rng, t = np.random.default_rng(3), np.arange(SAMPLES) / SR
    made = {
        "noise": 0.1 * rng.normal(size=SAMPLES),
        "tone": 0.4 * np.sin(2 * np.pi * 440 * t) + 1e-4 * rng.normal(size=SAMPLES),
        "plucked": 0.5 * np.exp(-9 * t) * np.sin(2 * np.pi * 660 * t) + 1e-3 * rng.normal(size=SAMPLES),
        "half silent": np.where(t < 0.25, 0.2 * rng.normal(size=SAMPLES), 0.0),
    }
    return made[kind].astype(np.float32)


def direction(y: np.ndarray, rng: np.random.Generator, kind: int) -> np.ndarray:
    """A unit vector: noise, a sine, a burst, the clip itself, noise above some frequency."""
    t = np.arange(len(y))
    start, length = int(rng.integers(0, len(y) - 10)), int(rng.integers(10, 4000))
    d = [
        rng.normal(size=len(y)),
        np.sin(2 * np.pi * rng.uniform(0.001, 0.5) * t),
        np.where((t >= start) & (t < start + length), rng.normal(size=len(y)), 0),
        rng.choice([-1.0, 1.0]) * y.astype(float),
        np.fft.irfft(
            np.fft.rfft(rng.normal(size=len(y))) * (np.arange(len(y) // 2 + 1) > rng.uniform(0, len(y) / 2)),
            len(y),
        ),
    ][kind % 5]
    return np.asarray(d / np.linalg.norm(d))


@pytest.mark.parametrize("kind", ["noise", "tone", "plucked", "half silent"])
def test_sampled_perturbations_stay_within(kind: str) -> None:
    y, rng = clip(kind), np.random.default_rng(0)
    bounds = hardened_bounds(y, sr=SR)
    np.testing.assert_allclose(bounds.features, hardened25_plain(y, SR), atol=5e-6)
    sizes = float(np.linalg.norm(y.astype(float))) * 10 ** (-np.array([80.0, 55, 35, 15]) / 20)
    for norm in ("l2", "linf"):
        at = sizes if norm == "l2" else sizes / np.sqrt(len(y))
        moves = bounds.within(at, norm=norm)  # type: ignore[arg-type]
        weights = np.concatenate([np.eye(25), -np.eye(25), rng.normal(size=(8, 25))])
        most = np.stack([moves.most(w) for w in weights])
        assert (np.diff(most, axis=1) >= 0).all()
        for n, size in enumerate(at):
            shape = moves.ellipsoid(np.eye(25), n)
            reach = np.sqrt(np.einsum("ij,jk,ik->i", weights, shape, weights))
            for k in range(40 if norm == "l2" else 10):
                d = direction(y, rng, k)
                d = d * size if norm == "l2" else np.sign(d) * size
                changed = (y + d * (1 - 1e-6)).astype(np.float32)
                move = weights @ (hardened25_plain(changed, SR) - bounds.features)
                # Rounding to float32 may have made the change a little larger than asked for.
                assert (move <= most[:, n] * (1 + 1e-6) + 1e-5).all()
                assert (move <= reach * (1 + 1e-6) + 1e-5).all()


@pytest.mark.parametrize("kind", ["noise", "plucked", "half silent"])
def test_gradient_ascent_stays_within(kind: str) -> None:
    y = torch.from_numpy(clip(kind)).double()
    bounds = hardened_bounds(y.numpy(), sr=SR)
    nearest = 0.0
    for snr in (60.0, 30.0):
        size = float(y.norm()) * 10 ** (-snr / 20)
        moves = bounds.within(np.array([size]))
        for w in np.concatenate([np.eye(25)[[0, 1, 2, 3, 4, 8]], -np.eye(25)[[2, 3]]]):
            delta = torch.randn(len(y), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
            bound, reached = float(moves.most(w)[0]), 0.0
            for _ in range(15):
                delta = (delta * (size / delta.norm())).requires_grad_()
                value = (hardened25((y + delta)[None], sr=SR)[0] - torch.from_numpy(bounds.features)) @ (
                    torch.from_numpy(w)
                )
                reached = max(reached, float(value.detach()))
                (slope,) = torch.autograd.grad(value, delta)
                delta = delta.detach() + 0.5 * size * slope / slope.norm().clamp(min=1e-30)
            assert reached <= bound
            nearest = max(nearest, reached / bound)
    assert nearest > 0.25


def test_shapes_of_one_frame_by_random_excitations() -> None:
    """Centroid, bandwidth and rolloff of excitations that move by no more than is allowed."""
    rng = np.random.default_rng(0)
    place = np.linspace(0, 1, 64)

    def shape(c: np.ndarray) -> np.ndarray:
        share = c / (c.sum() + 64 * 0.05)
        centre = share @ place
        soft = 1 / (1 + np.exp(-(0.85 - share.cumsum()) / 0.05))
        return np.array([centre, np.sqrt(share @ (place - centre) ** 2 + 1e-4), soft.mean()])

    for _ in range(30):
        c = rng.exponential(rng.choice([0.01, 0.3, 3.0]), 64) * (rng.random(64) < rng.uniform(0.05, 1))
        moved = np.array([[1e-3, 0.03, 0.5, 5.0]])
        steps = _steps(c[None], moved, 8 * moved)[:, 0]
        for n, size in enumerate(moved[0]):
            for _ in range(40):
                d = rng.normal(size=64) * (rng.random(64) < rng.uniform(0.02, 1))
                d *= size / max(float(np.linalg.norm(d)), 1e-12)
                change = shape(np.maximum(c + d, 0)) - shape(c)
                assert (change <= steps[:3, n] + 1e-12).all() and (-change <= steps[3:, n] + 1e-12).all()


def test_only_the_frames_that_gain_most_count() -> None:
    """With no price, the sum over two of three frames is that of the best two."""
    gains = np.outer([1.0, 5.0, 3.0], np.ones(160))
    assert _largest(gains, 2)[0] == pytest.approx(8.0)


def test_a_victim_on_hardened_features_is_certified() -> None:
    """Attacks stay outside, random noise at the rim changes nothing, and silence certifies something too."""
    rng = np.random.default_rng(0)

    def sound(label: int) -> np.ndarray:
        t, pitch = np.arange(4000) / SR, rng.uniform(150, 500)
        y = sum(np.sin(2 * np.pi * k * pitch * t) / k ** (2 - 1.7 * label) for k in range(1, 9))
        return (0.1 * y + 0.002 * rng.normal(size=len(t))).astype(np.float32)

    labels = [n % 2 for n in range(30)]
    x = np.stack([hardened25_plain(sound(label), SR) for label in labels])
    model = make_pipeline(StandardScaler(), SVC(C=10, gamma=0.02)).fit(x, labels)
    victim = SvmVictim(model, labels=("dark", "bright"), sample_rate=SR, features="hardened25", name="toy")
    y = torch.from_numpy(np.stack([sound(0), sound(1)]))
    outcome = minimal(victim, y, Untargeted(), steps=40, generator=torch.Generator().manual_seed(0))
    found = bracket(victim, y, distance=torch.where(outcome.success, outcome.distance, torch.inf))
    for row, one in zip(y, found, strict=True):
        assert 0 < one.certified_db < 60
        assert one.gap_db is None or one.gap_db > 0
        noise = rng.normal(size=(20, len(row)))
        noise *= one.certificate.epsilon * (1 - 1e-6) / np.linalg.norm(noise, axis=1, keepdims=True)
        changed = torch.from_numpy((row.numpy() + noise).astype(np.float32))
        assert (victim.verdict(changed).predicted == one.certificate.label).all()
    half = y[0].clone()
    half[2000:] = 0
    assert certify_clip(victim, half).epsilon > 0


def test_bad_clips_are_refused() -> None:
    with pytest.raises(SubterfugeError, match="finite"):
        hardened_bounds(np.array([np.inf]), sr=SR)
