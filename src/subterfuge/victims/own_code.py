"""Code of the user's by its name, ``module:callable``, imported from where Python looks and from here."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from subterfuge.errors import SubterfugeError
from subterfuge.names import did_you_mean

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def is_reference(text: str) -> bool:
    """Whether this names code, ``module:callable``, and not a file that lies here.

    Examples
    --------
    >>> is_reference("my_module:classify"), is_reference("victims/mine"), is_reference("https://here")
    (True, False, False)
    """
    return _REFERENCE.fullmatch(text) is not None and not Path(text).exists()


def load_reference(text: str) -> Any:
    """What ``module:callable`` names, imported; the folder that one is in is looked in last.

    Importing runs the module: who names it says that it may be.

    Raises
    ------
    SubterfugeError
        If there is no such module or nothing of that name in it, or the module fails.

    Examples
    --------
    >>> load_reference("math:sqrt")(9.0)
    3.0
    """
    if not _REFERENCE.fullmatch(text):
        raise SubterfugeError(f"got {text!r}, expected module:callable, such as my_module:classify")
    module_name, _, path = text.partition(":")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # last, so that no file of this folder stands in for a library's module
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = str(error.name)
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise SubterfugeError(
                f"{text}: there is no module {missing!r}, expected one in this folder or installed"
            ) from error
        raise SubterfugeError(f"{text}: {module_name} needs {missing!r}, which is not installed") from error
    except Exception as error:
        raise SubterfugeError(f"{text}: {module_name} cannot be imported ({in_short(error)})") from error
    found: Any = module
    for name in path.split("."):
        if not hasattr(found, name):
            where = getattr(module, "__file__", None) or module_name
            public = [one for one in dir(found) if one[0] != "_"]
            hint = did_you_mean(name, public, count=2, cutoff=0.6)
            raise SubterfugeError(f"{text}: there is no {name!r} in {where}{hint and '; ' + hint}")
        found = getattr(found, name)
    return found


def said_of(found: Any, name: str, *, home: bool = False) -> Any:
    """An attribute of some code, or with ``home`` of the module that it is from; None where there is none."""
    own = getattr(found, name, None)
    if own is not None or not home:
        return own
    module = sys.modules.get(str(getattr(found, "__module__", "")))
    return getattr(module, name, None) if module is not None and not _is_ours(module) else None


def in_short(error: BaseException, most: int = 200) -> str:
    """An exception in half a line: its type and the first line of what it says."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
    return text if len(text) <= most else f"{text[:most]} …"


def _is_ours(module: Any) -> bool:
    return str(getattr(module, "__name__", "")).partition(".")[0] in ("subterfuge", "torch", "builtins")
