"""The seed's denoise training: fitted on filtered clips, and fed with filtered clips ever after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from subterfuge.defences.defended import Defended
from subterfuge.defences.input.defence import make
from subterfuge.defences.training.lessons import hear, kept, svc_victim
from subterfuge.names import known_name
from subterfuge.victims.victim import TorchVictim
from subterfuge.workers import Progress

FILTERS = ("denoise", "gate", "gate-nonstationary")


def denoise_training(
    victim: TorchVictim,
    corpus: str | Path,
    *,
    out: str | Path,
    filter: str = "denoise",
    features: str = "",
    tune: int = 0,
    seed: int = 0,
    name: str | None = None,
    force: bool = False,
    report: Progress | None = None,
) -> Path:
    """The victim's SVC fitted anew on clips whose noise is filtered, and kept behind that filter.

    The filter is a defence at the input like any other, whose slope an attacker follows. The seed's was
    ``noisereduce.reduce_noise(y, sr)`` with its defaults: ``denoise``
    (:class:`subterfuge.defences.input.reduced.Reduced`). The two gates are those of
    ``noisereduce.torchgate.TorchGate`` (:class:`subterfuge.defences.input.gate.Gate`).

    Parameters
    ----------
    victim : SvmVictim
    corpus, out, features, tune, seed, name, force, report
        As for :func:`subterfuge.defences.training.refit.refit`.
    filter : {"denoise", "gate", "gate-nonstationary"}
        What the noise is filtered by; the seed's first.

    Raises
    ------
    SubterfugeError
        If there is no such filter, the victim is no SVM or the corpus is of no use.
    """
    through = make(known_name("filter", filter, FILTERS))
    lessons = hear(victim, corpus, features=features, tune=tune, seed=seed, report=report)

    def change(_: int, y: Tensor) -> Tensor:
        return through.apply(y, sr=lessons.sample_rate, drawn={})

    model = lessons.fitted(
        lessons.heard(lessons.side.train, change, report), lessons.labels[lessons.side.train]
    )

    def behind(model: Any) -> TorchVictim:
        return Defended(svc_victim(lessons, model), through)

    return kept(
        lessons,
        model,
        out=Path(out),
        how=f"Fitted on, and fed with, clips through {through.name}.",
        behind=behind,
        tested=lessons.heard(lessons.side.test, change, report),
        name=name,
        force=force,
    )
