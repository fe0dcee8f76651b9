"""The seed's noise augmentation: three clips in ten with white noise of a level that is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from subterfuge.defences.training.lessons import hear, kept
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import TorchVictim
from subterfuge.workers import Progress

SHARE, LOUDEST = 0.3, 0.1


def noisy(y: Tensor, number: int, *, share: float = SHARE, loudest: float = LOUDEST, seed: int = 0) -> Tensor:
    """A clip as the seed trained on it: mostly as it is, by chance with noise over it.

    With probability ``share``, Gaussian noise is added whose standard deviation is uniform from 0 to
    ``loudest``, whatever the level of the clip; samples may leave [-1, 1].

    Parameters
    ----------
    y : Tensor, shape (batch, samples)
    number : int
        Of the clip: with the seed, what is drawn hangs on it alone.

    Examples
    --------
    >>> y = torch.zeros(1, 10_000)
    >>> levels = [float(noisy(y, i).std()) for i in range(200)]
    >>> 0.2 < sum(level > 0 for level in levels) / 200 < 0.4, max(levels) < 0.105
    (True, True)
    """
    rng = np.random.default_rng((seed, number))
    if rng.random() >= share:
        return y
    hiss = rng.normal(0.0, loudest * rng.random(), y.shape)
    return y + torch.from_numpy(hiss).to(y)


def noise_training(
    victim: TorchVictim,
    corpus: str | Path,
    *,
    out: str | Path,
    share: float = SHARE,
    loudest: float = LOUDEST,
    features: str = "",
    tune: int = 0,
    seed: int = 0,
    name: str | None = None,
    force: bool = False,
    report: Progress | None = None,
) -> Path:
    """The victim's SVC fitted anew where part of the clips is noisy, as the seed did it.

    The seed put noise over the clips that it tested on, too; here the accuracy is that on clean ones.

    Parameters
    ----------
    victim : SvmVictim
    corpus, out, features, tune, seed, name, force, report
        As for :func:`subterfuge.defences.training.refit.refit`.
    share : float in [0, 1]
        Of the clips that are given noise, in their own place.
    loudest : float >= 0
        Greatest standard deviation of the noise.

    Raises
    ------
    SubterfugeError
        If an option is out of range, the victim is no SVM, or the corpus is of no use.
    """
    if not 0 <= share <= 1 or not 0 <= loudest < np.inf:
        raise SubterfugeError(
            f"noise: got share {share} and loudest {loudest}, expected 0 to 1 and 0 or more"
        )
    lessons = hear(victim, corpus, features=features, tune=tune, seed=seed, report=report)
    train = lessons.side.train

    def change(number: int, y: Tensor) -> Tensor:
        return noisy(y, number, share=share, loudest=loudest, seed=seed)

    model = lessons.fitted(lessons.heard(train, change, report), lessons.labels[train])
    how = f"A share of {share:g} of the clips had white noise, its deviation uniform up to {loudest:g}."
    return kept(lessons, model, out=Path(out), how=how, name=name, force=force)
