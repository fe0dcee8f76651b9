"""What ``victim.json`` says of a victim: the type, how it is written and how it is checked when read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from subterfuge.errors import SubterfugeError

FORMAT = 1
CARD = "victim.json"

# What a victim can be, and the file that its weights are in.
KINDS = {
    "svm": "model.skops",
    "sklearn": "model.skops",
    "cnn": "model.safetensors",
    "musicnn": "model.safetensors",
    "huggingface": "model.safetensors",
    "onnx": "model.onnx",
    "function": "",
    "http": "",
    "defended": "",
    "smoothed": "",
    "ensemble": "",
    "guarded": "model.safetensors",
}
# Those that are torch networks on the waveform: their card says how they are built.
NETWORKS = ("cnn", "musicnn", "huggingface")

# Those that are neither trained nor computed by us: their card says how they are asked.
OUTSIDE = ("onnx", "function", "http")

# Those that are another victim, in the folder INNER beside the card, and what is done about it; or several,
# in as many of the INNERS.
WRAPPED = ("defended", "smoothed", "ensemble", "guarded")
INNER = "inner"
INNERS = (INNER, *(f"{INNER}-{number}" for number in range(2, 10)))

# What a network hears: the samples themselves, its front end being a part of it.
WAVEFORM = "waveform"


@dataclass(frozen=True)
class VictimInfo:
    """What ``victim.json`` says of a victim.

    Attributes
    ----------
    name : str
    kind : str
        ``svm`` (scalers and an SVC, with gradients), ``sklearn`` (any other model of scikit-learn, without),
        ``cnn`` (our network on the waveform, with gradients), ``musicnn`` (the published tagger) or
        ``huggingface`` (an audio classifier of transformers), also on the waveform and with gradients.
    labels : tuple of str
        In the order of the model's classes.
    sample_rate : int
        In Hz.
    features : str
        Name of the features that the model was fitted on; ``waveform`` for a network.
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
    network : dict
        How a network is built, so that its weights fit; empty for the other kinds.
    options : dict
        How one that is not ours is asked (where, with what, what its answers mean), or how another victim is
        defended; empty for the others.
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
    network: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    folder: Path = Path()
    embedded: bool = False
    problem: str = ""

    @property
    def weights(self) -> Path:
        """The file of its weights; the folder itself of a kind that has none."""
        return self.folder / KINDS[self.kind]

    @property
    def has_weights(self) -> bool:
        """Whether weights lie in the folder (a function or a service has them elsewhere)."""
        return bool(KINDS[self.kind])

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types, with the folder, as ``victim info --json`` prints it."""
        said = {**asdict(self), "labels": list(self.labels), "folder": str(self.folder)}
        for key in ("network", "options"):
            if not said[key]:
                del said[key]
        return said

    def card(self) -> dict[str, Any]:
        """What is written to ``victim.json``: no word of where it lies."""
        own = {k: v for k, v in self.as_json().items() if k not in ("folder", "embedded", "problem")}
        return {"format": FORMAT, **own}


def write_card(info: VictimInfo, folder: Path) -> Path:
    """Write ``victim.json`` into a folder."""
    path = folder / CARD
    path.write_text(json.dumps(info.card(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


_SHAPES: dict[str, type] = {
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
    "network": dict,
    "options": dict,
}
_OPTIONAL = ("trained", "accuracy", "source", "versions", "notes", "network", "options")
_JSON_NAMES: dict[type, str] = {str: "string", list: "list", int: "whole number", dict: "JSON object"}


def read_card(folder: Path) -> VictimInfo:
    """What a victim's folder says of it.

    Raises
    ------
    SubterfugeError
        If ``victim.json`` is missing, is not JSON, or says something that cannot be; what, is told.
    """
    path = folder / CARD
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SubterfugeError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise SubterfugeError(f"{path}: is not JSON ({str(error).splitlines()[0].rstrip('.')})") from error
    if not isinstance(said, dict):
        raise SubterfugeError(f"{path}: got a {type(said).__name__}, expected one JSON object")
    if said.get("format") != FORMAT:
        raise SubterfugeError(f"{path}: got format {said.get('format')!r}, expected {FORMAT}")
    kind = said.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise SubterfugeError(f"{path}: got kind {kind!r}, expected {', '.join(KINDS)}")
    for key, shape in _SHAPES.items():
        if key in _OPTIONAL and key not in said:
            continue
        if key not in said:
            raise SubterfugeError(f"{path}: {key!r} is missing, expected a {_JSON_NAMES[shape]}")
        if not isinstance(said[key], shape) or isinstance(said[key], bool):
            raise SubterfugeError(f"{path}: {key!r} is {said[key]!r}, expected a {_JSON_NAMES[shape]}")
    if kind in NETWORKS and not said.get("network"):
        raise SubterfugeError(f"{path}: 'network' is missing, expected a JSON object")
    try:
        labels, rate = checked_labels(said["labels"]), checked_rate(said["sample_rate"])
    except SubterfugeError as error:
        raise SubterfugeError(f"{path}: {error}") from error
    kept = {key: said[key] for key in _SHAPES if key in said}
    return VictimInfo(**(kept | {"labels": labels, "sample_rate": rate, "kind": kind}), folder=folder)


def checked_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels as a tuple, without the spaces around them.

    Raises
    ------
    SubterfugeError
        If one is empty or not text.
    """
    given: Sequence[Any] = labels.split(",") if isinstance(labels, str) else labels
    for label in given:
        if not isinstance(label, str) or not label.strip():
            raise SubterfugeError(f"labels: got {label!r}, expected names such as cel,cla,flu")
    return tuple(label.strip() for label in given)


def checked_rate(rate: int) -> int:
    """A sample rate in Hz.

    Raises
    ------
    SubterfugeError
        If nothing is heard at that rate: below 1 kHz or above 768 kHz.
    """
    if not 1000 <= rate <= 768000:
        raise SubterfugeError(f"sample rate: got {rate} Hz, expected 1000 to 768000")
    return int(rate)
