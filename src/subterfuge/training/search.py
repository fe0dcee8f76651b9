"""Randomised search: settings drawn from a space, each cross-validated once and remembered."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subterfuge.errors import SubterfugeError
from subterfuge.training.cache import Cache
from subterfuge.training.models import Model, find_model
from subterfuge.training.report import Trial
from subterfuge.training.splits import Side
from subterfuge.workers import Progress, each

# Part of each trial's key: to be raised whenever the same setting would score otherwise than before.
CODE = 1


def search(
    model: Model,
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    sides: Sequence[Side],
    *,
    trials: int = 100,
    space: str = "wide",
    seed: int = 42,
    workers: int = 1,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> tuple[Trial, ...]:
    """Draw settings and cross-validate each: what ``RandomizedSearchCV`` does, but resumable.

    The settings are those that ``RandomizedSearchCV(n_iter=trials, random_state=seed)`` draws, and scores are
    its ``mean_test_score`` and ``std_test_score`` on the same folds.

    Parameters
    ----------
    model : Model
    vectors : array, shape (clips, features)
    labels : sequence of str, one a clip
    sides : sequence of Side
        The folds.
    trials : int
        Settings to try; where the space holds fewer, all of them.
    space : str
        ``wide`` or ``seed``.
    seed : int
        Of the draws, and of models that draw lots themselves.
    workers : int
        Processes.
    cache : Cache, optional
        Where finished trials are remembered, under all that matters to them.
    progress : callable, optional

    Returns
    -------
    tuple of Trial
        Best first; of equals, the first drawn.

    Raises
    ------
    SubterfugeError
        If there is nothing to try.
    """
    if trials < 1:
        raise SubterfugeError(f"tune: got {trials}, expected a whole number from 1 up")
    told = progress or (lambda *_: None)
    drawn = draw(model.searched(space), trials, seed)
    data = _data_key(model, vectors, labels, sides, seed)
    keys = [hashlib.sha256(f"{data}{json.dumps(one, sort_keys=True)}".encode()).hexdigest() for one in drawn]
    found = {} if cache is None else {k: _trial(v) for k, v in cache.get(keys).items()}
    missing = [number for number, key in enumerate(keys) if key not in found]
    told("search", len(drawn) - len(missing), len(drawn))
    jobs = [(number, drawn[number]) for number in missing]
    given = (model.name, vectors, np.asarray(labels), tuple(sides), seed)
    with closing(each(_try, jobs, workers=workers, setup=_share, given=given)) as finished:
        for done, ((number, _), trial) in enumerate(finished, 1):
            found[keys[number]] = trial
            if cache is not None:
                cache.put({keys[number]: _as_bytes(trial)})
            told("search", len(drawn) - len(missing) + done, len(drawn))
    return tuple(sorted((found[key] for key in keys), key=lambda trial: -trial.accuracy))


def draw(space: Mapping[str, Any], trials: int, seed: int) -> list[dict[str, Any]]:
    """Settings as ``RandomizedSearchCV`` draws them, in plain types.

    Examples
    --------
    >>> [round(one["C"], 3) for one in draw(find_model("svc").searched("seed"), 2, 42)]
    [7.591, 14.74]
    """
    import warnings

    from sklearn.model_selection import ParameterSampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a space that holds fewer settings than are asked for
        return [
            {name: _plain(value) for name, value in one.items()}
            for one in ParameterSampler(space, trials, random_state=seed)
        ]


_shared: tuple[Model, NDArray[np.float64], NDArray[Any], tuple[Side, ...], int] | None = None


def _share(
    name: str, vectors: NDArray[np.float64], labels: NDArray[Any], sides: tuple[Side, ...], seed: int
) -> None:
    """What all trials of a process share, so that it is sent there once."""
    global _shared
    _shared = find_model(name), vectors, labels, sides, seed


def _try(job: tuple[int, dict[str, Any]]) -> Trial:
    assert _shared is not None
    model, vectors, labels, sides, seed = _shared
    parameters = job[1]
    began = time.monotonic()
    right = []
    for side in sides:
        fitted = model.fitted(parameters, vectors[side.train], labels[side.train], seed=seed)
        right.append(float(np.mean(fitted.predict(vectors[side.test]) == labels[side.test])))
    seconds = round(time.monotonic() - began, 3)
    return Trial(parameters, float(np.mean(right)), float(np.std(right)), seconds)


def _data_key(
    model: Model, vectors: NDArray[np.float64], labels: Sequence[str], sides: Sequence[Side], seed: int
) -> str:
    import sklearn

    digest = hashlib.sha256()
    digest.update(json.dumps([CODE, model.name, sklearn.__version__, seed, list(labels)]).encode())
    digest.update(repr(model.pipeline({}, seed=seed)).encode())  # settings that are not searched
    digest.update(np.ascontiguousarray(vectors).tobytes())
    for side in sides:
        digest.update(side.train.tobytes() + b"/" + side.test.tobytes())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def _as_bytes(trial: Trial) -> bytes:
    return json.dumps([trial.parameters, trial.accuracy, trial.spread, trial.seconds]).encode()


def _trial(value: bytes) -> Trial:
    return Trial(*json.loads(value))
