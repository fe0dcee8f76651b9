"""The meter between an attack and the victim: counts passes, keeps the budget, remembers the best candidates.

One meter serves one problem (one clip, one target), so that nobody's rows can be confused or influence
each other. A budget of N *gradient queries* is 2N passes of a waveform, forward and backward ones together,
as AttackBench counts them (Cinà et al., 2024); how an attack splits them is its own affair.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from subterfuge.attacks.search import BudgetSpent
from subterfuge.victims.victim import Hearing, TorchVictim

KEPT = 4  # candidates kept for the final judgement by the plain path
SCALES = (1.0, 1.001, 1.005, 1.02)  # how far beyond a candidate the judgement may look, for everybody alike


@dataclass
class Meter:
    """Counts and the best successful candidates of one problem.

    Attributes
    ----------
    y : Tensor, shape (samples,)
        The clean clip in [-1, 1].
    target : int
    budget : int or None
        Gradient queries; None counts without a limit.
    forward, backward : int
        Waveforms that went through the victim, each way.
    improvements : list of (passes, norm)
        Smallest successful norm after so many passes, one entry an improvement.
    """

    y: Tensor
    target: int
    budget: int | None = None
    forward: int = 0
    backward: int = 0
    improvements: list[tuple[int, float]] = field(default_factory=list)
    _best: list[tuple[float, int, Tensor]] = field(default_factory=list)
    _serial: int = 0

    @property
    def passes(self) -> int:
        """Forward and backward passes so far."""
        return self.forward + self.backward

    def charge(self, *, forward: int = 0, backward: int = 0) -> None:
        """Count passes that are about to be made; refuse them where the budget does not hold them all."""
        if self.budget is not None and self.passes + forward + backward > 2 * self.budget:
            raise BudgetSpent
        self.forward += forward
        self.backward += backward

    def consider(self, x: Tensor, predicted: Tensor) -> None:
        """Remember the rows of ``x``, shape (rows, samples) in [-1, 1], that are heard as the target."""
        x = x.detach()
        legal = x.abs().amax(1) <= 1 + 1e-6  # false for NaN, too
        norms = torch.linalg.vector_norm(x.double() - self.y.double(), dim=1)
        for row in torch.nonzero((predicted == self.target) & legal)[:, 0].tolist():
            norm = float(norms[row])
            if not self._best or norm < self._best[0][0]:
                self.improvements.append((self.passes, norm))
            if len(self._best) < KEPT or norm < self._best[-1][0]:
                self._serial += 1
                bisect.insort(self._best, (norm, self._serial, x[row].clone()))
                del self._best[KEPT:]

    @property
    def best_norm(self) -> float:
        """Smallest norm that the victim itself called a success, or infinity."""
        return self._best[0][0] if self._best else float("inf")

    def judged(self, heard: Callable[[np.ndarray], int]) -> tuple[float, np.ndarray] | None:
        """The smallest candidate that the plain path confirms: its norm and waveform, or None.

        ``heard`` gives the label of a float32 waveform by librosa and scikit-learn. Where the very best
        fails there by an ulp, the next ones and slightly larger ones are tried, smallest first.
        """
        tries = []
        for norm, _, x in self._best:
            for scale in SCALES:
                tries.append((norm * scale, scale, x))
        for _, scale, x in sorted(tries, key=lambda one: one[:2]):
            changed = x if scale == 1 else (self.y + scale * (x - self.y)).clamp(-1, 1)
            waveform = changed.float().numpy()
            if heard(waveform) == self.target:
                exact = float(np.linalg.norm(waveform.astype(np.float64) - self.y.double().numpy()))
                return exact, waveform
        return None


class Metered(TorchVictim):
    """The victim as attacks see it: the same functions, with a meter at the door.

    Parameters
    ----------
    victim : TorchVictim
    meter : Meter
    unit : bool
        Whether inputs come in [0, 1] (what image libraries want) rather than in [-1, 1].
    """

    def __init__(self, victim: TorchVictim, meter: Meter, *, unit: bool = False) -> None:
        super().__init__()
        self.victim, self.meter, self.unit = victim, meter, unit
        self.labels, self.sample_rate = victim.labels, victim.sample_rate
        self.guided = getattr(victim, "guided", False)
        # Libraries ask a module's parameters where it lives.
        self.somewhere = torch.nn.Parameter(torch.zeros(()), requires_grad=False)
        self.eval()

    def hear(self, y: Tensor, *, probabilities: bool = False, guide: bool = False) -> Hearing:
        """One counted pass of every row; a backward one is counted when it happens."""
        waveform = self._enter(y)
        also = {"guide": True} if guide else {}
        hearing = self.victim.hear(waveform, probabilities=probabilities, **also)
        self.meter.consider(waveform, hearing.predicted)
        self._watch(hearing.scores, hearing.probabilities, hearing.guide, hearing.clearances)
        return hearing

    def forward(self, y: Tensor) -> Tensor:
        """The scores in the input's type, which is what the libraries expect of a network."""
        return self.hear(y).scores.to(y.dtype)

    def _enter(self, y: Tensor) -> Tensor:
        flat = y.reshape(len(y), -1)
        self.meter.charge(forward=len(flat))
        return 2 * flat - 1 if self.unit else flat

    def _watch(self, *outputs: Tensor | None) -> None:
        """Count one backward pass a row for each time that a gradient comes back into the victim."""
        # What is differentiated together, scores and probabilities say, is one pass: it counts once.
        live = [out for out in outputs if out is not None and out.requires_grad]
        if not live:
            return

        # Not the outputs themselves: a graph whose hook holds its own end is never freed.
        rows, meter = len(live[0]), self.meter

        def count(gradients: object) -> None:
            meter.charge(backward=rows)

        torch.autograd.graph.register_multi_grad_hook(live, count, mode="any")
