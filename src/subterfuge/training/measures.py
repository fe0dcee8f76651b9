"""What is measured of a classifier: the types; :mod:`subterfuge.training.measure` fills them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A measured value with its 95 % bootstrap interval (resampled by recording)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassMeasures:
    """Of one label, against all others; ``clips`` is how many clips truly carry it."""

    label: str
    precision: Estimate
    recall: Estimate
    f1: Estimate
    clips: int


@dataclass(frozen=True)
class ReliabilityBin:
    """Clips whose largest probability lies in [low, high): their mean probability and share heard rightly."""

    low: float
    high: float
    clips: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Measures:
    """How well a classifier hears clips with one label each.

    Attributes
    ----------
    labels : tuple of str
        The classifier's, in its order.
    clips, recordings : int
        How many were heard.
    accuracy, macro_f1 : Estimate
        Macro F1 over the labels that occur among the clips.
    classes : tuple of ClassMeasures
    confusion : tuple of tuples of int
        Row: the true label; column: the predicted one; both in the order of ``labels``.
    reliability : tuple of ReliabilityBin
        Empty where the classifier has no probabilities.
    calibration_error, log_loss : float or None
        Expected calibration error over these bins (Naeini et al. 2015; Guo et al. 2017), and the mean
        negative log-probability of the truth.
    """

    labels: tuple[str, ...]
    clips: int
    recordings: int
    accuracy: Estimate
    macro_f1: Estimate
    classes: tuple[ClassMeasures, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[ReliabilityBin, ...] = ()
    calibration_error: float | None = None
    log_loss: float | None = None
