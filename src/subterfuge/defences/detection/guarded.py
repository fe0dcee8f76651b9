"""A victim with a guard: no goal is reached by a clip that a detector notices, and attacks know it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from subterfuge.defences.detection.detector import Detector
from subterfuge.defences.detection.kept import options_of, weights_of
from subterfuge.errors import SubterfugeError
from subterfuge.victims.around import Around
from subterfuge.victims.victim import Hearing, Victim


class Guarded(Around):
    """Hears as the victim does; each hearing also says how far below the threshold the clip is.

    That is :attr:`Hearing.allowance`. Every criterion wants it to be positive besides: the margin that an
    attack climbs is the smaller of the victim's own and ``weight * (threshold - score)``, so that each attack
    is adaptive (Carlini and Wagner 2017) without knowing it. A black box
    (:class:`subterfuge.attacks.oracle.Oracle`) shows of it no more than a service does: what is noticed is
    refused.

    Parameters
    ----------
    victim : Victim
    detector : Detector
    threshold : float
        A clip with a higher score is noticed; see
        :func:`subterfuge.defences.detection.detector.threshold_for`.
    weight : float
        What a unit of the detector's score counts in units of the victim's.

    Raises
    ------
    SubterfugeError
        If the threshold is NaN or the weight not positive.

    References
    ----------
    Carlini and Wagner, "Adversarial examples are not easily detected", AISec 2017.

    Examples
    --------
    >>> from subterfuge.defences.detection.stability import Stability
    >>> from subterfuge.defences.input.defence import make
    >>> guarded = Guarded(victim, Stability(victim, [make("median")]), threshold=2.0)
    >>> guarded.noticed(y).tolist()
    [False, False]
    """

    kind = "guarded"
    name: str

    def __init__(self, victim: Victim, detector: Detector, *, threshold: float, weight: float = 1.0) -> None:
        if math.isnan(threshold):
            raise SubterfugeError("threshold: got NaN, expected a number")
        if not 0 < weight < math.inf:
            raise SubterfugeError(f"weight: got {weight}, expected a positive number")
        # Of a detector without a gradient the victim's own still leads; what is noticed is refused.
        super().__init__(victim)
        self.name = self.kind
        self.detector, self.threshold, self.weight = detector, float(threshold), float(weight)

    @property
    def options(self) -> dict[str, Any]:
        """What a victim's card says of it."""
        return {**options_of(self.detector), "threshold": self.threshold, "weight": self.weight}

    def weights(self) -> dict[str, Tensor]:
        """What the detector has learnt."""
        return weights_of(self.detector)

    @torch.no_grad()
    def noticed(self, y: Tensor) -> Tensor:
        """Whether the detector's score is above the threshold, bool, shape (batch,)."""
        return self.detector.score(y) > self.threshold

    def _heard(self, y: Tensor, hear: Callable[[Tensor], Hearing]) -> Hearing:
        """What the victim hears, and how far the clip is from being noticed."""
        hearing = hear(y)
        allowance = self.weight * (self.threshold - self.detector.score(y))
        if hearing.allowance is not None:  # of a guard within: both must be passed
            allowance = torch.minimum(allowance, hearing.allowance.to(allowance.dtype))
        return replace(hearing, allowance=allowance.to(hearing.scores.dtype))
