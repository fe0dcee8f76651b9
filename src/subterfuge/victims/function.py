"""A function of the user's as a victim: NumPy or torch, a batch or a clip at a time, scores or a label."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.victims.answers import Answer, in_order, place_of
from subterfuge.victims.outside import OutsideVictim
from subterfuge.victims.own_code import in_short, is_reference, load_reference, said_of

# What a function is called with: an array of NumPy or torch, of shape (batch, samples) or (samples,).
TAKES = ("numpy", "torch", "numpy-clip", "torch-clip")


class FunctionVictim(OutsideVictim):
    """Any callable that says what it hears.

    It is called with float32 audio in [-1, 1] at its sample rate, a batch of shape (batch, samples) or, if it
    takes a clip, of shape (samples,). It returns one score a label, shape (batch, labels) or (labels,); or
    label names or indices, one a clip. One that takes a clip may also return scores by label in a dict.

    It has gradients if it takes torch and what it returns depends on its input by a graph.

    Parameters
    ----------
    function : callable
        A ``torch.nn.Module`` is put in evaluation mode.
    labels, sample_rate, takes, gives, thresholds, window, hop
        Those that are None are the function's attributes of that name; its labels and sample rate may be
        those of the module that it is from. ``takes`` is one of :data:`TAKES`, by default ``torch`` for a
        ``torch.nn.Module`` or where the parameter is annotated as a ``torch.Tensor``, else ``numpy``. The
        others are as in
        :class:`subterfuge.victims.outside.OutsideVictim`.
    reference : str
        ``module:callable``, where it is known by one.
    name : str

    Raises
    ------
    SubterfugeError
        If it cannot be called, its labels or its sample rate are known from nowhere, or, where it takes
        torch, it fails on a second (or window) of faint noise.

    Examples
    --------
    >>> def sided(y):
    ...     return np.stack([y.mean(1), -y.mean(1)], 1)
    >>> victim = FunctionVictim(sided, labels=("up", "down"), sample_rate=8000)
    >>> victim.predict(torch.full((1, 8000), -0.1)), victim.differentiable
    (tensor([1]), False)
    """

    kind = "function"

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        labels: Sequence[str] | None = None,
        sample_rate: int | None = None,
        takes: str | None = None,
        gives: str | None = None,
        thresholds: float | Sequence[float] | None = None,
        window: float | None = None,
        hop: float | None = None,
        reference: str = "",
        name: str = "",
    ) -> None:
        self.reference = reference or getattr(function, "__name__", type(function).__name__)
        if not callable(function):
            raise SubterfugeError(
                f"{self.reference}: got a {type(function).__name__}, expected something that can be called"
            )
        labels = said_of(function, "labels", home=True) if labels is None else labels
        sample_rate = said_of(function, "sample_rate", home=True) if sample_rate is None else sample_rate
        for what, value, such in (("labels", labels, "flu,tru"), ("sample rate", sample_rate, "44100")):
            if value is None:
                raise SubterfugeError(
                    f"{self.reference}: no {what} known, expected them as an option or as its attribute "
                    f"{what.replace(' ', '_')} (such as {such})"
                )
        super().__init__(
            labels=list(labels or ()),
            sample_rate=int(sample_rate or 0),
            gives=str(gives or said_of(function, "gives") or "scores"),
            thresholds=said_of(function, "thresholds") if thresholds is None else thresholds,
            window=said_of(function, "window") if window is None else window,
            hop=said_of(function, "hop") if hop is None else hop,
            name=name or self.reference,
        )
        self.takes = str(takes or said_of(function, "takes") or _taken_by(function))
        if self.takes not in TAKES:
            raise SubterfugeError(f"takes: got {self.takes!r}, expected {', '.join(TAKES)}")
        self.options |= {"takes": self.takes} | ({"callable": reference} if reference else {})
        if isinstance(function, torch.nn.Module):
            function = function.eval()
        self.function = function
        self.differentiable = self.takes.startswith("torch") and self._has_graph()

    def answer(self, y: Tensor) -> Answer:
        """What it returns for ``y``, shape (batch, samples), as scores or labels."""
        given: Any = y.float().clone()  # it may well change in place what it is given
        if not self.differentiable:
            given = given.detach()
        if self.takes.startswith("numpy"):
            given = given.cpu().numpy()
        if not self.takes.endswith("clip"):
            return self._batch(self._call(given), len(y), y.device)
        answers = [self._clip(self._call(one), y.device) for one in given]
        if any((one.scores is None) != (answers[0].scores is None) for one in answers):
            raise SubterfugeError(f"{self.reference}: gave scores for one clip and a label for another")
        if answers[0].scores is None:
            labels = [one.predicted for one in answers if one.predicted is not None]
            return Answer(predicted=torch.cat(labels))
        return Answer(torch.cat([one.scores for one in answers if one.scores is not None]))

    def _call(self, given: Any) -> Any:
        try:
            return self.function(given)
        except SubterfugeError:
            raise
        except Exception as error:
            shape = "×".join(map(str, given.shape))
            raise SubterfugeError(
                f"{self.reference}: failed on float32 audio of shape {shape} ({in_short(error)})"
            ) from error

    def _batch(self, given: Any, n: int, device: torch.device) -> Answer:
        """What was returned for a batch of ``n`` clips."""
        k = len(self.labels)
        if isinstance(given, (str, Mapping)):
            raise self._unexpected(_described(given), n)
        if not isinstance(given, Tensor):
            array = np.asarray(given)
            if array.dtype.kind in "UO" and array.shape == (n,):
                return Answer(predicted=self._places(array.tolist(), device))
            given = self._tensor(array, n)
        given = given.to(device)
        if given.shape == (n, k) and not given.is_complex():
            return Answer(given if given.is_floating_point() else given.double())
        if given.shape == (n,) and not given.is_floating_point() and not given.is_complex():
            return Answer(predicted=self._places(given.tolist(), device))
        raise self._unexpected(f"shape {tuple(given.shape)}", n)

    def _clip(self, given: Any, device: torch.device) -> Answer:
        """What was returned for one clip, as a batch of one."""
        if isinstance(given, Mapping):
            numbers = {str(label): _number(score) for label, score in given.items()}
            row = in_order(numbers, self.labels, share=self.meaning.gives == "probabilities")
            return Answer(torch.tensor([row], dtype=torch.float64, device=device))
        if isinstance(given, str) or np.ndim(given.detach() if isinstance(given, Tensor) else given) == 0:
            return Answer(predicted=self._places([_number(given)], device))
        if isinstance(given, Tensor):
            return self._batch(given[None] if given.ndim == 1 else given, 1, device)
        array = np.asarray(given)
        return self._batch(array[None] if array.ndim == 1 else array, 1, device)

    def _places(self, given: list[Any], device: torch.device) -> Tensor:
        try:
            return torch.tensor([place_of(_number(one), self.labels) for one in given], device=device)
        except SubterfugeError as error:
            raise SubterfugeError(f"{self.reference}: {error}") from error

    def _tensor(self, array: Any, n: int) -> Tensor:
        if array.dtype.kind not in "fiub":
            raise self._unexpected(f"an array of {array.dtype}", n)
        return torch.from_numpy(np.ascontiguousarray(array))

    def _unexpected(self, got: str, n: int) -> SubterfugeError:
        k = len(self.labels)
        shapes = f"({k},)" if self.takes.endswith("clip") else f"({n}, {k})"
        hint = "" if self.takes.endswith("clip") else f"; for one that takes a clip: takes {self.takes}-clip"
        return SubterfugeError(
            f"{self.reference}: gave {got}, expected scores of shape {shapes} or one label a clip{hint}"
        )

    def _has_graph(self) -> bool:
        """Whether what it returns can be differentiated by what it is given."""
        with torch.enable_grad():
            y = self.faint_noise().requires_grad_()
            self.differentiable = True  # so that the graph is left as it is
            scores = self.answer(y if self.windows is None else self.windows.cut(y).flatten(0, 1)).scores
            if scores is None or not scores.requires_grad:
                return False
            (slope,) = torch.autograd.grad(scores.sum(), y, allow_unused=True)
            return slope is not None


def function_victim(reference: str, **said: Any) -> FunctionVictim:
    """The victim that ``module:callable`` names; what is not said is taken from its attributes.

    Parameters
    ----------
    reference : str
    said
        As for :class:`FunctionVictim`.

    Raises
    ------
    SubterfugeError
        If it cannot be imported or is no victim.
    """
    if not is_reference(reference):
        raise SubterfugeError(f"got {reference!r}, expected module:callable, such as my_module:classify")
    return FunctionVictim(load_reference(reference), reference=reference, **said)


def _taken_by(function: Callable[..., Any]) -> str:
    """What it takes if it does not say so: torch where it is a module or its parameter is annotated so."""
    if isinstance(function, torch.nn.Module):
        return "torch"
    try:
        first = next(iter(inspect.signature(function).parameters.values()))
    except (TypeError, ValueError, StopIteration):
        return "numpy"
    said = first.annotation
    return "torch" if said is Tensor or str(said).rpartition(".")[2] == "Tensor" else "numpy"


def _number(value: Any) -> Any:
    """A number of NumPy or torch as Python's own; anything else as it is."""
    return value.item() if isinstance(value, (np.generic, np.ndarray, Tensor)) else value


def _described(value: Any) -> str:
    return f"{str(value)[:40]!r}" if isinstance(value, str) else f"a {type(value).__name__}"
