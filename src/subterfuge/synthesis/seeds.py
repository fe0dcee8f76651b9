"""Of several finds, the best and those that are good too and sound unlike it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# A find is as good as the best if its worth is this share of it; and unlike another if their average
# spectra are so many dB apart.
_GOOD = 0.95
_UNLIKE_DB = 3.0
_BANDS = 48


def diverse(sounds: Sequence[Tensor], worth: Sequence[float], *, sr: int, keep: int) -> list[int]:
    """Which of the finds to keep: the best, then each time the one furthest from all that are kept.

    Parameters
    ----------
    sounds : sequence of Tensor, shape (1, samples)
    worth : sequence of float
        The best first.
    sr, keep : int

    Returns
    -------
    list of int
        At least one, at most ``keep``.

    Examples
    --------
    >>> hum, hiss = torch.ones(1, 4000).cumsum(1) % 100 / 100, torch.linspace(-1, 1, 4000)[None] ** 3
    >>> diverse([hum, hum, hiss], [0.9, 0.9, 0.9], sr=8000, keep=3)
    [0, 2]
    """
    looks = [_look(one, sr) for one in sounds]
    kept = [0]
    left = [i for i in range(1, len(sounds)) if worth[i] >= _GOOD * worth[0]]
    while left and len(kept) < keep:
        apart = {i: min(_apart(looks[i], looks[j]) for j in kept) for i in left}
        furthest = max(left, key=lambda i: apart[i])
        if apart[furthest] < _UNLIKE_DB:
            break
        kept.append(furthest)
        left.remove(furthest)
    return kept


def _look(sound: Tensor, sr: int) -> Tensor:
    """Average spectrum in bands of equal ratio from 60 Hz up, dB, its level taken away; shape (bands,)."""
    power = torch.fft.rfft(sound[0].double()).abs().square()
    f = torch.fft.rfftfreq(sound.shape[1], 1 / sr).double()
    edges = 60 * (sr / 2 / 60) ** torch.linspace(0, 1, _BANDS + 1, dtype=torch.float64)
    band = torch.bucketize(f, edges).clamp(0, _BANDS + 1)
    sums = torch.zeros(_BANDS + 2, dtype=torch.float64).scatter_add_(0, band, power)[1:-1]
    db = 10 * torch.log10(sums.clamp(min=float(sums.max()) * 1e-6 + 1e-30))
    return db - db.mean()


def _apart(a: Tensor, b: Tensor) -> float:
    """Root mean square of the difference of two spectra, dB."""
    return float((a - b).square().mean().sqrt())
