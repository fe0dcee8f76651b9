"""What the tests of the command line share: four timbres of synthetic sound, and a command line's answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LABELS = ("cel", "cla", "flu", "tru")
RATE = 22050


def sound(
    label: str, *, seed: int = 0, seconds: float = 0.5, sr: int = RATE, channels: int = 1
) -> np.ndarray:
    """A note of a label's timbre, shape (frames, channels), peak at most 0.5."""
    rng = np.random.default_rng(seed)
    partials = {
        "cel": (1, 0.8, 0.7, 0.6, 0.5),
        "cla": (1, 0, 0.7, 0, 0.4),
        "flu": (1, 0.1),
        "tru": (0.4, 1, 1, 1),
    }
    f0 = rng.uniform(*{"cel": (80, 160), "cla": (200, 500), "flu": (500, 1000), "tru": (250, 600)}[label])
    t = np.arange(max(1, round(seconds * sr))) / sr
    notes = []
    for channel in range(channels):
        y = sum(a * np.sin(2 * np.pi * f0 * k * t + channel) for k, a in enumerate(partials[label], 1))
        y = y + rng.normal(0, 0.02, len(t))
        notes.append(0.5 * y / np.abs(y).max())
    return np.stack(notes, 1)


@dataclass(frozen=True)
class Answer:
    """What a command line gave back."""

    code: int
    out: str
    err: str


Command = Callable[..., Answer]
