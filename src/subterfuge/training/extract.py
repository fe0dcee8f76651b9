"""Features of files along the plain path, librosa's own decoding and calls, in parallel."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def librosa25_of(paths: Sequence[Path], *, sample_rate: int = 44100, workers: int = 1) -> NDArray[np.float64]:
    """The 25 mean librosa features of each file, mixed down and at ``sample_rate``; shape (files, 25).

    Raises
    ------
    SubterfugeError
        If a file cannot be read; it is named.
    """
    one = partial(_librosa25, sample_rate=sample_rate)
    if workers == 1:
        return np.array([one(path) for path in paths])
    with ProcessPoolExecutor(workers) as pool:
        return np.array(list(pool.map(one, paths, chunksize=8)))


def _librosa25(path: Path, *, sample_rate: int) -> NDArray[np.float64]:
    from subterfuge.audio import load_plain
    from subterfuge.victims.plain import librosa25_plain

    return librosa25_plain(load_plain(path, sample_rate)[0].numpy(), sr=sample_rate)
