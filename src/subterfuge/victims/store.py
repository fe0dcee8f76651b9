"""Victims on disk: a folder with ``victim.json`` and weights as skops; written whole, checked when read."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from subterfuge.errors import SubterfugeError

if TYPE_CHECKING:
    from subterfuge.victims.svm import SvmVictim

FORMAT = 1
CARD, WEIGHTS = "victim.json", "model.skops"

# Types that skops does not trust of itself, and that we do: scikit-learn's own holders of a calibrated
# classifier, which hold numbers and run nothing when they are loaded.
OUR_TRUST = frozenset(
    f"sklearn.calibration.{name}"
    for name in ("_CalibratedClassifier", "_SigmoidCalibration", "_TemperatureScaling")
)


@dataclass(frozen=True)
class VictimInfo:
    """What ``victim.json`` says of a victim.

    Attributes
    ----------
    name, kind : str
        ``kind`` is ``svm``.
    labels : tuple of str
        In the order of the model's classes.
    sample_rate : int
        In Hz.
    features : str
        Name of the features that the model was fitted on.
    trained : str
        How, in a sentence or two.
    accuracy : dict of str to float
        Measured, each under the name of what it was measured on.
    source : dict of str to str
        Where the weights come from: a file's name and hash, or the recipe.
    sha256 : str
        Of the weights.
    versions : dict of str to str
        Of the libraries that wrote it.
    notes : str
    folder : Path
        Where it lies.
    embedded : bool
        Whether it comes with the package.
    problem : str
        Empty, or why it cannot be read; only in listings.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    sample_rate: int
    features: str
    trained: str = ""
    accuracy: dict[str, float] = field(default_factory=dict)
    source: dict[str, str] = field(default_factory=dict)
    sha256: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    notes: str = ""
    folder: Path = Path()
    embedded: bool = False
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types, with the folder, as ``victim info --json`` prints it."""
        return {**asdict(self), "labels": list(self.labels), "folder": str(self.folder)}

    def card(self) -> dict[str, Any]:
        """What is written to ``victim.json``: no word of where it lies."""
        own = {k: v for k, v in self.as_json().items() if k not in ("folder", "embedded", "problem")}
        return {"format": FORMAT, **own}


def embedded_folder() -> Path:
    """Folder of the victims that come with the package."""
    from importlib.resources import files

    return Path(str(files("subterfuge"))) / "embedded" / "victims"


def load_victim(name_or_folder: str | Path, *, device: str = "cpu") -> SvmVictim:
    """A victim, ready to hear.

    Parameters
    ----------
    name_or_folder : str or Path
        Name of a victim that comes with the package, the path of a victim's folder, or the name of one
        under ``./victims``; in that order.
    device : str
        ``cpu``, ``cuda``, ``cuda:1``, ...

    Raises
    ------
    SubterfugeError
        If there is none of that name, or what lies there is incomplete, altered or not to be trusted.

    Examples
    --------
    >>> victim = load_victim("orchestra-svc")  # doctest: +SKIP
    >>> victim.labels[victim.predict(y)]  # doctest: +SKIP
    'cel'
    """
    info = victim_info(name_or_folder)
    weights = info.folder / WEIGHTS
    if not weights.is_file():
        raise SubterfugeError(f"{weights}: the victim's weights are missing, expected a skops file")
    found = file_sha256(weights)
    if found != info.sha256:
        raise SubterfugeError(
            f"{weights}: the weights are not those that {CARD} was written for: got SHA-256 {found[:12]}…, "
            f"expected {info.sha256[:12]}…"
        )
    model = read_skops(weights)

    from subterfuge.victims.svm import SvmVictim

    try:
        victim = SvmVictim(
            model,
            labels=info.labels,
            sample_rate=info.sample_rate,
            features=info.features,
            name=info.name,
        )
    except SubterfugeError as error:
        raise SubterfugeError(f"{info.folder}: {error}") from error
    victim.info = info
    try:
        return victim.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "torch refused it"
        raise SubterfugeError(f"device: got {device!r}, expected one that works here ({reason})") from error


def victim_info(name_or_folder: str | Path) -> VictimInfo:
    """What is said of a victim, found as :func:`load_victim` finds it; the weights are not read.

    Raises
    ------
    SubterfugeError
        If there is none of that name, or its ``victim.json`` cannot be read.
    """
    folder = find_folder(name_or_folder)
    return _read_card(folder)


def list_victims(folder: Path = Path("victims")) -> list[VictimInfo]:
    """The victims that come with the package, then those in ``folder``; broken ones carry a ``problem``."""
    return [_card_or_problem(one) for home in (embedded_folder(), Path(folder)) for one in _victims_in(home)]


def find_folder(name_or_folder: str | Path) -> Path:
    """The folder of a victim, by name or path; see :func:`load_victim`.

    Raises
    ------
    SubterfugeError
        If there is none; the nearest names are given.
    """
    text = os.fspath(name_or_folder)
    path = Path(text)
    if not text.strip():
        raise SubterfugeError("victim: got an empty name, expected a victim's name or folder")
    is_name = path.name == text and text not in (".", "..")
    places = [embedded_folder() / text, Path("victims") / text, path] if is_name else [path]
    for place in places:
        if (place / CARD).is_file():
            return place
    if path.is_dir():
        raise SubterfugeError(f"{path}: the folder holds no {CARD}, expected a victim's folder")
    if path.is_file():
        raise SubterfugeError(
            f"{path}: got a file, expected a victim's folder (turn a model into one with: victim import)"
        )
    if not is_name:
        raise SubterfugeError(f"{path}: no such folder, expected a victim's folder")
    known = {one.name: None for home in (embedded_folder(), Path("victims")) for one in _victims_in(home)}
    near = difflib.get_close_matches(text, known, n=3, cutoff=0.4)
    if near:
        raise SubterfugeError(f"unknown victim {text!r}: did you mean {' or '.join(near)}?")
    expected = f"one of {', '.join(known)}, or a victim's folder" if known else "a victim's folder"
    raise SubterfugeError(f"unknown victim {text!r}: expected {expected}")


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
        model = _read_pickle(source)
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
    labels: Sequence[str],
    sample_rate: int,
    features: str = "librosa25",
    out: str | Path,
    name: str | None = None,
    trained: str = "",
    accuracy: Mapping[str, float] | None = None,
    source: Mapping[str, str] | None = None,
    notes: str = "",
    force: bool = False,
) -> Path:
    """Make a victim's folder of a model just trained; parameters and errors as :func:`import_victim`.

    ``source`` says where it comes from, as a dict of short strings (``{"recipe": "..."}``).
    """
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
    )


def read_skops(path: Path) -> Any:
    """The model in a skops file, loaded only if it holds nothing but trusted types.

    Raises
    ------
    SubterfugeError
        If the file is not skops, is cut short, or holds other types; they are named.
    """
    import warnings

    import skops.io

    if not zipfile.is_zipfile(path):
        head = path.read_bytes()[:4]
        if not head:
            what = "the file is empty"
        elif head[:1] == b"\x80":
            what = "this is a pickle under another name"
        elif head[:2] == b"PK":
            what = "the file is cut short"
        else:
            what = "this is not skops"
        raise SubterfugeError(f"{path}: {what}, expected a model saved by skops")
    try:
        untrusted = set(skops.io.get_untrusted_types(file=path))
    except Exception as error:
        raise SubterfugeError(f"{path}: cannot be read as skops ({_first_line(error)})") from error
    if untrusted - OUR_TRUST:
        named = ", ".join(sorted(untrusted - OUR_TRUST))
        raise SubterfugeError(
            f"{path}: holds types that are not trusted ({named}), expected scikit-learn's own"
        )
    try:
        with warnings.catch_warnings():
            # An older scikit-learn's model warns here; what matters is checked against the model itself.
            warnings.simplefilter("ignore")
            return skops.io.load(path, trusted=sorted(untrusted))
    except Exception as error:
        raise SubterfugeError(f"{path}: cannot be loaded by skops ({_first_line(error)})") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_pickle(path: Path) -> Any:
    import warnings

    import joblib

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return joblib.load(path)
    except Exception as error:
        raise SubterfugeError(f"{path}: cannot be unpickled ({_first_line(error)})") from error


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
) -> Path:
    import skops.io

    from subterfuge.victims.svm import check_fit, svm_head

    info = VictimInfo(
        name=name or out.resolve().name,
        kind="svm",
        labels=_checked_labels(labels),
        sample_rate=_checked_rate(sample_rate),
        features=features,
        trained=trained,
        accuracy={k: float(v) for k, v in (accuracy or {}).items()},
        source=source,
        versions=_versions(),
        notes=notes,
        folder=out,
    )
    try:
        check_fit(svm_head(model), labels=info.labels, features=features)
    except SubterfugeError as error:
        raise SubterfugeError(f"{copy_of}: {error}" if copy_of else str(error)) from error
    if _already_there(info, out, force=force):
        return out
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise SubterfugeError(f"{out}: cannot be written ({error.strerror})") from error
    try:
        made.chmod(0o755)
        weights = made / WEIGHTS
        if copy_of is not None:
            shutil.copyfile(copy_of, weights)
        else:
            skops.io.dump(model, weights, compression=zipfile.ZIP_DEFLATED, compresslevel=9)
            read_skops(weights)
        info = replace(info, sha256=file_sha256(weights))
        text = json.dumps(info.card(), indent=2, ensure_ascii=False) + "\n"
        (made / CARD).write_text(text, encoding="utf-8")
        for path in (weights, made / CARD):
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


def _already_there(info: VictimInfo, out: Path, *, force: bool) -> bool:
    """Whether ``out`` holds this very victim; an error where it holds anything else that must be kept."""
    if not out.exists():
        return False
    if not out.is_dir():
        raise SubterfugeError(f"{out}: a file is there, expected a folder to make")
    inside = sorted(path.name for path in out.iterdir())
    if not inside:
        return False
    if CARD not in inside:
        raise SubterfugeError(
            f"{out}: the folder holds other things ({inside[0]}), expected a new or empty one"
        )
    there = _card_or_problem(out)
    keys = ("name", "kind", "labels", "sample_rate", "features", "source", "trained", "accuracy", "notes")
    same = not there.problem and all(getattr(there, key) == getattr(info, key) for key in keys)
    weights = out / WEIGHTS
    if same and "sha256" in info.source and weights.is_file() and file_sha256(weights) == there.sha256:
        return True
    if not force:
        raise SubterfugeError(f"{out}: a different victim is there, expected a new folder (or --force)")
    extra = [name for name in inside if name not in (CARD, WEIGHTS)]
    if extra:
        raise SubterfugeError(f"{out}: holds {extra[0]} beside the victim, expected nothing else to replace")
    return False


def _read_card(folder: Path) -> VictimInfo:
    path = folder / CARD
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SubterfugeError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise SubterfugeError(f"{path}: is not JSON ({_first_line(error)})") from error
    if not isinstance(said, dict):
        raise SubterfugeError(f"{path}: got a {type(said).__name__}, expected one JSON object")
    if said.get("format") != FORMAT:
        raise SubterfugeError(f"{path}: got format {said.get('format')!r}, expected {FORMAT}")
    if said.get("kind") != "svm":
        raise SubterfugeError(f"{path}: got kind {said.get('kind')!r}, expected 'svm'")
    shapes: dict[str, type] = {
        "name": str,
        "labels": list,
        "sample_rate": int,
        "features": str,
        "sha256": str,
        "trained": str,
        "accuracy": dict,
        "source": dict,
        "versions": dict,
        "notes": str,
    }
    for key, kind in shapes.items():
        if key in ("trained", "accuracy", "source", "versions", "notes") and key not in said:
            continue
        if key not in said:
            raise SubterfugeError(f"{path}: {key!r} is missing, expected a {_JSON_NAMES[kind]}")
        if not isinstance(said[key], kind) or isinstance(said[key], bool):
            raise SubterfugeError(f"{path}: {key!r} is {said[key]!r}, expected a {_JSON_NAMES[kind]}")
    try:
        labels, rate = _checked_labels(said["labels"]), _checked_rate(said["sample_rate"])
    except SubterfugeError as error:
        raise SubterfugeError(f"{path}: {error}") from error
    kept = {key: said[key] for key in shapes if key in said}
    kept |= {"labels": labels, "sample_rate": rate, "kind": "svm"}
    embedded = folder.resolve().parent == embedded_folder().resolve()
    return VictimInfo(**kept, folder=folder, embedded=embedded)


_JSON_NAMES: dict[type, str] = {str: "string", list: "list", int: "whole number", dict: "JSON object"}


def _card_or_problem(folder: Path) -> VictimInfo:
    try:
        return _read_card(folder)
    except SubterfugeError as error:
        return VictimInfo(folder.name, "", (), 0, "", folder=folder, problem=str(error))


def _victims_in(home: Path) -> list[Path]:
    if not home.is_dir():
        return []
    return sorted(one for one in home.iterdir() if (one / CARD).is_file() and not one.name.startswith("."))


def _checked_labels(labels: Sequence[str]) -> tuple[str, ...]:
    given: Sequence[Any] = labels.split(",") if isinstance(labels, str) else labels
    for label in given:
        if not isinstance(label, str) or not label.strip():
            raise SubterfugeError(f"labels: got {label!r}, expected names such as cel,cla,flu")
    return tuple(label.strip() for label in given)


def _checked_rate(rate: int) -> int:
    if not 1000 <= rate <= 768000:
        raise SubterfugeError(f"sample rate: got {rate} Hz, expected 1000 to 768000")
    return int(rate)


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    from subterfuge import __version__

    libraries = {name: version(name) for name in ("scikit-learn", "skops", "numpy")}
    return {"subterfuge": __version__, "python": platform.python_version(), **libraries}


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
