"""One task on one clip: an attack, whose result is asked about again as 16 bits hold it, or a check."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from subterfuge.attacks.file_domain import at_rate
from subterfuge.attacks.lattice import Judge, settle
from subterfuge.attacks.oracle import Oracle
from subterfuge.attacks.registry import get_attack
from subterfuge.audibility.masking import noise_to_mask
from subterfuge.audio import AudioFile
from subterfuge.audit.plan import COLUMNS, Plan
from subterfuge.criteria import Criterion, Targeted, Untargeted
from subterfuge.defences.defended import Defended
from subterfuge.defences.input.defence import make
from subterfuge.predictions import noticed_in
from subterfuge.victims.victim import Victim

Told = dict[str, Any]
_LATTICE = 2.0**15
_SCALES = (1.0, 1.01, 1.03, 1.1, 1.3, 2.0)


def attempt(
    victim: Victim, y: Tensor, task: str, plan: Plan, *, heard: int, like: Told | None = None
) -> Told:
    """Do one of the plan's tasks but ``clean``.

    Parameters
    ----------
    victim : Victim
    y : Tensor, shape (1, samples)
        A clip at the victim's rate.
    task : str
        A column, or one of :data:`subterfuge.audit.plan.EXTRAS`.
    plan : Plan
    heard : int
        What the victim hears in the clip.
    like : dict, optional
        Of ``noise``: what ``minimal`` came to, whose loudness it takes.

    Returns
    -------
    dict
        ``success``; ``snr_db`` and ``nmr_db`` (the worst noise-to-mask ratio) of what was found, None without
        success; ``queries`` and ``seconds``.
    """
    began = time.perf_counter()
    name: str | None = None
    steps: int | None = None
    asked = victim
    if task == "noise":
        found, queries = _noise(y, plan.seed, like)
    elif task == "one-step":
        name = "fgsm-l2"
        found, queries = _attacked(victim, y, name, _criterion(plan, victim), plan, steps=None)
    else:
        column = "minimal" if task == "fewer-steps" else task
        steps = max(2, plan.steps // 3) if task == "fewer-steps" else plan.budget(column)
        name, access = COLUMNS[column]
        asked = victim if access == "gradients" else Oracle(victim, access=access)
        found, queries = _attacked(asked, y, name, _criterion(plan, victim), plan, steps=steps)
    told = {"queries": queries, "seconds": time.perf_counter() - began}
    if found is None:
        return {**told, "success": False, "snr_db": None, "nmr_db": None}
    if task == "noise":
        return {**told, **judged(victim, y, found, plan, heard)}
    if name is not None and asked is victim:
        found = _settled(victim, y, found, plan)
        if not judged(victim, y, found, plan, heard)["success"]:
            # Where rounding takes a success away, as in silence, it is sought among samples that are rounded.
            among = Defended(victim, make("bits", bits=16))
            again, _ = _attacked(among, y, name, _criterion(plan, victim), plan, steps=steps)
            found = found if again is None else again
    # What is smaller than a step of 16 bits may be lost by rounding: then a little more of the same.
    for scale in _SCALES:
        verdict = judged(victim, y, y + scale * (found - y), plan, heard)
        if verdict["success"]:
            break
    return {**told, **verdict}


def _settled(victim: Victim, y: Tensor, found: Tensor, plan: Plan) -> Tensor:
    """What a file of 16 bits would hold, as an attack on a file would choose it."""
    file = AudioFile(Path("clip.wav"), y.detach().cpu(), victim.sample_rate, "WAV", "PCM_16")
    judge = Judge(at_rate(victim, victim.sample_rate), _criterion(plan, victim).bind(victim, y))
    data, _ = settle(file, (found - y)[0].detach().cpu(), judge)
    return data.to(y)


def judged(victim: Victim, y: Tensor, found: Tensor, plan: Plan, heard: int) -> Told:
    """Whether audio of 16 bits does what was wanted, by the victim's own ``predict``, and what it cost.

    What a guard notices does nothing.
    """
    found = (found.clamp(-1, 1 - 1 / _LATTICE) * _LATTICE).round() / _LATTICE
    with torch.no_grad():
        hearing = victim.hear(found)
    label = int(hearing.predicted[0])
    won = label != heard if plan.to is None else victim.labels[label] == plan.to
    won = won and not noticed_in(hearing)
    change = float(torch.linalg.vector_norm((found - y).double()))
    snr = math.inf if change == 0 else 20 * math.log10(float(y.double().norm()) / change + 1e-300)
    worst = float(noise_to_mask(y, found, sr=victim.sample_rate).max())
    nmr = 10 * math.log10(max(worst, 1e-12))
    return {"success": won, "snr_db": snr, "nmr_db": nmr, "predicted": victim.labels[label]}


def _criterion(plan: Plan, victim: Victim) -> Criterion:
    return Untargeted() if plan.to is None else Targeted(plan.to)


def _attacked(
    victim: Victim, y: Tensor, name: str, criterion: Criterion, plan: Plan, *, steps: int | None
) -> tuple[Tensor | None, int]:
    generator = torch.Generator().manual_seed(plan.seed)
    more = {} if steps is None else {"steps": steps}
    outcome = get_attack(name)(victim, y, criterion, generator=generator, **more)
    queries = int(outcome.queries.forward[0])
    return (outcome.audio if bool(outcome.success[0]) else None), queries


def _noise(y: Tensor, seed: int, like: Told | None) -> tuple[Tensor | None, int]:
    """White noise as loud as the change that fooled; nothing where nothing did."""
    if like is None or not like["success"]:
        return None, 0
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y)
    size = float(y.norm()) * 10 ** (-float(like["snr_db"]) / 20)
    return y + noise * (size / float(noise.norm())), 0
