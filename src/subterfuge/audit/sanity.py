"""The sanity checks that an evaluation of robustness must pass, each with what was seen, in words.

Carlini, Athalye, Papernot, Brendel, Rauber, Tsipras, Goodfellow, Madry and Kurakin, "On evaluating
adversarial robustness", 2019; Athalye, Carlini and Wagner, "Obfuscated gradients give a false sense of
security: circumventing defenses to adversarial examples", ICML 2018.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from subterfuge.audit.curves import median, robust_snr

Tables = Mapping[str, Sequence[dict[str, Any]]]
# By how much, in dB, one attack may be behind one that knows less before it is a warning: seeds differ.
SLACK = 1.0
# An attack without a bound on the change must fool all but a share of clips.
UNBOUNDED = 1.0


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes
    ----------
    name, words : str
        What is asked, and what was seen.
    passed : bool or None
        None where it could not be asked.
    """

    name: str
    words: str
    passed: bool | None


def checks(clean: Sequence[bool], tables: Tables, slopes: Sequence[dict[str, float]]) -> list[dict[str, Any]]:
    """All checks of an audit.

    Parameters
    ----------
    clean : sequence of bool
        Which clips are heard rightly.
    tables : mapping of str to sequence of dict
        Attempts on those by task, in the same order each.
    slopes : sequence of dict
        Of each clip, as :func:`subterfuge.audit.slopes.slopes` gives them.

    Returns
    -------
    list of dict
        The fields of :class:`Check`.
    """
    asked: list[Callable[[Tables], Check]] = [_unbounded, _white_before_black, _more_steps, _iterated, _noise]
    found = [one(tables) for one in asked]
    return [asdict(one) for one in (*found, _slopes(slopes))]


def _won(attempts: Sequence[dict[str, Any]]) -> int:
    return sum(bool(one["success"]) for one in attempts)


def _unbounded(tables: Tables) -> Check:
    name = "Without a bound on the change every clip is fooled"
    white = [task for task in ("minimal", "masked") if task in tables]
    tasks = white or [task for task in ("scores", "label") if task in tables]
    if not tasks or not tables[tasks[0]]:
        return Check(name, "no attack was run", None)
    clips = len(tables[tasks[0]])
    either = sum(any(bool(tables[task][i]["success"]) for task in tasks) for i in range(clips))
    words = f"{either} of {clips} by {' or '.join(tasks)}"
    return Check(name, words, either >= UNBOUNDED * clips)


def _white_before_black(tables: Tables) -> Check:
    name = "Gradients are never worth less than answers"
    blind = [task for task in ("scores", "label") if task in tables]
    if "minimal" not in tables or not blind:
        return Check(name, "one of the two kinds of attack was not run", None)
    behind = []
    for task in blind:
        pairs = zip(_snrs(tables["minimal"]), _snrs(tables[task]), strict=True)
        behind += [f"{task}, clip {i + 1}" for i, (white, black) in enumerate(pairs) if black > white + SLACK]
    words = f"{len(behind)} clips need less without gradients than with them"
    return Check(name, words + (f" ({'; '.join(behind)})" if behind else ""), not behind)


def _more_steps(tables: Tables) -> Check:
    name = "More steps never make an attack weaker"
    if "minimal" not in tables or "fewer-steps" not in tables:
        return Check(name, "not run", None)
    pairs = zip(_snrs(tables["minimal"]), _snrs(tables["fewer-steps"]), strict=True)
    worse = sum(few > many + SLACK for many, few in pairs)
    return Check(name, f"{worse} clips by more than {SLACK:g} dB", worse == 0)


def _iterated(tables: Tables) -> Check:
    name = "Many steps beat one"
    if "minimal" not in tables or "one-step" not in tables:
        return Check(name, "not run", None)
    pairs = zip(_snrs(tables["minimal"]), _snrs(tables["one-step"]), strict=True)
    worse = sum(one > many + SLACK for many, one in pairs)
    return Check(name, f"{worse} clips where one step along the gradient is nearer", worse == 0)


def _noise(tables: Tables) -> Check:
    name = "Noise as loud as the change does not fool it"
    if "noise" not in tables or not _won(tables.get("minimal", ())):
        return Check(name, "nothing to compare with", None)
    fooled, tried = _won(tables["noise"]), _won(tables["minimal"])
    # Noise that does as well says that the victim is frail, not that the attack is strong.
    return Check(
        name, f"{fooled} of {tried} clips are fooled by white noise of that size", 2 * fooled <= tried
    )


def _slopes(slopes: Sequence[dict[str, float]]) -> Check:
    name = "Gradients are there and are true"
    if not slopes:
        return Check(name, "the victim has none", None)
    flat = sum(one["norm"] == 0 or math.isnan(one["norm"]) for one in slopes)
    off = median([one["off"] for one in slopes if not math.isnan(one["off"])])
    words = f"{flat} of {len(slopes)} clips have none at all or NaN"
    if off is not None:
        words += f"; the slope along it is off by {off:.0%} of finite differences (median)"
    return Check(name, words, flat == 0 and (off is None or off < 0.5))


def _snrs(attempts: Sequence[dict[str, Any]]) -> list[float]:
    return [float(one["snr_db"]) if one["success"] else -math.inf for one in attempts]


def summary(clean: Sequence[bool], attempts: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Robust accuracy at a few sizes, for tables: SNR of 60, 40 and 20 dB."""
    return {f"{at:g} dB": robust_snr(clean, attempts, at) for at in (60.0, 40.0, 20.0)}
