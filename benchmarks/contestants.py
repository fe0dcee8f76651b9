"""Every attack of the white-box benchmark behind one call: ours, adv-lib's, Foolbox's, torchattacks', ART's.

Each runs on one problem through a :class:`metering.Metered` victim with a budget of gradient queries; its
schedule is laid out for that budget. What differs from a library's defaults is said in ``settings`` and is
shown in the page.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from metering import Meter, Metered
from subterfuge.attacks.search import BudgetSpent, Watch
from subterfuge.criteria import Targeted
from subterfuge.victims.victim import TorchVictim

STUBS = Path(__file__).resolve().parent / "stubs"


@dataclass(frozen=True)
class Contestant:
    """One row of the table.

    Attributes
    ----------
    name : str
        For ``--only`` and for files.
    title : str
        For the table.
    distribution : str or None
        The library's distribution; None for ours.
    settings : str
        What differs from the library's defaults.
    run : callable
        ``run(victim, meter, budget, seed)``; returns the library's own result in [-1, 1], shape
        (samples,), or None; everything it asked the victim is in the meter in any case.
    """

    name: str
    title: str
    distribution: str | None
    settings: str
    run: Callable[[TorchVictim, Meter, int, int], Tensor | None]


def attempt(one: Contestant, victim: TorchVictim, meter: Meter, *, seed: int) -> None:
    """Run a contestant until it is done or its budget is spent; its returned result is a candidate, too."""
    assert meter.budget is not None
    torch.manual_seed(seed)  # some peers draw from torch's or numpy's global generator
    np.random.seed(seed)
    returned = None
    with (
        contextlib.suppress(BudgetSpent),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        returned = one.run(victim, meter, meter.budget, seed)
    if returned is not None:
        x = returned.detach().reshape(1, -1).to(meter.y.dtype)
        meter.consider(x, victim.predict(x))


# ---------------------------------------------------------------- ours


def _minimal(victim: TorchVictim, meter: Meter, budget: int, seed: int) -> Tensor | None:
    from subterfuge.attacks.whitebox.minimal import minimal

    return _ours(minimal, victim, meter, budget, seed)


def _registered(name: str, victim: TorchVictim, meter: Meter, budget: int, seed: int) -> Tensor | None:
    from subterfuge.attacks.registry import get_attack

    return _ours(get_attack(name), victim, meter, budget, seed)


def _ours(attack: Callable, victim: TorchVictim, meter: Meter, budget: int, seed: int) -> Tensor | None:  # type: ignore[type-arg]
    generator = torch.Generator().manual_seed(seed)
    outcome = attack(
        Metered(victim, meter),
        meter.y[None],
        Targeted([meter.target]),
        steps=budget,
        generator=generator,
        watch=Watch(budget=budget),
    )
    return outcome.audio[0] if bool(outcome.success[0]) else None


# ---------------------------------------------------------------- peers


def _unit(meter: Meter) -> Tensor:
    """The clip as image libraries want it: a batch of one, in [0, 1]."""
    return ((meter.y + 1) / 2).clamp(0, 1)[None]


def _back(x: Tensor) -> Tensor:
    return 2 * x - 1


def _adv_lib(run: Callable[..., Tensor], victim: TorchVictim, meter: Meter, budget: int, seed: int) -> Tensor:
    for stub in ("torchvision", "visdom"):
        _stub(stub)
    model = Metered(victim, meter, unit=True)
    return _back(run(model, _unit(meter), torch.tensor([meter.target]), budget))


def _stub(name: str) -> None:
    """Let ``name`` be importable; the real one wins where it is installed."""
    if str(STUBS) not in sys.path:
        sys.path.append(str(STUBS))


def _adv_ddn(model: nn.Module, x: Tensor, target: Tensor, budget: int) -> Tensor:
    from adv_lib.attacks import ddn

    return ddn(model, x, target, targeted=True, steps=budget, levels=None)


def _adv_fmn(model: nn.Module, x: Tensor, target: Tensor, budget: int) -> Tensor:
    from adv_lib.attacks import fmn

    return fmn(model, x, target, norm=2, targeted=True, steps=budget)


def _adv_alma(model: nn.Module, x: Tensor, target: Tensor, budget: int, *, first: float = 1.0) -> Tensor:
    from adv_lib.attacks import alma

    return alma(model, x, target, targeted=True, num_steps=budget, distance="l2", init_lr_distance=first)


def _adv_pdgd(model: nn.Module, x: Tensor, target: Tensor, budget: int, *, primal_lr: float = 0.1) -> Tensor:
    from adv_lib.attacks import pdgd

    return pdgd(model, x, target, targeted=True, num_steps=budget, primal_lr=primal_lr)


def _foolbox(
    make: Callable[[int], object], victim: TorchVictim, meter: Meter, budget: int, seed: int
) -> Tensor:
    import foolbox

    model = foolbox.PyTorchModel(Metered(victim, meter, unit=True), bounds=(0, 1), device="cpu")
    criterion = foolbox.criteria.TargetedMisclassification(torch.tensor([meter.target]))
    # ``run`` and not the call: the call asks the victim again to verify what is verified here anyhow.
    return _back(make(budget).run(model, _unit(meter), criterion))  # type: ignore[attr-defined]


def _foolbox_ddn(budget: int) -> object:
    from foolbox.attacks import DDNAttack

    return DDNAttack(steps=budget)


def _foolbox_fmn(budget: int) -> object:
    from foolbox.attacks import L2FMNAttack

    return L2FMNAttack(steps=budget)


def _foolbox_cw(budget: int, **options: float) -> object:
    from foolbox.attacks import L2CarliniWagnerAttack

    search = searches(budget)
    return L2CarliniWagnerAttack(binary_search_steps=search, steps=budget // search, **options)


def searches(budget: int) -> int:
    """Rounds of C&W's search for its constant: the usual 9 where each still gets 100 steps, fewer below."""
    return max(1, min(9, budget // 100))


class _Positive(nn.Module):
    """Scores shifted above zero a row, which changes no argmax and no difference of two.

    torchattacks' C&W takes the largest of the others' scores times a zero-one mask, which is right only
    where scores are positive; ours are margins.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        scores = self.model(x)
        return scores - scores.detach().amin(1, keepdim=True) + 1


def _torchattacks_cw(
    victim: TorchVictim, meter: Meter, budget: int, seed: int, *, lr: float, c: float
) -> Tensor:
    import torchattacks

    attack = torchattacks.CW(_Positive(Metered(victim, meter, unit=True)), c=c, steps=budget, lr=lr)
    attack.set_mode_targeted_by_label(quiet=True)
    # Its atanh is infinite at full scale, and one such sample makes everything NaN.
    x = _unit(meter).clamp(1e-6, 1 - 1e-6)
    return _back(attack(x, torch.tensor([meter.target])))


def _art_cw(
    victim: TorchVictim, meter: Meter, budget: int, seed: int, *, rate: float, const: float
) -> Tensor:
    from art.attacks.evasion import CarliniL2Method
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        Metered(victim, meter, unit=True),
        loss=nn.CrossEntropyLoss(),
        input_shape=(len(meter.y),),
        nb_classes=len(victim.labels),
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
    search = searches(budget)
    # An iteration is two gradients (two passes each) and a line search of two to ten looks: about ten passes.
    attack = CarliniL2Method(
        classifier,
        targeted=True,
        learning_rate=rate,
        initial_const=const,
        binary_search_steps=search,
        max_iter=max(1, 2 * budget // (10 * search)),
        verbose=False,
    )
    wanted = np.eye(len(victim.labels), dtype=np.float32)[[meter.target]]
    return _back(torch.from_numpy(attack.generate(_unit(meter).numpy(), wanted)))


OURS = (
    Contestant("minimal", "**minimal** (ours, the default)", None, "", _minimal),
    Contestant("ours-ddn", "ours: DDN", None, "", partial(_registered, "ddn")),
    Contestant("ours-fmn", "ours: FMN", None, "", partial(_registered, "fmn")),
    Contestant("ours-alma", "ours: ALMA", None, "", partial(_registered, "alma")),
    Contestant("ours-cw", "ours: C&W", None, "", partial(_registered, "carlini-wagner")),
)
PEERS = (
    Contestant(
        "adv-lib-ddn",
        "adv-lib DDN",
        "adv-lib",
        "no quantisation (its default of 256 levels is an image's)",
        partial(_adv_lib, _adv_ddn),
    ),
    Contestant("adv-lib-fmn", "adv-lib FMN", "adv-lib", "norm 2", partial(_adv_lib, _adv_fmn)),
    Contestant(
        "adv-lib-alma",
        "adv-lib ALMA",
        "adv-lib",
        "first step of norm 1, as AttackBench sets it",
        partial(_adv_lib, _adv_alma),
    ),
    Contestant("adv-lib-pdgd", "adv-lib PDGD", "adv-lib", "", partial(_adv_lib, _adv_pdgd)),
    Contestant("foolbox-ddn", "Foolbox DDN", "foolbox", "", partial(_foolbox, _foolbox_ddn)),
    Contestant("foolbox-fmn", "Foolbox FMN", "foolbox", "", partial(_foolbox, _foolbox_fmn)),
    Contestant(
        "foolbox-cw",
        "Foolbox C&W",
        "foolbox",
        "searches x steps laid out for the budget",
        partial(_foolbox, _foolbox_cw),
    ),
    Contestant(
        "torchattacks-cw",
        "torchattacks C&W",
        "torchattacks",
        "scores shifted above zero",
        partial(_torchattacks_cw, lr=1e-2, c=1.0),
    ),
    Contestant(
        "art-cw",
        "ART C&W",
        "adversarial-robustness-toolbox",
        "searches x iterations laid out for the budget",
        partial(_art_cw, rate=1e-2, const=1e-2),
    ),
)
# The same libraries with steps that suit audio, where their defaults are steps a sample of an image. Chosen
# to their advantage: the best of a coarse grid on four of the pairs at 300 queries.
SUITED = (
    Contestant(
        "adv-lib-alma-suited",
        "adv-lib ALMA, suited",
        "adv-lib",
        "first step of norm 0.1",
        partial(_adv_lib, partial(_adv_alma, first=0.1)),
    ),
    Contestant(
        "adv-lib-pdgd-suited",
        "adv-lib PDGD, suited",
        "adv-lib",
        "primal step 0.0003 instead of 0.1",
        partial(_adv_lib, partial(_adv_pdgd, primal_lr=3e-4)),
    ),
    Contestant(
        "foolbox-cw-suited",
        "Foolbox C&W, suited",
        "foolbox",
        "step 0.001 instead of 0.01, first constant 0.01 instead of 0.001, never ended early",
        partial(_foolbox, partial(_foolbox_cw, stepsize=1e-3, initial_const=1e-2, abort_early=False)),
    ),
    Contestant(
        "torchattacks-cw-suited",
        "torchattacks C&W, suited",
        "torchattacks",
        "scores shifted above zero, step 0.0001 instead of 0.01",
        partial(_torchattacks_cw, lr=1e-4, c=1.0),
    ),
    Contestant(
        "art-cw-suited",
        "ART C&W, suited",
        "adversarial-robustness-toolbox",
        "first step 0.1 and first constant 1, each instead of 0.01",
        partial(_art_cw, rate=1e-1, const=1.0),
    ),
)
EVERYONE = OURS + PEERS + SUITED


def contestants(names: list[str] | None) -> list[Contestant]:
    """Those named, in the table's order; all of them by default."""
    known = {one.name: one for one in EVERYONE}
    for name in names or ():
        if name not in known:
            raise SystemExit(f"--only: got {name!r}, expected some of {', '.join(known)}")
    return [one for one in EVERYONE if not names or one.name in names]
