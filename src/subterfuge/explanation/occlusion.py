"""What a victim makes of a clip without one of its critical bands, or without one of its moments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from subterfuge.audibility.bands import half_bands
from subterfuge.explanation.evidence import Evidence
from subterfuge.victims.victim import Hearing, Victim

Progress = Callable[[int, int], None]

MOMENTS = 24
DEPTH_DB = 30.0
_SHORTEST = 0.025  # seconds
_FADE = 0.010  # seconds at either end of a moment that is taken out


@dataclass(frozen=True)
class Dropped:
    """What is left of the evidence, and of the probability, without one part of a clip.

    Attributes
    ----------
    low, high : float
        The part: a band's edges in Hz, or a moment's in seconds.
    drop : float
        Evidence with the part less evidence without it: positive where the part speaks for the label.
    probability : float or None
        Of the label without the part.
    predicted : str
        What is heard without it.
    """

    low: float
    high: float
    drop: float
    probability: float | None
    predicted: str


def bands_of(sr: int) -> list[tuple[float, float]]:
    """Critical bands side by side, one Bark wide, up to half the sample rate; in Hz.

    Examples
    --------
    >>> [round(high) for _, high in bands_of(8000)[:4]]
    [101, 204, 309, 417]
    """
    edges = half_bands(sr)
    top = sr / 2
    kept = [*edges[:-1:2], top] if len(edges) % 2 else [*edges[:-2:2], top]
    return list(pairwise(kept))


def moments_of(seconds: float, *, most: int = MOMENTS) -> list[tuple[float, float]]:
    """Moments side by side, of one length, none shorter than 25 ms; in seconds.

    Examples
    --------
    >>> moments_of(0.06)
    [(0.0, 0.03), (0.03, 0.06)]
    """
    number = max(1, min(most, int(seconds / _SHORTEST + 1e-9)))
    edges = [seconds * i / number for i in range(number + 1)]
    return list(pairwise(edges))


def without_band(y: Tensor, low: float, high: float, *, sr: int, depth_db: float = DEPTH_DB) -> Tensor:
    """A clip, shape (batch, samples), with one band (from ``low`` up to below ``high`` Hz) turned down.

    By ``depth_db``, not to nothing: to whatever hears in decibels, nothing is the most conspicuous sound of
    all. ``math.inf`` for nothing.
    """
    spectrum = torch.fft.rfft(y.double())
    hz = torch.arange(spectrum.shape[1], dtype=torch.float64, device=y.device) * sr / y.shape[1]
    inside = (hz >= low) & ((hz < high) | (high >= sr / 2))
    gain = torch.where(inside, _gain(depth_db), 1.0)
    out: Tensor = torch.fft.irfft(spectrum * gain, y.shape[1])
    return out.to(y.dtype)


def without_moment(y: Tensor, start: float, end: float, *, sr: int, depth_db: float = DEPTH_DB) -> Tensor:
    """A clip, shape (batch, samples), with one moment (in seconds) turned down, faded over 10 ms."""
    at = (torch.arange(y.shape[1], dtype=torch.float64, device=y.device) + 0.5) / sr
    fade = min(_FADE, (end - start) / 2)
    inside = (torch.minimum(at - start, end - at) / fade + 0.5).clamp(0, 1)
    smooth = inside.square() * (3 - 2 * inside)
    return (y * (1 - smooth * (1 - _gain(depth_db)))).to(y.dtype)


def occlude_bands(
    heard: Evidence,
    y: Tensor,
    *,
    depth_db: float = DEPTH_DB,
    chunk: int = 8,
    progress: Progress | None = None,
) -> list[Dropped]:
    """What each critical band of a clip, shape (1, samples), is worth to the label."""
    sr = heard.victim.sample_rate
    parts = bands_of(sr)
    return _drops(
        heard, y, parts, lambda a, b: without_band(y, a, b, sr=sr, depth_db=depth_db), chunk, progress
    )


def occlude_moments(
    heard: Evidence,
    y: Tensor,
    *,
    most: int = MOMENTS,
    depth_db: float = DEPTH_DB,
    chunk: int = 8,
    progress: Progress | None = None,
) -> list[Dropped]:
    """What each moment of a clip, shape (1, samples), is worth to the label."""
    sr = heard.victim.sample_rate
    parts = moments_of(y.shape[1] / sr, most=most)
    return _drops(
        heard, y, parts, lambda a, b: without_moment(y, a, b, sr=sr, depth_db=depth_db), chunk, progress
    )


@torch.no_grad()
def _drops(
    heard: Evidence,
    y: Tensor,
    parts: Sequence[tuple[float, float]],
    without: Callable[[float, float], Tensor],
    chunk: int,
    progress: Progress | None,
) -> list[Dropped]:
    victim = heard.victim
    whole = float(heard(y)[0])
    found = []
    for first in range(0, len(parts), chunk):
        some = parts[first : first + chunk]
        hearing = victim.hear(torch.cat([without(a, b) for a, b in some]), probabilities=True)
        left = heard.of(hearing).tolist()
        for i, (low, high) in enumerate(some):
            p = None if hearing.probabilities is None else float(hearing.probabilities[i, heard.label])
            found.append(Dropped(low, high, whole - left[i], p, heard_label(victim, hearing, i)))
        if progress is not None:
            progress(len(found), len(parts))
    return found


def heard_label(victim: Victim, hearing: Hearing, row: int = 0) -> str:
    """The label heard in a row; ``nothing`` where several may be and none is."""
    best = int(hearing.predicted[row])
    return "nothing" if hearing.multilabel and not bool(hearing.tags[row, best]) else victim.labels[best]


def _gain(depth_db: float) -> float:
    return 10 ** (-depth_db / 20) if math.isfinite(depth_db) else 0.0
