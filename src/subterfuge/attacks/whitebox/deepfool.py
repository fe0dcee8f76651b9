"""DeepFool: jumps to the boundary of the linearised victim (Moosavi-Dezfooli et al., 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import check_steps, heading, lengths, loudness, noise, place, seed_from
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim


def deepfool(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 50,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    overshoot: float = 0.02,
    longest: float = 0.1,
) -> Outcome:
    """Step to the nearest point at which the linearised victim meets the goal, until the victim does.

    Away from a label that is the nearest of the planes on which some other label draws level (the paper's
    algorithm 2). Towards a label it is the nearest point of the polytope on which the label beats every
    rival at once: an exact small quadratic programme in place of the single plane. Every step costs one
    forward query and one backward query a rival. A row ends at its first success.

    Parameters
    ----------
    victim : Victim
        Differentiable.
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
    steps : int
        Most forward queries a row, the one at the clip included.
    generator : torch.Generator, optional
        Only for the direction where every gradient is exactly zero.
    watch : Watch, optional
    overshoot : float
        By what share each jump is lengthened, to land behind the boundary.
    longest : float
        Most that the first step may add, as a share of the clip's norm (a flat gradient promises a
        boundary at infinity); each further step may be half as long again.

    Returns
    -------
    Outcome
        Distances in L2.

    Raises
    ------
    SubterfugeError
        If the victim has no gradients or ``steps`` is under 2.

    References
    ----------
    Moosavi-Dezfooli, Fawzi and Frossard, "DeepFool: a simple and accurate method to fool deep neural
    networks", CVPR 2016.

    Examples
    --------
    With any differentiable ``victim`` and two clips ``y`` that it hears as its label 0:

    >>> outcome = deepfool(victim, y, Targeted(1))
    >>> outcome.success
    tensor([True, True])
    """
    check_steps(steps)
    seed = seed_from(generator)
    with Search(victim, y, criterion, watch=watch) as search:
        rows, total = torch.arange(len(y), device=y.device), torch.zeros_like(y)
        for step in range(steps):
            if not len(rows):
                break
            clean = y[rows]
            x = place(clean, total)
            duels, reached, gradients = search.climb_duels(x, rows)
            keep = ~reached
            rows, clean, total = rows[keep], clean[keep], total[keep]
            jump = nearest_success(duels[keep], gradients[keep], away=search.goal.away)
            cap = longest * 1.5**step * loudness(clean)
            size = lengths(jump)
            random = heading(noise(clean, seed, step).expand_as(clean), seed, step) * cap[:, None]
            # Nothing to win, yet not there (a victim may vote otherwise): further the same way, or any way.
            onward = torch.where((lengths(total) > 0)[:, None], overshoot * total, random)
            jump = torch.where((size > 0)[:, None], jump, onward)
            # Jumps to a curved boundary can fall short for ever, each by less: so a little of the whole, too.
            stretch = 1 + overshoot + 0.1 * overshoot * lengths(total) / size.clamp(min=1e-30)
            jump = torch.where((size > 0)[:, None], jump * stretch[:, None], jump)
            total = total + jump * (cap / lengths(jump).clamp(min=1e-30)).clamp(max=1)[:, None]
    return search.outcome()


def nearest_success(duels: Tensor, gradients: Tensor, *, away: bool, sweeps: int = 200) -> Tensor:
    """The shortest step to where one (``away``) or all of the linearised duels are won.

    Parameters
    ----------
    duels : Tensor, shape (rows, duels)
        Margins, positive where won.
    gradients : Tensor, shape (rows, duels, samples)
    away : bool
    sweeps : int
        Passes of coordinate ascent over the dual of the quadratic programme (Hildreth, 1957).

    Returns
    -------
    Tensor, shape (rows, samples)
        Zero where no gradient shows a way.

    Examples
    --------
    >>> planes = torch.eye(2)[None]
    >>> nearest_success(torch.tensor([[-1.0, -3.0]]), planes, away=True)
    tensor([[1., 0.]])
    >>> nearest_success(torch.tensor([[-1.0, -3.0]]), planes, away=False)
    tensor([[1., 3.]])
    """
    size = torch.stack([lengths(g) for g in gradients.unbind(1)], 1)
    seen = size > 0
    unit = gradients / torch.where(seen, size, 1.0)[:, :, None]
    far = torch.where(seen, -duels / torch.where(seen, size, 1.0), torch.inf if away else 0.0)
    far = far.nan_to_num(posinf=1e30, neginf=-1e30)
    if away:
        far, which = far.min(1)
        far = torch.where(seen.any(1), far.clamp(min=0), 0.0)
        return far[:, None].to(unit.dtype) * unit[torch.arange(len(unit), device=unit.device), which]
    # Scaled by the farthest plane, in float64: distances may be of any size.
    scale = far.amax(1, keepdim=True).clamp(min=1e-30).double()
    wanted, alike = far.double() / scale, (unit @ unit.transpose(1, 2)).double()
    force = torch.zeros_like(wanted)
    for _ in range(sweeps):
        before = force.clone()
        for j in range(force.shape[1]):
            lack = wanted[:, j] - (alike[:, j] * force).sum(1)
            force[:, j] = (force[:, j] + lack).clamp(min=0)
        if torch.allclose(force, before, rtol=1e-6, atol=1e-9):
            break
    return torch.einsum("rd,rds->rs", (force * scale).to(unit.dtype), unit)
