"""Every attack of the black-box benchmark behind one call: ours, Foolbox's, ART's, the seed's.

Each is given the same :class:`door.Door`. What needs a start is given the first that ``decide`` finds (clips
of the label and noise alone are seldom heard as wanted); finding it is paid for in queries like all else.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from contestants import STUBS
from door import Door
from subterfuge.attacks.search import BudgetSpent


@dataclass(frozen=True)
class Contestant:
    """One row of the table.

    Attributes
    ----------
    name, title : str
    access : str
        What it is shown.
    distribution : str or None
        The library's; None for ours.
    settings : str
        What differs from the library's defaults.
    run : callable
        ``run(door, budget, seed)``; all that it asked is in the door.
    most : int
        Its longest run.
    pairs : int
        How many of the 40 pairs it is given.
    """

    name: str
    title: str
    access: str
    distribution: str | None
    settings: str
    run: Callable[[Door, int, int], None]
    most: int = 1000
    pairs: int = 10


def attempt(one: Contestant, door: Door, budget: int, *, seed: int) -> None:
    """Run it until it is done or the door is shut."""
    torch.manual_seed(seed)  # some peers draw from torch's or numpy's global generator
    np.random.seed(seed)
    with (
        contextlib.suppress(BudgetSpent),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        torch.no_grad(),
    ):
        warnings.simplefilter("ignore")
        one.run(door, budget, seed)


def _ours(name: str, door: Door, budget: int, seed: int) -> None:
    from subterfuge.attacks.registry import get_attack
    from subterfuge.criteria import Targeted

    chance = torch.Generator().manual_seed(seed)
    # One query more than the door lets through: it is the door that ends it.
    get_attack(name)(door, door.y[None], Targeted([door.target]), steps=budget, generator=chance)


class _Found(Exception):
    """The first question that was answered as wanted."""


class _UntilFound:
    """The door, closed behind the first success."""

    differentiable = guided = False

    def __init__(self, door: Door) -> None:
        self.door, self.labels, self.sample_rate = door, door.labels, door.sample_rate

    def hear(self, y: Tensor, *, probabilities: bool = False):  # type: ignore[no-untyped-def]
        hearing = self.door.hear(y, probabilities=probabilities)
        if self.door.best:
            raise _Found
        return hearing


def _start(door: Door, seed: int) -> Tensor:
    """The first that our search with labels alone finds, shape (samples,)."""
    from subterfuge.attacks.registry import get_attack
    from subterfuge.criteria import Targeted

    chance = torch.Generator().manual_seed(seed)
    with contextlib.suppress(_Found):
        get_attack("decide")(
            _UntilFound(door), door.y[None], Targeted([door.target]), steps=10**5, generator=chance
        )
    return door.best[0][2]


class _Network(nn.Module):
    """The door as the libraries expect a network: inputs in [0, 1]."""

    def __init__(self, door: Door) -> None:
        super().__init__()
        self.door = door
        self.somewhere = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.door.scores(2 * x.reshape(len(x), -1) - 1).to(x.dtype)


def _unit(x: Tensor) -> Tensor:
    return ((x + 1) / 2).clamp(0, 1)[None]


def _foolbox(attack: str, door: Door, budget: int, seed: int) -> None:
    import foolbox

    start = _start(door, seed)
    model = foolbox.PyTorchModel(_Network(door), bounds=(0, 1), device="cpu")
    criterion = foolbox.criteria.TargetedMisclassification(torch.tensor([door.target]))
    # Steps without end: the door ends it.
    made = getattr(foolbox.attacks, attack)(steps=10**6)
    made.run(model, _unit(door.y), criterion, starting_points=_unit(start))


def _art(door: Door):  # type: ignore[no-untyped-def]
    from art.estimators.classification import BlackBoxClassifier

    def predict(x: np.ndarray) -> np.ndarray:
        y = 2 * torch.from_numpy(np.asarray(x, dtype=np.float32)).reshape(len(x), -1) - 1
        return door.probabilities(y).double().numpy()

    return BlackBoxClassifier(predict, (len(door.y),), len(door.labels), clip_values=(0.0, 1.0))


def _wanted(door: Door) -> np.ndarray:
    return np.eye(len(door.labels), dtype=np.float32)[[door.target]]


def _art_hopskipjump(door: Door, budget: int, seed: int) -> None:
    from art.attacks.evasion import HopSkipJump

    start = _start(door, seed)
    made = HopSkipJump(_art(door), targeted=True, max_iter=10**4, verbose=False)
    made.generate(_unit(door.y).numpy(), _wanted(door), x_adv_init=_unit(start).numpy())


def _art_signopt(door: Door, budget: int, seed: int) -> None:
    from art.attacks.evasion import SignOPTAttack

    start = _start(door, seed)
    made = SignOPTAttack(_art(door), targeted=True, max_iter=10**4, query_limit=10**6)
    made.generate(_unit(door.y).numpy(), _wanted(door), x_init=_unit(start).numpy())


def _art_zoo(door: Door, budget: int, seed: int) -> None:
    from art.attacks.evasion import ZooAttack

    made = ZooAttack(
        _art(door),
        targeted=True,
        max_iter=10**5,
        use_resize=False,
        use_importance=False,
        nb_parallel=8,
        verbose=False,
    )
    made.generate(_unit(door.y).numpy(), _wanted(door))


def stub() -> None:
    """Let ART and the others be imported beside a torch without torchvision."""
    if str(STUBS) not in sys.path:
        sys.path.append(str(STUBS))


ART = "adversarial-robustness-toolbox"


def _own(name: str, access: str, title: str = "", *, most: int = 1000, pairs: int = 10) -> Contestant:
    return Contestant(
        f"{name}-{access}", title or f"ours: {name}", access, None, "", partial(_ours, name), most, pairs
    )


EVERYONE = (
    _own("hunt", "scores", "**hunt** (ours, the default)", pairs=40),
    _own("hunt", "label", "**hunt** (ours, the default)", pairs=40),
    _own("decide", "label"),
    _own("subspace", "scores"),
    _own("cmaes", "scores"),
    _own("genetic", "scores"),
    _own("nes", "scores"),
    _own("spsa", "scores"),
    _own("square", "scores"),
    _own("simba", "scores"),
    _own("surrogate", "scores"),
    _own("boundary-subspace", "label"),
    _own("hopskipjump-subspace", "label"),
    _own("surfree-subspace", "label"),
    _own("genetic-seed", "scores", "the seed's genetic algorithm", most=2300),
    Contestant(
        "art-zoo",
        "ART ZOO",
        "scores",
        ART,
        "no resizing (it is for images), 8 coordinates at a time",
        _art_zoo,
    ),
    Contestant("art-hopskipjump", "ART HopSkipJump", "label", ART, "", _art_hopskipjump, most=3400),
    Contestant("art-signopt", "ART Sign-OPT", "label", ART, "", _art_signopt, most=3400),
    Contestant(
        "foolbox-boundary",
        "Foolbox Boundary",
        "label",
        "foolbox",
        "",
        partial(_foolbox, "BoundaryAttack"),
        most=3400,
    ),
    Contestant(
        "foolbox-hopskipjump",
        "Foolbox HopSkipJump",
        "label",
        "foolbox",
        "",
        partial(_foolbox, "HopSkipJumpAttack"),
        most=3400,
    ),
)


def contestants(names: list[str] | None) -> list[Contestant]:
    """Those named, in the table's order; all of them by default."""
    known = {one.name: one for one in EVERYONE}
    for name in names or ():
        if name not in known:
            raise SystemExit(f"--only: got {name!r}, expected some of {', '.join(known)}")
    return [one for one in EVERYONE if not names or one.name in names]
