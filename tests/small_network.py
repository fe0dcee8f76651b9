"""A small network that was taught, in a second, to tell three bands of noise: one worth attacking."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from subterfuge.features.logmel import logmel
from subterfuge.victims.cnn import CnnVictim
from subterfuge.victims.network import Network

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
    "temperature": 0.5,
    "seconds": SAMPLES / RATE,
}


def noises(rows: int, samples: int = SAMPLES, *, sr: int = RATE, seed: int = 0) -> Tensor:
    """Noise in the band of label 0, 1, 2, 0, ... over a fainter one everywhere; RMS 0.1, float32."""
    white = torch.randn(2, rows, samples, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    hertz = torch.fft.rfftfreq(samples, 1 / sr)
    edges = torch.tensor([BANDS[LABELS[i % len(LABELS)]] for i in range(rows)])
    within = (hertz >= edges[:, :1]) & (hertz < edges[:, 1:])
    y = torch.fft.irfft(torch.fft.rfft(white[0]) * within, samples)
    y = y / y.square().mean(1, keepdim=True).sqrt() + 0.3 * white[1]
    return (0.1 * y).clamp(-1, 1).float()


def mixtures(rows: int, *, seed: int = 9) -> Tensor:
    """Noise of each label over fainter noise of the next one: heard as one, and nearly as the other."""
    y = noises(rows + 1, seed=seed)
    return 0.55 * y[:-1] + 0.45 * y[1:]


@cache
def taught() -> CnnVictim:
    """The network, on the waveform; learnt by the plainest means, whatever those of training may become."""
    labels = torch.arange(240) % len(LABELS)
    x = logmel(noises(240), sr=RATE, **FRONT)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = Network(WIDTHS, len(LABELS))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for step in range(60):
        rows = slice(48 * (step % 4), 48 * (step % 4 + 1))
        loss = torch.nn.functional.cross_entropy(network(x[rows]), labels[rows], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    heard = network.eval()(x[192:]).argmax(1)
    assert float((heard == labels[192:]).float().mean()) > 0.9
    return CnnVictim(BUILT, network.state_dict(), labels=LABELS, sample_rate=RATE)
