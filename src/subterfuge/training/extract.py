"""Features of files: in parallel, remembered by what is in the files; those of no use are named."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from subterfuge.corpora.corpus import Clip, Skipped
from subterfuge.errors import SubterfugeError
from subterfuge.files import why
from subterfuge.training.cache import Cache, default_cache
from subterfuge.workers import Progress, check_workers, each

# Part of each cache key: to be raised whenever the same file would give other numbers than before.
CODE = 1
SIZE = 25

_JOB = 32  # files to a job
_KEEP = 256  # new vectors between writes to the cache


@dataclass(frozen=True, eq=False)
class Features:
    """The features of those clips that have any.

    Attributes
    ----------
    clips : tuple of Clip
        In the order given.
    vectors : array, shape (clips, 25)
    skipped : tuple of Skipped
        Files that could not be read, are silent or hold what is not a number.
    cached : int
        How many of the vectors were known already.
    """

    clips: tuple[Clip, ...]
    vectors: NDArray[np.float64]
    skipped: tuple[Skipped, ...]
    cached: int


def features_of(
    clips: Sequence[Clip],
    *,
    sample_rate: int = 44100,
    features: str = "librosa25",
    workers: int = 1,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> Features:
    """The 25 features of each clip's file.

    Files are mixed down and resampled as ``librosa.load`` does. Features that were taken once of a file with
    the same content, at the same rate, are taken from the cache. What is computed is kept even if Ctrl-C
    ends this.

    Parameters
    ----------
    clips : sequence of Clip
    sample_rate : int
        In Hz.
    features : str
        ``librosa25`` (:func:`subterfuge.features.summary.librosa25`) or
        ``hardened25`` (:func:`subterfuge.features.hardened.hardened25`).
    workers : int
        Processes.
    cache : Cache, optional
        :func:`subterfuge.training.cache.default_cache` if None.
    progress : callable, optional

    Raises
    ------
    SubterfugeError
        If the cache's folder cannot be used. Files that are of no use are only skipped.
    """
    from subterfuge.victims.svm import check_features

    check_workers(workers)
    if check_features(features, sample_rate=sample_rate) != SIZE:
        raise SubterfugeError(f"features: got {features}, expected librosa25 or hardened25 to train on")
    cache = default_cache() if cache is None else cache
    told = progress or (lambda *_: None)
    paths = list(dict.fromkeys(clip.path for clip in clips))
    keys, problems = _keys(paths, sample_rate, workers, told, features)
    found = cache.get(list(keys.values()))
    known = {key: np.frombuffer(value, dtype="<f8") for key, value in found.items() if len(value) == 8 * SIZE}
    remembered = set(known)
    # Copies of one file under several names are computed once.
    missing = list({key: path for path, key in keys.items() if key not in known}.values())
    jobs = [missing[start : start + _JOB] for start in range(0, len(missing), _JOB)]
    fresh: dict[str, bytes] = {}
    done = 0
    by_key: dict[str, str] = {}  # problems, by content
    try:
        one = partial(_extract, sample_rate=sample_rate, features=features)
        with closing(each(one, jobs, workers=workers)) as finished:
            for job, results in finished:
                for path, result in zip(job, results, strict=True):
                    if isinstance(result, str):
                        by_key[keys[path]] = result
                    else:
                        known[keys[path]] = result
                        fresh[keys[path]] = np.asarray(result, dtype="<f8").tobytes()
                done += len(job)
                told("features", done, len(missing))
                if len(fresh) >= _KEEP:
                    cache.put(fresh)
                    fresh = {}
    finally:
        cache.put(fresh)
    problems |= {path: by_key[key] for path, key in keys.items() if key in by_key}
    kept = tuple(clip for clip in clips if clip.path not in problems)
    vectors = np.array([known[keys[clip.path]] for clip in kept], dtype=np.float64).reshape(len(kept), SIZE)
    return Features(
        clips=kept,
        vectors=vectors,
        skipped=tuple(Skipped(path, problems[path]) for path in paths if path in problems),
        cached=sum(keys[clip.path] in remembered for clip in kept),
    )


def librosa25_of(paths: Sequence[Path], *, sample_rate: int = 44100, workers: int = 1) -> NDArray[np.float64]:
    """The 25 features of each file along the plain path, by librosa's own calls; shape (files, 25).

    Raises
    ------
    SubterfugeError
        If a file cannot be read; it is named.
    """
    one = partial(_librosa25, sample_rate=sample_rate)
    if workers == 1:
        return np.array([one(path) for path in paths])
    with ProcessPoolExecutor(workers) as pool:
        return np.array(list(pool.map(one, paths, chunksize=8)))


def _librosa25(path: Path, *, sample_rate: int) -> NDArray[np.float64]:
    from subterfuge.audio import load_plain
    from subterfuge.victims.plain import librosa25_plain

    return librosa25_plain(load_plain(path, sample_rate)[0].numpy(), sr=sample_rate)


def _keys(
    paths: Sequence[Path], sample_rate: int, workers: int, told: Progress, features: str = "librosa25"
) -> tuple[dict[Path, str], dict[Path, str]]:
    """The cache key of each file, by its content, and what is wrong with those that have none."""
    keys: dict[Path, str] = {}
    problems: dict[Path, str] = {}
    with ThreadPoolExecutor(workers) as pool:
        try:
            for number, (path, (digest, problem)) in enumerate(
                zip(paths, pool.map(_digest, paths), strict=True), 1
            ):
                if problem:
                    problems[path] = problem
                else:
                    keys[path] = f"{features}/{CODE}/{sample_rate}/{digest}"
                if number % _JOB == 0 or number == len(paths):
                    told("files", number, len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return keys, problems


def _digest(path: Path) -> tuple[str, str]:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), ""
    except OSError as error:
        return "", f"cannot be read ({why(error)})"


@torch.no_grad()
def _extract(paths: Sequence[Path], *, sample_rate: int, features: str) -> list[NDArray[np.float64] | str]:
    """Of each file its vector, or why it has none.

    One clip at a time: in batches of eight a clip takes a third less, but then its last bits depend on what
    else is in the batch, and so on what was known already.
    """
    return [_one(path, sample_rate, features) for path in paths]


def _one(path: Path, sample_rate: int, features: str) -> NDArray[np.float64] | str:
    from subterfuge.audio import load_plain
    from subterfuge.victims.svm import feature_set

    try:
        y = load_plain(path, sample_rate)
    except SubterfugeError as error:
        return str(error).removeprefix(f"{path}: ")
    if not bool(y.isfinite().all()):
        return "holds NaN or infinite samples"
    if not bool(y.any()):
        return "is silent"
    vector = feature_set(features).torch(y, sr=sample_rate)[0].double()
    return vector.numpy().copy() if bool(vector.isfinite().all()) else "has features that are not finite"
