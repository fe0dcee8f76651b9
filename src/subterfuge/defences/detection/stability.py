"""A detector on the prediction's stability: adversarial examples change their label when they are changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.transforms.transform import Frozen, Transform, freeze
from subterfuge.victims.victim import Victim


class Stability:
    """How much what is heard changes when the clip is changed a little: feature squeezing.

    What is heard counts as the softmax of the scores over a temperature, which is the spread of the clean
    clips' scores (1 until :meth:`fit`); the score of a clip is the largest L1 distance, over the transforms,
    between that before and after: 0 to 2. It has a gradient where the victim has.

    Parameters
    ----------
    victim : Victim
    transforms : sequence of Transform
        Drawn once each; those of :mod:`subterfuge.transforms` or :mod:`subterfuge.defences.input`.
    seed : int

    Raises
    ------
    SubterfugeError
        If there are no transforms.

    References
    ----------
    Xu, Evans and Qi, "Feature squeezing: detecting adversarial examples in deep neural networks", NDSS 2018.

    Examples
    --------
    >>> from subterfuge.defences.input.defence import make
    >>> detector = Stability(victim, [make("median"), make("bits", bits=4)]).fit(y)
    >>> bool(((detector.score(y) >= 0) & (detector.score(y) <= 2)).all())
    True
    """

    def __init__(self, victim: Victim, transforms: Sequence[Transform], *, seed: int = 0) -> None:
        if not transforms:
            raise SubterfugeError("detection: got no transforms, expected at least one")
        generator = torch.Generator().manual_seed(seed)
        self.victim, self.seed = victim, seed
        self.variants: tuple[Frozen, ...] = tuple(freeze(one, generator) for one in transforms)
        self.differentiable = victim.differentiable
        self.temperature = 1.0

    @property
    def options(self) -> dict[str, Any]:
        """What a victim's card says of it, where all transforms are input defences."""
        each = [one.transform for one in self.variants]
        said = [{"defence": one.name, "with": asdict(one)} for one in each]  # type: ignore[call-overload]
        return {"transforms": said, "seed": self.seed}

    def fit(self, clean: Iterable[Tensor]) -> Stability:
        """Set the temperature on clean clips, each of shape (samples,); itself."""
        with torch.no_grad():
            scores = torch.cat([self.victim.scores(one[None]) for one in clean]).double()
        spread = float((scores - scores.mean(1, keepdim=True)).square().mean().sqrt())
        self.temperature = spread if spread > 0 else 1.0
        return self

    def score(self, y: Tensor) -> Tensor:
        """The largest change of what is heard, shape (batch, samples) to (batch,)."""
        before = self._heard(y)
        changes = [
            (self._heard(one(y, sr=self.victim.sample_rate)) - before).abs().sum(1) for one in self.variants
        ]
        return torch.stack(changes).amax(0)

    def _heard(self, y: Tensor) -> Tensor:
        return (self.victim.scores(y) / self.temperature).softmax(1)
