"""What happens to sound without anybody's will: codecs, resampling, pitch, gain, rooms, noise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from subterfuge.transforms.named import STRENGTHS
from subterfuge.transforms.transform import Transform

Corruption = Callable[[Tensor, int, int], Tensor]


def corruptions() -> dict[str, Corruption]:
    """Corruptions by name, each ``corrupt(y, sr, seed)`` on a batch (batch, samples) of the same clip.

    References
    ----------
    A battery of common corruptions beside an attack: Hendrycks and Dietterich, "Benchmarking neural network
    robustness to common corruptions and perturbations", ICLR 2019.

    Examples
    --------
    >>> "noise 20 dB SNR" in corruptions()
    True
    """
    found: dict[str, Corruption] = {}
    for name in ("mp3", "resample", "gain", "noise"):
        for strength, transform in STRENGTHS[name].items():
            found[f"{name} {strength}"] = partial(_transformed, transform)
    found["ogg"] = _ogg
    for steps in (-1, 1):
        found[f"pitch {steps:+d} semitone"] = partial(_pitched, steps)
    for seconds in (0.3, 1.0):
        found[f"reverb {seconds:g} s"] = partial(_reverberant, seconds)
    return found


def _transformed(transform: Transform, y: Tensor, sr: int, seed: int) -> Tensor:
    drawn = transform.draw(torch.Generator().manual_seed(seed))
    return transform.apply(y, sr=sr, drawn=drawn)


def _ogg(y: Tensor, sr: int, seed: int) -> Tensor:
    """Through a real Vorbis encoder at its middle quality."""
    import io

    import soundfile

    rows = []
    for row in y:
        file = io.BytesIO()
        soundfile.write(file, row.numpy().astype(np.float32), sr, format="OGG", subtype="VORBIS")
        file.seek(0)
        back = soundfile.read(file, dtype="float32")[0][: len(row)]
        rows.append(torch.from_numpy(np.pad(back, (0, len(row) - len(back)))))
    return torch.stack(rows).to(y)


def _pitched(steps: int, y: Tensor, sr: int, seed: int) -> Tensor:
    import librosa

    shifted = librosa.effects.pitch_shift(y.numpy(), sr=sr, n_steps=steps)
    return torch.from_numpy(np.ascontiguousarray(shifted)).to(y).clamp(-1, 1)


def _reverberant(seconds: float, y: Tensor, sr: int, seed: int) -> Tensor:
    """In a room that falls by 60 dB in so many seconds: noise that decays, under the direct sound by 6 dB."""
    chance = torch.Generator().manual_seed(seed)
    time = torch.arange(round(seconds * sr), dtype=torch.float64) / sr
    tail = torch.randn(len(time), generator=chance, dtype=torch.float64) * 10 ** (-3 * time / seconds)
    tail = tail / tail.norm() * 10 ** (-6 / 20)
    tail[0] = 1.0
    size = 2 ** int(np.ceil(np.log2(y.shape[1] + len(tail))))
    wet = torch.fft.irfft(torch.fft.rfft(y.double(), size) * torch.fft.rfft(tail, size), size)
    wet = wet[:, : y.shape[1]]
    loud = y.double().norm(dim=1, keepdim=True) / wet.norm(dim=1, keepdim=True).clamp(min=1e-30)
    heard: Tensor = (wet * loud).clamp(-1, 1).to(y)
    return heard
