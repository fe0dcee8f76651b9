"""Zimtohrli: a distance between two sounds, made for what is near the just noticeable."""

from __future__ import annotations

from torch import Tensor

from subterfuge.audibility.pieces import pieces
from subterfuge.audibility.unmeasured import Unmeasured

# What it works at, in Hz.
RATE = 48000
# Longer clips are cut into equal pieces: its time warping takes memory with the square of the length (half a
# minute would be 50 MB, ten minutes 20 GB), and it averages in single precision, which rounds small
# differences away where there is much to average.
LONGEST = 5.0
# Below eight of its frames (95 ms) the library writes beyond its own memory.
SHORTEST = 0.25


def zimtohrli_distance(original: Tensor, changed: Tensor, *, sr: int) -> float:
    """Zimtohrli distance: 0 for what is the same, about 0.012 where listeners begin to notice.

    Of each channel, resampled to 48 kHz as it is: the library's own playback level (a sine of full scale at
    78.3 dB SPL) is that at which its threshold was found. The largest over the channels, and over the pieces
    of at most 5 s that a longer clip is cut into, so that quiet stretches do not hide what is heard in one.

    Parameters
    ----------
    original, changed : Tensor, shape (channels, samples)
    sr : int
        Sample rate in Hz.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    Unmeasured
        If the clip is shorter than 0.25 s, or the package zimtohrli is missing.

    References
    ----------
    Alakuijala, Bruse, Boukortt, Coldenhoff and Cernak, "Zimtohrli: an efficient psychoacoustic audio
    similarity metric", arXiv:2509.26133, 2025.

    Examples
    --------
    >>> y = torch.randn(1, 24000, generator=torch.Generator().manual_seed(0)) / 10
    >>> zimtohrli_distance(y, y, sr=48000)
    0.0
    """
    try:
        from zimtohrli import Pyohrli
    except ImportError:
        raise Unmeasured("the package zimtohrli is not installed") from None
    if original.shape[1] < SHORTEST * sr:
        raise Unmeasured(f"the clip is shorter than {SHORTEST} s")
    ear = Pyohrli()
    return max(
        float(ear.distance(y, z))
        for one, other in zip(original, changed, strict=True)
        for y, z in pieces(one, other, sr=sr, rate=RATE, longest=LONGEST)
    )


def zimtohrli_mos(distance: float) -> float:
    """The mean opinion score, 1 to 5, that the library's own mapping gives a distance.

    Examples
    --------
    >>> zimtohrli_mos(0.0)
    5.0
    """
    from zimtohrli import mos_from_zimtohrli

    return float(mos_from_zimtohrli(distance))
