"""The door between a black-box attack and the victim: counts queries, shows what is granted, keeps the best.

One door serves one problem (one clip, one target). Whoever asks, a library or our own attack, is told the
same: the label alone, or the scores as well. What was best after so many queries is kept with its audio, so
that one run can be read off, and judged from a file, at every budget below its own.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import common
from subterfuge.attacks.oracle import Oracle
from subterfuge.attacks.search import BudgetSpent
from subterfuge.audio import save_audio, to_lattice
from subterfuge.victims.victim import Hearing, Victim

# Candidates kept at each budget for the judgement of the file, and how far beyond each it may look.
KEPT, SCALES = 3, (1.0, 1.001, 1.005, 1.02)


class Door:
    """A victim of one waveform a query, as an attack without gradients sees it.

    Parameters
    ----------
    victim : Victim
    y : Tensor, shape (samples,)
    target : int
    access : str
        ``scores`` or ``label``.
    marks : sequence of int
        Numbers of queries after which the best is remembered; the last is the budget.
    """

    differentiable = guided = False

    def __init__(self, victim: Victim, y: Tensor, target: int, *, access: str, marks: Sequence[int]) -> None:
        self.oracle, self.access = Oracle(victim, access=access), access
        self.labels, self.sample_rate = victim.labels, victim.sample_rate
        self.y, self.target, self.marks = y, target, sorted(marks)
        self.queries = 0
        self.best: list[tuple[float, int, Tensor]] = []
        self.kept: dict[int, list[Tensor]] = {}

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        """One query a row, as far as the budget goes: then the search is over."""
        able = min(len(y), self.marks[-1] - self.queries)
        if able < len(y):
            if able:
                self.hear(y[:able], probabilities=probabilities)
            raise BudgetSpent
        hearing = self.oracle.hear(y.detach().float(), probabilities=probabilities)
        for row in range(len(y)):
            self._count(y[row].detach().float(), int(hearing.predicted[row]))
        return hearing

    def _count(self, x: Tensor, predicted: int) -> None:
        self.queries += 1
        norm = float(torch.linalg.vector_norm(x.double() - self.y.double()))
        legal = bool(x.abs().max() <= 1 + 1e-6)  # false for NaN, too
        if predicted == self.target and legal and (len(self.best) < KEPT or norm < self.best[-1][0]):
            bisect.insort(self.best, (norm, self.queries, x.clamp(-1, 1).clone()))
            del self.best[KEPT:]
        if self.queries in self.marks:
            self.kept[self.queries] = [one for _, _, one in self.best]

    def scores(self, y: Tensor) -> Tensor:
        """What the access grants, shape (batch, labels)."""
        return self.hear(y).scores

    def predict(self, y: Tensor) -> Tensor:
        """The label, shape (batch,)."""
        return self.hear(y).predicted

    def probabilities(self, y: Tensor) -> Tensor:
        """Probabilities where scores are granted, else 1 for the label; shape (batch, labels)."""
        hearing = self.hear(y, probabilities=self.access == "scores")
        return hearing.scores if hearing.probabilities is None else hearing.probabilities

    def judged(self, heard: Callable[[np.ndarray], int], file: Path) -> dict[int, float | None]:
        """SNR in dB at each mark of the file of 16 bits that the plain judge confirms; None for none.

        The file is written and read back; the smallest that is confirmed counts. An attack that ended by
        itself keeps what it had.
        """
        found: dict[int, float | None] = {}
        known: dict[int, float | None] = {}
        last = [one for _, _, one in self.best]
        for mark in self.marks:
            candidates = self.kept.get(mark, last)
            key = hash(tuple(float((one - self.y).norm()) for one in candidates))
            if key not in known:
                known[key] = self._smallest(candidates, heard, file)
            found[mark] = known[key]
        return found

    def _smallest(
        self, candidates: Sequence[Tensor], heard: Callable[[np.ndarray], int], file: Path
    ) -> float | None:
        tries = [
            (float((x - self.y).norm()) * scale, scale, n)
            for n, x in enumerate(candidates)
            for scale in SCALES
        ]
        for _, scale, n in sorted(tries):
            changed = (self.y + scale * (candidates[n] - self.y)).clamp(-1, 1)
            file.parent.mkdir(parents=True, exist_ok=True)
            lattice = to_lattice(changed[None], "PCM_16")
            save_audio(file, lattice, sr=self.sample_rate, container="WAV", subtype="PCM_16")
            waveform = common.load_waveform(file)
            if heard(waveform) == self.target:
                return common.snr_db(self.y.numpy(), waveform)
        return None
