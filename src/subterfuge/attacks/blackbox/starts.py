"""Where an attack that sees only the label begins: at audio that is heard as wanted already."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer
from subterfuge.attacks.search import Search
from subterfuge.attacks.whitebox.steps import QUIET
from subterfuge.errors import SubterfugeError

# Part of a talk: yields perturbations, shape (candidates, samples), and comes back with one that will do.
Part = Generator[Tensor, Answer, Tensor | None]

# Loudness of noise beside the clip's, in dB, one after the other and round again.
LEVELS = (-20.0, -10.0, 0.0, 10.0)


def first(ways: Iterable[Tensor]) -> Part:
    """Ask about one perturbation (samples,) after the other, and return the first that is heard as wanted.

    None where none of them is.
    """
    for delta in ways:
        answer = yield delta[None]
        if bool(answer.reached[0]):
            return delta
    return None


def begin(search: Search, row: int, start: Tensor | None, seed: int) -> Generator[Tensor, Answer, Tensor]:
    """The first perturbation (samples,) of a row that is heard as wanted, of those of :func:`loud_ways`."""
    label = None if search.goal.away else search.victim.labels[int(search.goal.label[row])]
    clips = embedded_clips(label, search.victim.sample_rate)
    given = None if start is None else start[row]
    found = yield from first(loud_ways(search.y[row], given, clips, seed))
    assert found is not None  # there is no end to them
    return found


def halve(delta: Tensor, *, tolerance: float, low: float = 0.0) -> Generator[Tensor, Answer, Tensor]:
    """Straight towards the clip until within a tolerance of where it is heard as wanted no longer.

    Parameters
    ----------
    delta : Tensor, shape (samples,)
        A perturbation that will do.
    tolerance : float
        How much longer the result may be than the last that would not do, as a ratio less one, above 0.
    low : float
        A share of it that will not do.

    Returns
    -------
    Tensor, shape (samples,)
        The shortest that was heard as wanted; at least a thousandth of ``delta``.
    """
    share, low = 1.0, max(low, 1e-3)
    while share > low * (1 + tolerance):
        # By ratio where much is left to gain, by difference near the end; both meet for close bounds.
        middle = math.sqrt(share * low) if share > 4 * low else (share + low) / 2
        answer = yield middle * delta[None]
        if bool(answer.reached[0]):
            share = middle
        else:
            low = middle
    return share * delta


def loud_ways(y: Tensor, start: Tensor | None, clips: Iterable[Tensor], seed: int) -> Iterator[Tensor]:
    """Perturbations (samples,) that put something else in the place of the clip; there is no end to them.

    The start that the caller gives, if any; clips of the label that is wanted; then noise, white and of the
    clip's own spectrum by turns, at rising levels.

    Parameters
    ----------
    y : Tensor, shape (samples,)
    start : Tensor, shape (samples,), or None
    clips : iterable of Tensor, shape (any,)
    seed : int
    """
    if start is not None:
        yield start - y
    loudness = max(float(y.square().mean().sqrt()), QUIET)
    for clip in clips:
        other = fitted(clip.to(y), len(y))
        yield other - y
    chance = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.rfft(y.double())
    turn = 0
    while True:
        level = loudness * 10 ** (LEVELS[turn // 2 % len(LEVELS)] / 20)
        noise = torch.randn(len(y), generator=chance, dtype=torch.float64).to(y.device)
        if turn % 2:
            noise = torch.fft.irfft(torch.fft.rfft(noise) * spectrum.abs(), len(y))
            noise = noise / noise.square().mean().sqrt().clamp(min=1e-30)
        turn += 1
        yield (level * noise).to(y)


def fitted(clip: Tensor, samples: int) -> Tensor:
    """The clip, repeated or cut to a number of samples."""
    return clip.repeat(-(-samples // max(1, len(clip))))[:samples]


@lru_cache(maxsize=64)
def embedded_clips(label: str | None, sample_rate: int) -> tuple[Tensor, ...]:
    """The clips of a label that come with the package, at a victim's rate; None for those of all labels.

    Empty where there are none of that label.

    Examples
    --------
    >>> [len(clip) for clip in embedded_clips("tru", 22050)]
    [66150, 66150]
    """
    import librosa

    from subterfuge.corpora.embedded import clips

    found = [clip.path for clip in clips() if label is None or clip.label == label]
    return tuple(
        torch.from_numpy(np.ascontiguousarray(librosa.load(path, sr=sample_rate)[0])) for path in found
    )


def check_start(start: Tensor | None, y: Tensor) -> Tensor | None:
    """The caller's starts, finite, within [-1, 1], one a clip.

    Raises
    ------
    SubterfugeError
        If their shape is not that of the clips, or they hold no audio.
    """
    if start is None:
        return None
    if start.shape != y.shape:
        raise SubterfugeError(
            f"start: got audio of shape {tuple(start.shape)}, expected that of the clips, {tuple(y.shape)}"
        )
    if not bool(torch.isfinite(start).all()):
        raise SubterfugeError("start: the audio holds NaN or infinite samples, expected finite ones")
    return start.to(y).clamp(-1, 1)
