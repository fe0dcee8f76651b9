"""ViSQOL in audio mode: the mean opinion score that listeners would give, as learnt from codecs."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from typing import Any

import numpy as np
from torch import Tensor

from subterfuge.audibility.pieces import pieces
from subterfuge.audibility.unmeasured import Unmeasured
from subterfuge.errors import SubterfugeError

# What audio mode works at, in Hz.
RATE = 48000
# Its authors advise 5 to 10 s; its time grows with the square of the length.
LONGEST = 10.0
# The fewest samples that give one patch: 45 frames of 3840 samples, every 960.
_FEWEST = 3840 + 44 * 960


def check_visqol() -> None:
    """Make sure that ViSQOL is installed.

    Raises
    ------
    SubterfugeError
        If it is not; it names the extra.
    """
    if importlib.util.find_spec("visqol") is None:
        raise SubterfugeError(
            "visqol: is not installed, expected it from: pip install 'sonic-subterfuge[visqol]'"
        )


def visqol_mos(original: Tensor, changed: Tensor, *, sr: int) -> float:
    """ViSQOL's MOS-LQO: 4.73 for what is the same, down to 1.

    Of each channel, resampled to 48 kHz; the least over the channels, and over the pieces of at most 10 s
    that a longer clip is cut into. Pieces in which the clip is silent say nothing and are left out. The first
    use on a machine takes a minute where numba is installed, which then compiles it.

    Parameters
    ----------
    original, changed : Tensor, shape (channels, samples)
    sr : int
        Sample rate in Hz.

    Raises
    ------
    SubterfugeError
        If ViSQOL is not installed.
    Unmeasured
        If the clip is shorter than 0.96 s or silent, or a piece of it was silenced.

    References
    ----------
    Chinen, Lim, Skoglund, Gureev, O'Gorman and Hines, "ViSQOL v3: an open source production ready objective
    speech and audio metric", QoMEX, 2020.
    """
    check_visqol()
    worst = np.inf
    for one, other in zip(original, changed, strict=True):
        for y, z in pieces(one, other, sr=sr, rate=RATE, longest=LONGEST):
            if len(y) < _FEWEST:
                raise Unmeasured(f"the clip is shorter than {_FEWEST / RATE} s")
            if not y.any():
                continue
            if not z.any():
                raise Unmeasured("a channel is silent after the change")
            worst = min(worst, float(_measurer().measure_from_arrays(y, z, RATE).moslqo))
    if not np.isfinite(worst):
        raise Unmeasured("the clip is silent")
    return worst


@lru_cache(maxsize=1)
def _measurer() -> Any:
    from visqol import VisqolApi

    api = VisqolApi()
    api.create(mode="audio")
    return api
