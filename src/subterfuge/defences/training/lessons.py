"""What the training defences of feature models share: a corpus heard and split, a fit, measures, a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge import __version__
from subterfuge.audio import load_plain
from subterfuge.corpora.corpus import Clip
from subterfuge.corpora.open import open_corpus
from subterfuge.errors import SubterfugeError
from subterfuge.training.cache import default_cache
from subterfuge.training.extract import features_of
from subterfuge.training.keep import keep
from subterfuge.training.measure import measure
from subterfuge.training.models import find_model
from subterfuge.training.report import TrainingReport
from subterfuge.training.search import search
from subterfuge.training.selection import check_clips, check_usable, chosen
from subterfuge.training.splits import Side, fold, hold_out
from subterfuge.training.train import today
from subterfuge.victims.svm import feature_set
from subterfuge.victims.victim import TorchVictim
from subterfuge.workers import Progress

# A change of the audio before it is heard: of clip number i, shape (1, samples), at the victim's rate.
Change = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Lessons:
    """A corpus, heard and split by recording.

    Attributes
    ----------
    corpus : str
        Its name.
    clips : tuple of Clip
    vectors : array, shape (clips, features)
        As the clips are.
    labels : array of str, shape (clips,)
    side : Side
        Indices to train on, and held out.
    parameters : dict
        Of the SVC: the victim's own, or the best that a search found.
    features : str
    sample_rate, seed : int
    """

    corpus: str
    clips: tuple[Clip, ...]
    vectors: NDArray[np.float64]
    labels: NDArray[Any]
    side: Side
    parameters: dict[str, Any]
    features: str
    sample_rate: int
    seed: int

    def audio(self, number: int) -> Tensor:
        """The waveform of a clip, shape (1, samples)."""
        return load_plain(self.clips[number].path, self.sample_rate)

    def heard(
        self, numbers: NDArray[np.int64], change: Change, report: Progress | None = None
    ) -> NDArray[np.float64]:
        """Vectors of some clips, changed before they are heard; shape (numbers, features)."""
        of, rows = feature_set(self.features).torch, []
        with torch.no_grad():
            for done, number in enumerate(numbers.tolist(), 1):
                rows.append(of(change(number, self.audio(number)), sr=self.sample_rate)[0].double().numpy())
                if report is not None:
                    report("changed clips", done, len(numbers))
        return np.array(rows).reshape(len(numbers), self.vectors.shape[1])

    def fitted(self, vectors: NDArray[np.float64], labels: NDArray[Any]) -> Any:
        """A scaler and an SVC on vectors, with probabilities, as training keeps them."""
        return find_model("svc").fitted(self.parameters, vectors, labels, seed=self.seed, final=True)


def hear(
    victim: TorchVictim,
    corpus: str | Path,
    *,
    features: str = "",
    tune: int = 0,
    seed: int = 0,
    report: Progress | None = None,
) -> Lessons:
    """Open a corpus, hear its clips at the victim's rate, and hold out a fifth of the recordings.

    Parameters
    ----------
    victim : SvmVictim
        Whose setting of the SVC is taken over, and its features where none are named.
    corpus : str or Path
        The folder of labelled clips; those whose labels the victim does not know are left out.
    features : str
        ``librosa25`` or ``hardened25``.
    tune : int
        Settings to try by cross-validation, in place of the victim's own.
    seed : int
        Of the split.
    report : callable, optional

    Raises
    ------
    SubterfugeError
        If the victim is no SVM, or the corpus is of no use.
    """
    features, parameters = features or _features(victim), _setting(victim)
    opened = open_corpus(corpus)
    known = [label for label in opened.labels if label in victim.labels]
    clips = chosen(opened, known)
    check_clips(clips, split="grouped", folds=5 if tune else 0, seed=seed)
    heard = features_of(clips, sample_rate=victim.sample_rate, features=features, progress=report)
    check_usable(heard.clips, heard.skipped, wanted={clip.label for clip in clips})
    labels, recordings = [one.label for one in heard.clips], [one.recording for one in heard.clips]
    side = hold_out(labels, recordings, seed=seed)
    if tune:
        train = [labels[i] for i in side.train], [recordings[i] for i in side.train]
        trials = search(
            find_model("svc"),
            heard.vectors[side.train],
            train[0],
            fold(*train, split="grouped", seed=seed),
            trials=tune,
            space="wide",
            seed=seed,
            workers=1,
            cache=default_cache(),
            progress=report,
        )
        parameters = trials[0].parameters
    return Lessons(
        corpus=opened.name,
        clips=heard.clips,
        vectors=heard.vectors,
        labels=np.array(labels),
        side=side,
        parameters=parameters,
        features=features,
        sample_rate=victim.sample_rate,
        seed=seed,
    )


def kept(
    lessons: Lessons,
    model: Any,
    *,
    out: Path,
    how: str,
    behind: Callable[[Any], TorchVictim] | None = None,
    tested: NDArray[np.float64] | None = None,
    name: str | None = None,
    force: bool = False,
) -> Path:
    """Measure a fitted model on the clips held out, and keep it as a victim's folder.

    Parameters
    ----------
    lessons : Lessons
    model : fitted model
    out : Path
    how : str
        In a sentence, what was done; the corpus is told by this.
    behind : callable, optional
        Given the fitted model, the victim that is kept, where something stands before it.
    tested : array, optional
        Vectors of the clips held out as that victim hears them.
    """
    test = lessons.side.test
    vectors = lessons.vectors[test] if tested is None else tested
    told = TrainingReport(
        name=name or out.resolve().name,
        model="svc",
        corpus=lessons.corpus,
        labels=tuple(str(one) for one in model.classes_),
        clips=len(lessons.clips),
        recordings=len({clip.recording for clip in lessons.clips}),
        skipped=0,
        parameters=lessons.parameters,
        split="grouped",
        grouped=measure(
            tuple(str(one) for one in model.classes_),
            [str(one) for one in lessons.labels[test]],
            [str(one) for one in model.predict(vectors)],
            probabilities=model.predict_proba(vectors),
            recordings=[lessons.clips[i].recording for i in test],
            seed=lessons.seed,
        ),
        random=None,
        seed=lessons.seed,
        version=__version__,
        date=today(),
    )
    setting = ", ".join(f"{key}={value:.4g}" for key, value in lessons.parameters.items())
    trained = (
        f"RBF support vector machine ({setting}) on {lessons.features} of {len(lessons.side.train)} of the "
        f"{len(lessons.clips)} clips of {lessons.corpus}, seed {lessons.seed}. {how}"
    )
    return keep(
        model if behind is None else behind(model),
        told,
        out=out,
        trained=trained,
        sample_rate=lessons.sample_rate,
        features=lessons.features,
        force=force,
    )


def svc_victim(lessons: Lessons, model: Any) -> TorchVictim:
    """A fitted model as a victim."""
    from subterfuge.victims.svm import SvmVictim

    labels = [str(one) for one in model.classes_]
    return SvmVictim(model, labels=labels, sample_rate=lessons.sample_rate, features=lessons.features)


def _features(victim: TorchVictim) -> str:
    return str(getattr(victim, "feature_name", "librosa25"))


def _setting(victim: TorchVictim) -> dict[str, Any]:
    """``C`` and ``gamma`` of the victim's own SVC."""
    from subterfuge.victims.kernels import RbfMachine
    from subterfuge.victims.svm import SvmVictim

    if not isinstance(victim, SvmVictim) or not isinstance(victim.head.machine, RbfMachine):
        kind = type(victim).__name__.removesuffix("Victim").lower()
        raise SubterfugeError(f"victim: got one of kind {kind}, expected an SVM with an RBF kernel")
    svc = victim.model
    while not hasattr(svc, "support_vectors_"):  # a pipeline's last step, or what a calibration is around
        svc = svc.steps[-1][1] if hasattr(svc, "steps") else getattr(svc, "calibrated_classifiers_", [svc])[0]
        svc = getattr(svc, "estimator", svc)
    return {"C": float(svc.C), "gamma": float(victim.head.machine.gamma)}
