"""Making a victim's folder: of a model in a file or in memory, whole or not at all, nothing lost by it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from subterfuge.errors import SubterfugeError
from subterfuge.files import file_sha256, make_folder
from subterfuge.victims.card import (
    CARD,
    KINDS,
    NETWORKS,
    WAVEFORM,
    VictimInfo,
    checked_labels,
    checked_rate,
    read_card,
    write_card,
)
from subterfuge.victims.trust import read_pickle, read_skops

# What training writes beside a victim: its report and the page of it. They belong to the victim, and are
# replaced with it.
TRAINING, PAGE = "training.json", "index.html"
OURS = frozenset({CARD, *KINDS.values(), TRAINING, PAGE})


def import_victim(
    source: str | Path,
    *,
    labels: Sequence[str],
    sample_rate: int,
    features: str = "librosa25",
    out: str | Path,
    name: str | None = None,
    trained: str = "",
    accuracy: Mapping[str, float] | None = None,
    notes: str = "",
    trust_pickle: bool = False,
    force: bool = False,
) -> Path:
    """Make a victim's folder of a fitted scikit-learn model in a file.

    Scalers and an SVC become a victim with gradients (``svm``); any other classifier one without
    (``sklearn``).

    Parameters
    ----------
    source : str or Path
        A ``.skops`` file, whose bytes are kept, or with ``trust_pickle`` a ``.pkl``, ``.pickle`` or
        ``.joblib`` file, which is run (that is what loading a pickle means) and converted.
    labels : sequence of str
        Names of the model's classes, in the order of its ``classes_``.
    sample_rate : int
        In Hz, of the audio that the features are taken from.
    features : str
        Name of the features that the model was fitted on.
    out : str or Path
        Folder to make. One that holds the very same victim is left as it is.
    name : str, optional
        By default the name of ``out``.
    trained, accuracy, notes
        As in :class:`VictimInfo`.
    trust_pickle : bool
    force : bool
        Whether a different victim in ``out`` may be replaced.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    SubterfugeError
        If the file cannot be read or trusted, the model is of an unsupported kind, labels or features do
        not fit it, or ``out`` is taken.
    """
    source = Path(source)
    if not source.is_file():
        what = "a folder" if source.is_dir() else "no such file"
        raise SubterfugeError(f"{source}: {what}, expected a fitted model as .skops, .pkl or .joblib")
    kind = source.suffix.lower()
    if kind == ".skops":
        model = read_skops(source)
    elif kind in (".pkl", ".pickle", ".joblib"):
        if not trust_pickle:
            raise SubterfugeError(
                f"{source}: a pickle can run any code when it is loaded; expected a .skops file, or "
                f"--trust-pickle if you know where this one comes from"
            )
        model = read_pickle(source)
    else:
        raise SubterfugeError(f"{source}: got a {kind or 'nameless'} file, expected .skops, .pkl or .joblib")
    return _write(
        model,
        copy_of=source if kind == ".skops" else None,
        labels=labels,
        sample_rate=sample_rate,
        features=features,
        out=Path(out),
        name=name,
        trained=trained,
        accuracy=accuracy,
        source={"file": source.name, "sha256": file_sha256(source)},
        notes=notes,
        force=force,
    )


def save_victim(
    model: Any,
    *,
    labels: Sequence[str] | None = None,
    sample_rate: int | None = None,
    features: str = "librosa25",
    out: str | Path,
    name: str | None = None,
    trained: str = "",
    accuracy: Mapping[str, float] | None = None,
    source: Mapping[str, str] | None = None,
    notes: str = "",
    force: bool = False,
    fill: Callable[[Path], object] | None = None,
) -> Path:
    """Make a victim's folder of a model just trained.

    Parameters
    ----------
    model : victim, or fitted model of scikit-learn
        A victim (``SvmVictim``, ``SklearnVictim``, ``CnnVictim``) brings its own labels, sample rate and
        features.
    labels, sample_rate, features
        As for :func:`import_victim`; needed where ``model`` is no victim.
    out, name, trained, accuracy, notes, force
        As for :func:`import_victim`.
    source : dict of str to str
        Where it comes from, in short strings (``{"recipe": "..."}``).
    fill : callable, optional
        Given the folder before it takes its place, to write :data:`TRAINING` and :data:`PAGE` into it.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    SubterfugeError
        As :func:`import_victim`.
    """
    labels = getattr(model, "labels", None) if labels is None else labels
    sample_rate = getattr(model, "sample_rate", None) if sample_rate is None else sample_rate
    if labels is None or sample_rate is None:
        raise SubterfugeError("got a model that is no victim, expected its labels and its sample rate too")
    from subterfuge.victims.kinds import is_network

    if is_network(model):
        features = WAVEFORM
    elif hasattr(model, "feature_name"):
        model, features = model.model, model.feature_name
    return _write(
        model,
        copy_of=None,
        labels=labels,
        sample_rate=sample_rate,
        features=features,
        out=Path(out),
        name=name,
        trained=trained,
        accuracy=accuracy,
        source=dict(source or {}),
        notes=notes,
        force=force,
        fill=fill,
    )


def check_free(out: str | Path, *, force: bool = False) -> None:
    """Make sure that a victim can be written to ``out``, before hours are spent on making one.

    Raises
    ------
    SubterfugeError
        If other things are there, or a victim and not ``force``, or nothing can be written there.
    """
    out = Path(out)
    _check_replaceable(out, force=force)
    make_folder(out.parent)


def _write(
    model: Any,
    *,
    copy_of: Path | None,
    labels: Sequence[str],
    sample_rate: int,
    features: str,
    out: Path,
    name: str | None,
    trained: str,
    accuracy: Mapping[str, float] | None,
    source: dict[str, str],
    notes: str,
    force: bool,
    fill: Callable[[Path], object] | None = None,
) -> Path:
    from subterfuge.victims.kinds import kind_of, write_weights

    wanted = checked_labels(labels)
    try:
        kind = kind_of(model, labels=wanted, features=features)
    except SubterfugeError as error:
        raise SubterfugeError(f"{copy_of}: {error}" if copy_of else str(error)) from error
    info = VictimInfo(
        name=name or out.resolve().name,
        kind=kind,
        labels=wanted,
        sample_rate=checked_rate(sample_rate),
        features=features,
        trained=trained,
        accuracy={k: float(v) for k, v in (accuracy or {}).items()},
        source=source,
        versions=_versions(kind),
        notes=notes,
        network=dict(model.network) if kind in NETWORKS else {},
        folder=out,
    )
    if _same_is_there(info, out):
        return out
    _check_replaceable(out, force=force)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise SubterfugeError(f"{out}: cannot be written ({error.strerror})") from error
    try:
        made.chmod(0o755)
        weights = made / KINDS[kind]
        write_weights(model, kind, weights, copy_of=copy_of)
        write_card(replace(info, sha256=file_sha256(weights)), made)
        if fill is not None:
            fill(made)
        for path in made.iterdir():
            _flush(path)
        _replace(made, out)
    except OSError as error:
        raise SubterfugeError(f"{out}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return out


def _replace(made: Path, out: Path) -> None:
    """Put the finished folder in its place; a victim that was there is gone only once the new one stands."""
    if not out.exists():
        made.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
    out.rename(old)
    try:
        made.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old)


def _same_is_there(info: VictimInfo, out: Path) -> bool:
    """Whether ``out`` holds the very victim that is to be imported from a file."""
    if "sha256" not in info.source or not (out / CARD).is_file():
        return False
    try:
        there = read_card(out)
    except SubterfugeError:
        return False
    keys = ("name", "kind", "labels", "sample_rate", "features", "source", "trained", "accuracy", "notes")
    same = all(getattr(there, key) == getattr(info, key) for key in keys)
    return same and there.weights.is_file() and file_sha256(there.weights) == there.sha256


def _check_replaceable(out: Path, *, force: bool) -> None:
    """An error where ``out`` holds anything that must be kept."""
    if not out.exists():
        return
    if not out.is_dir():
        raise SubterfugeError(f"{out}: a file is there, expected a folder to make")
    inside = sorted(path.name for path in out.iterdir())
    if not inside:
        return
    if CARD not in inside:
        raise SubterfugeError(
            f"{out}: the folder holds other things ({inside[0]}), expected a new or empty one"
        )
    if not force:
        raise SubterfugeError(f"{out}: a different victim is there, expected a new folder (or --force)")
    extra = [name for name in inside if name not in OURS]
    if extra:
        raise SubterfugeError(f"{out}: holds {extra[0]} beside the victim, expected nothing else to replace")


def _versions(kind: str) -> dict[str, str]:
    import platform
    from importlib.metadata import version

    from subterfuge import __version__

    wanted = ["torch", "safetensors"] if kind in NETWORKS else ["scikit-learn", "skops"]
    wanted += ["transformers"] if kind == "huggingface" else []
    libraries = {name: version(name) for name in (*wanted, "numpy")}
    return {"subterfuge": __version__, "python": platform.python_version(), **libraries}


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
