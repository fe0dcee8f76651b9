"""Attacks: each one pure function, a file each; white-box ones climb gradients, black-box ones ask.

Every attack of the registry is an attribute (``attacks.minimal``, ``attacks.fmn_linf``), imported when it
is first asked for.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    # From the module itself: `from subterfuge.attacks import registry` would come back here.
    from subterfuge.attacks.registry import ATTACKS, get_attack

    known = name.replace("_", "-")
    if known not in ATTACKS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return get_attack(known)


def __dir__() -> list[str]:
    from subterfuge.attacks.registry import ATTACKS

    return sorted({*globals(), *(name.replace("-", "_") for name in ATTACKS)})
