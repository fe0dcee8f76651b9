"""What a victim hears in many files, whole or in windows, along the plain path, in parallel."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.audio import load_plain
from subterfuge.corpora.sift import few_words
from subterfuge.errors import SubterfugeError
from subterfuge.predictions import noticed_in
from subterfuge.training.interruption import heeding_interrupts
from subterfuge.training.protocol import mean_activation, window_starts
from subterfuge.victims.victim import Victim
from subterfuge.workers import check_workers, each

BATCH = 8  # windows at a time: more are no faster, and take memory


@dataclass(frozen=True, eq=False)
class Heard:
    """What is heard in one file.

    Attributes
    ----------
    predicted : int
        Index of the label; in windows, the one of the largest mean.
    scores : array, shape (labels,)
        Of the whole clip the victim's scores; of windows the mean of their probabilities, or where the
        victim has none (``votes``), the share of them that each label won.
    probabilities : array, shape (labels,), or None
        Of the whole clip, where the victim has them.
    noticed : bool or None
        Whether the victim's guard notices the clip, or a window of it; None where there is no guard.
    """

    predicted: int
    scores: NDArray[np.float64]
    probabilities: NDArray[np.float64] | None = None
    votes: bool = False
    noticed: bool | None = None


@dataclass(frozen=True, eq=False)
class Listener:
    """A victim, and how it listens: to whole clips, or in windows of so many seconds, each so many apart."""

    victim: Victim
    windows: tuple[float, float] | None = None

    def hear(self, path: Path) -> Heard:
        """What is heard in one file.

        Raises
        ------
        SubterfugeError
            If it cannot be read or heard.
        """
        y = load_plain(path, self.victim.sample_rate)
        device = device_of(self.victim)
        if self.windows is not None:
            return self._in_windows(y.to(device))
        verdict = self.victim.verdict(y.to(device))
        table = verdict.probabilities
        return Heard(
            int(verdict.predicted[0]),
            _array(verdict.scores[0]),
            None if table is None else _array(table[0]),
            noticed=noticed_in(verdict),
        )

    def _in_windows(self, y: Tensor) -> Heard:
        assert self.windows is not None
        window, hop = (max(1, round(x * self.victim.sample_rate)) for x in self.windows)
        starts = window_starts(y.shape[1], window, hop)
        pieces = [y[:, at : at + window] for at in starts]
        pieces = [piece for piece in pieces if bool(piece.any())]  # digital silence tells nothing
        k, outputs, votes = len(self.victim.labels), [], False
        noticed: bool | None = None
        for at in range(0, len(pieces), BATCH):
            verdict = self.victim.verdict(torch.cat(pieces[at : at + BATCH]))
            table, votes = verdict.probabilities, verdict.probabilities is None
            if verdict.noticed is not None:
                noticed = bool(noticed) or bool(verdict.noticed.any())
            outputs.append(np.eye(k)[verdict.predicted.cpu().numpy()] if table is None else _array(table))
        mean = mean_activation(np.concatenate(outputs) if outputs else [], k)
        return Heard(int(mean.argmax()), mean, votes=votes, noticed=noticed)


def hear_all(
    listener: Listener,
    paths: Sequence[Path],
    *,
    workers: int = 1,
    report: Callable[[int, int], None] | None = None,
) -> tuple[dict[int, Heard | str], bool]:
    """Hear files, in order, until all are done or Ctrl-C is pressed.

    Parameters
    ----------
    listener : Listener
    paths : sequence of Path
    workers : int
        Processes; with one it is done in this one.
    report : callable, optional
        Given the number of files done and of all, after each.

    Returns
    -------
    heard : dict of int to Heard or str
        By the number of the path; a text says why the file could not be heard.
    interrupted : bool

    Raises
    ------
    SubterfugeError
        If ``workers`` is below 1, or one of them is ended from outside.
    """
    check_workers(workers)
    heard: dict[int, Heard | str] = {}
    with heeding_interrupts() as pressed:
        source = _here(listener, paths) if workers == 1 else _elsewhere(listener, paths, workers)
        if report is not None:
            report(0, len(paths))
        with closing(source):
            for number, one in source:
                heard[number] = one
                if report is not None:
                    report(len(heard), len(paths))
                if pressed():
                    break
        return heard, pressed() and len(heard) < len(paths)


def device_of(victim: Victim) -> torch.device:
    """Where a victim computes."""
    if isinstance(victim, torch.nn.Module):
        for tensor in (*victim.parameters(), *victim.buffers()):
            return tensor.device
    return torch.device("cpu")


def _array(values: Tensor) -> NDArray[np.float64]:
    out: NDArray[np.float64] = values.detach().cpu().numpy().astype(np.float64)
    return out


def _attempt(listener: Listener, path: Path) -> Heard | str:
    try:
        return listener.hear(path)
    except SubterfugeError as error:
        return few_words(error, path)


def _here(listener: Listener, paths: Sequence[Path]) -> Generator[tuple[int, Heard | str], None, None]:
    for number, path in enumerate(paths):
        yield number, _attempt(listener, path)


def _elsewhere(
    listener: Listener, paths: Sequence[Path], workers: int
) -> Generator[tuple[int, Heard | str], None, None]:
    jobs = list(enumerate(paths))
    for (number, _), one in each(_work, jobs, workers=workers, setup=_begin, given=(listener,)):
        yield number, one


_listener: Listener | None = None  # of a worker process


def _begin(listener: Listener) -> None:
    global _listener
    _listener = listener


def _work(job: tuple[int, Path]) -> Heard | str:
    assert _listener is not None
    return _attempt(_listener, job[1])
