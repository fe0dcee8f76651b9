"""The attacks by name, each with a line about it; a module is imported only when its attack is asked for."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from subterfuge.attacks.outcome import Outcome
from subterfuge.errors import SubterfugeError
from subterfuge.names import known_name

Attack = Callable[..., Outcome]


@dataclass(frozen=True)
class Entry:
    """One attack in the registry.

    Attributes
    ----------
    where : str
        ``module:function``.
    about : str
        One line for people.
    norm : float
        The norm that its distances are in: 2 or ``inf``.
    fixed_budget : bool
        Whether it takes a radius (``eps`` or ``snr_db``); without one it searches for the smallest.
    options : dict
        Keyword options that the name stands for.
    access : str
        The least that it must see of the victim: ``gradients``, ``scores`` or ``label``.
    hides : bool
        Whether it makes a change small by what the clip masks, and takes ``level`` and ``threshold``.
    """

    where: str
    about: str
    norm: float = 2.0
    fixed_budget: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    access: str = "gradients"
    hides: bool = False


_WHITEBOX = "subterfuge.attacks.whitebox"
_BLACKBOX = "subterfuge.attacks.blackbox"
ATTACKS: dict[str, Entry] = {
    "masked": Entry(f"{_WHITEBOX}.masked:masked", "the least audible change we know how to find", hides=True),
    "minimal": Entry(f"{_WHITEBOX}.minimal:minimal", "the smallest change we know how to find"),
    "ddn": Entry(f"{_WHITEBOX}.ddn:ddn", "direction and norm decoupled: a sphere that shrinks and grows"),
    "fmn": Entry(f"{_WHITEBOX}.fmn:fmn", "fast minimum norm: a ball that follows the boundary"),
    "fmn-linf": Entry(
        f"{_WHITEBOX}.fmn:fmn",
        "the same for the largest single sample",
        norm=math.inf,
        options={"norm": math.inf},
    ),
    "alma": Entry(f"{_WHITEBOX}.alma:alma", "augmented Lagrangian: the margin's weight is learnt on the way"),
    "carlini-wagner": Entry(
        f"{_WHITEBOX}.carlini_wagner:carlini_wagner", "Carlini and Wagner's L2 attack in tanh space"
    ),
    "multiscale-cw": Entry(
        f"{_WHITEBOX}.multiscale_cw:multiscale_cw", "Carlini and Wagner for audio, with a spectral distance"
    ),
    "deepfool": Entry(f"{_WHITEBOX}.deepfool:deepfool", "jumps to the boundary of the linearised victim"),
    "apgd": Entry(
        f"{_WHITEBOX}.apgd:apgd", "projected gradient with momentum and halving steps, L2", fixed_budget=True
    ),
    "apgd-linf": Entry(
        f"{_WHITEBOX}.apgd:apgd",
        "the same for the largest single sample",
        norm=math.inf,
        fixed_budget=True,
        options={"norm": math.inf},
    ),
    "pgd": Entry(f"{_WHITEBOX}.pgd:pgd", "projected gradient, L2", fixed_budget=True),
    "pgd-linf": Entry(
        f"{_WHITEBOX}.pgd:pgd",
        "the same for the largest single sample",
        norm=math.inf,
        fixed_budget=True,
        options={"norm": math.inf},
    ),
    "fgsm": Entry(
        f"{_WHITEBOX}.fgsm:fgsm",
        "one step along the gradient's signs",
        norm=math.inf,
        fixed_budget=True,
    ),
    "fgsm-l2": Entry(
        f"{_WHITEBOX}.fgsm:fgsm", "one step along the gradient", fixed_budget=True, options={"norm": 2.0}
    ),
    "hunt": Entry(
        f"{_BLACKBOX}.hunt:hunt",
        "our searches without gradients, chained: the smallest change that queries lead to",
        access="label",
    ),
    "decide": Entry(
        "subterfuge.attacks.blackbox.decide:decide",
        "our search with labels alone, among gains of bands; also where scores are shown",
        access="label",
    ),
    "subspace": Entry(
        "subterfuge.attacks.blackbox.subspace_search:subspace",
        "our search with scores, among gains of bands: a model of what was heard",
        access="scores",
    ),
    **{
        name + suffix: Entry(f"{_BLACKBOX}.{name}:{name}", about + where, options=options, access="label")
        for name, about in {
            "boundary": "label alone: a random walk along the boundary",
            "hopskipjump": "label alone: estimates of the boundary's normal, jumps along them",
            "surfree": "label alone: circles through the clip and the best so far",
        }.items()
        for suffix, where, options in (
            ("", "", {}),
            ("-subspace", ", among gains of bands and masked noise", {"subspace": True}),
        )
    },
    "surrogate": Entry(
        f"{_BLACKBOX}.surrogate:surrogate",
        "learns a substitute from the answers, and attacks that with gradients",
        access="label",
    ),
    "nes": Entry(
        f"{_BLACKBOX}.nes:nes",
        "natural evolution strategies: slopes from pairs of Gaussian noise",
        access="scores",
    ),
    "nes-subspace": Entry(
        f"{_BLACKBOX}.nes:nes",
        "the same among gains of bands",
        options={"subspace": True},
        access="scores",
    ),
    "spsa": Entry(
        f"{_BLACKBOX}.spsa:spsa",
        "slopes from pairs of random signs, followed by Adam",
        access="scores",
    ),
    "spsa-subspace": Entry(
        f"{_BLACKBOX}.spsa:spsa",
        "the same among gains of bands",
        options={"subspace": True},
        access="scores",
    ),
    "square": Entry(
        f"{_BLACKBOX}.square:square",
        "random patches of time and frequency, kept if the margin rises",
        access="scores",
    ),
    "simba": Entry(
        f"{_BLACKBOX}.simba:simba",
        "one cosine after the other, up or down, kept if the margin rises",
        access="scores",
    ),
    "cmaes": Entry(
        f"{_BLACKBOX}.cmaes:cmaes",
        "CMA-ES with scores, among gains of bands and levels of masked noise",
        access="scores",
    ),
    "genetic": Entry(
        f"{_BLACKBOX}.genetic:genetic",
        "the best that we know a genetic algorithm to do, among the same",
        access="scores",
    ),
    "genetic-seed": Entry(
        f"{_BLACKBOX}.genetic_seed:genetic_seed",
        "the genetic algorithm that the project began with, its faults included",
        access="scores",
    ),
}


# What a change is small by, and the attack that makes it so.
BY_AUDIBILITY = {"masked": "masked", "l2": "minimal"}
DEFAULT = "masked"
BLIND_DEFAULT = "hunt"


def chosen(attack: str | None, audibility: str | None, access: str = "gradients") -> str:
    """Name of the attack: the one that was asked for, or that for the measure that was, or the default.

    Without gradients the default is :data:`BLIND_DEFAULT`.

    Raises
    ------
    SubterfugeError
        If there is no such measure or attack, or both are given: an attack has a measure of its own.

    Examples
    --------
    >>> chosen(None, "l2"), chosen("ddn", None)
    ('minimal', 'ddn')
    """
    if audibility is not None and audibility not in BY_AUDIBILITY:
        raise SubterfugeError(f"audibility: got {audibility!r}, expected {' or '.join(BY_AUDIBILITY)}")
    if attack is None and audibility is None and access != "gradients":
        return BLIND_DEFAULT
    if attack is None:
        return BY_AUDIBILITY[audibility] if audibility is not None else DEFAULT
    find(attack)
    if audibility is not None and find(attack) != ATTACKS[BY_AUDIBILITY[audibility]]:
        raise SubterfugeError(
            f"audibility: got {audibility!r} with the attack {attack!r}, expected one of the two: each "
            "attack has its own measure of what is small"
        )
    return attack


def get_attack(name: str) -> Attack:
    """The attack of that name, ready to be called.

    Parameters
    ----------
    name : str
        A key of ``ATTACKS``; case does not matter, and ``_`` is as good as ``-``. Or another library's, after
        its name and a colon: see :mod:`subterfuge.attacks.foreign`.

    Returns
    -------
    callable
        ``attack(victim, y, criterion, *, steps=, generator=, watch=, ...) -> Outcome``.

    Raises
    ------
    SubterfugeError
        If there is none; the message names the nearest ones.

    Examples
    --------
    >>> get_attack("DDN").__name__
    'ddn'
    """
    entry = find(name)
    module, function = entry.where.split(":")
    attack: Attack = getattr(importlib.import_module(module), function)
    return partial(attack, **entry.options) if entry.options else attack


def find(name: str) -> Entry:
    """What the registry holds under a name, without importing it; raises as :func:`get_attack` does.

    Of an attack of another library (``foolbox:L2CarliniWagnerAttack``) that library is imported, to tell
    whether it is there.
    """
    if ":" in name:
        from subterfuge.attacks.foreign import entry_of

        return entry_of(name)
    return ATTACKS[known_name("attack", name, ATTACKS)]
