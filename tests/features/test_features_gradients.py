"""Gradients: exact where the features are smooth, useful where they are not, finite everywhere."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from reference import KINDS, Array, make
from torch import Tensor

from subterfuge.features import fused
from subterfuge.features.cepstral import DECIBELS, melspectrogram, mfcc, power_to_db
from subterfuge.features.spectral import spectral_bandwidth, spectral_centroid, spectral_rolloff
from subterfuge.features.stft import spectrogram
from subterfuge.features.summary import NAMES, composed25, librosa25
from subterfuge.features.temporal import rms, zero_crossing_rate

SR = 44100
ROLLOFF, CROSSINGS = NAMES.index("rolloff"), NAMES.index("zcr")
SMOOTH = [n for n in range(25) if n not in (ROLLOFF, CROSSINGS)]


def slopes(function: Callable[[Tensor], Tensor], y: Tensor, d: Tensor, step: float) -> Tensor:
    """Central difference of ``function`` along ``d``."""
    with torch.no_grad():
        return (function(y + step * d) - function(y - step * d)) / (2 * step)


def along(function: Callable[[Tensor], Tensor], y: Tensor, d: Tensor) -> Tensor:
    """The same by the backward pass, one output at a time."""
    x = y.clone().requires_grad_()
    out = function(x)
    parts = [torch.autograd.grad(o, x, retain_graph=True)[0] for o in out.flatten()]
    return torch.stack([(part * d).sum() for part in parts]).view(out.shape)


@pytest.mark.parametrize("samples", [1800, 9000])
@pytest.mark.parametrize("kind", ["noise", "brown", "clipped"])
def test_smooth_features_have_the_gradient_of_finite_differences(kind: str, samples: int) -> None:
    # Broad spectra with no cell under the decibels' floor.
    y = torch.from_numpy(make(kind, samples, 3, 0.5) + 1e-3 * make("noise", samples, 4, 1.0))[None]
    for seed in range(3):
        d = torch.from_numpy(make("noise", samples, 100 + seed, 1.0))[None]
        true = slopes(lambda y: librosa25(y, sr=SR)[0], y, d, 1e-7)
        ours = along(lambda y: librosa25(y, sr=SR)[0], y, d)
        scale = true.abs().clamp_min(1e-3)
        assert ((ours - true).abs() / scale)[SMOOTH].max() < 2e-5


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_fused_gradient_is_that_of_the_single_features(
    kind: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "KEPT", 10_000 if kept else 0)
    y = torch.from_numpy(np.stack([make(kind, 6000, seed, 0.3) for seed in (1, 2)])).requires_grad_()
    for number in range(25):
        pair = [f(y, sr=SR)[:, number].sum() for f in (librosa25, composed25)]
        ours, theirs = (torch.autograd.grad(out, y)[0] for out in pair)
        assert (ours - theirs).norm() <= 1e-7 * theirs.norm() + 1e-12, NAMES[number]


SINGLE = {
    "rms": lambda y: rms(y=y, frame_length=64, hop_length=30),
    "centroid": lambda y: spectral_centroid(y=y, sr=8000, n_fft=64, hop_length=30),
    "bandwidth": lambda y: spectral_bandwidth(y=y, sr=8000, n_fft=64, hop_length=30),
    "cubic bandwidth": lambda y: spectral_bandwidth(y=y, sr=8000, n_fft=64, p=3, pad_mode="reflect"),
    "amplitudes": lambda y: spectrogram(y, n_fft=64, power=0.7, pad_mode="edge"),
    "mel": lambda y: melspectrogram(y=y, sr=8000, n_fft=64, n_mels=8),
    "mfcc": lambda y: mfcc(y=y, sr=8000, n_fft=64, n_mels=8, n_mfcc=5, lifter=3),
}


@pytest.mark.parametrize("name", SINGLE)
def test_single_features_pass_gradcheck(name: str) -> None:
    y = torch.from_numpy(np.stack([make("noise", 150, seed, 0.5) for seed in (1, 2)]))
    assert torch.autograd.gradcheck(SINGLE[name], y.requires_grad_(), eps=1e-7, atol=1e-3, rtol=1e-4)


def test_the_floor_of_the_decibels() -> None:
    S = torch.tensor([[2.0, 1e-3, 1e-7], [3e-9, 1e-12, 0.0]], dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([[1.0, -2.0, 3.0], [0.5, -1.5, 4.0]], dtype=torch.float64)
    (grad,) = torch.autograd.grad((power_to_db(S, top_db=80.0) * weights).sum(), S)
    floor = 2e-8
    # Above the floor, the slope of the logarithm; under it, that of the logarithm at the floor.
    expected = DECIBELS * weights / S.detach().clamp_min(floor)
    # The floor hangs on the peak, with all that lies under it.
    expected[0, 0] += DECIBELS * weights[1].sum() / 2
    torch.testing.assert_close(grad, expected)
    # And that is the true slope by the peak.
    with torch.no_grad():
        d = torch.zeros_like(S)
        d[0, 0] = 1
        true = slopes(lambda S: (power_to_db(S, top_db=80.0) * weights).sum(), S, d, 1e-6)
    torch.testing.assert_close(grad[0, 0], true, rtol=1e-6, atol=0)


def test_a_floor_that_is_absolute_hangs_on_nothing() -> None:
    S = torch.tensor([[1e-4, 1e-11]], dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(power_to_db(S, top_db=80.0).sum(), S)
    torch.testing.assert_close(grad, DECIBELS / torch.tensor([[1e-4, 1e-10]], dtype=torch.float64))


# Of these, the crossings are more than those of the fundamental, which no small change can undo.
SEEDS = (1, 2, 4)


def harmonic(seed: int, samples: int = 40_000) -> Array:
    """A decaying harmonic sound with a little noise, like an instrument's note."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / SR
    f0 = rng.uniform(150, 600)
    parts = [
        np.sin(2 * np.pi * f0 * k * t + rng.uniform(0, 6)) * np.exp(-0.7 * k * t) / k for k in range(1, 25)
    ]
    y = sum(parts) + 0.01 * rng.standard_normal(samples)
    return 0.3 * y / np.abs(y).max()


def bands(y: Array) -> Tensor:
    """The octaves of ``y``, shape (bands, samples): what an equaliser would turn up and down."""
    Y = np.fft.rfft(y)
    k = np.fft.rfftfreq(len(y), 1 / SR)
    edges = [0, 400, 800, 1600, 3200, 6400, 12800, SR]
    parts = [np.fft.irfft(Y * ((k >= a) & (k < b)), n=len(y)) for a, b in pairwise(edges)]
    return torch.from_numpy(np.stack(parts))


@pytest.mark.parametrize(
    ("number", "likeness", "least", "most"), [(ROLLOFF, 0.93, 0.4, 2.0), (CROSSINGS, 0.9, 0.4, 2.0)]
)
def test_a_surrogate_foretells_what_an_equaliser_does(
    number: int, likeness: float, least: float, most: float
) -> None:
    for seed in SEEDS:
        y = harmonic(seed)
        octaves = bands(y)
        x = torch.from_numpy(y)[None]
        foretold = torch.stack([along(lambda y: librosa25(y, sr=SR)[0, number], x, d) for d in octaves])
        came = torch.stack([slopes(lambda y: librosa25(y, sr=SR)[0, number], x, d, 0.1) for d in octaves])
        assert torch.cosine_similarity(foretold, came, dim=0) > likeness
        assert least < came.norm() / foretold.norm() < most


@pytest.mark.parametrize(
    ("function", "up", "down"),
    [
        (lambda y: spectral_rolloff(y=y, sr=SR).mean(), (0.4, 3.0), (0.2, 3.0)),
        (lambda y: zero_crossing_rate(y).mean(), (0.5, 2.2), (0.02, 2.0)),
    ],
    ids=["rolloff", "crossings"],
)
def test_a_step_along_a_surrogate_moves_the_feature_as_far_as_it_says(
    function: Callable[[Tensor], Tensor], up: tuple[float, float], down: tuple[float, float]
) -> None:
    # A change 46 dB under the clip: the size of the perturbations that the attacks find. Downward much less
    # is to be had: a crossing that is not a near miss cannot be undone by so little.
    for seed in SEEDS:
        y = torch.from_numpy(harmonic(seed))[None].requires_grad_()
        value = function(y)
        (grad,) = torch.autograd.grad(value, y)
        with torch.no_grad():
            step = grad / grad.norm() * y.norm() * 10 ** (-46 / 20)
            said = (grad * step).sum()
            assert up[0] < (function(y + step) - value) / said < up[1]
            assert down[0] < (value - function(y - step)) / said < down[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [1, 2, 600, 4000])
def test_gradients_are_finite_for_any_audio(samples: int, dtype: torch.dtype) -> None:
    rows = [make(kind, samples, 9, level) for kind in KINDS for level in (1.0, 1e-7, 1e-30)]
    y = torch.from_numpy(np.stack(rows)).to(dtype).requires_grad_()
    for function in (librosa25, composed25):
        out = function(y, sr=SR)
        assert torch.isfinite(out).all()
        # One at a time and far apart: what blows up must not hide behind the rest.
        for number in (0, 1, 2, 3, 4, 5, 24):
            (grad,) = torch.autograd.grad(out[:, number].sum(), y, retain_graph=True)
            assert torch.isfinite(grad).all(), NAMES[number]


def test_silence_has_no_slope() -> None:
    y = torch.zeros(2, 3000, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(librosa25(y, sr=SR).sum(), y)
    assert (grad == 0).all()


def test_a_graph_may_be_walked_twice() -> None:
    y = torch.from_numpy(harmonic(1, 5000))[None].requires_grad_()
    out = librosa25(y, sr=SR).sum()
    (first,) = torch.autograd.grad(out, y, retain_graph=True)
    (second,) = torch.autograd.grad(out, y)
    assert torch.equal(first, second)
