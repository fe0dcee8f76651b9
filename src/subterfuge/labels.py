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
    wanted = " ".join(text.replace("_", " ").casefold().split())
    names = [(label.casefold(), full_name(label).casefold()) for label in labels]
    exact = [i for i, forms in enumerate(names) if wanted in forms]
    if exact:
        return exact[0]
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


def _listed(labels: object) -> str:
    """Labels for a sentence, each with its full name."""
    shown = [f"{x} ({full_name(x)})" if full_name(x) != x else x for x in labels]  # type: ignore[attr-defined]
    return " or ".join(shown)
