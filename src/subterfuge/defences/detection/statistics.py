"""Detectors on the 25 features: how far a clip's are from those of clean ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.features.summary import librosa25

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Added to the variances, in units of each feature's own, so that few clips still give a metric.
_RIDGE = 1e-3


class Mahalanobis:
    """The distance of a clip's features from the mean of clean ones, in their own covariance.

    With ``groups``, from the nearest of the groups' means, in the covariance within groups (Lee et al. 2018).
    Differentiable.

    Parameters
    ----------
    features : Tensor, shape (clips, features)
        Of clean clips.
    groups : Tensor of int64, shape (clips,), optional
        Such as their labels.
    sample_rate : int
        That the clips are heard at.

    Raises
    ------
    SubterfugeError
        If there are fewer than two clips.

    References
    ----------
    Lee, Lee, Lee and Shin, "A simple unified framework for detecting out-of-distribution samples and
    adversarial attacks", NeurIPS 2018.

    Examples
    --------
    >>> clean = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    >>> told = Mahalanobis(clean, sample_rate=8000).distance(torch.tensor([[0.0, 0, 0], [5.0, 0, 0]]))
    >>> bool(told[0] < 0.2), bool(4 < told[1] < 6)
    (True, True)
    """

    differentiable = True

    def __init__(self, features: Tensor, *, sample_rate: int, groups: Tensor | None = None) -> None:
        features = _checked(features)
        self.sample_rate = sample_rate
        groups = torch.zeros(len(features), dtype=torch.int64) if groups is None else groups
        if len(groups) != len(features):
            raise SubterfugeError(f"groups: got {len(groups)}, expected {len(features)}, one a clip")
        own = torch.unique(groups)
        self.means = torch.stack([features[groups == one].mean(0) for one in own])
        within = features - self.means[torch.searchsorted(own, groups)]
        self.spread = features.std(0).clamp(min=1e-9)
        z = within / self.spread
        covariance = z.T @ z / max(1, len(z) - len(own)) + _RIDGE * torch.eye(z.shape[1], dtype=z.dtype)
        self.whiten = torch.linalg.inv(torch.linalg.cholesky(covariance))

    def statistics(self) -> dict[str, Tensor]:
        """All that it has learnt, for :meth:`of`."""
        return {"means": self.means, "spread": self.spread, "whiten": self.whiten}

    @classmethod
    def of(cls, statistics: Mapping[str, Tensor], *, sample_rate: int) -> Mahalanobis:
        """The same again, to the bit.

        Examples
        --------
        >>> first = Mahalanobis(torch.eye(3), sample_rate=8000)
        >>> again = Mahalanobis.of(first.statistics(), sample_rate=8000)
        >>> torch.equal(again.distance(torch.ones(1, 3)), first.distance(torch.ones(1, 3)))
        True
        """
        made = cls.__new__(cls)
        made.sample_rate = sample_rate
        made.means, made.spread, made.whiten = (statistics[key] for key in ("means", "spread", "whiten"))
        return made

    def distance(self, features: Tensor) -> Tensor:
        """Of feature vectors, shape (batch, features) to (batch,)."""
        means, spread = self.means.to(features.device), self.spread.to(features.device)
        apart = ((features.double()[:, None] - means) / spread) @ self.whiten.T.to(features.device)
        distances: Tensor = (apart.square().sum(2) + 1e-18).sqrt()
        return distances.amin(1)

    def score(self, y: Tensor) -> Tensor:
        """The distance of each clip's features, shape (batch, samples) to (batch,)."""
        return self.distance(librosa25(y, sr=self.sample_rate))


class Forest:
    """How easily a clip's features are isolated from clean ones by random cuts (Liu, Ting and Zhou 2008).

    scikit-learn's ``IsolationForest``; without a gradient.

    Parameters
    ----------
    features : Tensor, shape (clips, features)
        Of clean clips.
    sample_rate : int
    seed : int

    Raises
    ------
    SubterfugeError
        If there are fewer than two clips.
    """

    differentiable = False

    def __init__(self, features: Tensor, *, sample_rate: int, seed: int = 0) -> None:
        from sklearn.ensemble import IsolationForest

        self.sample_rate = sample_rate
        self.forest: Any = IsolationForest(random_state=seed).fit(_checked(features).numpy())

    def distance(self, features: Tensor) -> Tensor:
        """Of feature vectors, shape (batch, features) to (batch,); between 0 and 1."""
        told: NDArray[Any] = -self.forest.score_samples(features.detach().double().cpu().numpy())
        return torch.from_numpy(told).to(features.device)

    def score(self, y: Tensor) -> Tensor:
        """How isolated each clip's features are, shape (batch, samples) to (batch,)."""
        return self.distance(librosa25(y.detach(), sr=self.sample_rate))


@torch.no_grad()
def features_of(clips: Iterable[Tensor], *, sample_rate: int) -> Tensor:
    """The 25 features of clips of any lengths, each of shape (samples,): (clips, 25), float64.

    Examples
    --------
    >>> tuple(features_of([y[0], y[1, :100]], sample_rate=8000).shape)
    (2, 25)
    """
    rows = [librosa25(clip[None], sr=sample_rate)[0].double().cpu() for clip in clips]
    if not rows:
        raise SubterfugeError("detection: got no clean clips, expected at least two")
    return torch.stack(rows)


def _checked(features: Tensor) -> Tensor:
    if features.ndim != 2 or len(features) < 2:
        raise SubterfugeError(
            f"detection: got features of the shape {tuple(features.shape)}, expected two clean clips or more"
        )
    if not bool(features.isfinite().all()):
        raise SubterfugeError("detection: the clean clips' features hold NaN or infinity, expected numbers")
    return features.detach().double().cpu()
