"""What ``defend`` reads and prints besides the victim: options as text, and the list of defences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from subterfuge.errors import SubterfugeError
from subterfuge.files import strict_json

_KINDS = {
    "wrap": "Before the victim's ears (--with)",
    "smooth": "A vote over noisy copies (--with)",
    "vote": "A vote of several victims (--with)",
    "train": "Trained anew (--train, with --corpus)",
}


def read_options(given: Sequence[str]) -> dict[str, str]:
    """``key=value`` texts as a dict.

    Raises
    ------
    SubterfugeError
        If one is of another form, or a key is there twice.

    Examples
    --------
    >>> read_options(["size=7", "noise.draws=4"])
    {'size': '7', 'noise.draws': '4'}
    """
    read: dict[str, str] = {}
    for one in given:
        key, equals, value = (part.strip() for part in one.partition("="))
        if not (key and equals and value):
            raise SubterfugeError(f"--option: got {one!r}, expected key=value, such as size=7")
        if key in read:
            raise SubterfugeError(f"--option: got {key!r} twice, expected it once")
        read[key] = value
    return read


def listed(defences: Sequence[Mapping[str, Any]], *, json: bool) -> None:
    """Each defence with what it does, its options, and how an attack goes through it."""
    if json:
        print(strict_json(list(defences)))
        return
    width = max(len(one["name"]) for one in defences)
    for kind, title in _KINDS.items():
        some = [one for one in defences if one["kind"] == kind]
        if some:
            print(f"{title}:")
        for one in some:
            print(f"  {one['name']:<{width}}  {one['about']} [{one['adaptive']}]")
            if one["options"]:
                print(
                    " " * (width + 4) + ", ".join(f"{key}={value}" for key, value in one["options"].items())
                )
