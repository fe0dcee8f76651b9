"""What the page says: verdicts, names and numbers, worded so that they claim no more than was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath
from statistics import median

from markupsafe import Markup

from subterfuge.attacks.record import Record
from subterfuge.labels import FULL_NAMES, full_name

_NBSP = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
_NO_CHANGE = "no change at all"


def verdict(record: Record) -> Markup:
    """What happened to one file, in one or two sentences, with the labels marked up.

    Success is only ever said of the file as written and read back; a failure names what was wanted, what
    was heard instead, and how large the attempt was.
    """
    before, after = heard(record.predicted_before, "before"), heard(record.predicted_after, "after")
    away, size = untargeted(record), change(record.snr_db)
    wanted = Markup("something else") if away else heard(record.target, "wanted")
    same = record.predicted_before == record.predicted_after
    if record.success and size == _NO_CHANGE:
        text = Markup("The victim heard {} all along, as was wanted: the file is as it was.").format(before)
    elif record.success and same:
        text = Markup(
            "The victim heard {} and hears {} still, as was wanted, {}"
            "in the file as written, read back from disk{}."
        ).format(before, after, _surer(record), _and(size))
    elif record.success:
        text = Markup(
            "The victim heard {}; it now hears {}, and says so of the file as written, read back from disk{}."
        ).format(before, after, _and(size))
        text += Markup(" Any other label would have done.") if away else Markup("")
    elif record.noticed:
        text = Markup(
            "Noticed: the victim heard {} and hears {} in the file as written, but its guard refuses it."
        ).format(before, after)
    elif not away and record.predicted_after == record.target:
        text = Markup(
            "Not as surely as asked: the victim heard {} and hears {} in the file as written{}."
        ).format(before, after, _with_probability(record))
    elif same:
        text = Markup(
            "No success: the victim heard {}, and still does in the file as written; {} was wanted."
        )
        text = text.format(before, wanted)
    else:
        text = Markup(
            "No success: the victim heard {}; in the file as written it hears {}, where {} was wanted."
        )
        text = text.format(before, after, wanted)
    if not record.success and size:
        text += Markup(" The attempt that came nearest: {}.").format(size)
    return text


def heard(label: str, role: str) -> Markup:
    """A label for a sentence, marked with its role: ``a flute``, or the label itself in quotation marks."""
    name = full_name(label)
    if label in FULL_NAMES:
        article = "an" if name[0] in "aeiou" else "a"
        return Markup('{} <b class="{}">{}</b>').format(article, role, name)
    return Markup('<b class="{}">“{}”</b>').format(role, name)


def untargeted(record: Record) -> bool:
    """Whether any other label would have done."""
    return record.target.startswith("not-")


def left(record: Record) -> str | None:
    """The label that was to be left, where the attack was untargeted."""
    return record.target.removeprefix("not-") if untargeted(record) else None


def wanted(record: Record) -> str:
    """What was wanted, for a table: a full name, or ``not flute``."""
    label = left(record)
    return full_name(record.target) if label is None else f"not {full_name(label)}"


def change(snr_db: float) -> str:
    """The size of a change, for a sentence; empty where the ratio says nothing.

    Examples
    --------
    >>> change(51.23).replace("\\xa0", " ")
    'a change 51.2 dB below the clip'
    """
    if math.isnan(snr_db):
        return ""
    if math.isinf(snr_db):
        return _NO_CHANGE if snr_db > 0 else "a change to a clip that is itself silent"
    if abs(snr_db) < 0.05:
        return "a change as strong as the clip"
    side = "below" if snr_db > 0 else "above"
    return f"a change {abs(snr_db):.1f}{_NBSP}dB {side} the clip"


def decibels(value: float | None) -> str:
    """A level or ratio in dB, with a true minus sign; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return ("∞" if value > 0 else f"{_MINUS}∞") + f"{_NBSP}dB"
    return f"{value:.1f}{_NBSP}dB".replace("-", _MINUS)


def percent(p: float | None) -> str:
    """A probability in per cent, with as many digits as tell it from none and from certainty."""
    if p is None or math.isnan(p):
        return "–"
    if 0 < p < 0.0005:
        return f"<{_NBSP}0.1{_NBSP}%"
    if 0.9995 <= p < 1:
        return f">{_NBSP}99.9{_NBSP}%"
    return f"{100 * p:.1f}{_NBSP}%"


def count(n: int) -> str:
    """A whole number with thin spaces between its thousands."""
    return f"{n:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def seconds(value: float) -> str:
    """A duration: ``8.3 s``, ``2 min 5 s``."""
    if not math.isfinite(value):
        return "–"
    if value < 60:
        return f"{value:.1f}{_NBSP}s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes}{_NBSP}min {rest}{_NBSP}s"


def measure(name: str, value: float) -> tuple[str, str]:
    """A measure of audibility for a table: its name and its value, with the unit that its name ends in."""
    units = {"db": "dB", "hz": "Hz", "ms": "ms", "seconds": "s", "percent": "%"}
    stem, _, last = name.rpartition("_")
    unit = units.get(last.casefold(), "") if stem else ""
    words = (stem if unit else name).replace("_", " ")
    words = {"snr": "signal-to-noise ratio"}.get(words.casefold(), words)
    words = words.replace("snr", "SNR").replace("odg", "ODG").replace("visqol", "ViSQOL")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return words, str(value)
    if math.isnan(value):
        return words, "–"
    if unit == "dB":
        return words, decibels(value)
    if math.isinf(value):
        shown = "∞" if value > 0 else f"{_MINUS}∞"
    else:
        shown = count(value) if isinstance(value, int) else f"{value:.3g}".replace("-", _MINUS)
    return words, f"{shown}{_NBSP}{unit}" if unit else shown


def summary(records: Sequence[Record]) -> str:
    """How a run went, in one or two sentences, of several files."""
    n, done = len(records), sum(record.success for record in records)
    ratios = [record.snr_db for record in records if record.success and math.isfinite(record.snr_db)]
    if done == n:
        text = f"All {n} files are now heard as wanted"
    elif done == 0:
        text = f"None of the {n} files is heard as wanted"
    else:
        text = f"{done} of {n} files {'is' if done == 1 else 'are'} now heard as wanted"
    if ratios and len(ratios) > 1:
        side = "below" if median(ratios) >= 0 else "above"
        middle = f"{abs(median(ratios)):.1f}{_NBSP}dB"
        text += f"; the median change of those lies {middle} {side} its clip"
    return text + "."


def file_name(path: str) -> str:
    """The last part of a path, as it was written."""
    return PurePath(path).name or path


def _and(size: str) -> str:
    return f": {size}" if size else ""


def _surer(record: Record) -> Markup:
    p, q = _probability(record, "before"), _probability(record, "after")
    if p is None or q is None:
        return Markup("")
    return Markup("now at {} instead of {}, ").format(percent(q), percent(p))


def _with_probability(record: Record) -> str:
    p = _probability(record, "after")
    return "" if p is None else f", at {percent(p)}"


def _probability(record: Record, when: str) -> float | None:
    table = record.probabilities_before if when == "before" else record.probabilities_after
    return None if table is None else table.get(record.predicted_after)
