"""Training a model on the 25 features of a corpus: features, search, fits, measures, a victim's folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subterfuge import __version__
from subterfuge.corpora.corpus import Corpus, Skipped
from subterfuge.errors import SubterfugeError
from subterfuge.training.cache import Cache, default_cache
from subterfuge.training.cost import Clock, peak_mb
from subterfuge.training.extract import features_of
from subterfuge.training.importance import components, names_of, permutation_importance
from subterfuge.training.keep import keep
from subterfuge.training.measure import measure
from subterfuge.training.measures import Estimate, Measures
from subterfuge.training.models import Model, find_model
from subterfuge.training.report import TrainingReport, Trial
from subterfuge.training.search import search
from subterfuge.training.selection import check_clips, check_usable, chosen
from subterfuge.training.splits import FOLDS, SPLITS, Side, fold, hold_out
from subterfuge.workers import Progress, check_workers

FINALS = ("train", "all")
REFITTED = "These are of models fitted without the held-out fifth; this one is fitted on all clips."


def train(
    corpus: Corpus,
    *,
    out: str | Path,
    model: str = "svc",
    labels: Sequence[str] | None = None,
    tune: int = 100,
    space: str = "wide",
    folds: int = FOLDS,
    split: str = "grouped",
    final: str = "train",
    seed: int = 42,
    sample_rate: int = 44100,
    features: str = "librosa25",
    workers: int = 1,
    name: str | None = None,
    force: bool = False,
    cache: Cache | None = None,
    command: str = "",
    report: Progress | None = None,
    skip: Callable[[Skipped], None] | None = None,
) -> TrainingReport:
    """Fit a model, measure it honestly, and save it as a victim with its report beside it.

    A fifth is held out twice: by recording and clip by clip. The search sees only the training part of
    ``split``; with the setting that it finds, the model is fitted and measured anew on either split, so that
    the report shows how much a random split flatters. Features and finished trials are remembered: what was
    ended by Ctrl-C goes on where it was.

    Parameters
    ----------
    corpus : Corpus
        Of clips with one label each.
    out : str or Path
        The victim's folder: ``victim.json``, the weights, ``training.json`` and ``index.html``.
    model : str
        ``svc``, ``tree``, ``logistic``, ``forest``, ``boosting`` or ``mlp``.
    labels : sequence of str, optional
        Those to tell apart; all of the corpus if None.
    tune : int
        Settings to try; 0 for the model's defaults.
    space : str
        What settings are drawn from: ``wide``, or ``seed`` (SVC only) as in the seed experiment.
    folds : int
        Of the search's cross-validation.
    split : str
        ``grouped`` or ``random``: of the search, and of the part that the victim is fitted on.
    final : str
        ``train``: the victim is the model that was measured; ``all``: it is fitted once more, on all clips;
        the measures are of the one fitted on the training part alone.
    seed : int
        Of splits, draws and models.
    sample_rate : int
        In Hz, at which the victim hears.
    features : str
        ``librosa25``, or ``hardened25`` (:mod:`subterfuge.features.hardened`).
    workers : int
        Processes.
    name : str, optional
        By default the name of ``out``.
    force : bool
        Whether a victim in ``out`` may be replaced.
    cache : Cache, optional
    command : str
        What was typed, for the report.
    report : callable, optional
        Told of the progress.
    skip : callable, optional
        Given each file that is of no use.

    Returns
    -------
    TrainingReport

    Raises
    ------
    SubterfugeError
        If an option is wrong, ``out`` is taken, or the corpus cannot be split: it has one label only, or a
        label without clips or with too few recordings.
    """
    from subterfuge.victims.card import checked_rate
    from subterfuge.victims.store import check_free

    kind = find_model(model)
    _check_options(tune=tune, split=split, final=final, seed=seed, folds=folds)
    check_workers(workers)
    checked_rate(sample_rate)
    if tune:
        kind.searched(space)
    out = Path(out)
    check_free(out, force=force)
    clips = chosen(corpus, labels)
    check_clips(clips, split=split, folds=folds if tune else 0, seed=seed)
    cache = default_cache() if cache is None else cache
    clock = Clock()
    with clock.stage("features"):
        known = features_of(
            clips,
            sample_rate=sample_rate,
            features=features,
            workers=workers,
            cache=cache,
            progress=report,
        )
    for skipped in known.skipped:
        if skip is not None:
            skip(skipped)
    check_usable(known.clips, known.skipped, wanted={clip.label for clip in clips})

    heard = _Heard(
        known.vectors,
        np.array([clip.label for clip in known.clips]),
        [clip.recording for clip in known.clips],
    )
    sides = _both_sides(heard, split, seed)
    side = sides[split]
    trials: tuple[Trial, ...] = ()
    if tune:
        with clock.stage("search"):
            trials = _search(kind, heard, side, tune, space, folds, split, seed, workers, cache, report)
    parameters = trials[0].parameters if trials else {}
    fitted: dict[str, Any] = {}
    measures: dict[str, Measures | None] = {}
    for number, (which, part) in enumerate(sides.items()):
        with clock.stage("fit"):
            fitted[which] = _fit(kind, parameters, heard, part.train, seed)
        with clock.stage("measure"):
            measures[which] = _measure(fitted[which], heard, part.test, seed)
        if report is not None:
            report("fits", number + 1, len(sides) + (final == "all"))
    with clock.stage("measure"):
        importance = permutation_importance(
            fitted[split],
            heard.vectors[side.test],
            heard.labels[side.test],
            names=names_of(features),
            seed=seed,
            progress=report,
        )
    kept = fitted[split]
    if final == "all":
        with clock.stage("fit"):
            kept = _fit(kind, parameters, heard, np.arange(len(heard.labels)), seed)
        if report is not None:
            report("fits", len(sides) + 1, len(sides) + 1)

    told = TrainingReport(
        name=name or out.resolve().name,
        model=model,
        corpus=corpus.name,
        labels=tuple(str(one) for one in kept.classes_),
        clips=len(known.clips),
        recordings=len(set(heard.recordings)),
        skipped=len(corpus.skipped) + len(known.skipped),
        parameters=parameters or kind.defaults(seed),
        split=split,
        grouped=measures.get("grouped"),
        random=measures.get("random"),
        cross_validated=_cross_validated(trials),
        trials=trials,
        components=components(heard.vectors[side.train], names=names_of(features)),
        importance=importance,
        seconds=clock.seconds,
        peak_mb=peak_mb(),
        seed=seed,
        command=command,
        version=__version__,
        date=today(),
    )
    keep(
        kept,
        told,
        out=out,
        trained=_sentence(
            told, kind, space, features, on=len(heard.labels) if final == "all" else len(side.train)
        ),
        notes=REFITTED if final == "all" else "",
        sample_rate=sample_rate,
        features=features,
        force=force,
    )
    return told


def today() -> str:
    """The date (UTC), as reports have it."""
    return time.strftime("%Y-%m-%d", time.gmtime())


@dataclass(frozen=True, eq=False)
class _Heard:
    """The features of all clips, with what is known of them."""

    vectors: NDArray[np.float64]
    labels: NDArray[Any]
    recordings: list[str]

    def of(self, indices: NDArray[np.int64]) -> tuple[list[str], list[str]]:
        return [str(self.labels[i]) for i in indices], [self.recordings[i] for i in indices]


def _check_options(*, tune: int, split: str, final: str, seed: int, folds: int) -> None:
    if tune < 0:
        raise SubterfugeError(f"tune: got {tune}, expected a whole number from 0 up")
    if split not in SPLITS:
        raise SubterfugeError(f"split: got {split!r}, expected {' or '.join(SPLITS)}")
    if final not in FINALS:
        raise SubterfugeError(f"final: got {final!r}, expected {' or '.join(FINALS)}")
    if not 0 <= seed < 2**32:
        raise SubterfugeError(f"seed: got {seed}, expected a whole number from 0 to {2**32 - 1}")
    if folds < 2:
        raise SubterfugeError(f"folds: got {folds}, expected at least 2")


def _both_sides(heard: _Heard, split: str, seed: int) -> dict[str, Side]:
    """The held-out part of either split, the chosen one first; the other only where there is one."""
    labels, recordings = heard.of(np.arange(len(heard.labels)))
    sides = {split: hold_out(labels, recordings, split=split, seed=seed)}
    other = next(one for one in SPLITS if one != split)
    with suppress(SubterfugeError):  # raised of the chosen split; of the other, the report has none
        sides[other] = hold_out(labels, recordings, split=other, seed=seed)
    return sides


def _search(
    kind: Model,
    heard: _Heard,
    side: Side,
    tune: int,
    space: str,
    folds: int,
    split: str,
    seed: int,
    workers: int,
    cache: Cache,
    report: Progress | None,
) -> tuple[Trial, ...]:
    labels, recordings = heard.of(side.train)
    return search(
        kind,
        heard.vectors[side.train],
        labels,
        fold(labels, recordings, split=split, folds=folds, seed=seed),
        trials=tune,
        space=space,
        seed=seed,
        workers=workers,
        cache=cache,
        progress=report,
    )


def _fit(kind: Model, parameters: dict[str, Any], heard: _Heard, train: NDArray[np.int64], seed: int) -> Any:
    return kind.fitted(parameters, heard.vectors[train], heard.labels[train], seed=seed, final=True)


def _measure(model: Any, heard: _Heard, test: NDArray[np.int64], seed: int) -> Measures:
    truth, recordings = heard.of(test)
    return measure(
        tuple(str(one) for one in model.classes_),
        truth,
        [str(one) for one in model.predict(heard.vectors[test])],
        probabilities=model.predict_proba(heard.vectors[test]),
        recordings=recordings,
        seed=seed,
    )


def _cross_validated(trials: Sequence[Trial]) -> Estimate | None:
    if not trials:
        return None
    best = trials[0]
    return Estimate(best.accuracy, best.accuracy - best.spread, best.accuracy + best.spread)


def _sentence(told: TrainingReport, kind: Model, space: str, features: str, *, on: int) -> str:
    setting = ", ".join(f"{name}={_short(value)}" for name, value in told.parameters.items())
    how = f"best of {len(told.trials)} settings ({space}) by {told.split} cross-validation"
    part = "all of them" if on == told.clips else f"the training part of a {told.split} split"
    hardened = "" if features == "librosa25" else "hardened "
    title = kind.title[:1].upper() + kind.title[1:]
    return (
        f"{title} ({setting}; {how if told.trials else 'not tuned'}) on the 25 {hardened}features "
        f"of {on} of the {told.clips} clips of {told.corpus} ({part}), seed {told.seed}."
    )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
