"""Axes of charts: where values lie, and which ticks are written so that none runs into another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_MINUS = "\N{MINUS SIGN}"
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes
    ----------
    label : str
        What it shows, with its unit.
    low, high : float
        Its ends, low < high.
    ticks : tuple of (float, str)
        Where something is written, and what.
    log : bool
        Whether equal distances are equal ratios.
    """

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies, 0 at the low end and 1 at the high one; held inside."""
        low, high, x = (math.log(max(v, 1e-300)) if self.log else v for v in (self.low, self.high, value))
        return min(1.0, max(0.0, (x - low) / (high - low)))


def linear(values: Sequence[float], label: str, *, ticks: int = 5, whole: bool = False) -> Axis:
    """A linear axis around values, its ends on round numbers.

    Parameters
    ----------
    values : sequence of float
        Those that are not finite are passed over.
    label : str
    ticks : int
        At most so many steps.
    whole : bool
        Whether only whole numbers make sense.

    Examples
    --------
    >>> [text for _, text in linear([0.2, 3.9], "Loss").ticks]
    ['0', '1', '2', '3', '4']
    """
    known = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if high - low < 1e-12 * max(1.0, abs(high)):
        scale = max(abs(low), abs(high))
        room = 1.0 if whole or scale < 1e-9 else 0.05 * scale
        low, high = low - room, high + room
    step = _step((high - low) / ticks, whole)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    at = [n * step for n in range(first, last + 1)]
    return Axis(label, at[0], at[-1], tuple((v, _text(v, step)) for v in at))


def logarithmic(values: Sequence[float], label: str, *, ticks: int = 5) -> Axis:
    """A logarithmic axis around positive values, ticks at 1, 2 and 5, or 1 and 3, times powers of ten.

    Examples
    --------
    >>> [text for _, text in logarithmic([0.1, 19.0], "C").ticks]
    ['0.1', '0.3', '1', '3', '10']
    """
    known = [v for v in values if math.isfinite(v) and v > 0] or [1.0, 10.0]
    low, high = min(known), max(known)
    if high / low < 1.001:
        low, high = low / 2, high * 2
    margin = (high / low) ** 0.04
    low, high = low / margin, high * margin
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for digits in ((1, 2, 5), (1, 3), (1,)):
        at = [d * 10.0**e for e in range(first, last + 1) for d in digits]
        at = [v for v in at if low <= v <= high]
        if len(at) <= ticks:
            break
    if len(at) < 2:  # too narrow for any of these
        at = sorted({min(known), max(known)})
    every = math.ceil(len(at) / ticks)
    return Axis(label, low, high, tuple((v, _short(v)) for v in at[::every]), log=True)


def shares(label: str, values: Sequence[float] = (0.0, 1.0), *, ticks: int = 5) -> Axis:
    """A linear axis of shares, from 0 to 1, written in per cent.

    Examples
    --------
    >>> [text for _, text in shares("Accuracy, %").ticks]
    ['0', '20', '40', '60', '80', '100']
    """
    axis = linear([100 * v for v in values], label, ticks=ticks)
    low, high = axis.low / 100, axis.high / 100
    return Axis(label, low, high, tuple((v / 100, text) for v, text in axis.ticks))


def _step(least: float, whole: bool) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * s for s in _STEPS if power * s >= least * (1 - 1e-9))
    return float(max(1, math.ceil(step))) if whole else step


def _text(value: float, step: float) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if digits and abs(step * 10**digits - round(step * 10**digits)) > 1e-6:  # 0.25
        digits += 1
    if not digits and abs(step - round(step)) > 1e-6:  # 2.5
        digits = 1
    shown = f"{value:.{digits}f}"
    return shown.lstrip("-") if not float(shown) else shown.replace("-", _MINUS)


def _short(value: float) -> str:
    """A tick of a logarithmic axis, with no more characters than needed."""
    exponent = math.floor(math.log10(value) + 1e-9)
    if -4 < exponent < 5:
        return f"{value:.4g}" if value < 9999 else f"{value:.0f}"
    return f"{value:.0e}".replace("e-0", f"e{_MINUS}").replace("e-", f"e{_MINUS}").replace("e+0", "e")
