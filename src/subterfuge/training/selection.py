"""Which clips of a corpus are trained on, and whether they can be, said before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence

from subterfuge.corpora.corpus import Clip, Corpus, Skipped
from subterfuge.errors import SubterfugeError
from subterfuge.labels import index_of
from subterfuge.training.splits import fold, hold_out


def chosen(corpus: Corpus, labels: Sequence[str] | None = None) -> tuple[Clip, ...]:
    """The clips of some labels of a corpus, given by code, full name or unique prefix; of all if None.

    Raises
    ------
    SubterfugeError
        If a label is unknown, there are fewer than two, one has no clips, or clips have several labels.

    Examples
    --------
    >>> from pathlib import Path
    >>> clips = tuple(Clip(Path(x), x, x) for x in ("cel", "flu", "tru"))
    >>> [clip.label for clip in chosen(Corpus("some", ("cel", "flu", "tru"), clips), ["trumpet", "cello"])]
    ['cel', 'tru']
    """
    several = next((clip for clip in corpus.clips if clip.others), None)
    if several is not None:
        raise SubterfugeError(
            f"{several.path}: has several labels ({', '.join(several.labels)}), expected one a clip to train "
            "on"
        )
    wanted = set(corpus.labels)
    if labels is not None:
        wanted = {corpus.labels[index_of(label, corpus.labels)] for label in labels}
    if len(wanted) < 2:
        only = f"one only ({next(iter(wanted))})" if wanted else "none"
        raise SubterfugeError(f"labels: got {only}, expected at least two to tell apart")
    clips = tuple(clip for clip in corpus.clips if clip.label in wanted)
    for label in corpus.labels:
        if label in wanted and not any(clip.label == label for clip in clips):
            raise SubterfugeError(
                f"label {label!r} has no clips in {corpus.name}, expected some, or --labels without it"
            )
    return clips


def check_clips(clips: Sequence[Clip], *, split: str, folds: int = 0, seed: int = 42) -> None:
    """Make sure that clips can be split, before anything is computed of them; ``folds`` 0 for no search.

    Raises
    ------
    SubterfugeError
        As :func:`subterfuge.training.splits.hold_out` and :func:`~subterfuge.training.splits.fold`.
    """
    labels, recordings = [clip.label for clip in clips], [clip.recording for clip in clips]
    side = hold_out(labels, recordings, split=split, seed=seed)
    if folds:
        train = side.train
        fold([labels[i] for i in train], [recordings[i] for i in train], split=split, folds=folds, seed=seed)


def check_usable(clips: Sequence[Clip], skipped: Sequence[Skipped], *, wanted: set[str]) -> None:
    """Make sure that every label is left with clips after those of no use were skipped.

    Raises
    ------
    SubterfugeError
        If one is not; the first file of no use is named.
    """
    lost = sorted(wanted - {clip.label for clip in clips})
    if lost:
        raise SubterfugeError(
            f"label {lost[0]!r} has no clips that can be used: {len(skipped)} files were skipped, the first "
            f"of them {skipped[0].path} ({skipped[0].why})"
        )
