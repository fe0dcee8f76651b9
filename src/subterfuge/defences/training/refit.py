"""Fitting anew on other features, hardened ones above all, and nothing else changed."""

from __future__ import annotations

from pathlib import Path

from subterfuge.defences.training.lessons import hear, kept
from subterfuge.victims.victim import TorchVictim
from subterfuge.workers import Progress


def refit(
    victim: TorchVictim,
    corpus: str | Path,
    *,
    out: str | Path,
    features: str = "hardened25",
    tune: int = 0,
    seed: int = 0,
    name: str | None = None,
    force: bool = False,
    report: Progress | None = None,
) -> Path:
    """The victim's SVC fitted anew on a corpus, on features that are harder to move.

    Parameters
    ----------
    victim : SvmVictim
        Its labels, rate and setting are taken over.
    corpus : str or Path
    out : str or Path
    features : str
        ``hardened25`` (:mod:`subterfuge.features.hardened`) or ``librosa25``.
    tune : int
        Settings to try by cross-validation, in place of the victim's own.
    seed, name, force, report
        As for :func:`subterfuge.defences.defend.defend`.

    Raises
    ------
    SubterfugeError
        If the victim is no SVM or the corpus is of no use.
    """
    lessons = hear(victim, corpus, features=features, tune=tune, seed=seed, report=report)
    model = lessons.fitted(lessons.vectors[lessons.side.train], lessons.labels[lessons.side.train])
    return kept(lessons, model, out=Path(out), how="Fitted anew.", name=name, force=force)
