"""Victims on disk: found by name or folder, listed, and loaded; what makes them is :mod:`.writing`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from subterfuge.errors import SubterfugeError
from subterfuge.files import file_sha256
from subterfuge.names import did_you_mean
from subterfuge.victims.card import CARD, VictimInfo, read_card
from subterfuge.victims.own_code import is_reference
from subterfuge.victims.trust import read_skops
from subterfuge.victims.writing import check_free, import_victim, save_victim

if TYPE_CHECKING:
    from subterfuge.victims.victim import TorchVictim

__all__ = [
    "CARD",
    "VictimInfo",
    "check_free",
    "embedded_folder",
    "file_sha256",
    "find_folder",
    "import_victim",
    "list_victims",
    "load_victim",
    "read_skops",
    "save_victim",
    "victim_info",
]


def embedded_folder() -> Path:
    """Folder of the victims that come with the package."""
    from importlib.resources import files

    return Path(str(files("subterfuge"))) / "embedded" / "victims"


def load_victim(name_or_folder: str | Path, *, device: str = "cpu") -> TorchVictim:
    """A victim, ready to hear.

    Parameters
    ----------
    name_or_folder : str or Path
        Name of a victim that comes with the package, the path of a victim's folder, or the name of one
        under ``./victims``; in that order. Or a function of the user's, by ``module:callable``; see
        :class:`subterfuge.victims.function.FunctionVictim`.
    device : str
        ``cpu``, ``cuda``, ``cuda:1``, ...

    Raises
    ------
    SubterfugeError
        If there is none of that name, or what lies there is incomplete, altered or not to be trusted.

    Examples
    --------
    >>> victim = load_victim("orchestra-svc")  # doctest: +SKIP
    >>> victim.labels[victim.predict(y)]  # doctest: +SKIP
    'cel'
    """
    if is_reference(os.fspath(name_or_folder)):
        from subterfuge.victims.function import function_victim

        return _on(function_victim(os.fspath(name_or_folder)), device)
    info = victim_info(name_or_folder)
    if info.has_weights:
        _check_weights(info)
    from subterfuge.victims.kinds import read_victim

    try:
        victim = read_victim(info)
    except SubterfugeError as error:
        told = str(error).startswith(str(info.folder))
        raise SubterfugeError(str(error) if told else f"{info.folder}: {error}") from error
    victim.info = info
    return _on(victim, device)


def _check_weights(info: VictimInfo) -> None:
    weights = info.weights
    if not weights.is_file():
        raise SubterfugeError(
            f"{weights}: the victim's weights are missing, expected a {weights.suffix} file"
        )
    found = file_sha256(weights)
    if found != info.sha256:
        raise SubterfugeError(
            f"{weights}: the weights are not those that {CARD} was written for: got SHA-256 {found[:12]}…, "
            f"expected {info.sha256[:12]}…"
        )


def _on(victim: TorchVictim, device: str) -> TorchVictim:
    try:
        return victim.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "torch refused it"
        raise SubterfugeError(f"device: got {device!r}, expected one that works here ({reason})") from error


def victim_info(name_or_folder: str | Path) -> VictimInfo:
    """What is said of a victim, found as :func:`load_victim` finds it; the weights are not read.

    Raises
    ------
    SubterfugeError
        If there is none of that name, or its ``victim.json`` cannot be read.
    """
    return _read(find_folder(name_or_folder))


def list_victims(folder: Path = Path("victims")) -> list[VictimInfo]:
    """The victims that come with the package, then those in ``folder``; broken ones carry a ``problem``."""
    return [_card_or_problem(one) for home in (embedded_folder(), Path(folder)) for one in _victims_in(home)]


def find_folder(name_or_folder: str | Path) -> Path:
    """The folder of a victim, by name or path; see :func:`load_victim`.

    Raises
    ------
    SubterfugeError
        If there is none; the nearest names are given.
    """
    text = os.fspath(name_or_folder)
    path = Path(text)
    if not text.strip():
        raise SubterfugeError("victim: got an empty name, expected a victim's name or folder")
    is_name = path.name == text and text not in (".", "..")
    places = [embedded_folder() / text, Path("victims") / text, path] if is_name else [path]
    for place in places:
        if (place / CARD).is_file():
            return place
    if path.is_dir():
        raise SubterfugeError(f"{path}: the folder holds no {CARD}, expected a victim's folder")
    if path.is_file():
        raise SubterfugeError(
            f"{path}: got a file, expected a victim's folder (turn a model into one with: victim import)"
        )
    if not is_name:
        raise SubterfugeError(f"{path}: no such folder, expected a victim's folder")
    known = {one.name: None for home in (embedded_folder(), Path("victims")) for one in _victims_in(home)}
    expected = f"one of {', '.join(known)}, or a victim's folder" if known else "a victim's folder"
    hint = did_you_mean(text, known, cutoff=0.4) or f"expected {expected}"
    raise SubterfugeError(f"unknown victim {text!r}: {hint}")


def _read(folder: Path) -> VictimInfo:
    return replace(read_card(folder), embedded=folder.resolve().parent == embedded_folder().resolve())


def _card_or_problem(folder: Path) -> VictimInfo:
    try:
        return _read(folder)
    except SubterfugeError as error:
        return VictimInfo(folder.name, "", (), 0, "", folder=folder, problem=str(error))


def _victims_in(home: Path) -> list[Path]:
    if not home.is_dir():
        return []
    return sorted(one for one in home.iterdir() if (one / CARD).is_file() and not one.name.startswith("."))
