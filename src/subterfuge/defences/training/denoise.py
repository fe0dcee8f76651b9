"""The seed's denoise training: fitted on filtered clips, and fed with filtered clips ever after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from subterfuge.defences.defended import Defended
from subterfuge.defences.input.gate import Gate
from subterfuge.defences.training.lessons import hear, kept, svc_victim
from subterfuge.victims.victim import TorchVictim
from subterfuge.workers import Progress


def denoise_training(
    victim: TorchVictim,
    corpus: str | Path,
    *,
    out: str | Path,
    stationary: bool = False,
    features: str = "",
    tune: int = 0,
    seed: int = 0,
    name: str | None = None,
    force: bool = False,
    report: Progress | None = None,
) -> Path:
    """The victim's SVC fitted anew on clips whose noise is filtered, and kept behind that filter.

    The filter is :class:`subterfuge.defences.input.gate.Gate`, whose slope an attacker follows.

    Parameters
    ----------
    victim : SvmVictim
    corpus, out, features, tune, seed, name, force, report
        As for :func:`subterfuge.defences.training.refit.refit`.
    stationary : bool
        Whether the filter's threshold stands still; the seed's followed the sound.

    Raises
    ------
    SubterfugeError
        If the victim is no SVM or the corpus is of no use.
    """
    lessons = hear(victim, corpus, features=features, tune=tune, seed=seed, report=report)
    gate = Gate(stationary=stationary)

    def change(_: int, y: Tensor) -> Tensor:
        return gate.apply(y, sr=lessons.sample_rate, drawn={})

    model = lessons.fitted(
        lessons.heard(lessons.side.train, change, report), lessons.labels[lessons.side.train]
    )

    def behind(model: Any) -> TorchVictim:
        return Defended(svc_victim(lessons, model), gate)

    return kept(
        lessons,
        model,
        out=Path(out),
        how=f"Fitted on, and fed with, clips through {gate.name}.",
        behind=behind,
        tested=lessons.heard(lessons.side.test, change, report),
        name=name,
        force=force,
    )
