"""Log-mel spectrograms of clips for a network to learn from: in parallel, half precision; bad files named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.corpora.corpus import Clip, Skipped
from subterfuge.errors import SubterfugeError
from subterfuge.training.workers import Progress, each

# So far below everything that the floor which the network hears with can be added later.
FLOOR_DB = -80.0
_JOB = 16  # files to a job


@dataclass(frozen=True, eq=False)
class Spectrograms:
    """What a network learns from.

    Attributes
    ----------
    clips : tuple of Clip
        Those that could be read, in the order given.
    values : Tensor of float16, shape (clips, bands, frames)
        Natural logarithms, over a floor of :data:`FLOOR_DB`.
    skipped : tuple of Skipped
        Those that could not, or are silent.
    """

    clips: tuple[Clip, ...]
    values: Tensor
    skipped: tuple[Skipped, ...]


def spectrograms_of(
    clips: Sequence[Clip],
    *,
    front_end: Mapping[str, Any],
    sample_rate: int,
    seconds: float,
    workers: int = 1,
    progress: Progress | None = None,
) -> Spectrograms:
    """:func:`subterfuge.features.logmel.logmel` of the loudest ``seconds`` of each clip.

    A shorter clip is followed by silence, as where :class:`subterfuge.victims.cnn.CnnVictim` hears it.
    """
    one = partial(_job, front_end=dict(front_end), sample_rate=sample_rate, seconds=seconds)
    jobs = [tuple(range(i, min(i + _JOB, len(clips)))) for i in range(0, len(clips), _JOB)]
    found: dict[int, NDArray[np.float16] | str] = {}
    paths = [clip.path for clip in clips]
    with closing(each(one, [tuple((i, paths[i]) for i in job) for job in jobs], workers=workers)) as results:
        for _, told in results:
            found.update(told)
            if progress is not None:
                progress("spectrograms", len(found), len(clips))
    kept, values, skipped = [], [], []
    for i, clip in enumerate(clips):
        value = found[i]
        if isinstance(value, str):
            skipped.append(Skipped(clip.path, value))
        else:
            kept.append(clip)
            values.append(value)
    stacked = np.stack(values) if values else np.zeros((0, int(front_end["n_mels"]), 1), np.float16)
    return Spectrograms(tuple(kept), torch.from_numpy(stacked), tuple(skipped))


def _job(
    files: Sequence[tuple[int, Path]], *, front_end: dict[str, Any], sample_rate: int, seconds: float
) -> dict[int, NDArray[np.float16] | str]:
    return {i: _one(path, front_end=front_end, sample_rate=sample_rate, seconds=seconds) for i, path in files}


def _one(
    path: Path, *, front_end: dict[str, Any], sample_rate: int, seconds: float
) -> NDArray[np.float16] | str:
    from subterfuge.audio import load_plain
    from subterfuge.features.logmel import logmel

    try:
        y = load_plain(path, sample_rate)[0]
    except SubterfugeError as error:
        return str(error).removeprefix(f"{path}: ")
    if not bool(y.abs().max() > 0):
        return "silent"
    part = loudest(y, round(seconds * sample_rate))
    values: NDArray[np.float32] = logmel(part[None], sr=sample_rate, **{**front_end, "floor_db": FLOOR_DB})[
        0
    ].numpy()
    return values.astype(np.float16)


def loudest(y: Tensor, length: int) -> Tensor:
    """The ``length`` samples of most energy of ``y``, shape (samples,), to a tenth of their length.

    Examples
    --------
    >>> loudest(torch.tensor([0.0, 1, 2, 3, 0]), 2).tolist(), loudest(torch.ones(1), 3).tolist()
    ([2.0, 3.0], [1.0, 0.0, 0.0])
    """
    if len(y) <= length:
        return torch.nn.functional.pad(y, (0, length - len(y)))
    total = torch.cat([torch.zeros(1, dtype=torch.float64), y.double().square().cumsum(0)])
    starts = torch.arange(0, len(y) - length + 1, max(1, length // 10))
    best = int(starts[(total[starts + length] - total[starts]).argmax()])
    return y[best : best + length]
