"""Names of attacks, defences and the like as people type them, with the nearest right ones on a miss."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from subterfuge.errors import SubterfugeError


def did_you_mean(wanted: str, known: Collection[str], *, count: int = 3, cutoff: float = 0.5) -> str:
    """A question that names those that are spelt nearly so, the nearest first; empty where there are none.

    Parameters
    ----------
    wanted : str
    known : collection of str
    count : int
        How many are named at most.
    cutoff : float
        How alike they must be, 0 (not at all) to 1 (the same).

    Examples
    --------
    >>> did_you_mean("medain", ["median", "mp3"]), did_you_mean("x", ["median", "mp3"])
    ('did you mean median?', '')
    """
    return _asked(difflib.get_close_matches(wanted, known, n=count, cutoff=cutoff))


def known_name(what: str, name: str, known: Collection[str]) -> str:
    """The name as a registry writes it: case does not matter, and ``_`` is as good as ``-``.

    Parameters
    ----------
    what : str
        What the names are of, for the message.
    name : str
        As it was typed.
    known : collection of str
        Those of the registry, in lower case.

    Raises
    ------
    SubterfugeError
        If there is none; the message names the nearest ones, or those that it is a part of.

    Examples
    --------
    >>> known_name("attack", "FMN_linf", ["fmn", "fmn-linf"])
    'fmn-linf'
    """
    wanted = name.strip().casefold().replace("_", "-").replace(" ", "-")
    if wanted in known:
        return wanted
    alike = [one for one in known if wanted and (wanted in one or one in wanted)]
    hint = did_you_mean(wanted, known) or _asked(alike) or f"expected one of {', '.join(known)}"
    raise SubterfugeError(f"unknown {what} {name!r}: {hint}")


def _asked(names: Collection[str]) -> str:
    return f"did you mean {' or '.join(names)}?" if names else ""
