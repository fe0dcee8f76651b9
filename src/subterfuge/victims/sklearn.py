"""Any classifier of scikit-learn on the 25 features, or the user's own, as a victim: scores, no gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.victims.svm import check_features, check_labels, feature_set
from subterfuge.victims.victim import Hearing, TorchVictim

if TYPE_CHECKING:
    from subterfuge.victims.card import VictimInfo


class SklearnVictim(TorchVictim):
    """A fitted classifier of scikit-learn (trees, boosting, neighbours, ...) on summary features or others.

    Its scores are its probabilities where it has them, else its decision function. There are no gradients:
    only attacks that do with scores or with the label can be used on it. ``hear`` takes the features in
    torch, fast; ``verdict`` takes librosa's own, and both ask the model itself. The user's own features are
    the user's own code in both.

    Parameters
    ----------
    model : estimator
        Fitted, with ``predict``, ``classes_`` and ``predict_proba`` or ``decision_function``.
    labels : sequence of str
        Names of the model's classes, in the order of its ``classes_``.
    sample_rate : int
        In Hz.
    features : str
        ``librosa25``, or the user's own by ``module:callable``, a function of ``(y, sr)`` to a vector.
    name : str

    Raises
    ------
    SubterfugeError
        If the model is not a fitted classifier, or labels or features do not fit it.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> tree = DecisionTreeClassifier(random_state=0).fit([[0.0] * 25, [9.0] * 25], ["quiet", "loud"])
    >>> victim = SklearnVictim(tree, labels=["loud", "quiet"], sample_rate=44100)
    >>> victim.labels[victim.predict(torch.zeros(1, 44100))]
    'quiet'
    """

    differentiable = False

    # What its folder says of it, where it was loaded from one.
    info: VictimInfo | None = None

    def __init__(
        self,
        model: Any,
        *,
        labels: Sequence[str],
        sample_rate: int,
        features: str = "librosa25",
        name: str = "sklearn",
    ) -> None:
        super().__init__()
        self.model, self.name, self.feature_name = model, name, features
        self.labels, self.sample_rate = tuple(labels), int(sample_rate)
        check_model(model, labels=self.labels, features=features, sample_rate=self.sample_rate)
        self.features = feature_set(features)
        self._classes = np.asarray(model.classes_)

    @torch.no_grad()
    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        """Scores, prediction and, if asked for, probabilities of ``y``, shape (batch, samples)."""
        vectors = self.features.torch(y.detach(), sr=self.sample_rate)
        return self._heard(vectors.double().cpu().numpy(), probabilities, y.device)

    @torch.no_grad()
    def verdict(self, y: Tensor) -> Hearing:
        """The plain path: librosa's own features of each row, the model's own prediction."""
        rows = y.detach().cpu().numpy()
        vectors = np.stack([self.features.plain(row, self.sample_rate) for row in rows])
        return self._heard(vectors, True, y.device)

    def _heard(self, vectors: NDArray[np.float64], probabilities: bool, device: torch.device) -> Hearing:
        if not np.isfinite(vectors).all():
            raise SubterfugeError("the features hold NaN or infinite numbers, expected finite audio")
        predicted = np.searchsorted(self._classes, self.model.predict(vectors)).astype(np.int64)
        reported = self.model.predict_proba(vectors) if hasattr(self.model, "predict_proba") else None
        if reported is None:
            scores = np.asarray(self.model.decision_function(vectors), dtype=np.float64)
            scores = np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores
        else:
            scores = np.asarray(reported, dtype=np.float64)
        there = torch.from_numpy(scores).to(device)
        return Hearing(
            there,
            torch.from_numpy(predicted).to(device),
            there.clone() if probabilities and reported is not None else None,
        )


def check_model(model: Any, *, labels: Sequence[str], features: str, sample_rate: int = 44100) -> None:
    """Check that a model is a fitted classifier, and that labels and features are what it was fitted on.

    Raises
    ------
    SubterfugeError
        If it is not.
    """
    kind = type(model).__name__
    heard = [hasattr(model, name) for name in ("predict_proba", "decision_function")]
    if not hasattr(model, "predict") or not (hasattr(model, "classes_") or any(heard)):
        raise SubterfugeError(f"got a {kind}: expected a classifier of scikit-learn")
    if not hasattr(model, "classes_") or not hasattr(model, "n_features_in_"):
        raise SubterfugeError(f"{kind}: the model is not fitted, expected a fitted one")
    classes = np.asarray(model.classes_)
    if not any(heard) or classes.ndim != 1:
        raise SubterfugeError(f"got a {kind} without scores, expected one label a clip and a score for each")
    check_labels(labels, len(classes))
    size = check_features(features, sample_rate=sample_rate)
    if int(model.n_features_in_) != size:
        raise SubterfugeError(
            f"features: {features} gives {size} numbers, but the model was fitted on {model.n_features_in_}"
        )
