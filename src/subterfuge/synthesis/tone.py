"""A harmonic tone from its phase and the levels of its partials, fast, with its gradient in closed form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def tone(phase: Tensor, levels: Tensor) -> Tensor:
    """``sum over h of a_h(t) sin(h phase(t))``, the levels going straight from each frame to the next.

    Partials are powers of ``exp(i phase)``, taken one after the other: no sine but the first is computed, and
    no matrix of samples times partials is kept.

    Parameters
    ----------
    phase : Tensor, shape (samples,)
        Of the fundamental, in radians; samples a multiple of the frames.
    levels : Tensor, shape (frames + 1, partials)
        At the beginning of each frame and at the end of the last.

    Returns
    -------
    Tensor, shape (samples,)

    Examples
    --------
    >>> phase = torch.linspace(0, 1, 8, dtype=torch.float64)
    >>> one = tone(phase, torch.tensor([[0.0, 1.0], [0.0, 1.0]], dtype=torch.float64))
    >>> bool(torch.allclose(one, torch.sin(2 * phase)))
    True
    """
    out: Tensor = _Tone.apply(phase, levels)  # type: ignore[no-untyped-call]
    return out


class _Tone(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, phase: Tensor, levels: Tensor) -> Tensor:
        ctx.save_for_backward(phase, levels)
        frames = len(levels) - 1
        turn = torch.polar(torch.ones_like(phase), phase).view(frames, -1)
        up = _ramp(turn)
        power, out, level = turn.clone(), torch.zeros_like(up), torch.empty_like(up)
        for h in range(levels.shape[1]):
            if h:
                power *= turn
            out.addcmul_(_between(levels[:, h], up, level), power.imag)
        return out.view(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        phase, levels = ctx.saved_tensors
        frames = len(levels) - 1
        turn = torch.polar(torch.ones_like(phase), phase).view(frames, -1)
        up = _ramp(turn)
        grad = grad.view(frames, -1)
        power, by_phase, level = turn.clone(), torch.zeros_like(up), torch.empty_like(up)
        by_levels = torch.zeros_like(levels)
        rising = up[0]
        for h in range(levels.shape[1]):
            if h:
                power *= turn
            pull = torch.mul(grad, power.imag, out=level)
            late = pull @ rising
            by_levels[1:, h] += late
            by_levels[:-1, h] += pull.sum(1) - late
            by_phase.addcmul_(_between(levels[:, h], up, level), power.real, value=h + 1)
        return (by_phase * grad).view(-1), by_levels


def _ramp(turn: Tensor) -> Tensor:
    """How far each sample is through its frame, from 0 up, shape (frames, samples a frame)."""
    frames, hop = turn.shape
    return (torch.arange(hop, dtype=turn.real.dtype) / hop).expand(frames, hop)


def _between(ends: Tensor, up: Tensor, out: Tensor) -> Tensor:
    """A course straight from each end to the next, shape (frames, samples a frame), into ``out``."""
    return torch.addcmul(ends[:-1, None], ends.diff()[:, None], up, out=out)
