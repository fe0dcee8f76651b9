"""A small network that was taught, in a second or two, to tell three bands of noise: one worth attacking."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from subterfuge.features.logmel import logmel
from subterfuge.training.learning import NAPIERS_A_DECIBEL, Lessons, teach
from subterfuge.training.spectrograms import FLOOR_DB
from subterfuge.victims.cnn import CnnVictim
from subterfuge.victims.network import folded

RATE = 22050
SAMPLES = 2205
BANDS = {"cel": (200.0, 800.0), "flu": (1000.0, 2500.0), "tru": (3000.0, 6000.0)}
LABELS = tuple(BANDS)
FRONT: dict[str, Any] = {
    "n_fft": 256,
    "hop_length": 128,
    "n_mels": 16,
    "fmin": 30.0,
    "fmax": 8000.0,
    "floor_db": -40.0,
}
WIDTHS = (6, 8)
BUILT: dict[str, Any] = {
    "front_end": FRONT,
    "widths": list(WIDTHS),
    "temperature": 0.1,
    "seconds": SAMPLES / RATE,
}


def noises(rows: int, samples: int = SAMPLES, *, sr: int = RATE, seed: int = 0) -> Tensor:
    """Noise in the band of label 0, 1, 2, 0, ... over a fainter one everywhere; RMS 0.1, float32."""
    white = torch.randn(2, rows, samples, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    hertz = torch.fft.rfftfreq(samples, 1 / sr)
    edges = torch.tensor([BANDS[LABELS[i % len(LABELS)]] for i in range(rows)])
    within = (hertz >= edges[:, :1]) & (hertz < edges[:, 1:])
    y = torch.fft.irfft(torch.fft.rfft(white[0]) * within, samples)
    y = y / y.square().mean(1, keepdim=True).sqrt() + 0.1 * white[1]
    return (0.1 * y).clamp(-1, 1).float()


@cache
def taught() -> CnnVictim:
    """The network, on the waveform."""
    y = noises(192 + 48)
    x = logmel(y, sr=RATE, **{**FRONT, "floor_db": FLOOR_DB}).half()
    labels = torch.arange(len(y)) % len(LABELS)
    floor = FRONT["floor_db"] * NAPIERS_A_DECIBEL
    lessons = Lessons(x[:192], labels[:192], x[192:], labels[192:], floor)
    done = teach(lessons, widths=WIDTHS, classes=len(LABELS), epochs=15, seed=1)
    assert done.epochs[done.best - 1].validation_accuracy > 0.9
    return CnnVictim(BUILT, folded(done.network).state_dict(), labels=LABELS, sample_rate=RATE)
