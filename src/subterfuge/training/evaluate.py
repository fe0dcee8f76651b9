"""A victim measured on a labelled corpus, along the plain path that every verdict is given on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from subterfuge.corpora.corpus import Clip, Corpus, Skipped
from subterfuge.errors import SubterfugeError
from subterfuge.labels import exact_index
from subterfuge.training.hearing import Heard, Listener, hear_all
from subterfuge.training.measure import measure
from subterfuge.training.measures import Estimate, Measures
from subterfuge.training.protocol import (
    ExcerptMeasures,
    check_strategy,
    check_threshold,
    measure_excerpts,
)
from subterfuge.victims.victim import Victim
from subterfuge.workers import check_workers

WINDOW_SECONDS = 3.0


@dataclass(frozen=True)
class Evaluation:
    """What a victim is worth on a corpus.

    Attributes
    ----------
    victim, corpus, kind : str
        Names, and the corpus's kind.
    labels : tuple of str
        The victim's.
    known : tuple of str
        Those of them that clips of the corpus carry.
    clips, of : int
        How many were heard, of how many with a label that the victim knows.
    single : Measures or None
        Of a corpus with one label a clip: the victim's own ``predict`` of each whole clip, among all of its
        labels.
    restricted : Estimate or None
        Accuracy of the same if the victim may only answer with ``known`` labels; None where these are all.
    excerpts : ExcerptMeasures or None
        Of a corpus with several labels a clip, by IRMAS's testing protocol.
    window, hop : float or None
        In seconds, of that protocol.
    votes : bool
        Whether windows were put together by the victim's verdicts, for want of probabilities.
    refused : int or None
        How many of the clips the victim's guard notices: false alarms, if nobody has tampered with the
        corpus. The measures are of what is heard, refused or not. None of a victim without a guard.
    unknown : dict of str to int
        Labels of the corpus that the victim does not know, and how many clips carry them; a clip without any
        other is left out.
    skipped : tuple of Skipped
        Files that were of no use.
    partial : bool
        Whether it was cut short; what was heard until then is a random part.
    seconds : float
    seed : int
    command, version, date : str
    """

    victim: str
    corpus: str
    kind: str
    labels: tuple[str, ...]
    known: tuple[str, ...]
    clips: int
    of: int
    single: Measures | None = None
    restricted: Estimate | None = None
    excerpts: ExcerptMeasures | None = None
    window: float | None = None
    hop: float | None = None
    votes: bool = False
    refused: int | None = None
    unknown: dict[str, int] | None = None
    skipped: tuple[Skipped, ...] = ()
    partial: bool = False
    seconds: float = 0.0
    seed: int = 0
    command: str = ""
    version: str = ""
    date: str = ""


def evaluate(
    victim: Victim,
    corpus: Corpus,
    *,
    victim_name: str = "",
    workers: int = 1,
    window: float | None = None,
    hop: float | None = None,
    threshold: float = 0.5,
    strategy: str = "S2",
    seed: int = 0,
    command: str = "",
    report: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Hear every clip of a corpus and measure what was heard.

    Clips with one label each are heard whole; where some have several, each is heard in windows
    (:mod:`subterfuge.training.protocol`). They are taken in random order, so that the part done until a
    Ctrl-C stands for the whole; what was done is kept.

    Parameters
    ----------
    victim : Victim
    corpus : Corpus
        Its labels are matched to the victim's by code or full name.
    victim_name : str, optional
        By default the victim's own.
    workers : int
        Processes.
    window, hop : float, optional
        In seconds: 3 and half a window by default. Only for clips with several labels.
    threshold : float
        Least activation at which a label counts as heard, above 0 and up to 1.
    strategy : str
        ``S1`` or ``S2``: how windows are put together.
    seed : int
        Of the order and of the bootstrap.
    command : str
        What to type to do the same again.
    report : callable, optional
        Given the number of files done and of all.

    Raises
    ------
    SubterfugeError
        If no label of the corpus is one of the victim's, no file can be heard, or an option is wrong.
        A single file that cannot be read is skipped, and counted.

    Examples
    --------
    >>> from pathlib import Path
    >>> from subterfuge.corpora.folder import read
    >>> from subterfuge.victims.store import load_victim
    >>> done = evaluate(load_victim("orchestra-svc"), read(Path("clips")))  # doctest: +SKIP
    >>> done.single.accuracy  # doctest: +SKIP
    Estimate(value=0.622, low=0.522, high=0.722)
    """
    from subterfuge import __version__

    began = time.monotonic()
    check_options(workers=workers, window=window, hop=hop, threshold=threshold, strategy=strategy)
    window, hop = _times(window, hop)
    of_label = {label: exact_index(label, victim.labels) for clip in corpus.clips for label in clip.labels}
    _check_labels(of_label, victim, corpus)
    truths = [[i for x in clip.labels if (i := of_label[x]) is not None] for clip in corpus.clips]
    order = [int(i) for i in np.random.default_rng(seed).permutation(len(truths)) if truths[i]]
    several = corpus.kind == "irmas-testing" or any(clip.others for clip in corpus.clips)
    listener = Listener(victim, (window, hop) if several else None)
    heard, interrupted = hear_all(
        listener, [corpus.clips[i].path for i in order], workers=workers, report=report
    )
    bad = [Skipped(corpus.clips[order[n]].path, one) for n, one in heard.items() if isinstance(one, str)]
    good = sorted((order[n], one) for n, one in heard.items() if isinstance(one, Heard))
    if not good:
        raise SubterfugeError(_nothing(corpus, bad, interrupted))
    index = [i for i, _ in good]
    clips, results = [corpus.clips[i] for i in index], [one for _, one in good]
    own = [truths[i] for i in index]
    known = tuple(x for i, x in enumerate(victim.labels) if i in of_label.values())
    single = restricted = excerpts = None
    if several:
        excerpts = _excerpts(victim, clips, own, results, threshold=threshold, strategy=strategy, seed=seed)
    else:
        single = _single(victim, clips, own, results, seed=seed)
        if len(known) < len(victim.labels):
            restricted = _restricted(victim, known, clips, own, results, seed=seed)
    unknown = Counter(x for clip in corpus.clips for x in set(clip.labels) if of_label[x] is None)
    return Evaluation(
        victim=victim_name or str(getattr(victim, "name", "")),
        corpus=corpus.name,
        kind=corpus.kind,
        labels=victim.labels,
        known=known,
        clips=len(good),
        of=len(order),
        single=single,
        restricted=restricted,
        excerpts=excerpts,
        window=window if several else None,
        hop=hop if several else None,
        votes=several and results[0].votes,
        refused=_refused(results),
        unknown=dict(sorted(unknown.items())),
        skipped=(*corpus.skipped, *sorted(bad, key=lambda one: one.path)),
        partial=interrupted,
        seconds=time.monotonic() - began,
        seed=seed,
        command=command,
        version=__version__,
        date=time.strftime("%Y-%m-%d"),
    )


def check_options(
    *,
    workers: int = 1,
    window: float | None = None,
    hop: float | None = None,
    threshold: float = 0.5,
    strategy: str = "S2",
) -> None:
    """Make sure that the options of :func:`evaluate` are right, before a corpus is looked at.

    Raises
    ------
    SubterfugeError
        For the first that is not.
    """
    check_workers(workers)
    check_threshold(threshold)
    check_strategy(strategy)
    _times(window, hop)


def _times(window: float | None, hop: float | None) -> tuple[float, float]:
    """Window and hop in seconds; half a window is the default of the latter."""
    window = WINDOW_SECONDS if window is None else window
    hop = window / 2 if hop is None else hop
    for name, value in (("window", window), ("hop", hop)):
        if not 0.01 <= value <= 3600:
            raise SubterfugeError(f"{name}: got {value:g} s, expected 0.01 to 3600 s")
    if hop > window:
        raise SubterfugeError(f"hop: got {hop:g} s, expected no more than the window's {window:g} s")
    return float(window), float(hop)


def _check_labels(of_label: dict[str, int | None], victim: Victim, corpus: Corpus) -> None:
    if not corpus.clips:
        raise SubterfugeError(f"corpus {corpus.name}: got no clips, expected at least one")
    if all(i is None for i in of_label.values()):
        raise SubterfugeError(
            f"corpus {corpus.name}: none of its labels ({_some(sorted(of_label))}) is one of the victim's "
            f"({_some(victim.labels)}); expected the same codes or full names"
        )


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:12]) + (", …" if len(labels) > 12 else "")


def _nothing(corpus: Corpus, bad: list[Skipped], interrupted: bool) -> str:
    if interrupted:
        return "interrupted before the first clip was heard, so there is nothing to say"
    return f"corpus {corpus.name}: none of {len(bad)} files could be heard; the first: {bad[0].why}"


def _refused(heard: Sequence[Heard]) -> int | None:
    noticed = [one.noticed for one in heard if one.noticed is not None]
    return sum(noticed) if noticed else None


def _single(
    victim: Victim, clips: Sequence[Clip], truths: list[list[int]], heard: Sequence[Heard], *, seed: int
) -> Measures:
    tables = [one.probabilities for one in heard if one.probabilities is not None]
    return measure(
        victim.labels,
        [own[0] for own in truths],
        [one.predicted for one in heard],
        probabilities=np.stack(tables) if len(tables) == len(heard) else None,
        recordings=[clip.recording for clip in clips],
        seed=seed,
    )


def _restricted(
    victim: Victim,
    known: tuple[str, ...],
    clips: Sequence[Clip],
    truths: list[list[int]],
    heard: Sequence[Heard],
    *,
    seed: int,
) -> Estimate:
    """Accuracy where any other answer gives way to the best-scored one of ``known``."""
    allowed = np.array([victim.labels.index(label) for label in known])
    answers = [
        one.predicted if one.predicted in allowed else int(allowed[one.scores[allowed].argmax()])
        for one in heard
    ]
    return measure(
        victim.labels,
        [own[0] for own in truths],
        answers,
        recordings=[clip.recording for clip in clips],
        seed=seed,
    ).accuracy


def _excerpts(
    victim: Victim,
    clips: Sequence[Clip],
    truths: list[list[int]],
    heard: Sequence[Heard],
    *,
    threshold: float,
    strategy: str,
    seed: int,
) -> ExcerptMeasures:
    table = np.zeros((len(clips), len(victim.labels)), dtype=bool)
    for row, own in zip(table, truths, strict=True):
        row[own] = True
    return measure_excerpts(
        victim.labels,
        table,
        np.stack([one.scores for one in heard]),
        strategy=strategy,
        threshold=threshold,
        recordings=[clip.recording for clip in clips],
        seed=seed,
    )
