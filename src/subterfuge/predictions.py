"""What a victim hears in a file, by the plain path that every verdict is given on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from subterfuge.audio import load_plain
from subterfuge.victims.victim import Victim


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
    probabilities : dict of label to float, or None
        None where the victim has none.
    scores : dict of label to float
        What an attack would climb.
    """

    input: str
    victim: str
    predicted: str
    probabilities: dict[str, float] | None
    scores: dict[str, float]

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
        predicted=victim.labels[int(hearing.predicted[0])],
        probabilities=None if probabilities is None else _by_label(victim, probabilities[0].tolist()),
        scores=_by_label(victim, hearing.scores[0].tolist()),
    )


def _by_label(victim: Victim, values: list[float]) -> dict[str, float]:
    return dict(zip(victim.labels, values, strict=True))
