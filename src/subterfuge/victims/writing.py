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
    INNERS,
    KINDS,
    NETWORKS,
    OUTSIDE,
    WAVEFORM,
    WRAPPED,
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
OURS = frozenset({CARD, *INNERS, *KINDS.values(), TRAINING, PAGE})


def import_victim(
    source: str | Path,
    *,
    labels: Sequence[str] | None = None,
    sample_rate: int | None = None,
    features: str | None = None,
    out: str | Path,
    name: str | None = None,
    kind: str | None = None,
    options: Mapping[str, Any] | None = None,
    trained: str = "",
    accuracy: Mapping[str, float] | None = None,
    notes: str = "",
    trust_pickle: bool = False,
    force: bool = False,
) -> Path:
    """Make a victim's folder of a fitted scikit-learn model, an ONNX file, a function or a service.

    Of scikit-learn's, scalers and an SVC become a victim with gradients (``svm``); any other classifier one
    without (``sklearn``).

    Parameters
    ----------
    source : str or Path
        A ``.skops`` file, whose bytes are kept, or with ``trust_pickle`` a ``.pkl``, ``.pickle`` or
        ``.joblib`` file, which is run (that is what loading a pickle means) and converted. Or an ``.onnx``
        file, a function by ``module:callable``, or the ``http`` or ``https`` address of a service.
    labels : sequence of str, optional
        Names of the model's classes, in the order of its ``classes_``; None: the classes themselves, where
        these are names. Of the other kinds, see :func:`subterfuge.victims.bringing.bring`.
    sample_rate : int
        In Hz, of the audio that is heard. It may be None where a model or function says it itself.
    features : str
        What the model was fitted on: ``librosa25`` (by default), or the user's own by ``module:callable``.
    out : str or Path
        Folder to make. One that holds the very same victim is left as it is.
    name : str, optional
        By default the name of ``out``.
    kind : str, optional
        ``sklearn`` (without gradients, even where an ``svm`` could be made), ``onnx``, ``function`` or
        ``http``; otherwise told from the source.
    options : mapping, optional
        How one of the last three is asked: :data:`subterfuge.victims.bringing.OPTIONS`.
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
    from subterfuge.victims.bringing import bring, check_kind

    given = {key: value for key, value in (options or {}).items() if value is not None}
    told = check_kind(kind, os.fspath(source))
    if told in OUTSIDE:
        made, origin = bring(
            told,
            os.fspath(source),
            labels=None if labels is None else checked_labels(labels),
            sample_rate=sample_rate,
            features=features,
            options=given,
        )
        return _write(
            made,
            copy_of=None,
            labels=made.labels,
            sample_rate=made.sample_rate,
            features=made.feature_name,
            out=Path(out),
            name=name,
            trained=trained,
            accuracy=accuracy,
            source=origin,
            notes=notes,
            force=force,
        )
    if given:
        raise SubterfugeError(f"{next(iter(given))}: a victim of kind sklearn has no such option")
    return _import_fitted(
        Path(source),
        labels=labels,
        sample_rate=sample_rate,
        features=features or "librosa25",
        out=Path(out),
        name=name,
        kind=kind,
        trained=trained,
        accuracy=accuracy,
        notes=notes,
        trust_pickle=trust_pickle,
        force=force,
    )


def _import_fitted(
    source: Path,
    *,
    labels: Sequence[str] | None,
    sample_rate: int | None,
    trust_pickle: bool,
    **said: Any,
) -> Path:
    """Make a victim's folder of a fitted scikit-learn model in a file."""
    if not source.is_file():
        what = "a folder" if source.is_dir() else "no such file"
        raise SubterfugeError(f"{source}: {what}, expected a fitted model as .skops, .pkl or .joblib")
    suffix = source.suffix.lower()
    if suffix == ".skops":
        model = read_skops(source)
    elif suffix in (".pkl", ".pickle", ".joblib"):
        if not trust_pickle:
            raise SubterfugeError(
                f"{source}: a pickle can run any code when it is loaded; expected a .skops file, or "
                f"--trust-pickle if you know where this one comes from"
            )
        model = read_pickle(source)
    else:
        raise SubterfugeError(
            f"{source}: got a {suffix or 'nameless'} file, expected .skops, .pkl, .joblib or .onnx"
        )
    if labels is None:
        labels = [str(one) for one in getattr(model, "classes_", ()) if isinstance(one, str)]
        if not labels:
            raise SubterfugeError("--labels: got none, expected a name for each of the model's classes")
    if sample_rate is None:
        raise SubterfugeError("sample rate: got none, expected that of the audio it was fitted on, in Hz")
    return _write(
        model,
        copy_of=source if suffix == ".skops" else None,
        labels=labels,
        sample_rate=sample_rate,
        source={"file": source.name, "sha256": file_sha256(source)},
        **said,
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
    from subterfuge.victims.kinds import is_network, is_outside, is_wrapped

    if is_wrapped(model):
        features, fill = WAVEFORM, _with_inner(model, fill)
    elif is_network(model):
        features = WAVEFORM
    elif is_outside(model):
        features = model.feature_name
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


def _with_inner(model: Any, fill: Callable[[Path], object] | None) -> Callable[[Path], object]:
    """Writes each victim behind a defence into a folder of its own, besides what else is to be written."""
    behind = getattr(model, "behind", None) or (model.inner,)

    def both(folder: Path) -> None:
        for inner, where in zip(behind, INNERS, strict=False):
            info = getattr(inner, "info", None)
            if info is not None and (info.folder / CARD).is_file():
                shutil.copytree(info.folder, folder / where, ignore=lambda _, names: [*{*names} - OURS])
            else:
                save_victim(inner, out=folder / where, name=str(getattr(inner, "name", "") or where))
        if fill is not None:
            fill(folder)

    return both


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
    kind: str | None = None,
) -> Path:
    from subterfuge.victims.kinds import kind_of, write_weights

    wanted = checked_labels(labels)
    try:
        rate = checked_rate(sample_rate)
        kind = kind_of(model, labels=wanted, features=features, sample_rate=rate, wanted=kind)
    except SubterfugeError as error:
        raise SubterfugeError(f"{copy_of}: {error}" if copy_of else str(error)) from error
    info = VictimInfo(
        name=name or out.resolve().name,
        kind=kind,
        labels=wanted,
        sample_rate=rate,
        features=features,
        trained=trained,
        accuracy={k: float(v) for k, v in (accuracy or {}).items()},
        source=source,
        versions=_versions(kind),
        notes=notes,
        network=dict(model.network) if kind in NETWORKS else {},
        options=dict(model.options) if kind in (*OUTSIDE, *WRAPPED) else {},
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
        if info.has_weights:
            weights = made / KINDS[kind]
            write_weights(model, kind, weights, copy_of=copy_of)
            info = replace(info, sha256=file_sha256(weights))
        write_card(info, made)
        if fill is not None:
            fill(made)
        for path in made.rglob("*"):
            if path.is_file():
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
    if ("sha256" not in info.source and info.kind not in OUTSIDE) or not (out / CARD).is_file():
        return False
    try:
        there = read_card(out)
    except SubterfugeError:
        return False
    keys = ("name", "kind", "labels", "sample_rate", "features", "source", "trained", "accuracy", "notes")
    same = all(getattr(there, key) == getattr(info, key) for key in (*keys, "options"))
    if not info.has_weights:
        return same
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

    own = {
        "onnx": ["onnxruntime"],
        "function": ["torch"],
        "http": ["urllib3"],
        "defended": ["torch"],
        "smoothed": ["torch"],
        "ensemble": ["torch"],
        "guarded": ["torch", "safetensors"],
    }
    wanted = ["torch", "safetensors"] if kind in NETWORKS else own.get(kind, ["scikit-learn", "skops"])
    wanted += ["transformers"] if kind == "huggingface" else []
    libraries = {name: version(name) for name in (*wanted, "numpy")}
    return {"subterfuge": __version__, "python": platform.python_version(), **libraries}


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
