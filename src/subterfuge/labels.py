"""Labels as people type them: code, full name or unique prefix, with the nearest right ones on a miss."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from subterfuge.errors import SubterfugeError

# The eleven classes of IRMAS (Bosch et al., ISMIR 2012) by their codes.
FULL_NAMES = {
    "cel": "cello",
    "cla": "clarinet",
    "flu": "flute",
    "gac": "acoustic guitar",
    "gel": "electric guitar",
    "org": "organ",
    "pia": "piano",
    "sax": "saxophone",
    "tru": "trumpet",
    "vio": "violin",
    "voi": "voice",
}


def full_name(label: str) -> str:
    """The label in full where it has one (``tru`` -> ``trumpet``), else the label itself."""
    return FULL_NAMES.get(label, label)


def index_of(text: str, labels: Sequence[str]) -> int:
    """Index in ``labels`` of what was typed.

    Parameters
    ----------
    text : str
        A code, a full name, or a prefix of just one of them; case does not matter.
    labels : sequence of str
        The victim's labels.

    Raises
    ------
    SubterfugeError
        If nothing, or more than one label, fits; the message names the nearest right ones.

    Examples
    --------
    >>> index_of("trumpet", ("flu", "tru")), index_of("tr", ("flu", "tru"))
    (1, 1)
    """
    exact = exact_index(text, labels)
    if exact is not None:
        return exact
    wanted, names = _folded(text), _names(labels)
    fits = [i for i, forms in enumerate(names) if wanted and any(form.startswith(wanted) for form in forms)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise SubterfugeError(f"label {text!r} is ambiguous: it could be {_listed(labels[i] for i in fits)}")
    by_form = {form: i for i, forms in enumerate(names) for form in forms}
    near = difflib.get_close_matches(wanted, by_form, n=3, cutoff=0.4)
    nearest = dict.fromkeys(labels[by_form[form]] for form in near)
    if nearest:
        raise SubterfugeError(f"unknown label {text!r}: did you mean {_listed(nearest)}?")
    raise SubterfugeError(f"unknown label {text!r}: expected one of {', '.join(labels)}")


def exact_index(text: str, labels: Sequence[str]) -> int | None:
    """Index in ``labels`` of the one with this very code or full name, or None; case does not matter.

    Examples
    --------
    >>> exact_index("Acoustic_guitar", ("flu", "gac")), exact_index("flut", ("flu", "gac"))
    (1, None)
    """
    wanted = _folded(text)
    return next((i for i, forms in enumerate(_names(labels)) if wanted in forms), None)


def _folded(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())


def _names(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Each label's code and full name, as they are compared."""
    return [(_folded(label), _folded(full_name(label))) for label in labels]


def _listed(labels: object) -> str:
    """Labels for a sentence, each with its full name."""
    shown = [f"{x} ({full_name(x)})" if full_name(x) != x else x for x in labels]  # type: ignore[attr-defined]
    return " or ".join(shown)
