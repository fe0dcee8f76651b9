"""What the gallery says in sentences: how sure its victims are, and whom else the sounds convince."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from subterfuge.labels import full_name
from subterfuge.report.wording import percent
from subterfuge.synthesis.cross_examination import convinced

SURE = 0.95
MADE = (
    ". Every probability here is the victim’s own, of the file as written and read back from disk. "
    "The ceiling is the greatest that any features at all would be given."
)
Records = Sequence[Mapping[str, Any]]


def headline(records: Records) -> Markup:
    """How sure the victim is, over the labels.

    Examples
    --------
    >>> print(headline([{"label": "tru", "style": "free", "victim": "svc", "probability": 0.9712}]))
    The sound that <span class="nobreak">svc</span> finds most like a trumpet: it is 97.1... sure.
    """
    makers, best = dict.fromkeys(str(one["victim"]) for one in records), _best(records)
    if len(best) == 1:
        ((maker, label), p) = next(iter(best.items()))
        what = Markup("The sound that {} finds most like {}").format(_whole(maker), article(label))
        return what + ("." if p is None else f": it is {percent(p)} sure.")
    sure = sum(p is not None and p >= SURE for p in best.values())
    who = (
        Markup("{} is").format(_whole(next(iter(makers))))
        if len(makers) == 1
        else f"{len(makers)} victims are"
    )
    how = Markup("a sound that {} at least {:.0f}\N{NO-BREAK SPACE}% sure of.").format(who, 100 * SURE)
    if sure == len(best):
        return Markup("{} labels, and for each of them {}").format(len(best), how)
    return Markup("For {} of {} labels there is {}").format(sure, len(best), how)


def about(records: Records) -> str:
    """What there is on the page."""
    labels, styles = len({one["label"] for one in records}), len({one["style"] for one in records})
    counts = [_many(len(records), "sound"), _many(labels, "label"), _many(styles, "style")]
    return (
        f"{', '.join(counts)}. Each was sought by climbing the victim’s own score; a style says "
        "what kind of sound was allowed."
    )


def finding(records: Records) -> str | None:
    """Which sounds convince another victim, and which only their own; None where no other was asked.

    Examples
    --------
    >>> heard = {"cnn": {"predicted": "flu", "probabilities": {"flu": 0.9, "tru": 0.1}}}
    >>> finding([{"label": "tru", "style": "free", "victim": "svc", "heard_by": heard}])
    'Asked about 1 sound, cnn hears what was meant in 0. None convinces any but the victim ...'
    """
    asked: dict[str, list[bool | None]] = {}
    labels: dict[str, list[bool]] = {}
    styles: dict[str, list[bool]] = {}
    for one in records:
        for name, heard in (one.get("heard_by") or {}).items():
            if name == one["victim"]:
                continue
            agrees = convinced(str(one["label"]), heard)
            asked.setdefault(name, []).append(agrees)
            if agrees is not None:
                labels.setdefault(full_name(str(one["label"])), []).append(agrees)
                styles.setdefault(str(one["style"]), []).append(agrees)
    if not asked:
        return None
    said = [f"Asked about {_many(len(records), 'sound')}, {_listed(_told(asked))}."]
    if len(styles) > 1:
        by_style = [f"{style} {sum(answers)} of {len(answers)}" for style, answers in styles.items()]
        said.append(f"By style: {', '.join(by_style)}.")
    yes = [name for name, answers in labels.items() if any(answers)]
    no = [name for name, answers in labels.items() if not any(answers)]
    if yes and no:
        said.append(f"Some sound convinces another victim for {_listed(yes)}; for {_listed(no)} none does.")
    elif yes and len(yes) > 1:
        said.append("For every label some sound convinces another victim.")
    elif no:
        said.append("None convinces any but the victim that it was made for.")
    return " ".join(said)


def _told(asked: Mapping[str, Sequence[bool | None]]) -> list[str]:
    """For each victim asked, how often it heard what was meant."""
    told: list[str] = []
    for name, answers in asked.items():
        known = [one for one in answers if one is not None]
        verb = " hears what was meant" * (not told)
        if not known:
            told.append(f"{name} has no word for any of these labels")
        elif len(known) < len(answers):
            told.append(f"{name}{verb} in {sum(known)} of the {len(known)} that it has a word for")
        else:
            told.append(f"{name}{verb} in {sum(known)}")
    return told


def article(label: str) -> str:
    """A label for a sentence: ``a trumpet``, or itself in quotation marks."""
    name = full_name(label)
    return f"“{label}”" if name == label else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _best(records: Records) -> dict[tuple[str, str], float | None]:
    best: dict[tuple[str, str], float | None] = {}
    for one in records:
        key, p = (str(one["victim"]), str(one["label"])), one.get("probability")
        old = best.get(key)
        best[key] = p if old is None else old if p is None else max(old, float(p))
    return best


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _many(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _whole(name: str) -> Markup:
    return Markup('<span class="nobreak">{}</span>').format(name)
