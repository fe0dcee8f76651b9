"""librosa's own answers, and audio to ask about."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import librosa
import numpy as np
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray

Array = NDArray[np.floating]


def quietly(function: Callable[..., Array], *args: object, **options: object) -> Array:
    """``function`` of librosa without its warnings about short audio and empty filters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **options)


def librosa25(y: Array, sr: float) -> Array:
    """The 25 features as the seed computed them: six calls of librosa, each with its own transform."""
    feature = librosa.feature
    parts = (
        quietly(feature.rms, y=y),
        quietly(feature.spectral_centroid, y=y, sr=sr),
        quietly(feature.spectral_bandwidth, y=y, sr=sr),
        quietly(feature.spectral_rolloff, y=y, sr=sr),
        quietly(feature.zero_crossing_rate, y),
        quietly(feature.mfcc, y=y, sr=sr),
    )
    return np.concatenate([part.mean(-1, dtype=np.float64) for part in parts])


def rolloff_bins(S: Array, share: float, slack: float) -> tuple[Array, Array]:
    """First and last bin that a running sum good to ``slack`` of the total may call the rolloff."""
    running = np.cumsum(S.astype(np.float64), axis=-2)
    total = running[..., -1:, :]
    low = (running < (share - slack) * total).sum(-2)
    high = (running < np.minimum(share + slack, 1) * total).sum(-2)
    return low, np.minimum(high, S.shape[-2] - 1)


def rolloff_slack(y: Array, sr: float) -> tuple[float, float]:
    """Least and greatest mean rolloff in hertz, where near-ties may fall either way."""
    S = np.abs(quietly(librosa.stft, y))
    slack = 2e-5 if y.dtype == np.float32 else 1e-12
    low, high = rolloff_bins(S, 0.85, slack)
    return low.mean() * sr / 2048, high.mean() * sr / 2048


def misses(ours: torch.Tensor, y: Array, sr: float, scale: Array) -> Array:
    """Distance of the 25 features from librosa's in scaler units; ties of the rolloff may fall either way."""
    mine = ours.detach().double().numpy()
    theirs = librosa25(y, sr)
    miss = np.abs(mine - theirs)
    low, high = rolloff_slack(y, sr)
    miss[3] = max(low - mine[3], mine[3] - high, 0.0) if low < high else miss[3]
    return miss / scale


def make(kind: str, samples: int, seed: int, level: float) -> Array:
    """Audio of a kind, float64, in [-1, 1]."""
    rng = np.random.default_rng(seed)
    n = np.arange(samples)
    tone = np.sin(2 * np.pi * n * rng.uniform(0.0005, 0.49) + rng.uniform(0, 6))
    noise = rng.standard_normal(samples)
    if kind == "noise":
        y = noise / 4
    elif kind == "tone":
        y = tone
    elif kind == "noisy tone":
        y = tone + 10.0 ** rng.uniform(-6, -1) * noise
    elif kind == "silence":
        y = np.zeros(samples)
    elif kind == "dc":
        y = np.full(samples, rng.choice([-1.0, 1.0]))
    elif kind == "impulse":
        y = np.zeros(samples)
        y[rng.integers(samples, size=rng.integers(1, 4))] = rng.choice([-1.0, 1.0])
    elif kind == "clipped":
        y = np.clip(30 * tone + noise, -1, 1)
    elif kind == "brown":
        y = np.cumsum(noise)
        y /= np.abs(y).max() + 1e-9
    elif kind == "gap":
        y = noise / 4
        y[samples // 4 : samples // 4 * 3] = 0
    elif kind == "fade":
        y = noise / 4 * 10.0 ** np.linspace(0, -26, samples)
    elif kind == "alternating":
        y = np.where(n % 2, -1.0, 1.0)
    else:  # 16 bits of a decaying harmonic sound
        y = np.round(sum(np.sin(0.03 * k * n) / k for k in range(1, 9)) * np.exp(-n / 9000) * 9e3) / 32768
    return np.clip(y * level, -1, 1)


KINDS = (
    "noise",
    "tone",
    "noisy tone",
    "silence",
    "dc",
    "impulse",
    "clipped",
    "brown",
    "gap",
    "fade",
    "alternating",
    "harmonic",
)


@st.composite
def audio(draw: st.DrawFn, longest: int = 12_000) -> Array:
    """Audio of any kind, length and level, of any make."""
    samples = draw(st.one_of(st.integers(1, 40), st.integers(1, longest), st.sampled_from([511, 512, 2048])))
    level = 10.0 ** draw(st.floats(-5, 0))
    return make(draw(st.sampled_from(KINDS)), samples, draw(st.integers(0, 2**20)), level)
