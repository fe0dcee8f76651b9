"""A guard fitted for a victim on clean clips, measured on others, and kept with it as a victim's folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from subterfuge.audio import load_plain
from subterfuge.corpora.corpus import Clip
from subterfuge.corpora.open import open_corpus
from subterfuge.defences.detection.detector import Detector, threshold_for
from subterfuge.defences.detection.guarded import Guarded
from subterfuge.defences.detection.stability import Stability
from subterfuge.defences.detection.statistics import Mahalanobis, features_of
from subterfuge.defences.input.defence import make
from subterfuge.errors import SubterfugeError
from subterfuge.names import known_name
from subterfuge.training.selection import check_clips, chosen
from subterfuge.training.splits import hold_out
from subterfuge.victims.store import save_victim
from subterfuge.victims.victim import TorchVictim
from subterfuge.workers import Progress

KINDS = ("mahalanobis", "stability")


def detector(
    victim: TorchVictim,
    corpus: str | Path,
    *,
    out: str | Path,
    kind: str = "mahalanobis",
    groups: bool = False,
    transforms: str = "median,bits,resample",
    false_alarms: float = 0.05,
    clips: int = 500,
    seed: int = 0,
    name: str | None = None,
    force: bool = False,
    report: Progress | None = None,
) -> Path:
    """The victim behind a guard that refuses what does not look like clean clips.

    The detector is fitted on clips of the training side of the grouped split. The clips held out are parted
    by recording once more: the threshold is set on one half, accuracy and false alarms are measured on the
    other. A clip that is noticed counts as not heard rightly.

    Parameters
    ----------
    victim : TorchVictim
        It is not changed.
    corpus : str or Path
        The folder of labelled clips; those whose labels the victim does not know are left out.
    out : str or Path
    kind : str
        ``mahalanobis`` (the distance of the 25 features from those of clean clips) or ``stability`` (how much
        what is heard changes when the clip is changed a little).
    groups : bool
        Of ``mahalanobis``: whether from the nearest label's mean, not from the mean of all.
    transforms : str
        Of ``stability``: names of input defences, with commas.
    false_alarms : float
        Share of the clean clips that may be noticed.
    clips : int
        Most clips on either side, drawn.
    seed, name, force, report
        As for :func:`subterfuge.defences.defend.defend`.

    Raises
    ------
    SubterfugeError
        If an option is out of range or the corpus is of no use.
    """
    kind = known_name("detector", kind, KINDS)
    threshold_for(torch.zeros(1), false_alarms=false_alarms)
    if clips < 4:
        raise SubterfugeError(f"clips: got {clips}, expected at least 4")
    changes = [make(one.strip()) for one in transforms.split(",") if one.strip()]
    opened = open_corpus(corpus)
    usable = chosen(opened, [label for label in opened.labels if label in victim.labels])
    check_clips(usable, split="grouped", seed=seed)
    labels, recordings = [one.label for one in usable], [one.recording for one in usable]
    side, rng = hold_out(labels, recordings, seed=seed), np.random.default_rng(seed)
    fitting, held = ([usable[i] for i in rng.permutation(part)[:clips]] for part in (side.train, side.test))
    audio = _audio(victim, fitting, report)
    detecting: Detector
    if kind == "stability":
        detecting = Stability(victim, changes, seed=seed).fit(audio)
    else:
        told = torch.tensor([victim.labels.index(one.label) for one in fitting]) if groups else None
        features = features_of(audio, sample_rate=victim.sample_rate)
        detecting = Mahalanobis(features, sample_rate=victim.sample_rate, groups=told)
    parted = halves([one.recording for one in held], rng)
    found = [_hear(victim, detecting, [held[i] for i in part], report, len(held)) for part in parted]
    threshold = threshold_for(found[0].score, false_alarms=false_alarms)
    guarded = Guarded(victim, detecting, threshold=threshold, weight=found[0].weight)
    noticed = found[1].score > threshold
    return save_victim(
        guarded,
        out=out,
        name=name,
        trained=f"{victim.name} behind a guard ({kind}) fitted on {len(fitting)} clean clips of "
        f"{opened.name}, its threshold set for {false_alarms:.1%} false alarms on {len(parted[0])} others, "
        f"seed {seed}.",
        accuracy={
            "held_out_grouped": float((found[1].right & ~noticed).double().mean()),
            "held_out_unguarded": float(found[1].right.double().mean()),
            "held_out_false_alarms": float(noticed.double().mean()),
        },
        source={"corpus": opened.name, "victim": str(victim.name)},
        notes=f"held_out_grouped: on {len(noticed)} clips of recordings that neither the guard nor its "
        "threshold was made from; one that is noticed counts as not heard rightly. held_out_unguarded: "
        "without the guard. held_out_false_alarms: the share of them that is noticed.",
        force=force,
    )


@dataclass(frozen=True)
class _Found:
    """Of clean clips: the detector's score, whether each is heard rightly, and what to weigh the score by."""

    score: Tensor
    right: Tensor
    weight: float


@torch.no_grad()
def _hear(
    victim: TorchVictim, detecting: Detector, clips: Sequence[Clip], report: Progress | None, total: int
) -> _Found:
    """What victim and detector make of some clips; the weight is the ratio of their spreads."""
    score, right, margin = [], [], []
    for number, (clip, y) in enumerate(zip(clips, _audio(victim, clips, None), strict=True), 1):
        heard = victim.verdict(y[None])
        best = heard.scores[0].double().topk(2).values
        score.append(float(detecting.score(y[None])[0]))
        right.append(victim.labels[int(heard.predicted[0])] == clip.label)
        margin.append(float(best[0] - best[1]))
        if report is not None:
            report("clips held out", number, total)
    scores, margins = (torch.tensor(one, dtype=torch.float64) for one in (score, margin))
    weight = float(margins.std(correction=0) / scores.std(correction=0).clamp(min=1e-12))
    return _Found(scores, torch.tensor(right), weight if 0 < weight < float("inf") else 1.0)


def halves(recordings: Sequence[str], rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Indices parted by recording, drawn; of one recording only, all of them twice.

    Examples
    --------
    >>> parts = halves(["a", "a", "b", "b"], np.random.default_rng(0))
    >>> sorted(parts) == [[0, 1], [2, 3]]
    True
    """
    names = sorted(set(recordings))
    first = {names[i] for i in rng.permutation(len(names))[::2]}
    parts = [[i for i, one in enumerate(recordings) if (one in first) is here] for here in (True, False)]
    return parts[0], parts[1] or parts[0]


def _audio(victim: TorchVictim, clips: Sequence[Clip], report: Progress | None) -> Iterator[Tensor]:
    for number, clip in enumerate(clips, 1):
        yield load_plain(clip.path, victim.sample_rate)[0]
        if report is not None:
            report("clean clips", number, len(clips))
