"""Whether gradients are to be trusted: their size at a clip, and what they foretell against what happens."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim

# Length of the step, as a share of the clip: 80 dB below it.
_STEP = 1e-4


def slopes(victim: Victim, y: Tensor, criterion: Criterion) -> dict[str, float]:
    """The gradient's norm at a clip (1, samples), and how far it is off along itself.

    Returns
    -------
    dict
        ``norm``, and ``off``: the difference of the slope along the gradient from a central difference, as a
        share of the larger; NaN where the gradient is zero.
    """
    goal = criterion.bind(victim, y)

    def margin(x: Tensor) -> Tensor:
        return goal.margin(victim.hear(x, probabilities=goal.needs_probabilities))[0]

    leaf = y.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(margin(leaf), leaf)
    norm = float(gradient.double().norm())
    if not math.isfinite(norm) or norm == 0:
        return {"norm": norm, "off": math.nan}
    step = gradient / norm * float(y.norm()) * _STEP
    length = float(step.double().norm())
    with torch.no_grad():
        rise = float(margin(y + step) - margin(y - step)) / (2 * length)
    return {"norm": norm, "off": abs(rise - norm) / max(abs(rise), norm)}
