"""Plain ratios between a clip and what was added to it: SNR, segmental SNR, peak and dB_x."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

# Segments of the segmental SNR, in seconds, and what each is clamped to, in dB.
SEGMENT = 0.02
LEAST, MOST = -10.0, 35.0
# Samples a channel that are worked on at once, so that length costs no memory.
_BLOCK = 1 << 20


def snr_db(original: Tensor, changed: Tensor) -> float:
    """Signal-to-noise ratio over all channels in dB; ``inf`` where nothing changed, ``-inf`` for silence.

    Parameters
    ----------
    original, changed : Tensor, shape (channels, samples)

    Examples
    --------
    >>> round(snr_db(torch.ones(2, 4), 1.1 * torch.ones(2, 4)), 3)
    20.0
    """
    signal = noise = 0.0
    for y, delta in _blocks(original, changed, _BLOCK):
        signal += float(y.square().sum())
        noise += float(delta.square().sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def segmental_snr_db(original: Tensor, changed: Tensor, *, sr: float) -> float | None:
    """Mean over segments of 20 ms of their SNR in dB, each clamped to [-10, 35] dB.

    Segments where the clip is digital silence are left out; the last segment may be shorter.

    Parameters
    ----------
    original, changed : Tensor, shape (channels, samples)
        Channels count together.
    sr : float
        Sample rate in Hz.

    Returns
    -------
    float or None
        None where the whole clip is silent.

    References
    ----------
    Quackenbush, Barnwell and Clements, "Objective Measures of Speech Quality", 1988, eq. 2.12; limits of
    Papamichalis, "Practical Approaches to Speech Coding", 1987, pp. 179-181.

    Examples
    --------
    Half of this clip at 20 dB, half at 60, which is clamped to 35:

    >>> y, noise = torch.ones(1, 400), torch.tensor([[0.1] * 200 + [0.001] * 200])
    >>> round(segmental_snr_db(y, y + noise, sr=1000), 3)
    27.5
    """
    length = max(1, round(SEGMENT * sr))
    total, number = 0.0, 0
    for y, delta in _blocks(original, changed, length * max(1, _BLOCK // length)):
        signal, noise = _energies(y, length), _energies(delta, length)
        heard = signal > 0
        ratio = 10 * torch.log10(signal[heard] / noise[heard])  # inf where nothing was added
        total += float(ratio.clamp(LEAST, MOST).sum())
        number += int(heard.sum())
    return total / number if number else None


def peak_db(original: Tensor, changed: Tensor) -> float:
    """Largest sample of the perturbation in dB re full scale (dBFS); ``-inf`` where nothing changed.

    Examples
    --------
    >>> round(peak_db(torch.zeros(1, 3), torch.tensor([[0.0, -0.01, 0.001]])), 3)
    -40.0
    """
    return _db(_peaks(original, changed)[1])


def db_x(original: Tensor, changed: Tensor) -> float:
    """Peak of the perturbation relative to the peak of the clip, in dB: the lower, the quieter.

    ``-inf`` where nothing changed, ``inf`` where the clip is silent.

    References
    ----------
    Carlini and Wagner, "Audio adversarial examples: targeted attacks on speech-to-text", Deep Learning and
    Security Workshop, 2018, section 2.

    Examples
    --------
    >>> round(db_x(torch.tensor([[0.5, -0.1]]), torch.tensor([[0.55, -0.1]])), 2)
    -20.0
    """
    clip, noise = _peaks(original, changed)
    if noise == 0:
        return -math.inf
    return _db(noise) - _db(clip)


def _peaks(original: Tensor, changed: Tensor) -> tuple[float, float]:
    clip = noise = 0.0
    for y, delta in _blocks(original, changed, _BLOCK):
        clip, noise = max(clip, float(y.abs().max())), max(noise, float(delta.abs().max()))
    return clip, noise


def _db(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def _energies(x: Tensor, length: int) -> Tensor:
    """Energy of each segment over all channels, shape (segments,); zeros fill up the last."""
    short = -x.shape[1] % length
    return torch.nn.functional.pad(x, (0, short)).square().view(x.shape[0], -1, length).sum((0, 2))


def _blocks(original: Tensor, changed: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The clip and the perturbation in float64, some samples at a time."""
    for y, z in zip(torch.split(original, size, 1), torch.split(changed, size, 1), strict=True):
        wide = y.double()
        yield wide, z.double() - wide
