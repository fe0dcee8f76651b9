"""What other victims call a sound: a class's true sound should convince more than the one it was made for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from subterfuge.errors import SubterfugeError

if TYPE_CHECKING:
    from subterfuge.victims.victim import Victim

Heard = dict[str, dict[str, Any]]
Progress = Callable[[str, int, int], None]

# Kinds that answer without a network, and without running any code of the user's.
_AT_HAND = ("svm", "sklearn", "cnn", "musicnn", "huggingface", "onnx")

# What labels are called where others chose the words; a full name goes without saying.
_ALSO_CALLED = {
    "acoustic guitar": ("guitar",),
    "electric guitar": ("guitar",),
    "saxophone": ("sax",),
    "voice": ("voice", "vocals", "vocal", "singing", "choir", "opera", "female voice", "male voice",
              "female vocal", "male vocal", "female vocalist", "female vocalists", "male vocalists"),
}  # fmt: skip


def cross_examine(
    paths: Sequence[str | Path],
    victims: Sequence[str | Path] | Mapping[str, Victim] | None = None,
    *,
    leave_out: Iterable[str] = (),
    progress: Progress | None = None,
) -> list[Heard]:
    """What each of several victims hears in each of several files, by the plain path of each.

    Parameters
    ----------
    paths : sequence of str or Path
        Sound files of any rate; each victim hears them at its own.
    victims : sequence of names and folders, or mapping of name to Victim, optional
        By default those :func:`at_hand`; one of them that cannot be loaded, or cannot hear a file, is then
        passed over, where one that was named is an error.
    leave_out : iterable of str
        Names of victims not to ask, such as the one that the sounds were made for.
    progress : callable, optional
        Told what is being asked, how many answers there are and how many there will be.

    Returns
    -------
    list of dict
        For each file, in order, ``{victim: {"predicted": label, "probabilities": {label: p}}}``. A victim
        without probabilities has ``{}`` there. One that may hear several labels at once has ``tags`` too: all
        that it hears, the surest first.

    Raises
    ------
    SubterfugeError
        If a file cannot be read, or a victim that was named cannot be loaded.

    Examples
    --------
    >>> from subterfuge.audio import save_audio
    >>> path = save_audio("a.wav", torch.full((1, 800), 0.5), sr=8000, container="WAV", subtype="PCM_16")
    >>> cross_examine([path], {"leaning": victim})[0]["leaning"]["predicted"]
    'left'
    """
    from subterfuge.inputs import check_readable
    from subterfuge.victims.store import load_victim

    files = [Path(path) for path in paths]
    check_readable(files)
    named = victims is not None
    left = {form for name in leave_out for form in (name, _called(name))}
    known: Mapping[str, Victim] = victims if isinstance(victims, Mapping) else {}
    asked = list(dict.fromkeys(str(one) for one in (at_hand() if victims is None else victims)))
    asked = [one for one in asked if not {one, _called(one)} & left]
    found: list[Heard] = [{} for _ in files]
    for number, name in enumerate(asked):
        if progress is not None:
            progress(f"asking {name}", number * len(files), len(asked) * len(files))
        try:
            victim = known[name] if name in known else load_victim(name)
        except SubterfugeError:
            if named:
                raise
            continue
        for i, path in enumerate(files):
            try:
                found[i][_called(name)] = _asked(victim, name, path)
            except SubterfugeError:
                if named:
                    raise
            if progress is not None:
                progress(f"asking {name}", number * len(files) + i + 1, len(asked) * len(files))
    return found


def at_hand(folder: str | Path = "victims") -> list[str]:
    """Names of the victims that can be asked at once: those that come with the package, and in ``folder``.

    Those that are asked over a network, or are functions of the user's, have to be named.

    Examples
    --------
    >>> at_hand("nowhere")
    ['orchestra-cnn', 'orchestra-svc']
    """
    from subterfuge.victims.own_code import is_reference
    from subterfuge.victims.store import list_victims

    return [
        one.name if one.embedded else str(one.folder)
        for one in list_victims(Path(folder))
        if not one.problem and one.kind in _AT_HAND and not is_reference(one.features)
    ]


def counterparts(label: str, labels: Iterable[str]) -> list[str]:
    """Which of another victim's labels say the same as a label: its code, its full name, its other words.

    Examples
    --------
    >>> counterparts("voi", ["loud", "vocals", "voice"]), counterparts("tru", ["voice", "flute"])
    (['vocals', 'voice'], [])
    """
    from subterfuge.labels import full_name

    name = full_name(label).casefold()
    wanted = {label.casefold(), name, *_ALSO_CALLED.get(name, ())}
    return [one for one in labels if {one.casefold(), full_name(one).casefold()} & wanted]


def convinced(label: str, heard: Mapping[str, Any]) -> bool | None:
    """Whether a victim's answer says that label; None where it knows no such label.

    Examples
    --------
    >>> convinced("tru", {"predicted": "trumpet", "probabilities": {"trumpet": 0.6, "flute": 0.4}})
    True
    >>> convinced("gac", {"predicted": "flute", "probabilities": {"trumpet": 0.4, "flute": 0.6}}) is None
    True
    """
    said = [heard["predicted"], *heard.get("tags", ())]
    same = counterparts(label, dict.fromkeys([*heard.get("probabilities", {}), *said]))
    if not same and heard.get("probabilities"):
        return None
    return bool(set(same) & set(said))


def _asked(victim: Victim, name: str, path: Path) -> dict[str, Any]:
    from subterfuge.predictions import predict_file

    told = predict_file(path, victim=victim, victim_name=name)
    answer: dict[str, Any] = {"predicted": told.predicted, "probabilities": told.probabilities or {}}
    if told.tags is not None:
        answer["tags"] = told.tags
    return answer


def _called(name: str) -> str:
    """A victim's name, or its folder's where it was given by path; a function as it was given."""
    return name if ":" in name else Path(name).name or name
