"""``masked``: the least audible perturbation that we know how to find.

It begins where ``minimal`` ends and follows the victim's boundary while the norm changes under it: from plain
L2 to one in which each critical band of each moment counts by what the clip masks there
(:class:`.hidden_norm.HiddenNorm`), and from the sum over all of them towards the worst. At last the cells
that are still the most audible are given more and more weight.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import BudgetSpent, Search, Watch
from subterfuge.attacks.whitebox.hidden_norm import HiddenNorm, room
from subterfuge.attacks.whitebox.minimal import STARTS, descend, ways
from subterfuge.attacks.whitebox.steps import check_steps, heading, place, seed_from
from subterfuge.audibility.masking import LEVEL
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim

# Share of the steps that `minimal` is given first, how many that is at least (or all of them), and at most.
# Hiding pays only once the boundary is found: with few steps it would do harm.
_FIRST, _LEAST, _MOST = 0.3, 60, 150
# When, as shares of the steps that follow, the norm has become the threshold's, and when weights change.
_RAMP, _WEIGH, _EVERY, _RATE = 0.35, (0.4, 0.9), 5, 0.15
# The norm at the end of the ramp.
_DEPTH, _POWER, _LEVELLING = 0.75, 8.0, 0.7
# Seconds at either end of the clip over which the perturbation fades, and the most of a clip: one that is cut
# off there clicks, in bands where a clip that is cut off as well does not mask it.
_FADE, _OF_CLIP = 0.01, 1 / 50
# Worst ratios below this (-6 dB) are as good as each other: the mean decides.
_ENOUGH = 0.25


def masked(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 600,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    level: float = LEVEL,
    threshold: Tensor | None = None,
) -> Outcome:
    """The least audible perturbation that we know how to find.

    What is made small is the worst ratio, over critical bands and moments, of the perturbation's power to
    what the clip masks there; where that is below a quarter (-6 dB), the mean of these ratios.

    Parameters
    ----------
    victim : Victim
        Differentiable.
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1] at ``victim.sample_rate``.
    criterion : Targeted or Untargeted
    steps : int
        Most gradient queries a row, at least 2.
    generator : torch.Generator, optional
        For what is drawn.
    watch : Watch, optional
    level : float
        Level in dB SPL at which a sine of full scale is played.
    threshold : Tensor, shape (batch, bands, frames), optional
        What may be filled, if not :func:`subterfuge.attacks.whitebox.hidden_norm.room` of ``y``: of a file
        with several channels, the least over these.

    Returns
    -------
    Outcome
        Distances are roots of noise-to-mask ratios: of the sum of the worst (at least a quarter) and the
        mean. 1 is about the threshold of hearing.

    Raises
    ------
    SubterfugeError
        If the victim has no gradients or ``steps`` is under 2.

    References
    ----------
    The threshold as the measure of an adversarial perturbation: Schönherr et al., "Adversarial attacks
    against automatic speech recognition systems via psychoacoustic hiding", NDSS 2019; Qin et al.,
    "Imperceptible, robust, and targeted adversarial examples for automatic speech recognition", ICML 2019.
    Both compare it bin by bin, and weigh it against success by a factor; here it is the norm in which the
    boundary is followed.

    Examples
    --------
    >>> from subterfuge import load_victim
    >>> from subterfuge.criteria import Targeted
    >>> y = 0.1 * torch.randn(1, 22050, generator=torch.Generator().manual_seed(0))
    >>> outcome = masked(load_victim("orchestra-svc"), y, Targeted("vio"), steps=40)
    >>> outcome.queries.forward.item() <= 40
    True
    """
    check_steps(steps)
    sr = victim.sample_rate
    threshold = room(y, sr=sr, level=level) if threshold is None else threshold.to(y)

    def measure(delta: Tensor, rows: Tensor) -> Tensor:
        ratio = HiddenNorm(threshold[rows], sr, y.shape[1]).ratio(delta)
        heard = (ratio.amax((1, 2)).clamp(min=_ENOUGH) + ratio.mean((1, 2))).sqrt()
        return torch.where((delta == 0).all(1), 0.0, heard)

    with Search(victim, y, criterion, measure=measure, watch=watch) as search:
        seed = seed_from(generator)
        margin, reached, gradient = search.climb(search.y)
        rows = (~reached).nonzero()[:, 0]
        known = margin[rows], gradient[rows]
        guided = steps >= 10 and bool(getattr(victim, "guided", False))
        first = min(steps, max(_LEAST, min(int(_FIRST * steps), _MOST)))
        x, distance = descend(search, rows, known, first, ways(STARTS, seed, guided=guided), seed)
        lost = distance.isinf()
        if bool(lost.any()) and steps > first + 1:
            # Where no way was found yet, the rest of the steps goes into that.
            some = rows[lost], (known[0][lost], known[1][lost])
            descend(search, *some, steps - first, ways(STARTS[1:], seed + 1, guided=guided), seed)
        rows, x = rows[~lost], x[~lost]
        if len(rows) and steps > first:
            hide(search, rows, x, HiddenNorm(threshold[rows], sr, y.shape[1]), steps - first)
    return search.outcome()


def hide(search: Search, rows: Tensor, x: Tensor, norm: HiddenNorm, steps: int) -> None:
    """Along the boundary from ``x``, shape (rows, samples), while the norm becomes the threshold's.

    The step is that of ``minimal``'s ``shrink``: on a sphere that shrinks where the goal is reached and grows
    where it is not, the direction turns into the mean of the last few steepest ones.
    """
    clean = search.y[rows]
    delta = x - clean
    drift = torch.zeros_like(delta)
    radius = norm.lengths(delta)
    fade = _faded(delta, int(min(_FADE * norm.sr, _OF_CLIP * norm.samples)))
    for step in range(steps):
        done = step / steps
        if step % _EVERY == 0 and (done <= _RAMP or _WEIGH[0] <= done <= _WEIGH[1]):
            relative = radius / norm.lengths(delta)
            if done >= _WEIGH[0]:
                norm.reweigh(delta, _RATE)
            else:
                far = min(1.0, (step + _EVERY) / (_RAMP * steps))
                norm.set(depth=far * _DEPTH, power=2 + far * (_POWER - 2), levelling=far * _LEVELLING)
            radius = relative * norm.lengths(delta)
        slowly = 0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2
        x = place(clean, delta)
        delta = x - clean
        try:
            _, reached, gradient = search.climb_soft(x, rows, softness=0.1)
        except BudgetSpent:  # of these rows; others may have queries left
            break
        length = norm.lengths(delta)
        change = 0.06 * slowly
        radius = torch.where(reached, torch.minimum(radius, length) * (1 - change), radius * (1 + change))
        up = norm.heading(heading(gradient, 0, step))
        drift = 0.7 * drift + up * length[:, None] - delta
        delta = delta + 0.08 * slowly * drift
        delta = delta * fade
        delta = delta * (radius / norm.lengths(delta).clamp(min=1e-30))[:, None]


def _faded(y: Tensor, samples: int) -> Tensor:
    """Ones, shape (samples of ``y``,), that rise from about nought at either end within so many."""
    ramp = torch.ones_like(y[0])
    if samples > 0:
        rise = torch.sin(torch.pi / 2 * (torch.arange(samples).to(ramp) + 0.5) / samples) ** 2
        ramp[:samples] = rise
        ramp[-samples:] = rise.flip(0)
    return ramp
