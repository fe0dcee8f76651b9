"""What a search for a sound wishes: the label, surely, for the sound itself and for what may become of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.criteria import Goal
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Hearing, Victim

# Odds beyond which no more is wished: 0.998 of the ceiling, or of one.
_ENOUGH = 0.998
# Below this probability a guided victim's guide shows the way as well.
_LOST = 0.5


@dataclass(frozen=True)
class Wish:
    """That a victim hears a label, as surely as it ever does.

    Attributes
    ----------
    victim : Victim
    label : int
    ceiling : float
        The highest probability that there is; 1 where it is not known.
    """

    victim: Victim
    label: int
    ceiling: float = 1.0

    @property
    def enough(self) -> float:
        """The probability from which on more of it is not worth anything else."""
        return _ENOUGH * self.ceiling

    def lack(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """What is missing in each row, to be made small, and the probability there; both shape (batch,).

        In log-odds; where the label is far, plus what the victim's guide says (a log density, see
        :meth:`subterfuge.criteria.Goal.nearness`): an RBF kernel's probabilities are flat out there.
        """
        guided = bool(getattr(self.victim, "guided", False))
        asked = {"guide": True} if guided else {}
        hearing = self.victim.hear(y, probabilities=True, **asked)
        p = self.probability(hearing)
        odds = torch.logit(p.double(), eps=1e-9)
        lack = torch.nn.functional.softplus(math.log(self.enough / (1 - self.enough)) - odds)
        lost = p.detach() < _LOST
        if guided and bool(lost.any()):
            goal = Goal(torch.full((len(y),), self.label, device=y.device))
            lack = lack - torch.where(lost, goal.nearness(hearing).to(lack), 0.0)
        return lack, p.detach()

    def probability(self, hearing: Hearing) -> Tensor:
        """The label's, shape (batch,)."""
        assert hearing.probabilities is not None, "checked by check_imaginable"
        return hearing.probabilities[:, self.label]

    @torch.no_grad()
    def worth(self, rows: Sequence[Tensor]) -> tuple[float, float]:
        """How good a sound is, from itself and its variants (1, samples) each, and its own probability.

        Up to :attr:`enough` it is the sound's own probability; from there on its variants' mean is added.
        """
        found = [float(self.probability(self.victim.hear(y, probabilities=True))[0]) for y in rows]
        own = found[0]
        if own < self.enough or len(found) == 1:
            return min(own, self.enough), own
        return self.enough + sum(found[1:]) / (len(found) - 1), own


def check_imaginable(victim: Victim, name: str = "victim") -> None:
    """Make sure that a sound can be searched for.

    Raises
    ------
    SubterfugeError
        If the victim has no gradients, or no probabilities.
    """
    if not victim.differentiable:
        raise SubterfugeError(f"{name}: has no gradients, expected a victim that has (an SVC, a network)")
    if victim.probabilities(torch.zeros(1, victim.sample_rate // 4)) is None:
        raise SubterfugeError(f"{name}: gives no probabilities, expected a victim that does")
