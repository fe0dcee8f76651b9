"""Measuring on what a recipe could not have seen: soundfonts held out, and real recordings by halves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from subterfuge.corpora import folder
from subterfuge.corpora.corpus import Clip, Corpus
from subterfuge.corpora.manifest import Manifest, apart, read_manifest
from subterfuge.errors import SubterfugeError
from subterfuge.training.evaluate import Evaluation, evaluate
from subterfuge.victims.victim import Victim


@dataclass(frozen=True)
class Trial:
    """Clips to train on, and clips of other soundfonts to measure on.

    Attributes
    ----------
    soundfonts : tuple of str
        That are held out.
    train, test : Corpus
    whole : bool
        Whether all clips of the orchestra are trained on: none of its soundfonts is held out.
    """

    soundfonts: tuple[str, ...]
    train: Corpus
    test: Corpus
    whole: bool

    @property
    def name(self) -> str:
        """For a folder's name."""
        return "+".join(Path(one).stem for one in self.soundfonts)


def soundfont_trials(corpus: Corpus, manifest: Manifest, folders: Iterable[Path] = ()) -> tuple[Trial, ...]:
    """One trial for each soundfont of an orchestra, held out in its turn, and one for each further folder.

    Parameters
    ----------
    corpus : Corpus
        An orchestra.
    manifest : Manifest
        Its own.
    folders : iterable of Path
        Orchestras of other soundfonts; what they share with ``corpus`` is not trained on.

    Raises
    ------
    SubterfugeError
        If nothing is left to train on or to measure on.
    """
    tests: list[tuple[tuple[str, ...], tuple[Clip, ...], Manifest]] = []
    if len(manifest.soundfonts) > 1:
        for name, _ in manifest.soundfonts:
            mine = tuple(clip for clip in corpus.clips if manifest.soundfont_of(clip) == name)
            tests.append(((name,), mine, manifest))
    for one in folders:
        told = read_manifest(one)
        tests.append((tuple(name for name, _ in told.soundfonts), folder.read(one).clips, told))
    if not tests:
        raise SubterfugeError(
            f"{corpus.name}: was rendered from one soundfont only ({manifest.soundfonts[0][0]}), expected "
            "two to hold each out in turn, or the folder of an orchestra of another"
        )
    trials = []
    for names, clips, told in tests:
        held = {digest for _, digest in told.soundfonts} if told is not manifest else set()
        out = set(names) | {name for name, digest in manifest.soundfonts if digest in held}
        others = tuple(clip for clip in corpus.clips if manifest.soundfont_of(clip) not in out)
        train, test = apart(others, manifest, clips, told)
        if not train or not test:
            what = "measure" if train else "train"
            raise SubterfugeError(f"{' and '.join(names)}: held out, it leaves nothing to {what} on")
        trials.append(
            Trial(
                names,
                replace(corpus, clips=train, skipped=()),
                replace(corpus, clips=test, skipped=()),
                whole=len(train) == len(corpus.clips),
            )
        )
    return tuple(trials)


def looked_at(clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """Those at even positions (the first is 0) of each label's files by name: seen while recipes were made.

    Examples
    --------
    >>> clips = [Clip(Path(f"cel/{name}.wav"), "cel", name) for name in "cadb"]
    >>> [clip.path.stem for clip in looked_at(clips)]
    ['a', 'c']
    """
    seen: Counter[str] = Counter()
    even = []
    for clip in sorted(clips, key=lambda one: (one.label, one.path.as_posix())):
        if seen[clip.label] % 2 == 0:
            even.append(clip)
        seen[clip.label] += 1
    return tuple(even)


@dataclass(frozen=True)
class Real:
    """Real recordings heard: all of them, those that were looked at, and those that nobody had seen."""

    all: Evaluation
    looked_at: Evaluation
    unseen: Evaluation


def measure_real(
    victim: Victim,
    corpus: Corpus,
    *,
    workers: int = 1,
    report: Callable[[int, int], None] | None = None,
) -> Real:
    """What a victim is worth on real recordings, by its own ``predict`` along the plain path.

    Parameters
    ----------
    victim : Victim
    corpus : Corpus
        Recordings with one label each.
    workers : int
        Processes.
    report : callable, optional
        Given the number of files done and of all.

    Raises
    ------
    SubterfugeError
        As :func:`subterfuge.training.evaluate.evaluate`, or if a label has one recording only.
    KeyboardInterrupt
        At Ctrl-C: half of it would be no measure of the halves.
    """
    seen = set(looked_at(corpus.clips))
    fresh = tuple(clip for clip in corpus.clips if clip not in seen)
    if not fresh:
        raise SubterfugeError(f"{corpus.name}: got one recording a class, expected two halves of each class")
    parts = corpus.clips, tuple(clip for clip in corpus.clips if clip in seen), fresh
    heard = [
        evaluate(victim, replace(corpus, clips=clips, skipped=()), workers=workers, report=report)
        for clips in parts
    ]
    if any(one.partial for one in heard):
        raise KeyboardInterrupt
    return Real(*heard)


def accuracy_of(evaluation: Evaluation) -> float:
    """Share of clips heard rightly, among all of the victim's labels.

    Raises
    ------
    SubterfugeError
        If the clips have several labels each.
    """
    if evaluation.single is None:
        raise SubterfugeError(f"{evaluation.corpus}: its clips have several labels, expected one each")
    return evaluation.single.accuracy.value
