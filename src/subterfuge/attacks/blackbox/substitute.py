"""A small differentiable stand-in for a victim, learnt from what the victim has answered."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.features.logmel import logmel
from subterfuge.features.summary import librosa25
from subterfuge.victims.victim import Hearing, TorchVictim

_BANDS = 40
# Ridges and widths (in root mean squares of the standardised features) that are tried.
_RIDGES, _WIDTHS = (1e-4, 1e-3, 1e-2, 1e-1), (1.0, 2.0, 4.0)
# How much a straight line is trusted beside the bumps; answers that are kept; units that they are cut off at.
_STRAIGHT, _MOST, _CUT = 0.3, 500, 5.0


def front_end(y: Tensor, *, sr: int) -> Tensor:
    """What the substitute hears: the 25 features, and the mean and spread over time of log-mel bands.

    Parameters
    ----------
    y : Tensor, shape (batch, samples)
    sr : int
        In Hz.

    Returns
    -------
    Tensor, shape (batch, 105)

    Examples
    --------
    >>> tuple(front_end(torch.zeros(2, 8000), sr=8000).shape)
    (2, 105)
    """
    n_fft = 1024 if sr >= 16000 else 512
    bands = logmel(y, sr=sr, n_fft=n_fft, hop_length=n_fft // 2, n_mels=_BANDS, fmin=0.0)
    spread = bands.var(2, correction=0).add(1e-6).sqrt()
    return torch.cat([librosa25(y, sr=sr).to(y.dtype), bands.mean(2), spread], 1)


class Substitute(TorchVictim):
    """Two labels, "other" and "wanted": how a goal's duels go, as far as it can be told from what was asked.

    Kernel ridge regression on standardised features, a Gaussian kernel beside a straight one: a network of
    one layer whose hidden units are the questions themselves, and whose weights a linear system gives. Of few
    answers it makes more than a network taught by descent (which was tried first), and it forgets none. Width
    and ridge are those that foretell each answer best from the others.

    Parameters
    ----------
    sample_rate : int
    away : bool
        Whether any duel won is enough, not all (:meth:`subterfuge.criteria.Goal.duels`).

    Attributes
    ----------
    margin_wanted : float
        "wanted" is heard where the margin is more than this, in units of :attr:`unit`.
    unit : float
        Half of the victim's margins were smaller.
    """

    labels: tuple[str, ...] = ("other", "wanted")

    def __init__(self, sample_rate: int, *, away: bool) -> None:
        super().__init__()
        self.sample_rate, self.away = sample_rate, away
        self.margin_wanted, self.unit = 0.0, 1.0
        self._width, self._ridge, self._chosen_at = 1.0, 1e-2, 0
        self._known = self._weights = self._mean = self._scale = self._bias = torch.zeros(0)

    def foretold(self, features: Tensor) -> Tensor:
        """Duels for features, float64, shape (batch, duels), in units of :attr:`unit`."""
        x = (features.double() - self._mean) / self._scale
        return _kernel(x, self._known, self._width) @ self._weights + self._bias

    def margin(self, features: Tensor) -> Tensor:
        """The least duel (the greatest, when away), shape (batch,)."""
        return self._decides(self.foretold(features))

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        """Whether the margin is more than :attr:`margin_wanted`, with each duel as a clearance."""
        duels = self.foretold(front_end(y, sr=self.sample_rate)).to(y.dtype) - self.margin_wanted
        margin = self._decides(duels)[:, None]
        scores = torch.cat([-margin / 2, margin / 2], 1)
        clearances = None
        if not self.away:
            none = torch.full_like(duels[:, 1:], torch.inf)
            clearances = torch.stack([torch.cat([-margin, none], 1), duels], 1)
        shown = scores.softmax(1) if probabilities else None
        return Hearing(scores, (margin[:, 0] > 0).long(), shown, clearances=clearances)

    def fit(self, features: Tensor, duels: Tensor, *, near: Tensor) -> float:
        """Learn from all answers so far.

        Parameters
        ----------
        features : Tensor, shape (answers, 105)
        duels : Tensor, shape (answers, duels)
        near : Tensor, shape (105,)
            Features of the point about which it matters most to be right.

        Returns
        -------
        float
            How far off the margins there are, each foretold from the other answers, in units of :attr:`unit`.
        """
        features, duels = features.double(), duels.double()
        margins = self._decides(duels)
        self.unit = float(margins.abs().median().clamp(min=1e-9))
        self._mean = features.mean(0)
        self._scale = features.std(0, correction=0)
        # What hardly differs would count for everything, divided by next to nothing.
        self._scale = self._scale.clamp(min=1e-4).maximum(1e-6 * self._mean.abs())
        far = ((features - near.double()) / self._scale).square().mean(1).sqrt()
        order = far.argsort()[:_MOST]
        features, duels, margins, far = features[order], duels[order], margins[order], far[order]
        x, told = (features - self._mean) / self._scale, (duels / self.unit).clamp(-_CUT, _CUT)
        self._known, self._bias = x, told.mean(0)
        share = 1 / (1 + (far / far.median().clamp(min=1e-9)).square()) / (1 + margins.abs() / self.unit)
        share = share / share.sum()
        if len(x) >= 1.15 * self._chosen_at:
            tried = [(width, ridge) for width in _WIDTHS for ridge in _RIDGES]
            each = [(share @ self._solve(x, told, *one).abs().mean(1)).item() for one in tried]
            self._width, self._ridge = tried[each.index(min(each))]
            self._chosen_at = len(x)
        missed = self._solve(x, told, self._width, self._ridge)
        return float(share @ (self._decides(told - missed) - self._decides(told)).abs())

    def _solve(self, x: Tensor, told: Tensor, width: float, ridge: float) -> Tensor:
        """Set the weights; by how much each answer is missed where left out (Allen 1974), as ``told``."""
        kernel = _kernel(x, x, width) + ridge * torch.eye(len(x), dtype=x.dtype, device=x.device)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(kernel))
        self._weights = inverse @ (told - self._bias)
        return self._weights / inverse.diagonal()[:, None]

    def _decides(self, duels: Tensor) -> Tensor:
        return duels.amax(1) if self.away else duels.amin(1)


def _kernel(a: Tensor, b: Tensor, width: float) -> Tensor:
    inner, number = a @ b.T, a.shape[1]
    square = (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * inner).clamp(min=0) / number
    return torch.exp(-square / (2 * width**2)) + _STRAIGHT * inner / number
