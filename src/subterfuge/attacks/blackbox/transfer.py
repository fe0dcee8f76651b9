"""Starts that cost no query: victims at hand that know the same label are attacked in the other's place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from subterfuge.victims.victim import TorchVictim, Victim

# Steps of the attack on each, and how many times its change is magnified: a small one seldom carries over.
_STEPS, _MAGNIFIED = 80, (2.0, 4.0, 8.0, 16.0)


def transferred(y: Tensor, label: str, victim: Victim) -> Iterator[Tensor]:
    """Perturbations (samples,) that make embedded victims hear a label, larger and larger.

    Never of the victim itself: whoever has that needs no queries.

    Parameters
    ----------
    y : Tensor, shape (1, samples)
    label : str
    victim : Victim
        The one that will be asked; only looked at to tell whether it is one of those at hand.

    References
    ----------
    Papernot, McDaniel and Goodfellow, "Transferability in machine learning: from phenomena to black-box
    attacks using adversarial samples", 2016.

    Examples
    --------
    >>> y = 0.1 * torch.randn(1, 44100, generator=torch.Generator().manual_seed(0))
    >>> len(list(transferred(y, "no such label", victim)))
    0
    """
    from subterfuge.attacks.whitebox.minimal import minimal
    from subterfuge.criteria import Targeted
    from subterfuge.victims.store import embedded_folder, load_victim

    deltas = []
    for folder in sorted(embedded_folder().iterdir()):
        other = load_victim(folder)
        if label not in other.labels or other.sample_rate != victim.sample_rate or _within(victim, other):
            continue
        with torch.enable_grad():
            outcome = minimal(other, y, Targeted(label), steps=_STEPS)
        if bool(outcome.success[0]):
            deltas.append((outcome.audio - y)[0])
    for times in _MAGNIFIED:
        yield from (times * delta for delta in deltas)


def _within(victim: Any, other: Victim, depth: int = 6) -> bool:
    """Whether a victim is, or wraps, one with the weights of another."""
    if isinstance(victim, TorchVictim) and isinstance(other, TorchVictim):
        mine, theirs = victim.state_dict(), other.state_dict()
        if mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine):
            return True
    held = [one for one in getattr(victim, "__dict__", {}).values() if hasattr(one, "hear")]
    if isinstance(victim, torch.nn.Module):
        held += [one for one in victim.children() if hasattr(one, "hear")]
    return depth > 0 and any(_within(one, other, depth - 1) for one in held)
