"""What victims around another one share: its labels, rate and gradient, and its two paths to hear by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from subterfuge.victims.victim import Hearing, TorchVictim, Victim


class Around(TorchVictim):
    """A victim that hears by another one; subclasses say in ``_heard`` what they make of it.

    Parameters
    ----------
    inner : Victim

    Examples
    --------
    >>> class Louder(Around):
    ...     def _heard(self, y, hear):
    ...         return hear((2 * y).clamp(-1, 1))
    >>> torch.equal(Louder(victim).predict(y), victim.predict((2 * y).clamp(-1, 1)))
    True
    """

    def __init__(self, inner: Victim) -> None:
        super().__init__()
        self.inner = inner
        self.labels, self.sample_rate = inner.labels, inner.sample_rate
        self.differentiable = inner.differentiable
        self.guided = bool(getattr(inner, "guided", False))

    def hear(self, y: Tensor, *, probabilities: bool = False, **asked: bool) -> Hearing:
        """Everything from one pass of ``y``, shape (batch, samples), with what the inner victim hears."""
        hear: Callable[..., Hearing] = self.inner.hear
        return self._heard(y, partial(hear, probabilities=probabilities, **asked))

    @torch.no_grad()
    def verdict(self, y: Tensor) -> Hearing:
        """The same with the inner victim's plain path."""
        return self._heard(y, self.inner.verdict)

    def _heard(self, y: Tensor, hear: Callable[[Tensor], Hearing]) -> Hearing:
        """What is heard in ``y``, where the inner victim hears by ``hear``."""
        raise NotImplementedError
