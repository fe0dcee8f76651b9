"""What a defence at the input is: a transform that keeps the length, and says how to attack through it."""

from __future__ import annotations

from dataclasses import Field, asdict, fields
from typing import Any, Protocol

import torch
from torch import Tensor

from subterfuge.defences.registry import find, get_defence, known
from subterfuge.errors import SubterfugeError
from subterfuge.transforms.transform import Transform

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class Defence(Transform, Protocol):
    """A transform (:class:`subterfuge.transforms.transform.Transform`) that victims are wrapped in.

    Implementations are frozen dataclasses whose fields are the options; ``apply`` keeps the shape.

    Attributes
    ----------
    random : bool
        Whether draws differ.
    adaptive : str
        What its gradient is: ``differentiable`` (the true one, almost everywhere), ``straight-through`` (a
        stand-in for one that is zero or missing: BPDA, Athalye et al. 2018), ``expectation`` (the true one of
        each draw, to be averaged over draws: EOT, the same).

    References
    ----------
    Athalye, Carlini and Wagner, "Obfuscated gradients give a false sense of security", ICML 2018.
    """

    random: bool

    @property
    def adaptive(self) -> str:
        """See above."""
        ...


class Undrawn:
    """What defences share that leave nothing to chance."""

    random = False

    def draw(self, generator: torch.Generator) -> dict[str, float]:
        """Nothing is drawn."""
        return {}


def make(name: str, **options: object) -> Defence:
    """The input defence of that name with those options; text is read as what the option is.

    Raises
    ------
    SubterfugeError
        If there is no such defence or option, or a value makes no sense.

    Examples
    --------
    >>> make("bits", bits="6")
    Bits(bits=6)
    """
    entry = find(name)
    if entry.kind != "wrap":
        raise SubterfugeError(f"defence {known(name)!r}: is of kind {entry.kind}, expected one at the input")
    kind = get_defence(name)
    own = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    given = {**entry.options, **options}
    for key in given:
        if key not in own:
            expected = ", ".join(own) or "none"
            raise SubterfugeError(f"option {key!r}: {known(name)} has no such, expected {expected}")
    made: Defence = kind(**{key: read_option(key, value, own[key]) for key, value in given.items()})
    return made


def options_of(name: str) -> dict[str, Any]:
    """The options of an input defence, with what they are if nothing is said.

    Examples
    --------
    >>> options_of("median")
    {'size': 5}
    """
    return asdict(make(name))  # type: ignore[call-overload, no-any-return]


def read_option(name: str, value: object, field: Field[Any]) -> object:
    """A value as its field wants it, from text or number.

    Raises
    ------
    SubterfugeError
        If it cannot be read so.
    """
    kind = str(field.type)
    text = str(value).strip().casefold()
    if kind == "bool" and text in (*_TRUE, *_FALSE):
        return text in _TRUE
    if kind == "str" and isinstance(value, str):
        return value.strip()
    try:
        if kind == "int" and not isinstance(value, bool):
            return int(text)
        if kind == "float" and not isinstance(value, bool):
            return float(text)
    except ValueError:
        pass
    wanted = {"int": "a whole number", "float": "a number", "bool": "true or false"}.get(kind, "text")
    raise SubterfugeError(f"option {name!r}: got {value!r}, expected {wanted}")


class _StandIn(torch.autograd.Function):
    """Given values forward; backward, the gradient as if nothing had happened."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, out: Tensor) -> Tensor:
        return out.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


def straight_through(y: Tensor, out: Tensor) -> Tensor:
    """``out``, exactly, with the gradient of ``y``.

    Examples
    --------
    >>> y = torch.tensor([0.3], requires_grad=True)
    >>> straight_through(y, y.round()).backward()
    >>> y.grad
    tensor([1.])
    """
    passed: Tensor = _StandIn.apply(y, out.detach())  # type: ignore[no-untyped-call]
    return passed
