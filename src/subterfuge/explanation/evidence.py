"""How strongly a victim hears a label, as one number that does not saturate where probabilities do."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.victims.victim import Hearing, Victim

# Probabilities below this are taken for it: a tree that says 0 means no more than "never seen".
_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class Evidence:
    """A victim's evidence for one label, a function of waveforms.

    Attributes
    ----------
    victim : Victim
    label : int
    unit : str
        ``log-odds``: of the label's probability, in nats, against all others together; or of a victim without
        probabilities ``score``: the lead of the label's score over the best other's. Of one that may hear
        several labels at once, its score: how far the label is above its own threshold.
    """

    victim: Victim
    label: int
    unit: str

    def __call__(self, y: Tensor) -> Tensor:
        """Evidence for each row of ``y``, shape (batch, samples); float64, shape (batch,)."""
        return self.of(self.victim.hear(y, probabilities=self.unit == "log-odds"))

    def of(self, hearing: Hearing) -> Tensor:
        """Evidence in what has been heard already; float64, shape (batch,)."""
        label = self.label
        if hearing.multilabel:
            return hearing.scores[:, label].double()
        if self.unit == "log-odds" and hearing.probabilities is not None:
            p = hearing.probabilities.double()
            others = torch.cat([p[:, :label], p[:, label + 1 :]], 1).sum(1)
            # Not 1 - p, which single precision rounds to nothing where the victim is sure.
            return p[:, label].clamp(min=_LEAST).log() - others.clamp(min=_LEAST).log()
        scores = hearing.scores.double()
        rest = torch.cat([scores[:, :label], scores[:, label + 1 :]], 1)
        return scores[:, label] - rest.amax(1)


def evidence(victim: Victim, label: int, hearing: Hearing) -> Evidence:
    """The evidence for a label, in the unit that a first ``hearing`` (with probabilities) shows to be there.

    Examples
    --------
    >>> found = evidence(victim, 0, victim.hear(y, probabilities=True))
    >>> found.unit, tuple(found(y).shape)
    ('log-odds', (2,))
    """
    there = hearing.probabilities is not None and not hearing.multilabel
    return Evidence(victim, label, "log-odds" if there else "score")
