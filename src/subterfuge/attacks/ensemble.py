"""Several victims as one, so that whatever attacks a victim can attack them all at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.resampling import resample
from subterfuge.victims.victim import Hearing, TorchVictim, Victim


class Ensemble(TorchVictim):
    """Victims of the same labels: a goal is reached where each of them is made to hear what it wants.

    Liu et al. (2017) found that what fools several victims is likelier to fool one that was never asked.

    Parameters
    ----------
    victims : sequence of Victim
        At least one; where a rate differs from the first one's, the clips are resampled for it.
    mean : bool
        Whether the margin is the mean of theirs (of which each should then be of about the same size), not
        the least.

    Attributes
    ----------
    cost : int
        Waveforms a question: one a victim.

    Raises
    ------
    SubterfugeError
        If there are none, or their labels differ.

    References
    ----------
    Liu, Chen, Liu and Song, "Delving into transferable adversarial examples and black-box attacks",
    ICLR 2017.

    Examples
    --------
    >>> both = Ensemble([victim, victim])
    >>> both.cost, both.differentiable
    (2, True)
    """

    def __init__(self, victims: Sequence[Victim], *, mean: bool = False) -> None:
        super().__init__()
        if not victims:
            raise SubterfugeError("victims: got none, expected at least one")
        self.victims, self.mean = list(victims), mean
        self.labels, self.sample_rate = victims[0].labels, victims[0].sample_rate
        for one in victims:
            if tuple(one.labels) != tuple(self.labels):
                raise SubterfugeError(
                    f"victims: got the labels {', '.join(one.labels)} beside {', '.join(self.labels)}, "
                    "expected the same labels, in the same order"
                )
        self._modules_too = torch.nn.ModuleList(v for v in victims if isinstance(v, torch.nn.Module))
        self.differentiable = all(one.differentiable for one in victims)
        self.guided = any(getattr(one, "guided", False) for one in victims)
        self.cost = sum(int(getattr(one, "cost", 1)) for one in victims)

    def hear(self, y: Tensor, *, probabilities: bool = False, **asked: bool) -> Hearing:
        """Mean scores and probabilities (None where one victim gives none), and what most hear.

        Each victim's own hearing is in :attr:`Hearing.each`.
        """
        each = []
        for one in self.victims:
            there = resample(y, orig_sr=self.sample_rate, target_sr=one.sample_rate)
            guided = getattr(one, "guided", False)
            more = {name: value for name, value in asked.items() if guided or name != "guide"}
            each.append(one.hear(there, probabilities=probabilities, **more))
        return self._together(each)

    @torch.no_grad()
    def verdict(self, y: Tensor) -> Hearing:
        """Each victim's plain path."""
        return self._together(
            [
                one.verdict(resample(y, orig_sr=self.sample_rate, target_sr=one.sample_rate))
                for one in self.victims
            ]
        )

    def _together(self, each: list[Hearing]) -> Hearing:
        first = each[0].scores
        scores = torch.stack([one.scores.to(first.dtype) for one in each]).mean(0)
        heard = [one.probabilities for one in each if one.probabilities is not None]
        shown = None
        if len(heard) == len(each):
            shown = torch.stack([one.to(heard[0].dtype) for one in heard]).mean(0)
        votes = torch.stack([one.predicted for one in each])
        counts = torch.nn.functional.one_hot(votes, len(self.labels)).sum(0)
        # The first victim that is of the majority speaks for all.
        own = counts.gather(1, votes.T)
        predicted = votes.T.gather(1, own.argmax(1, keepdim=True))[:, 0]
        several = all(one.multilabel for one in each)
        return Hearing(scores, predicted, shown, multilabel=several, each=tuple(each), mean=self.mean)
