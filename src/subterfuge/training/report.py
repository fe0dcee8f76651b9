"""What a training run reports: everything on its page and in its JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from subterfuge.training.measures import Estimate, Measures


@dataclass(frozen=True)
class Components:
    """Principal components of the standardised features of the training part.

    Attributes
    ----------
    features : tuple of str
        Names of the features.
    explained : tuple of float
        Share of the variance that each component explains, falling; the page shows the running sum.
    loadings : tuple of tuples of float
        Row: component; column: feature; unit length a row.
    """

    features: tuple[str, ...]
    explained: tuple[float, ...]
    loadings: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Trial:
    """One setting that the search tried, and its mean cross-validated accuracy and its spread over folds."""

    parameters: dict[str, Any]
    accuracy: float
    spread: float
    seconds: float


@dataclass(frozen=True)
class Epoch:
    """One pass of a network over the training part."""

    number: int
    training_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True)
class TrainingReport:
    """A training run, told whole.

    Attributes
    ----------
    name, model : str
        The victim's name; ``svc``, ``tree``, ``logistic``, ``forest``, ``boosting``, ``mlp`` or ``cnn``.
    corpus : str
    labels : tuple of str
    clips, recordings, skipped : int
        Of the corpus; ``skipped`` files were of no use.
    parameters : dict
        Of the model that was kept.
    split : str
        ``grouped`` or ``random``: which of the two the victim on disk was fitted by.
    grouped, random : Measures or None
        On a held-out part whose recordings were not trained on, and on one drawn clip by clip, where
        clips of one recording fall on both sides. The difference is the leak.
    cross_validated : Estimate or None
        Accuracy of the kept setting over the folds of the search, mean and spread (low, high: one
        standard deviation).
    trials : tuple of Trial
        The search, best first; empty where nothing was searched.
    epochs : tuple of Epoch
        Of a network.
    components : Components or None
        Of the 25 features; None for a network.
    importance : dict of str to Estimate
        Accuracy lost on the held-out part when one feature is shuffled among the clips (Breiman 2001).
    seconds : dict of str to float
        ``features``, ``search``, ``fit``, ``measure``; wall time.
    peak_mb : float
        Largest resident memory of the process.
    seed : int
    command, version, date : str
    """

    name: str
    model: str
    corpus: str
    labels: tuple[str, ...]
    clips: int
    recordings: int
    skipped: int
    parameters: dict[str, Any]
    split: str
    grouped: Measures | None
    random: Measures | None
    cross_validated: Estimate | None = None
    trials: tuple[Trial, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    components: Components | None = None
    importance: dict[str, Estimate] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_mb: float = 0.0
    seed: int = 0
    command: str = ""
    version: str = ""
    date: str = ""
