"""Which of the 25 features carry a decision: by gradients, by integrated gradients, by leaving each out.

The path leads from the average clip that the victim was trained on, which its scaler knows: what is divided
among the features is what tells this clip from that one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.explanation.evidence import Evidence
from subterfuge.explanation.gradients import gradient_times_value
from subterfuge.explanation.integrated import integrated_gradients
from subterfuge.features.summary import NAMES
from subterfuge.victims.sklearn import SklearnVictim
from subterfuge.victims.svm import SvmVictim
from subterfuge.victims.victim import Hearing

_STEPS = 128


@dataclass(frozen=True)
class Feature:
    """What one feature says.

    Attributes
    ----------
    name : str
    value, average : float
        In this clip, and in the average clip of the training; in the feature's own unit.
    deviations : float
        How far apart these are, in standard deviations over the training.
    gradient : float or None
        Gradient at the clip times the distance from the average; None without gradients.
    integrated : float or None
        Its share of the evidence by integrated gradients; None without gradients.
    drop : float
        Evidence lost where this feature alone is put back to its average.
    """

    name: str
    value: float
    average: float
    deviations: float
    gradient: float | None
    integrated: float | None
    drop: float


@dataclass(frozen=True)
class FeatureView:
    """All features of a clip, and whether their shares add up.

    Attributes
    ----------
    features : tuple of Feature
        In the victim's order.
    value, average_value : float
        Evidence in the clip's features, and in those of the average clip.
    residual : float or None
        What their difference is more than the integrated shares together; None without gradients.
    """

    features: tuple[Feature, ...]
    value: float
    average_value: float
    residual: float | None


def feature_view(heard: Evidence, y: Tensor, *, steps: int = _STEPS) -> FeatureView | None:
    """What each feature of a clip, shape (1, samples), says for the label.

    None where the victim hears no such features, or does not know what the average clip is.
    """
    victim = heard.victim
    if not isinstance(victim, (SvmVictim, SklearnVictim)) or victim.feature_name != "librosa25":
        return None
    known = average(victim.model)
    if known is None:
        return None
    centre, spread = (torch.from_numpy(one) for one in known)

    def function(x: Tensor) -> Tensor:
        return heard.of(_hear(victim, x))

    with torch.no_grad():
        vector = victim.features.torch(y, sr=victim.sample_rate)[0].double().cpu()
        dropped = vector.expand(len(vector) + 2, -1).clone()
        dropped[torch.arange(len(vector)), torch.arange(len(vector))] = centre
        dropped[-2] = centre
        evidence = function(dropped).tolist()
    value, average_value = evidence[-1], evidence[-2]
    slopes: list[float | None] = [None] * len(vector)
    shares = list(slopes)
    residual = None
    if victim.differentiable:
        slopes = list(gradient_times_value(function, vector[None], baseline=centre)[0].tolist())
        found = integrated_gradients(function, vector, baseline=centre, steps=steps, spread=1, chunk=32)
        shares, residual = list(found.attribution.tolist()), found.residual
    rows = zip(
        NAMES, vector.tolist(), centre.tolist(), ((vector - centre) / spread).tolist(), slopes, shares,
        evidence, strict=False,
    )  # fmt: skip
    features = tuple(
        Feature(name, at, usual, away, slope, part, value - left)
        for name, at, usual, away, slope, part, left in rows
    )
    return FeatureView(features, value, average_value, residual)


def average(model: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Mean and standard deviation of the features over the training, where the model begins with a scaler.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVC
    >>> model = make_pipeline(StandardScaler(), SVC()).fit([[0.0], [4.0]], [0, 1])
    >>> [one.tolist() for one in average(model)]
    [[2.0], [2.0]]
    """
    while True:
        if type(model).__name__ == "Pipeline" and len(model.steps):
            first = model.steps[0][1]
            if type(first).__name__ == "StandardScaler":
                model = first
                break
            if type(first).__name__ not in ("Pipeline", "CalibratedClassifierCV", "FrozenEstimator"):
                return None
            model = first
        elif type(model).__name__ == "CalibratedClassifierCV":
            model = model.calibrated_classifiers_[0].estimator
        elif type(model).__name__ == "FrozenEstimator":
            model = model.estimator
        else:
            return None
    if getattr(model, "mean_", None) is None or getattr(model, "scale_", None) is None:
        return None
    return np.asarray(model.mean_, dtype=np.float64), np.asarray(model.scale_, dtype=np.float64)


def _hear(victim: SvmVictim | SklearnVictim, x: Tensor) -> Hearing:
    """What the victim makes of feature vectors, shape (batch, 25)."""
    if isinstance(victim, SvmVictim):
        device = next(victim.head.buffers()).device
        heard = victim.head.hear(x.to(device), probabilities=True)
        return Hearing(
            heard.scores.cpu(), heard.predicted.cpu(),
            None if heard.probabilities is None else heard.probabilities.cpu(),
        )  # fmt: skip
    return victim._heard(x.detach().numpy(), True, torch.device("cpu"))
