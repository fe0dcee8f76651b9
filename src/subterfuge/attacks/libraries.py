"""Other libraries' attacks behind one call: what each wants to be given, and in which units.

Foolbox and ART are told that samples lie in [-1, 1]; torchattacks and adv-lib take [0, 1] for granted, and
the clip is brought there and back. Options are set by name where an attack has them, else left alone.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# What an attack is told that has to be told a norm.
_NORM = 2.0


@dataclass(frozen=True)
class Problem:
    """One clip for another library.

    Attributes
    ----------
    model : Module
        Waveforms within ``bounds``, shape (batch, ...), to scores.
    x : Tensor, shape (1, samples)
        The clip, in [-1, 1].
    label : int
        The one to reach; or, ``away``, the one to leave.
    away : bool
    classes : int
    steps : int
        Gradients (or questions) to lay the attack out for.
    radius : float or None
        In the attack's norm, for samples in [-1, 1]; where it takes one.
    """

    model: nn.Module
    x: Tensor
    label: int
    away: bool
    classes: int
    steps: int
    radius: float | None = None

    @property
    def labels(self) -> Tensor:
        """The label, as libraries want it, shape (1,)."""
        return torch.tensor([self.label], device=self.x.device)


@dataclass(frozen=True)
class Library:
    """How one library's attacks are found and run.

    Attributes
    ----------
    module : str
        That holds its attacks.
    is_attack : callable
        Whether something in it is one.
    run : callable
        ``run(attack, problem)``: its result in [-1, 1], or None.
    takes_radius : callable
        Whether one wants to be told how large a change may be.
    unit : bool
        Whether samples lie in [0, 1] there.
    access : dict of str to str
        Attacks that do without gradients, and what they need.
    """

    module: str
    is_attack: Callable[[Any], bool]
    run: Callable[[Any, Problem], Tensor | None]
    takes_radius: Callable[[Any], bool]
    unit: bool
    access: dict[str, str]


def norm_of(attack: Any, name: str) -> float:
    """The norm that an attack measures changes by, as far as can be told: 2 or ``inf``."""
    told = getattr(getattr(attack, "distance", None), "p", None)
    if told is None:
        option = _options(attack).get("norm")
        told = option.default if option is not None else None
        if told is inspect.Parameter.empty:
            told = _NORM
    if told in (math.inf, "inf", "Linf"):
        return math.inf
    if told in (2, "2", "L2"):
        return 2.0
    named = name.casefold().replace("infinity", "inf")
    if "linf" in named:
        return math.inf
    return math.inf if "eps" in _options(attack) and "l2" not in named else 2.0


def _options(attack: Any) -> dict[str, inspect.Parameter]:
    """What an attack may be told: by a class's constructor, or by a function."""
    try:
        return dict(inspect.signature(attack).parameters)
    except (TypeError, ValueError):
        return {}


def _schedule(attack: Any, steps: int) -> dict[str, Any]:
    """Options that lay an attack out for so many steps, by the names that libraries have for them."""
    has = _options(attack)
    told: dict[str, Any] = {}
    # Carlini and Wagner's: rounds of a search for a constant, as many as leave each a hundred steps.
    if "binary_search_steps" in has and "initial_const" in has:
        rounds = max(1, min(9, steps // 100))
        told["binary_search_steps"], steps = rounds, max(1, steps // rounds)
    for name in ("steps", "num_steps", "max_iter", "max_iterations", "n_queries"):
        if name in has:
            told[name] = steps
    if "verbose" in has:
        told["verbose"] = False
    return told


def _run_foolbox(attack: Any, problem: Problem) -> Tensor | None:
    import foolbox

    model = foolbox.PyTorchModel(problem.model, bounds=(-1, 1), device=problem.x.device)
    criterion = (
        foolbox.criteria.Misclassification(problem.labels)
        if problem.away
        else foolbox.criteria.TargetedMisclassification(problem.labels)
    )
    radius = {} if problem.radius is None else {"epsilon": problem.radius}
    # ``run`` and not the call, which asks the victim again for what is verified here anyhow.
    found: Tensor = attack(**_schedule(attack, problem.steps)).run(model, problem.x, criterion, **radius)
    return found


def _run_art(attack: Any, problem: Problem) -> Tensor | None:
    import numpy as np
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        problem.model,
        loss=nn.CrossEntropyLoss(),
        input_shape=(problem.x.shape[1],),
        nb_classes=problem.classes,
        clip_values=(-1.0, 1.0),
        device_type="gpu" if problem.x.is_cuda else "cpu",
    )
    has, told = _options(attack), _schedule(attack, problem.steps)
    if "targeted" in has:
        told["targeted"] = not problem.away
    elif not problem.away:
        raise ValueError("it knows no target")
    if problem.radius is not None:
        told |= _radius(has, problem.radius)
    wanted = np.eye(problem.classes, dtype=np.float32)[[problem.label]]
    found = attack(classifier, **told).generate(problem.x.cpu().numpy(), wanted)
    return torch.from_numpy(np.asarray(found)).to(problem.x)


def _run_torchattacks(attack: Any, problem: Problem) -> Tensor | None:
    told = _schedule(attack, problem.steps)
    if problem.radius is not None:
        told |= _radius(_options(attack), problem.radius / 2)
    one = attack(problem.model, **told)
    if not problem.away:
        one.set_mode_targeted_by_label(quiet=True)
    # As an image of one row; and never quite at full scale, where the inverse of tanh is infinite.
    image = ((problem.x + 1) / 2).clamp(1e-6, 1 - 1e-6)[:, None, None]
    found: Tensor = one(image, problem.labels)
    return 2 * found.reshape(problem.x.shape) - 1


def _run_adv_lib(attack: Any, problem: Problem) -> Tensor | None:
    has, told = _options(attack), _schedule(attack, problem.steps)
    if "norm" in has:
        told["norm"] = _NORM
    if "levels" in has:
        told["levels"] = None  # 256 of them are an image's
    if problem.radius is not None:
        told |= {name: problem.radius / 2 for name in ("eps", "ε") if name in has}
    if "targeted" in has:
        told["targeted"] = not problem.away
    elif not problem.away:
        raise ValueError("it knows no target")
    found: Tensor = attack(problem.model, ((problem.x + 1) / 2).clamp(0, 1), problem.labels, **told)
    return 2 * found - 1


def _radius(has: dict[str, inspect.Parameter], radius: float) -> dict[str, float]:
    """A radius, and its step in the same proportion as by default."""
    told = {"eps": radius}
    usual = has["eps"].default
    for name in ("alpha", "eps_step"):
        if name in has and isinstance(usual, (int, float)) and isinstance(has[name].default, (int, float)):
            told[name] = has[name].default / usual * radius
    return told


def _required(attack: Any) -> bool:
    option = _options(attack).get("eps") or _options(attack).get("ε")
    return option is not None and option.default is inspect.Parameter.empty


LIBRARIES = {
    "foolbox": Library(
        "foolbox.attacks",
        lambda one: inspect.isclass(one) and hasattr(one, "run") and not inspect.isabstract(one),
        _run_foolbox,
        lambda one: "epsilon" in inspect.signature(one.run).parameters,
        unit=False,
        access=dict.fromkeys(
            ("BoundaryAttack", "HopSkipJumpAttack", "LinearSearchBlendedUniformNoiseAttack"), "label"
        ),
    ),
    "art": Library(
        "art.attacks.evasion",
        lambda one: inspect.isclass(one) and hasattr(one, "generate"),
        _run_art,
        lambda one: "eps" in _options(one),
        unit=False,
        access=dict.fromkeys(("HopSkipJump", "BoundaryAttack", "SignOPTAttack", "GeoDA"), "label")
        | dict.fromkeys(("ZooAttack", "SquareAttack", "SimBA"), "scores"),
    ),
    "torchattacks": Library(
        "torchattacks",
        lambda one: inspect.isclass(one) and hasattr(one, "set_mode_targeted_by_label"),
        _run_torchattacks,
        lambda one: "eps" in _options(one),
        unit=True,
        access={"Square": "scores"},
    ),
    "adv-lib": Library(
        "adv_lib.attacks",
        lambda one: inspect.isfunction(one),
        _run_adv_lib,
        _required,
        unit=True,
        access={},
    ),
}
