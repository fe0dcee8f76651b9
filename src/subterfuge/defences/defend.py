"""One order to defend a victim: checked first, then wrapped or trained, and kept as a folder."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from subterfuge.defences.defended import Defended
from subterfuge.defences.input.defence import make, options_of
from subterfuge.defences.registry import DEFENCES, find, get_defence, known
from subterfuge.errors import SubterfugeError
from subterfuge.victims.store import check_free, load_victim, save_victim
from subterfuge.victims.victim import TorchVictim

# What every wrapped victim may be told, besides the defence's own options.
_HEARING = {"draws": 1, "seeded": "fixed"}
_RANDOM_DRAWS = 8

Told = Callable[[str, int, int], None]


def wrap(victim: TorchVictim, names: Sequence[str], *, seed: int = 0, **options: object) -> TorchVictim:
    """A victim behind several defences, the first of which meets the sound first.

    Parameters
    ----------
    victim : TorchVictim
    names : sequence of str
    seed : int
        What random defences start from.
    options
        Of a defence, or ``draws`` and ``seeded`` of :class:`Defended` (8 draws of a random one by default).
        ``name.option`` speaks of one of several; without a name, of all that have it.

    Raises
    ------
    SubterfugeError
        If a defence or option is unknown, or a value makes no sense.

    Examples
    --------
    >>> wrap(victim, ["median", "noise"], size=3, draws=4).draws
    1
    """
    names = [known(name) for name in names]
    if not names:
        raise SubterfugeError(
            f"--with: got none, expected some of {', '.join(_by_kind('wrap', 'smooth', 'vote'))}"
        )
    for name in names:
        if find(name).kind == "train":
            raise SubterfugeError(f"--with: {name!r} is trained, expected it with --train and --corpus")
    shares = _shared_out(names, options)
    for name in reversed(names):
        victim = _wrapped(victim, name, shares[name], seed)
    return victim


def defend(
    victim: str | Path,
    *,
    names: Sequence[str] = (),
    train: str | None = None,
    corpus: str | Path | None = None,
    out: str | Path,
    options: Mapping[str, object] | None = None,
    seed: int = 0,
    name: str | None = None,
    force: bool = False,
    report: Told | None = None,
) -> Path:
    """Wrap a victim in defences, or train one that is harder to fool, and keep it as a victim's folder.

    Parameters
    ----------
    victim : str or Path
        As for ``load_victim``.
    names : sequence of str
        Of wrapping defences, for :func:`wrap`; exactly one of this and ``train``.
    train : str, optional
        Of a training defence.
    corpus : str or Path, optional
        Labelled clips, for ``train``.
    out : str or Path
        Folder to make.
    options : mapping, optional
        See :func:`wrap`; those of a training defence are its own.
    seed : int
    name : str, optional
        By default the name of ``out``.
    force : bool
        Whether a victim in ``out`` may be replaced.
    report : callable, optional
        Told what is done, how much of it and of how much, while training.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    SubterfugeError
        If anything is wrong; nothing has been written then.
    """
    given = dict(options or {})
    if bool(names) == bool(train):
        raise SubterfugeError("expected one of --with NAME[,NAME...] and --train NAME")
    if train is None and corpus is not None:
        raise SubterfugeError("--corpus: got it with --with, expected it only with --train NAME")
    if train is not None:
        return _trained(victim, train, corpus, Path(out), given, seed, name, force, report)
    check_free(out, force=force)
    inner = load_victim(victim)
    made = wrap(inner, names, seed=seed, **given)
    others = next((one for key, one in given.items() if key.rpartition(".")[2] == "others"), None)
    beside = "" if others is None else f" beside {others}"
    return save_victim(
        made,
        out=out,
        name=name,
        trained=f"not trained anew: {', '.join(known(one) for one in names)} before {_called(inner)}{beside}",
        source={"victim": _called(inner)},
        notes="accuracy was not measured behind the defence",
        force=force,
    )


def listed() -> list[dict[str, Any]]:
    """Every defence: name, kind, how it is attacked, options and a line about it."""
    return [
        {
            "name": name,
            "kind": entry.kind,
            "adaptive": entry.adaptive,
            "about": entry.about,
            "options": _options_of(name),
        }
        for name, entry in DEFENCES.items()
    ]


def _wrapped(victim: TorchVictim, name: str, options: dict[str, object], seed: int) -> TorchVictim:
    if find(name).kind == "vote":
        vote: TorchVictim = get_defence(name)(victim, **options)
        return vote
    if find(name).kind == "smooth":
        known_options = _options_of(name)
        given = {key: _number(key, value, known_options[key]) for key, value in options.items()}
        smoothed: TorchVictim = get_defence(name)(victim, **{"seed": seed, **given})
        return smoothed
    hearing = {key: _number(key, options[key], like) for key, like in _HEARING.items() if key in options}
    options = {key: value for key, value in options.items() if key not in hearing}
    defence = make(name, **options)
    draws = hearing.pop("draws", _RANDOM_DRAWS) if defence.random else 1
    return Defended(victim, defence, draws=draws, seed=seed, **hearing)


def _shared_out(names: Sequence[str], options: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Which option goes to which defence."""
    shares: dict[str, dict[str, object]] = {name: {} for name in names}
    for key, value in options.items():
        whose, _, option = key.rpartition(".")
        takers = [known(whose)] if whose else [name for name in shares if option in _takes(name)]
        takers = [name for name in takers if name in shares and option in _takes(name)]
        if not takers:
            some = ", ".join(sorted({one for name in names for one in _takes(name)})) or "none"
            raise SubterfugeError(f"--option {key}: {', '.join(names)} has no such option, expected {some}")
        for name in takers:
            shares[name][option] = value
    return shares


def _takes(name: str) -> tuple[str, ...]:
    own = tuple(_options_of(name))
    return (*own, *_HEARING) if find(name).adaptive == "expectation" and find(name).kind == "wrap" else own


def _options_of(name: str) -> dict[str, Any]:
    entry = find(name)
    if entry.kind == "wrap":
        return options_of(name)
    parameters = inspect.signature(get_defence(name)).parameters.values()
    skip = ("out", "seed", "force", "report", "name")
    return {
        one.name: entry.options.get(one.name, one.default)
        for one in parameters
        if one.kind is one.KEYWORD_ONLY and one.name not in skip
    }


def _number(key: str, value: object, example: Any) -> Any:
    """A value of the type of an example, from text."""
    kind = type(example)
    try:
        if kind is bool:
            return {"true": True, "false": False}[str(value).strip().casefold()]
        return value if example is None or isinstance(value, kind) else kind(str(value).strip())
    except (KeyError, ValueError):
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, "text")
        raise SubterfugeError(f"--option {key}: got {value!r}, expected {wanted}") from None


def _trained(
    victim: str | Path,
    train: str,
    corpus: str | Path | None,
    out: Path,
    options: dict[str, object],
    seed: int,
    name: str | None,
    force: bool,
    report: Told | None,
) -> Path:
    if find(train).kind != "train":
        some = ", ".join(_by_kind("train")) or "none yet"
        raise SubterfugeError(f"--train: {known(train)!r} is wrapped with --with, expected one of {some}")
    if corpus is None:
        raise SubterfugeError("--train: got no --corpus, expected a folder of labelled clips")
    if not Path(corpus).is_dir():
        raise SubterfugeError(f"{corpus}: no such folder, expected labelled clips")
    own = _options_of(train)
    for key in options:
        if key not in own:
            raise SubterfugeError(
                f"--option {key}: {known(train)} has no such option, expected {', '.join(own) or 'none'}"
            )
    check_free(out, force=force)
    given = {**find(train).options, **{key: _number(key, one, own[key]) for key, one in options.items()}}
    function = get_defence(train)
    if name is not None:
        given["name"] = name
    made = function(
        load_victim(victim), Path(corpus), out=out, seed=seed, force=force, report=report, **given
    )
    return Path(made)


def _by_kind(*kinds: str) -> list[str]:
    return [name for name, entry in DEFENCES.items() if entry.kind in kinds]


def _called(victim: TorchVictim) -> str:
    return victim.info.name if victim.info is not None else str(getattr(victim, "name", "victim"))
