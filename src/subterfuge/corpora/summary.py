"""A corpus in numbers: how many clips, recordings and seconds, at which rates, class by class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from subterfuge.corpora.corpus import Clip, Corpus, Skipped
from subterfuge.corpora.irmas import PUBLISHED


@dataclass(frozen=True)
class Row:
    """Clips of one label, or all of them. A clip of several labels counts for each of them.

    Attributes
    ----------
    label : str
    clips, recordings : int
    seconds : float
        Altogether.
    shortest, longest : float
        In seconds.
    rates, channels : dict of int to int
        How many clips have that sample rate (in Hz), and that many channels.
    published : int or None
        How many clips it ought to have, where that is known (IRMAS's training part).
    """

    label: str
    clips: int
    recordings: int
    seconds: float
    shortest: float
    longest: float
    rates: dict[int, int]
    channels: dict[int, int]
    published: int | None = None


@dataclass(frozen=True)
class Summary:
    """A row a class, and one of all clips."""

    classes: tuple[Row, ...]
    total: Row


def summarise(corpus: Corpus) -> Summary:
    """Count a corpus; clips that nobody has looked at are of no length, rate and channels."""
    training = corpus.kind == "irmas-training"
    return Summary(
        tuple(
            _row(
                label,
                [clip for clip in corpus.clips if label in clip.labels],
                PUBLISHED.get(label) if training else None,
            )
            for label in corpus.labels
        ),
        _row("all", corpus.clips, sum(PUBLISHED.values()) if training else None),
    )


def grouped(corpus: Corpus) -> dict[str, list[Skipped]]:
    """What was skipped by reason, the most frequent first; details in parentheses make no other reason."""
    groups: dict[str, list[Skipped]] = {}
    for skipped in corpus.skipped:
        groups.setdefault(skipped.why.partition(" (")[0], []).append(skipped)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def as_json(corpus: Corpus, path: str) -> dict[str, Any]:
    """All of it, for a program: also every file that was skipped, and why."""
    summary = summarise(corpus)
    return {
        "path": path,
        "name": corpus.name,
        "kind": corpus.kind,
        "labels": list(corpus.labels),
        "total": asdict(summary.total),
        "classes": [asdict(row) for row in summary.classes],
        "skipped": [{"path": str(skipped.path), "why": skipped.why} for skipped in corpus.skipped],
    }


def _row(label: str, clips: Sequence[Clip], published: int | None) -> Row:
    headers = [clip.header for clip in clips if clip.header is not None]
    seconds = [header.seconds for header in headers]
    return Row(
        label,
        len(clips),
        len({clip.recording for clip in clips}),
        sum(seconds),
        min(seconds, default=0.0),
        max(seconds, default=0.0),
        dict(sorted(Counter(header.sample_rate for header in headers).items())),
        dict(sorted(Counter(header.channels for header in headers).items())),
        published,
    )
