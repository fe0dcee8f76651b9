"""A victim that hears a clip and what may become of it: what fools it survives being encoded, cut, played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.transforms.transform import Frozen, Transform, freeze
from subterfuge.victims.victim import Hearing, Victim


class Surviving(torch.nn.Module):
    """A victim whose goal is reached only where it is for the clip itself and for each of several variants.

    Expectation over transformation (Athalye et al. 2018), over a fixed sample of drawn transforms: a search
    that asks twice is told the same, so that any attack, with or without gradients, runs on it as it is. One
    question counts as many queries as there are waveforms to hear.

    Parameters
    ----------
    victim : Victim
        With gradients, those go back through the transforms.
    transforms : sequence of Transform
    draws : int
        Variants of each transform.
    generator : torch.Generator, optional
        What they are drawn from; one of seed 0 by default.
    mean : bool
        Whether the margin is the mean of those of all, as in the expectation; by default it is their least,
        since all must succeed.

    Attributes
    ----------
    variants : tuple of Frozen
    cost : int
        Waveforms a question: the clip itself and its variants.

    Raises
    ------
    SubterfugeError
        If there are no transforms or no draws.

    References
    ----------
    Athalye, Engstrom, Ilyas and Kwok, "Synthesizing robust adversarial examples", ICML 2018.

    Examples
    --------
    >>> from subterfuge.transforms.named import named
    >>> steady = Surviving(victim, named("gain,shift"), draws=2)
    >>> steady.cost, len(steady.hear(y).each)
    (5, 5)
    """

    def __init__(
        self,
        victim: Victim,
        transforms: Sequence[Transform],
        *,
        draws: int = 1,
        generator: torch.Generator | None = None,
        mean: bool = False,
    ) -> None:
        super().__init__()
        if not transforms or draws < 1:
            raise SubterfugeError(
                f"survive: got {draws} draws of {len(transforms)} transforms, expected some of some"
            )
        generator = generator or torch.Generator().manual_seed(0)
        self.victim, self.mean = victim, mean
        self.variants: tuple[Frozen, ...] = tuple(
            freeze(transform, generator) for transform in transforms for _ in range(draws)
        )
        self.labels, self.sample_rate = victim.labels, victim.sample_rate
        self.differentiable = victim.differentiable
        self.guided = bool(getattr(victim, "guided", False))
        self.plain_cost = int(getattr(victim, "cost", 1))
        self.cost = (1 + len(self.variants)) * self.plain_cost

    def hear(self, y: Tensor, *, probabilities: bool = False, **asked: bool) -> Hearing:
        """Of the clips themselves, with those of each variant in :attr:`Hearing.each`."""
        each = [self.victim.hear(y, probabilities=probabilities, **asked)]
        for variant in self.variants:
            changed = variant(y, sr=self.sample_rate)
            each.append(self.victim.hear(changed, probabilities=probabilities, **asked))
        return replace(each[0], each=tuple(each), mean=self.mean)

    def forward(self, y: Tensor) -> Tensor:
        """The victim's scores of the clips themselves."""
        return self.victim.scores(y)

    def scores(self, y: Tensor) -> Tensor:
        """The victim's scores of the clips themselves, shape (batch, labels)."""
        return self.victim.scores(y)

    @torch.no_grad()
    def predict(self, y: Tensor) -> Tensor:
        """Index of the label heard in the clips themselves, int64, shape (batch,)."""
        return self.victim.predict(y)

    @torch.no_grad()
    def probabilities(self, y: Tensor) -> Tensor | None:
        """Reported probabilities of the clips themselves, or None."""
        return self.victim.probabilities(y)

    @torch.no_grad()
    def verdict(self, y: Tensor) -> Hearing:
        """The victim's plain path on the clips themselves."""
        return self.victim.verdict(y)
