"""The search: a sound's knobs moved until the victim hears the label, whatever becomes of the sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from subterfuge.audio import to_lattice
from subterfuge.synthesis.sound import Sound, safe
from subterfuge.synthesis.variants import Drawer, changed, panel
from subterfuge.synthesis.wish import Wish
from subterfuge.transforms.transform import Transform

# Told how many steps of how many are done, and the probability now.
Progress = Callable[[int, int, float], None]

SUBTYPE = "PCM_16"
# Steps between two looks at what has been found; steps without a gain of so much after which it is left.
_LOOK, _PATIENCE, _GAIN = 25, 100, 0.005
# From here on each variant is sure enough for the search to end.
_SURE = 0.97


@dataclass(frozen=True)
class Found:
    """The best of a search.

    Attributes
    ----------
    audio : Tensor, shape (1, samples)
        On the lattice of 16 bits, as a file holds it.
    worth : float
        See :meth:`subterfuge.synthesis.wish.Wish.worth`.
    told : dict of str to float
        What the style has to say of it.
    steps : int
    interrupted : bool
    """

    audio: Tensor
    worth: float
    told: dict[str, float]
    steps: int
    interrupted: bool


def climb(
    sound: Sound,
    wish: Wish,
    *,
    steps: int,
    transforms: Sequence[Transform] = (),
    generator: torch.Generator,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> Found:
    """Adam on a sound's knobs, a variant drawn at every step beside the sound itself.

    Every 25 steps the sound is rounded to 16 bits and tried on the panel of variants; the best is kept, and
    the search ends early once nothing is missing, or nothing is gained any more.

    Parameters
    ----------
    sound : Sound
    wish : Wish
    steps : int
        At least 1.
    transforms : sequence of Transform
        What it is to survive (expectation over transformation: Athalye et al. 2018); none for none.
    generator : torch.Generator
        What the variants are drawn from.
    stop : callable
        Asked before each step; true ends the search with the best so far.
    progress : callable, optional
    """
    sr = wish.victim.sample_rate
    seal = sound.finish or partial(safe, sr=sr)
    optimiser = torch.optim.Adam([{"params": [one.value], "lr": one.rate} for one in sound.knobs])
    drawer = Drawer(transforms, generator)
    tried = list(panel(sr).values()) if transforms else []
    best: Found | None = None
    fresh = 0
    for step in range(steps + 1):
        interrupted = stop()
        if step % _LOOK == 0 or step == steps or interrupted:
            audio, worth, sure = _look(sound, wish, seal, tried)
            if best is None or worth > best.worth + _GAIN:
                fresh = step
            if best is None or worth > best.worth:
                best = Found(audio, worth, sound.told(), step, interrupted)
            stale = best.worth >= wish.enough and step - fresh >= _PATIENCE
            if sure or stale or interrupted or step == steps:
                return Found(best.audio, best.worth, best.told, step, interrupted)
        for group, one in zip(optimiser.param_groups, sound.knobs, strict=True):
            group["lr"] = one.rate * (0.1 + 0.9 * (1 + math.cos(math.pi * step / steps)) / 2)
        optimiser.zero_grad()
        y = seal(sound.render())
        rows = [y, changed(y, drawer.draw(), sr=sr)] if transforms else [y]
        lack, p = wish.lack(torch.cat(rows))
        loss = lack.sum() if sound.toll is None else lack.sum() + sound.toll()
        loss.backward()  # type: ignore[no-untyped-call]
        for one in sound.knobs:
            assert one.value.grad is not None
            one.value.grad.nan_to_num_(0.0, 0.0, 0.0)
        optimiser.step()
        if transforms:
            drawer.heed(float(p[1]))
        if progress is not None:
            progress(step + 1, steps, float(p[0]))
    raise AssertionError("the last step returns")


@torch.no_grad()
def _look(
    sound: Sound, wish: Wish, seal: Callable[[Tensor], Tensor], tried: Sequence[Callable[..., Tensor]]
) -> tuple[Tensor, float, bool]:
    """The sound as a file would hold it, its worth, and whether nothing is missing."""
    sr = wish.victim.sample_rate
    audio = to_lattice(seal(sound.render()), SUBTYPE)
    variants = [variant(audio, sr=sr) for variant in tried]
    worth, own = wish.worth([audio, *variants])
    sure = own >= wish.enough and worth - wish.enough >= (_SURE if tried else 0.0)
    return audio, worth, sure
