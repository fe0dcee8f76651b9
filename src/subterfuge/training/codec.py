"""Measures, reports and evaluations as strict JSON and back: the one place that knows how."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from subterfuge.errors import SubterfugeError
from subterfuge.files import strict_json

T = TypeVar("T")


def to_json(value: Any) -> str:
    """A dataclass of this room (:class:`Measures`, :class:`TrainingReport`, ...) as strict JSON, indented.

    Numbers that JSON has no word for (NaN: what cannot be said) become null.

    Examples
    --------
    >>> from subterfuge.training.measures import Estimate
    >>> to_json(Estimate(0.5, 0.25, float("nan"))).split()
    ['{', '"value":', '0.5,', '"low":', '0.25,', '"high":', 'null', '}']
    """
    return strict_json(plain(value)) + "\n"


def from_json(kind: type[T], text: str) -> T:
    """What :func:`to_json` wrote, as the same type again; null in the place of a number becomes NaN.

    Raises
    ------
    SubterfugeError
        If the text is not JSON, or lacks a field, has one too many, or one of another type.

    Examples
    --------
    >>> from subterfuge.training.measures import Estimate
    >>> from_json(Estimate, '{"value": 0.5, "low": 0.25, "high": 1}')
    Estimate(value=0.5, low=0.25, high=1.0)
    """
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise SubterfugeError(f"{kind.__name__}: got text that is not strict JSON ({error})") from None
    built: T = _build(kind, value, kind.__name__)
    return built


def plain(value: Any) -> Any:
    """Plain JSON types of dataclasses, paths, tuples and numpy's scalars, however nested."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, Path):
        return str(value)
    if type(value).__module__ == "numpy":
        return plain(value.tolist())
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _build(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return _build(next(one for one in inner if one is not type(None)), value, where)
    if kind is float and (value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))):
        return float("nan") if value is None else float(value)
    if kind in (int, bool, str) and type(value) is kind:
        return value
    if kind is Path and isinstance(value, str):
        return Path(value)
    if origin is tuple and isinstance(value, list):
        return tuple(_build(inner[0], one, f"{where}[{i}]") for i, one in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _build(inner[1], one, f"{where}.{key}") for key, one in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _dataclass(kind, value, where)
    raise SubterfugeError(f"{where}: got {json.dumps(value)[:60]}, expected {_name(kind)}")


def _dataclass(kind: Any, value: dict[str, Any], where: str) -> Any:
    fields = {one.name: one for one in dataclasses.fields(kind)}
    hints = get_type_hints(kind)
    for name in value:
        if name not in fields:
            raise SubterfugeError(f"{where}: got the field {name!r}, expected only {', '.join(fields)}")
    for name, one in fields.items():
        bare = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        if bare and name not in value:
            raise SubterfugeError(f"{where}: the field {name!r} is missing, expected it")
    return kind(**{name: _build(hints[name], inner, f"{where}.{name}") for name, inner in value.items()})


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
