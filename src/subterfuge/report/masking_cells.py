"""What a clip hides and what was added to it, of two files: by critical band and frame, over one stretch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.audibility.analysis import layout
from subterfuge.audibility.masking import LEVEL, band_power, masking_threshold

_SCANNED_AT_ONCE = 20.0  # seconds: what is held in memory of a long file
_REMEMBERED = 0.25  # seconds: masking after a sound is gone after 200 ms
_LARGEST = 1e4  # samples beyond are a broken file, and their levels would be beyond every scale


@dataclass(frozen=True, eq=False)
class Cells:
    """A stretch of two files; each cell is taken from the channel in which the perturbation stands out most.

    Attributes
    ----------
    clip, threshold, noise : ndarray of float64, shape (bands, frames)
        Powers, as :func:`subterfuge.audibility.masking.band_power` gives them: of the clip, of what is just
        not heard beside it, and of the perturbation.
    positions : ndarray of int64, shape (frames,)
        Samples from the beginning of the stretch to the centre of each frame.
    length : int
        Of the stretch, in samples.
    rate : int
        In Hz.
    hop : int
        Samples from one frame to the next.
    share : float
        Share of cells above the threshold, in the channel with most of them.
    channels : int
        How many were looked at.
    """

    clip: NDArray[np.float64]
    threshold: NDArray[np.float64]
    noise: NDArray[np.float64]
    positions: NDArray[np.int64]
    length: int
    rate: int
    hop: int
    share: float
    channels: int

    @property
    def ratio(self) -> NDArray[np.float64]:
        """Noise-to-mask ratio: above 1 the perturbation is no longer hidden."""
        return self.noise / self.threshold


def cells(
    original: Path, adversarial: Path, *, first: int = 0, length: int | None = None, level: float = LEVEL
) -> Cells:
    """Masking over a stretch of two files of one sample rate; the same as over the whole of them.

    Parameters
    ----------
    original, adversarial : Path
        Where they differ in length, both end with the shorter one; where in channels, both are mixed down.
    first : int
        Sample that the stretch begins with.
    length : int, optional
        In samples, at least one; to the end if None.
    level : float
        Level in dB SPL at which a sine of full scale is played.

    Raises
    ------
    soundfile.LibsndfileError
        If a file cannot be read.
    """
    before, after = sf.info(original), sf.info(adversarial)
    rate, total = before.samplerate, min(before.frames, after.frames)
    length = total - first if length is None else min(length, total - first)
    plan = layout(rate, torch.float32, torch.device("cpu"))
    grid = 2 * plan.hop  # every other frame sees the long window
    margin = int(_REMEMBERED * rate) + plan.sizes[0]
    begin = max(0, (first - margin) // grid * grid)
    end = min(total, first + length + margin)
    mono = before.channels != after.channels
    x = _read(original, begin, end - begin, mono=mono)
    delta = _read(adversarial, begin, end - begin, mono=mono) - x
    kept = slice(-(-(first - begin) // plan.hop), (first + length - begin) // plan.hop + 1)
    found: NDArray[np.float64] | None = None
    share = 0.0
    for one, change in zip(x, delta, strict=True):
        here = _channel(one, change, rate, level)[..., kept]
        above = here[2] > here[1]
        share = max(share, float(above.mean()))
        found = here if found is None else np.where(here[2] / here[1] > found[2] / found[1], here, found)
    assert found is not None  # a file has at least one channel
    positions = begin - first + plan.hop * np.arange(kept.start, kept.start + found.shape[-1], dtype=np.int64)
    clip, threshold, noise = found
    return Cells(clip, threshold, noise, positions, length, rate, plan.hop, share, len(x))


def worst_moment(original: Path, adversarial: Path, *, level: float = LEVEL) -> float | None:
    """Where in two files the perturbation stands out most above what the clip hides, in seconds.

    None where nothing was changed. Read in parts, so that a long file costs no more memory than a short one.
    """
    before, after = sf.info(original), sf.info(adversarial)
    total = min(before.frames, after.frames)
    block = max(1, round(_SCANNED_AT_ONCE * before.samplerate))
    best, at = 0.0, None
    for first in range(0, total, block):
        part = cells(original, adversarial, first=first, length=block, level=level)
        worst = part.ratio.max(0, initial=0.0)
        if worst.size and worst.max() > best:
            best = float(worst.max())
            at = (first + int(part.positions[worst.argmax()])) / before.samplerate
    return at


@torch.no_grad()
def _channel(
    y: NDArray[np.float64], change: NDArray[np.float64], rate: int, level: float
) -> NDArray[np.float64]:
    clip, delta = (torch.from_numpy(z).float()[None] for z in (y, change))
    powers: list[Tensor] = [
        band_power(clip, sr=rate),
        masking_threshold(clip, sr=rate, level=level),
        band_power(delta, sr=rate),
    ]
    return torch.cat(powers).double().numpy()


def _read(path: Path, first: int, length: int, *, mono: bool) -> NDArray[np.float64]:
    y, _ = sf.read(path, frames=length, start=first, dtype="float64", always_2d=True)
    y = np.clip(np.nan_to_num(y.T, nan=0.0, posinf=1.0, neginf=-1.0), -_LARGEST, _LARGEST)
    return np.asarray(y.mean(0, keepdims=True) if mono else y)
