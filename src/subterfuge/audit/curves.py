"""Robust accuracy as a curve: the share of clips heard rightly whatever an attacker does within a size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

# Where curves are drawn: SNR from faint changes to loud ones, worst noise-to-mask ratio likewise, in dB.
SNR_GRID = tuple(float(x) for x in range(80, -11, -2))
NMR_GRID = tuple(float(x) for x in range(-30, 61, 2))


def robust_snr(clean: Sequence[bool], attempts: Sequence[dict[str, Any]], at: float) -> float:
    """Share of all clips heard rightly and not fooled by any change at an SNR of ``at`` dB or more (smaller).

    Parameters
    ----------
    clean : sequence of bool
        Whether each clip is heard rightly as it is.
    attempts : sequence of dict
        What was found for each (:func:`subterfuge.audit.attempts.attempt`).
    at : float

    Examples
    --------
    >>> found = [{"success": True, "snr_db": 40.0}, {"success": False, "snr_db": None}]
    >>> [robust_snr([True, True], found, at) for at in (50.0, 40.0, 30.0)]
    [1.0, 0.5, 0.5]
    """
    fooled = [_fooled(one) and one["snr_db"] >= at for one in attempts]
    return _share(clean, fooled)


def robust_nmr(clean: Sequence[bool], attempts: Sequence[dict[str, Any]], at: float) -> float:
    """The same for a worst noise-to-mask ratio of ``at`` dB or less; 0 is just masked."""
    fooled = [_fooled(one) and one["nmr_db"] <= at for one in attempts]
    return _share(clean, fooled)


def median(values: Sequence[float]) -> float | None:
    """The middle value; None of none."""
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    low, high = ordered[(len(ordered) - 1) // 2], ordered[middle]
    return low if low == high else (low + high) / 2


def median_snr(attempts: Sequence[dict[str, Any]]) -> float | None:
    """Median SNR over all clips, a failure counted as beyond any: minus infinity is given as None."""
    found = median([float(one["snr_db"]) if _fooled(one) else -math.inf for one in attempts])
    return None if found is None or math.isinf(found) else found


def _fooled(one: dict[str, Any]) -> bool:
    return bool(one["success"])


def _share(clean: Sequence[bool], fooled: Sequence[bool]) -> float:
    kept = [right and not lost for right, lost in zip(clean, fooled, strict=True)]
    return sum(kept) / len(kept) if kept else math.nan
