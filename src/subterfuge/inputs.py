"""The files that a command was given: patterns expanded, each one checked before anything is done."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from subterfuge.audio import read_audio
from subterfuge.errors import SubterfugeError


def expand(names: Iterable[str | Path]) -> list[Path]:
    """The files that names and patterns stand for, in order, each once.

    A name that exists is taken as it is, brackets and all (``[cel]0059.wav``); only others are patterns.

    Raises
    ------
    SubterfugeError
        If a name or pattern fits no file.
    """
    found: dict[Path, Path] = {}
    for name in names:
        for path in _fits(str(name)):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def check_readable(paths: Sequence[Path]) -> None:
    """Read every file once and throw it away, so that a bad one is known before any work is done.

    Raises
    ------
    SubterfugeError
        As :func:`subterfuge.audio.read_audio`, for the first file that is no good.
    """
    for path in paths:
        read_audio(path)


def _fits(name: str) -> list[Path]:
    if not name or "\0" in name:
        return _nothing(name)
    with suppress(OSError):  # no file can have so long a name
        if Path(name).exists():
            return [Path(name)]
    if not glob.has_magic(name):
        return [Path(name)]  # whoever reads it will say what is wrong with it
    # Not Path.glob, which takes no absolute pattern.
    names = glob.glob(name, recursive=True)  # noqa: PTH207
    return sorted(found for found in map(Path, names) if found.is_file()) or _nothing(name)


def _nothing(name: str) -> list[Path]:
    raise SubterfugeError(f"{name[:200]!r}: fits no file, expected a file's name or a pattern of some")
