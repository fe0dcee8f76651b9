"""Victims of other makes brought in: which kind a source is, the victim it makes, and back from its card."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from subterfuge.errors import SubterfugeError
from subterfuge.files import file_sha256
from subterfuge.victims.card import CARD, OUTSIDE, WAVEFORM, VictimInfo, checked_rate
from subterfuge.victims.outside import OutsideVictim
from subterfuge.victims.own_code import is_reference

_ALL = ("gives", "thresholds", "window", "hop")
# What can be said of how a victim of each kind is asked, and what its answers mean.
OPTIONS: dict[str, tuple[str, ...]] = {
    "onnx": _ALL,
    "function": (*_ALL, "takes"),
    "http": (*_ALL, "sends", "token", "timeout", "retries", "wait", "rate"),
}
_WHERE = {"onnx": "", "function": "callable", "http": "url"}


def told_kind(source: str) -> str:
    """Which kind a source is by its looks: ``http``, ``onnx``, ``function``, or else a fitted ``sklearn``.

    Examples
    --------
    >>> told_kind("https://here/hear"), told_kind("net.onnx"), told_kind("mine:f"), told_kind("svc.skops")
    ('http', 'onnx', 'function', 'sklearn')
    """
    if source.lower().startswith(("http://", "https://")):
        return "http"
    if source.lower().endswith(".onnx"):
        return "onnx"
    return "function" if is_reference(source) else "sklearn"


def bring(
    kind: str,
    source: str,
    *,
    labels: Sequence[str] | None,
    sample_rate: int | None,
    features: str | None,
    options: Mapping[str, Any],
) -> tuple[OutsideVictim, dict[str, str]]:
    """The victim that a source makes, asked once where that costs nothing, and where it comes from.

    Parameters
    ----------
    kind : str
        ``onnx``, ``function`` or ``http``.
    source : str
        A file, ``module:callable`` or an address.
    labels : sequence of str, optional
        None: a model's metadata, a function's attribute, or a service's own, which is asked for them once.
    sample_rate : int, optional
        In Hz; None: likewise, but of a service it must be said.
    features : str, optional
        Of an ONNX model: what it takes, if not the waveform.
    options : mapping
        Those of :data:`OPTIONS` that are said.

    Raises
    ------
    SubterfugeError
        If the kind has no such option, or the source makes no victim.
    """
    for option in options:
        if option not in OPTIONS[kind]:
            raise SubterfugeError(f"{option}: a victim of kind {kind} has no such option")
    if features not in (None, WAVEFORM) and kind != "onnx":
        raise SubterfugeError(f"features: got {features!r} for a victim of kind {kind}, which takes audio")
    if kind == "onnx":
        from subterfuge.victims.onnx import OnnxVictim

        model = OnnxVictim(
            source, labels=labels, sample_rate=sample_rate, features=features or WAVEFORM, **options
        )
        model.check()
        return model, {"file": Path(source).name, "sha256": file_sha256(Path(source))}
    if kind == "function":
        from subterfuge.victims.function import function_victim

        made = function_victim(source, labels=labels, sample_rate=sample_rate, **options)
        made.check()
        return made, {"callable": source, **_file_of(source)}
    from subterfuge.victims.http import HttpVictim, ask_labels

    if sample_rate is None:
        raise SubterfugeError(
            "sample rate: got none for a service, expected the rate that it hears at, in Hz"
        )
    if labels is None:
        asking = {key: options[key] for key in OPTIONS["http"][len(_ALL) :] if key in options}
        labels = ask_labels(source, sample_rate=checked_rate(sample_rate), **asking)
    service = HttpVictim(source, labels=labels, sample_rate=sample_rate, **options)
    return service, {"url": service.asker.shown}


def read_outside(info: VictimInfo) -> OutsideVictim:
    """The victim that a card describes, of a kind that is not ours.

    Raises
    ------
    SubterfugeError
        If the card says what cannot be, or what it names is not there.
    """
    options = dict(info.options)
    where = _WHERE[info.kind]
    known = (*OPTIONS[info.kind], *([where] if where else []))
    for key in options:
        if key not in known:
            raise SubterfugeError(f"{CARD}: unknown option {key!r}, expected {', '.join(known)}")
    if where and not isinstance(options.get(where), str):
        raise SubterfugeError(f"{CARD}: the option {where!r} is missing, expected a string")
    said: dict[str, Any] = {"labels": info.labels, "sample_rate": info.sample_rate, "name": info.name}
    try:
        if info.kind == "onnx":
            from subterfuge.victims.onnx import OnnxVictim

            return OnnxVictim(info.weights, features=info.features, **said, **options)
        if info.kind == "function":
            from subterfuge.victims.function import function_victim

            return function_victim(options.pop("callable"), **said, **options)
        from subterfuge.victims.http import HttpVictim

        return HttpVictim(options.pop("url"), **said, **options)
    except SubterfugeError:
        raise
    except (TypeError, ValueError, AttributeError) as error:  # a number where a text should be, or the like
        raise SubterfugeError(f"{CARD}: an option is of the wrong type ({error})") from error


def check_kind(kind: str | None, source: str) -> str:
    """The kind that is asked for, or that a source looks like.

    Raises
    ------
    SubterfugeError
        If there is no such kind.
    """
    kinds = ("sklearn", *OUTSIDE)
    if kind is not None and kind not in kinds:
        raise SubterfugeError(f"kind: got {kind!r}, expected {', '.join(kinds)}")
    return kind or told_kind(source)


def _file_of(reference: str) -> dict[str, str]:
    """Name and hash of the file that some code is in, for whoever wonders later which code it was."""
    path = getattr(sys.modules.get(reference.partition(":")[0]), "__file__", None)
    if path is None or not Path(path).is_file():
        return {}
    return {"file": Path(path).name, "sha256": file_sha256(Path(path))}
