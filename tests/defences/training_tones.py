"""A small corpus of tones that training defences are tried on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

SR = 16000


def corpus_of_tones(folder: Path, *, clips: int = 12, seconds: float = 0.5) -> Path:
    """Three labels: one partial, odd ones, all; each clip a recording of its own."""
    rng = np.random.default_rng(0)
    t = np.arange(int(SR * seconds)) / SR
    for label, harmonics in (("flu", (1,)), ("cla", (1, 3, 5)), ("tru", range(1, 12))):
        (folder / label).mkdir(parents=True)
        for n in range(clips):
            pitch = 200 * 2 ** rng.uniform(0, 1)
            y = sum(np.sin(2 * np.pi * pitch * k * t) for k in harmonics) + 0.01 * rng.normal(size=len(t))
            y = 0.1 * y * np.exp(-rng.uniform(0, 5) * t)  # features that never differ are no features
            soundfile.write(folder / label / f"{label}{n}.wav", y, SR)
    return folder
