"""Sonic Subterfuge: the smallest change that makes an audio classifier hear what you choose."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from subterfuge import attacks as attacks
    from subterfuge.attacks.record import Record as Record
    from subterfuge.attacks.workbench import attack_file as attack_file
    from subterfuge.criteria import Targeted as Targeted
    from subterfuge.criteria import Untargeted as Untargeted
    from subterfuge.errors import SubterfugeError as SubterfugeError
    from subterfuge.victims.store import load_victim as load_victim

__version__ = "0.1.0"

# Where each public name lives. They are imported when they are asked for, since torch takes seconds and
# neither a version number nor a help text needs it.
_HOMES = {
    "Record": "subterfuge.attacks.record",
    "SubterfugeError": "subterfuge.errors",
    "Targeted": "subterfuge.criteria",
    "Untargeted": "subterfuge.criteria",
    "attack_file": "subterfuge.attacks.workbench",
    "load_victim": "subterfuge.victims.store",
}

__all__ = [
    "Record",
    "SubterfugeError",
    "Targeted",
    "Untargeted",
    "__version__",
    "attack_file",
    "attacks",
    "load_victim",
]


def __getattr__(name: str) -> Any:
    if name == "attacks":
        return import_module("subterfuge.attacks")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
