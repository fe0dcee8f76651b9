"""What a victim hears in a file, by the plain path that every verdict is given on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from subterfuge.audio import load_plain
from subterfuge.victims.victim import Hearing, Victim


@dataclass(frozen=True)
class Prediction:
    """What a victim makes of one file.

    Attributes
    ----------
    input : str
        Path of the file.
    victim : str
        Its name.
    predicted : str
        The label that the victim's own ``predict`` gives; the probabilities may well differ (an SVC votes).
        Of a victim that may hear several at once, the one furthest above its threshold, or ``nothing``.
    probabilities : dict of label to float, or None
        None where the victim has none.
    scores : dict of label to float
        What an attack would climb.
    tags : list of str, or None
        All that is heard, the surest first, where several labels may be; else None.
    noticed : bool or None
        Whether the victim's guard notices the clip, and so refuses it; None of a victim without one.
    """

    input: str
    victim: str
    predicted: str
    probabilities: dict[str, float] | None
    scores: dict[str, float]
    tags: list[str] | None = None
    noticed: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """The prediction as plain JSON types."""
        return asdict(self)


def predict_file(path: str | Path, *, victim: Victim, victim_name: str) -> Prediction:
    """Ask ``victim`` about a file: ``librosa.load`` at its sample rate, then its own verdict.

    Raises
    ------
    SubterfugeError
        If the file cannot be read.
    """
    hearing = victim.verdict(load_plain(path, victim.sample_rate))
    probabilities = hearing.probabilities
    return Prediction(
        input=str(path),
        victim=victim_name,
        predicted=label_of(victim, hearing),
        probabilities=None if probabilities is None else _by_label(victim, probabilities[0].tolist()),
        scores=_by_label(victim, hearing.scores[0].tolist()),
        tags=tags_of(victim, hearing),
        noticed=noticed_in(hearing),
    )


def label_of(victim: Victim, hearing: Hearing, wanted: int | None = None) -> str:
    """The label heard in the first row; of several at once the wanted one, if it is there, or the surest.

    Where none is above its threshold, ``nothing``.
    """
    best = int(hearing.predicted[0])
    if hearing.multilabel:
        heard = hearing.tags[0]
        best = wanted if wanted is not None and bool(heard[wanted]) else best
        if not bool(heard[best]):
            return "nothing"
    return victim.labels[best]


def tags_of(victim: Victim, hearing: Hearing) -> list[str] | None:
    """All the labels heard in the first row, the surest first; None of a victim that hears one at a time."""
    if not hearing.multilabel:
        return None
    order = hearing.scores[0].argsort(descending=True).tolist()
    return [victim.labels[i] for i in order if bool(hearing.tags[0, i])]


def noticed_in(hearing: Hearing) -> bool | None:
    """Whether a guard notices the first row; None where there is no guard."""
    return None if hearing.noticed is None else bool(hearing.noticed[0])


def _by_label(victim: Victim, values: list[float]) -> dict[str, float]:
    return dict(zip(victim.labels, values, strict=True))
