"""Corpora made for tests: short, quiet to compute, with as much of a leak as is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from subterfuge.corpora.corpus import Clip, Corpus

RATE = 8000


def made_corpus(
    root: Path,
    *,
    labels: tuple[str, ...] = ("cel", "flu", "tru"),
    recordings: int = 6,
    clips: int = 3,
    told: float = 1.0,
    own: float = 1.0,
    seed: int = 0,
    seconds: float = 0.3,
) -> Corpus:
    """Coloured noise: ``told`` is how much of its colour the label gives it, ``own`` how much its recording.

    Clips of a recording are near-copies of each other.
    """
    rng = np.random.default_rng(seed)
    found = []
    for number, label in enumerate(labels):
        for recording in range(recordings):
            tilt = told * (number - 1) + own * rng.normal(0, 1.0)
            level = 0.1 * np.exp(own * rng.normal(0, 0.3))
            bands = own * rng.normal(0, 1.5, 12)
            for clip in range(clips):
                path = root / label / f"{label}{recording}__{clip}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                y = coloured(rng, tilt + rng.normal(0, 0.02), int(seconds * RATE), bands)
                soundfile.write(path, level * y, RATE)
                found.append(Clip(path, label, f"{label}{recording}"))
    return Corpus(root.name, labels, tuple(found))


def coloured(
    rng: np.random.Generator, tilt: float, size: int, bands: Sequence[float] | np.ndarray = (0.0,)
) -> np.ndarray:
    """Noise whose spectrum falls by a power of the frequency, with a log gain in each band, of unit peak."""
    spectrum = np.fft.rfft(rng.normal(size=size))
    spectrum *= np.linspace(0.02, 1, len(spectrum)) ** (-tilt)
    spectrum *= np.exp(np.interp(np.linspace(0, 1, len(spectrum)), np.linspace(0, 1, len(bands)), bands))
    y = np.fft.irfft(spectrum, size)
    return y / np.abs(y).max()
