"""Attacks of Foolbox, ART, torchattacks and adv-lib, driven like our own and judged by the same rule.

``foolbox:L2CarliniWagnerAttack``, ``art:CarliniL2Method``, ``torchattacks:CW``, ``adv-lib:ddn``: the name of
the library, a colon, and the attack's own name there. Whatever such an attack asks the victim is counted and
kept by a :class:`subterfuge.attacks.search.Search`, so that a budget holds, Ctrl-C loses nothing, and the
best candidate that was ever asked about is the result, whatever the library itself returns.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import random
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from subterfuge.attacks.libraries import LIBRARIES, Library, Problem, norm_of
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.registry import Entry
from subterfuge.attacks.search import BudgetSpent, Search, Watch
from subterfuge.attacks.whitebox.radius import Bracket, diameter
from subterfuge.criteria import Criterion
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Victim

# A radius is sought in as many rounds as leave each so many steps, and no more than so many.
_ROUND, _ROUNDS = 20, 12
# First radius tried: a change that is so many decibels below the clip.
_FIRST_DB = 30.0


def entry_of(name: str) -> Entry:
    """What the registry says of another library's attack.

    Raises
    ------
    SubterfugeError
        If the library is none of those known or is not installed, or has no such attack.
    """
    library, attack, short = _found(name)
    return Entry(
        f"{__name__}:foreign",
        f"{short} of another library",
        norm=norm_of(attack, short),
        options={"name": name},
        access=library.access.get(short, "gradients"),
    )


def foreign(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    name: str,
    steps: int = 500,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Run another library's attack on each row.

    One that takes a radius is run several times, towards the smallest that will do. To a victim that may hear
    several labels at once, and for a wanted confidence, the library is shown two scores: whether the goal is
    reached, and whether it is not. Random numbers that it takes from global states are seeded, and the states
    are put back.

    Parameters
    ----------
    victim : Victim
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
    name : str
        ``library:attack``.
    steps : int
        Most forward queries a row, the one at the clip included; the attack is laid out for as many.
    generator : torch.Generator, optional
        For the seeds.
    watch : Watch, optional

    Returns
    -------
    Outcome
        Distances in the attack's own norm.

    Raises
    ------
    SubterfugeError
        As :func:`entry_of`; or with the library's own words, if its attack refuses.

    References
    ----------
    Rauber et al., "Foolbox Native", JOSS 5(53), 2020. Nicolae et al., "Adversarial robustness toolbox",
    arXiv:1807.01069, 2018. Kim, "Torchattacks", arXiv:2010.01950, 2020. Rony and Ben Ayed, "Adversarial
    library", 2020.
    """
    if steps < 2:
        raise SubterfugeError(f"steps: got {steps}, expected at least 2")
    library, attack, short = _found(name)
    watch = watch or Watch()
    budget = steps if watch.budget is None else min(steps, watch.budget)
    blind = library.access.get(short, "gradients") != "gradients"
    search = Search(
        victim,
        y,
        criterion,
        norm=norm_of(attack, short),
        watch=Watch(budget=budget, report=watch.report),
        gradients=not blind,
    )
    seeds = torch.randint(2**31, (len(y),), generator=generator).tolist()
    with search, torch.enable_grad():
        for row, seed in enumerate(seeds):
            with contextlib.suppress(BudgetSpent), _alone(seed, y.device), _telling(name):
                _attack_row(search, row, library, attack, budget)
    return search.outcome()


class Ear(nn.Module):
    """A victim as another library asks it: one row of a search, in the library's units, all counted."""

    def __init__(self, search: Search, row: int, *, unit: bool, two: bool) -> None:
        super().__init__()
        self.search, self.row, self.unit, self.two = search, row, unit, two
        # Some ask a model's parameters where it computes.
        self.place = nn.Parameter(torch.zeros((), device=search.y.device), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of ``x``, shape (candidates, ...); of two classes, the second is the goal reached."""
        y = x.reshape(len(x), -1).to(self.search.y.dtype)
        scores, margin, _ = self.search.lend(2 * y - 1 if self.unit else y, self.row)
        if self.two:
            scores = torch.stack([torch.zeros_like(margin), margin], 1)
        # The same scores above zero: some take a maximum over them times a mask, which is right only there.
        return (scores - scores.detach().amin(1, keepdim=True) + 1).to(x.dtype)


def _attack_row(search: Search, row: int, library: Library, attack: Any, budget: int) -> None:
    x = search.y[row : row + 1]
    scores, _, several = search.lend(x, row)
    if bool(search.success[row]):
        return
    two = several or search.goal.confidence is not None
    away = search.goal.away and not two
    label = 1 if two else int(search.goal.label[row])
    model = Ear(search, row, unit=library.unit, two=two).eval()
    classes = 2 if two else scores.shape[1]
    if not library.takes_radius(attack):
        _consider(search, row, library.run(attack, Problem(model, x, label, away, classes, budget)))
        return
    size = torch.linalg.vector_norm(x, search.norm) if search.norm == 2 else x.square().mean().sqrt()
    first = (size * 10 ** (-_FIRST_DB / 20)).clamp(min=1e-6)[None]
    bracket = Bracket(first, diameter(x, search.norm))
    rounds = max(1, min(_ROUNDS, budget // _ROUND))
    for _ in range(rounds):
        radius = float(bracket.radius[0])
        problem = Problem(model, x, label, away, classes, max(1, budget // rounds), radius)
        before = float(search.best_distance[row])
        _consider(search, row, library.run(attack, problem))
        found = float(search.best_distance[row]) < before
        bracket.learn(
            torch.ones(1, dtype=torch.bool, device=x.device),
            torch.tensor([found], device=x.device),
            search.best_distance[row : row + 1],
        )


def _consider(search: Search, row: int, found: Tensor | None) -> None:
    """Ask about what the library returned, unless it is the best of what it asked about itself."""
    if found is None or not bool(found.isfinite().all()):
        return
    x = found.detach().reshape(1, -1).to(search.y).clamp(-1, 1)
    if not (bool(search.success[row]) and torch.equal(x[0], search.best[row])):
        with torch.no_grad():
            search.lend(x, row)


def _found(name: str) -> tuple[Library, Any, str]:
    """The library and the attack of a name, and the attack's own name."""
    prefix, _, short = (part.strip() for part in name.partition(":"))
    known = prefix.casefold().replace("_", "-")
    if known not in LIBRARIES:
        raise SubterfugeError(
            f"unknown attack {name!r}: expected {', '.join(LIBRARIES)} before the colon, or no colon"
        )
    library = LIBRARIES[known]
    root = library.module.partition(".")[0]
    try:
        with _silent():
            module = importlib.import_module(library.module)
    except ModuleNotFoundError as error:
        if error.name == root:
            raise SubterfugeError(
                f"attack {name!r}: {root} is not installed, expected it to be (best in an environment of its "
                "own, for it may replace torch)"
            ) from error
        raise SubterfugeError(f"attack {name!r}: {root} cannot be imported ({error})") from error
    except Exception as error:
        raise SubterfugeError(f"attack {name!r}: {root} cannot be imported ({_first(error)})") from error
    attack = getattr(module, short, None)
    if attack is None or not library.is_attack(attack):
        able = [one for one in dir(module) if one[0] != "_" and library.is_attack(getattr(module, one))]
        near = difflib.get_close_matches(short, able, n=3, cutoff=0.3) or able[:3]
        raise SubterfugeError(f"unknown attack {name!r}: did you mean {' or '.join(near) or 'another'}?")
    return library, attack, short


@contextlib.contextmanager
def _alone(seed: int, device: torch.device) -> Iterator[None]:
    """Global random states seeded meanwhile, and put back; nothing printed."""
    python, array = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), _silent():
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """No word on standard output, which may be JSON, and no warnings."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _telling(name: str) -> Iterator[None]:
    """What the library refuses, in one line."""
    try:
        yield
    except (BudgetSpent, SubterfugeError):
        raise
    except Exception as error:
        raise SubterfugeError(f"attack {name!r}: the library refused it ({_first(error)})") from error


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".")[:200] if lines else type(error).__name__
