"""A training run as it is ordered: which corpus, which model, and the options that this model knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from subterfuge.corpora.corpus import Corpus, Skipped
from subterfuge.errors import SubterfugeError
from subterfuge.training.models import find_model
from subterfuge.training.report import Epoch, TrainingReport
from subterfuge.workers import Progress, available_cores

CNN = "cnn"


def train_on(
    path: str | Path,
    *,
    model: str = "svc",
    out: str | Path,
    labels: Sequence[str] | None = None,
    split: str = "grouped",
    workers: int = 0,
    seed: int | None = None,
    name: str | None = None,
    force: bool = False,
    command: str = "",
    only_features: Mapping[str, Any] | None = None,
    only_network: Mapping[str, Any] | None = None,
    report: Progress | None = None,
    skip: Callable[[Skipped], None] | None = None,
    epoch: Callable[[Epoch], None] | None = None,
) -> TrainingReport:
    """Open a corpus and train on it, by :func:`subterfuge.training.train.train` or ``train_cnn``.

    Parameters
    ----------
    path : str or Path
        Of the corpus.
    model, out, labels, split, name, force
        As for ``train``.
    seed : int, optional
        By default the model's own.
    workers : int
        0 for one a core.
    command : str
        What was typed, for the report.
    only_features, only_network : dict
        Options by name, as ``train`` and ``train_cnn`` know them (of ``both`` the opposite, ``one_split``);
        None means that it was not given. Those of the other kind of model are refused.
    report, skip : callable, optional
        As for ``train``; ``skip`` is also given what the corpus skipped.
    epoch : callable, optional
        As for ``train_cnn``.

    Raises
    ------
    SubterfugeError
        If anything is wrong with the options, the corpus or the folder.
    """
    from subterfuge.corpora.open import open_corpus
    from subterfuge.victims.store import check_free

    if model != CNN:
        find_model(model)
    refused = _given(only_features if model == CNN else only_network)
    if refused:
        other = "another model" if model == CNN else "cnn"
        first = next(iter(refused))
        option = {"space": "search"}.get(first, first).replace("_", "-")
        raise SubterfugeError(f"{option}: got it with model {model}, expected it only with {other}")
    check_free(out, force=force)
    options = _given(only_network if model == CNN else only_features) | _given({"seed": seed})
    corpus: Corpus = open_corpus(path, report=None if report is None else _named("corpus", report))
    for skipped in corpus.skipped:
        if skip is not None:
            skip(skipped)
    options |= {"labels": labels, "out": Path(out), "split": split, "report": report}
    options |= {"workers": workers or available_cores(), "command": command, "skip": skip}
    options |= _given({"name": name}) | ({"force": True} if force else {})
    if model == CNN:
        from subterfuge.training.cnn import train_cnn

        one_split = options.pop("one_split", False)
        told: TrainingReport = train_cnn(corpus, both=not one_split, epoch=epoch, **options)
        return told
    from subterfuge.training.train import train

    return train(corpus, model=model, **options)


def _given(options: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (options or {}).items() if value is not None}


def _named(what: str, report: Progress) -> Callable[[int, int], None]:
    return lambda done, total: report(what, done, total)
