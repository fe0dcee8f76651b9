"""A folder that looks like a rendered orchestra, of steady notes that are quick to make and easy to tell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

RATE = 44100
FONTS = ("one.sf2", "two.sf2")


def made_orchestra(
    root: Path,
    *,
    labels: tuple[str, ...] = ("cla", "gac"),
    clips: int = 40,
    seed: int = 0,
    fonts: tuple[str, ...] = FONTS,
    seconds: float = 0.6,
) -> Path:
    """Two clips a recording, stereo FLAC: steady or plucked notes; a soundfont is a little of a tilt."""
    root.mkdir(parents=True, exist_ok=True)
    told = {
        "kind": "orchestra",
        "version": 2,
        "seed": seed,
        "clips_per_recording": 2,
        "soundfonts": [{"name": font, "sha256": font[:2] * 32} for font in fonts],
        "clips": dict.fromkeys(labels, clips),
    }
    (root / "corpus.json").write_text(json.dumps(told))
    t = np.arange(round(seconds * RATE)) / RATE
    edges = np.minimum(1, np.minimum(t, t[::-1]) / 0.01)
    for place, label in enumerate(labels):
        (root / label).mkdir()
        for number in range(clips // 2):
            rng = np.random.default_rng([seed, place, number])
            tilt = 1 + 0.5 * place + 0.2 * (number % len(fonts)) + rng.normal(0, 0.1)
            for n in (1, 2):
                pitch = 220 * 2 ** rng.uniform(-0.5, 0.5)
                phases = rng.uniform(0, 6, 20)
                y = sum(k**-tilt * np.sin(2 * np.pi * k * pitch * t + phases[k]) for k in range(1, 20))
                if place:
                    y = y * np.exp(-30 * (t % 0.12))
                y = 0.3 * y / np.abs(y).max() + rng.normal(0, 0.0005, len(t))
                pan = rng.uniform(0.8, 1, 2)
                path = root / label / f"{label}{number:04d}__{n}.flac"
                soundfile.write(path, (edges * y)[:, None] * pan, RATE, subtype="PCM_16")
    return root
