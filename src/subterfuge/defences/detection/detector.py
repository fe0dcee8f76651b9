"""What a detector is, the threshold that it is set to on clean clips, and how well it tells: ROC and AUC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError


class Detector(Protocol):
    """Gives each clip a number: the higher, the more it looks like an adversarial example.

    Attributes
    ----------
    differentiable : bool
        Whether the number has a gradient, which an attack that knows the detector follows.
    """

    differentiable: bool

    def score(self, y: Tensor) -> Tensor:
        """One number a clip, shape (batch, samples) to (batch,)."""
        ...


@dataclass(frozen=True)
class Roc:
    """How well scores tell adversarial clips from clean ones.

    Attributes
    ----------
    false_alarms, found : tuple of float
        Shares of the clean and of the adversarial clips above each threshold.
    thresholds : tuple of float
        From high to low; the first is infinite.
    auc : float
        Area under the curve: 1 tells all, 0.5 none.
    """

    false_alarms: tuple[float, ...]
    found: tuple[float, ...]
    thresholds: tuple[float, ...]
    auc: float

    def found_at(self, false_alarms: float) -> float:
        """Largest share of the adversarial clips that is found at no more than that share of false alarms."""
        pairs = zip(self.false_alarms, self.found, strict=True)
        return max(found for alarms, found in pairs if alarms <= false_alarms)


def roc(clean: Tensor, adversarial: Tensor) -> Roc:
    """The curve and its area, of the scores of clean and of adversarial clips.

    Raises
    ------
    SubterfugeError
        If there are none of one, or one is no number.

    Examples
    --------
    >>> roc(torch.tensor([0.1, 0.6]), torch.tensor([0.5, 0.7])).auc  # three of four pairs are in order
    0.75
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    clean, adversarial = _checked(clean, "clean"), _checked(adversarial, "adversarial")
    scores = torch.cat([clean, adversarial]).numpy()
    truth = [0] * len(clean) + [1] * len(adversarial)
    alarms, found, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    return Roc(
        tuple(alarms.tolist()),
        tuple(found.tolist()),
        tuple(thresholds.tolist()),
        float(roc_auc_score(truth, scores)),
    )


def threshold_for(clean: Tensor, *, false_alarms: float = 0.05) -> float:
    """The lowest of the clean clips' scores that no more than that share of them lies above.

    Raises
    ------
    SubterfugeError
        If there are no clips, or the share is not within 0 to 1.

    Examples
    --------
    >>> threshold_for(torch.arange(20.0), false_alarms=0.1)
    17.0
    """
    if not 0 <= false_alarms < 1:
        raise SubterfugeError(f"false alarms: got {false_alarms}, expected a share from 0 to less than 1")
    ordered = _checked(clean, "clean").sort(descending=True).values
    return float(ordered[int(false_alarms * len(ordered) + 1e-9)])


def _checked(scores: Tensor, what: str) -> Tensor:
    scores = scores.detach().double().cpu().flatten()
    if not len(scores):
        raise SubterfugeError(f"detection: got no {what} clips, expected at least one")
    if bool(scores.isnan().any()):
        raise SubterfugeError(f"detection: a {what} clip's score is NaN, expected numbers")
    return scores
