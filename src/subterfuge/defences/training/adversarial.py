"""Adversarial augmentation of an SVM, iterated: clips attacked on their waveform are learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from subterfuge.defences.training.ball import sphere
from subterfuge.defences.training.lessons import hear, kept, svc_victim
from subterfuge.defences.training.worst import worst
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import TorchVictim
from subterfuge.workers import Progress


def shortfall(victim: TorchVictim, label: int, x: Tensor) -> Tensor:
    """By how much the best other label's score exceeds that of ``label``, shape (batch,).

    Examples
    --------
    >>> y = 0.1 * torch.ones(1, 2000)
    >>> round(float(shortfall(victim, 0, y)), 3) == -round(float(shortfall(victim, 1, y)), 3)
    True
    """
    scores = victim.scores(x)
    own = torch.arange(scores.shape[1], device=scores.device) == label
    return scores.masked_fill(own, -1e9).amax(1) - scores[:, label]


def adversarial_augmentation(
    victim: TorchVictim,
    corpus: str | Path,
    *,
    out: str | Path,
    rounds: int = 3,
    clips: int = 200,
    snr_db: float = 30.0,
    steps: int = 10,
    features: str = "",
    tune: int = 0,
    seed: int = 0,
    name: str | None = None,
    force: bool = False,
    report: Progress | None = None,
) -> Path:
    """The victim's SVC fitted anew, and again with what fools it, under its true label.

    In each round some training clips, drawn anew, are changed to where the model of the round before is most
    wrong within a ball of ``snr_db`` (:func:`subterfuge.defences.training.worst.worst`), and the features of
    these join the training set for good (Goodfellow et al. 2015, for a model that is fitted and not taught).

    Parameters
    ----------
    victim : SvmVictim
    corpus, out, features, tune, seed, name, force, report
        As for :func:`subterfuge.defences.training.refit.refit`.
    rounds : int
    clips : int
        Attacked in each.
    snr_db : float
        Signal-to-noise ratio of the change.
    steps : int
        Gradients a clip.

    Raises
    ------
    SubterfugeError
        If an option is out of range, the victim is no SVM, or the corpus is of no use.

    References
    ----------
    Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015.
    """
    if rounds < 1 or clips < 1 or steps < 1:
        raise SubterfugeError(
            f"rounds, clips, steps: got {rounds}, {clips}, {steps}, expected 1 or more each"
        )
    sphere(torch.ones(1, 1), snr_db=snr_db)
    lessons = hear(victim, corpus, features=features, tune=tune, seed=seed, report=report)
    rng = np.random.default_rng(seed)
    train = lessons.side.train
    vectors, labels = lessons.vectors[train], lessons.labels[train]
    model = lessons.fitted(vectors, labels)
    for turn in range(rounds):
        current = svc_victim(lessons, model)

        def change(number: int, y: Tensor, current: TorchVictim = current, turn: int = turn) -> Tensor:
            label = current.labels.index(str(lessons.labels[number]))
            with torch.enable_grad():
                return worst(
                    lambda x: shortfall(current, label, x),
                    y,
                    within=sphere(y, snr_db=snr_db),
                    steps=steps,
                    seed=seed + turn,
                )

        some = rng.permutation(train)[:clips]
        vectors = np.concatenate([vectors, lessons.heard(some, change, None)])
        labels = np.concatenate([labels, lessons.labels[some]])
        model = lessons.fitted(vectors, labels)
        if report is not None:
            report("rounds", turn + 1, rounds)
    how = f"In {rounds} rounds {min(clips, len(train))} clips at their worst within {snr_db:g} dB joined."
    return kept(lessons, model, out=Path(out), how=how, name=name, force=force)
