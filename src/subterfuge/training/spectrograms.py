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
from subterfuge.workers import Progress, each

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
        Those that could not, are silent, or hold what is not a number.
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

    Parameters
    ----------
    clips : sequence of Clip
    front_end : mapping
        Options of ``logmel``; its ``floor_db`` gives way to :data:`FLOOR_DB`.
    sample_rate : int
        In Hz; files are mixed down and resampled as ``librosa.load`` does.
    seconds : float
    workers : int
        Processes; how many makes no difference to the values.
    progress : callable, optional

    Returns
    -------
    Spectrograms
        Files of no use (unreadable, silent, not finite) are skipped, each with a reason.
    """
    length = round(seconds * sample_rate)
    one = partial(_job, front_end=dict(front_end), sample_rate=sample_rate, length=length)
    jobs = [tuple(range(i, min(i + _JOB, len(clips)))) for i in range(0, len(clips), _JOB)]
    # Filled as the clips come: of a large corpus there is never a second copy.
    shape = (int(front_end["n_mels"]), 1 + length // int(front_end["hop_length"]))
    values = np.empty((len(clips), *shape), np.float16)
    problems: dict[int, str] = {}
    done = 0
    paths = [clip.path for clip in clips]
    with closing(each(one, [tuple((i, paths[i]) for i in job) for job in jobs], workers=workers)) as results:
        for job, told in results:
            for (i, _), value in zip(job, told, strict=True):
                if isinstance(value, str):
                    problems[i] = value
                else:
                    values[i] = value
            done += len(job)
            if progress is not None:
                progress("spectrograms", done, len(clips))
    kept = [i for i in range(len(clips)) if i not in problems]
    return Spectrograms(
        tuple(clips[i] for i in kept),
        torch.from_numpy(values[kept] if problems else values),
        tuple(Skipped(clips[i].path, problems[i]) for i in sorted(problems)),
    )


def _job(
    files: Sequence[tuple[int, Path]], *, front_end: dict[str, Any], sample_rate: int, length: int
) -> list[NDArray[np.float16] | str]:
    return [_one(path, front_end=front_end, sample_rate=sample_rate, length=length) for _, path in files]


def _one(
    path: Path, *, front_end: dict[str, Any], sample_rate: int, length: int
) -> NDArray[np.float16] | str:
    from subterfuge.audio import load_plain
    from subterfuge.features.logmel import logmel

    try:
        y = load_plain(path, sample_rate)[0]
    except SubterfugeError as error:
        return str(error).removeprefix(f"{path}: ")
    if not bool(y.isfinite().all()):
        return "holds NaN or infinite samples"
    if not bool(y.any()):
        return "is silent"
    part = loudest(y, length)
    if not bool(part.square().mean().isfinite()):
        return "is too loud for its energy to be a number"
    values = logmel(part[None], sr=sample_rate, **{**front_end, "floor_db": FLOOR_DB})[0]
    half: NDArray[np.float16] = values.numpy().astype(np.float16)
    return half


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
