"""Searches with scores that know nothing of gains: cosines and patches, from nothing or from a change."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Talk
from subterfuge.attacks.blackbox.local_cosines import LocalCosines
from subterfuge.attacks.blackbox.patches import Patches
from subterfuge.attacks.blackbox.shrinking import Ball, first_ball, shrink
from subterfuge.attacks.blackbox.simba import one_by_one, turns
from subterfuge.attacks.blackbox.square import by_patches
from subterfuge.attacks.blackbox.starts import fitted

# First ball of each, in dB under the clip, and how long a cosine is as a share of the ball's radius.
_COSINES_DB, _PATCHES_DB, _STRIDE = 20.0, 10.0, 0.2
# The ball beneath a change that is known, as a share of its length.
_CLOSER = 0.85
# Queries in vain after which a ball of cosines, and one of patches, grows.
_PATIENCE, _IMPATIENCE = 100, 60
# Patches are squares, as many noise as that leaves; the share of the plane of the first and of the last, and
# how soon they come to be so small (queries).
_LONG, _OWN, _FIRST, _LAST, _SMALLER = 0.5, 0.85, 0.08, 0.005, 100.0


def cosines(
    y: Tensor, *, sr: float, seed: int, delta: Tensor | None = None, length: float = math.inf
) -> Talk:
    """As :func:`~subterfuge.attacks.blackbox.simba.simba`, endless.

    Parameters
    ----------
    y : Tensor, shape (samples,)
    sr : float
    seed : int
    delta : Tensor, shape (samples,), optional
        A change to begin with; otherwise it begins with the clip.
    length : float
        Of it, if it is one to make shorter; otherwise it is only a way to go.
    """
    basis = LocalCosines(len(y), part=max(LocalCosines.SHORTEST, len(y)))
    numbers = turns(basis, y, sr=sr, order="quiet", seed=seed)

    def climb(ball: Ball) -> Talk:
        return one_by_one(ball, basis, numbers, _STRIDE)

    ball = first_ball(y, torch.zeros_like(y), lambda change: change, _COSINES_DB)
    return shrink(_beneath(ball, delta, length), climb, patience=_PATIENCE, length=length)


def patches(
    y: Tensor,
    *,
    sr: float,
    seed: int,
    delta: Tensor | None = None,
    length: float = math.inf,
    clips: Sequence[Tensor] = (),
) -> Talk:
    """As :func:`~subterfuge.attacks.blackbox.square.square`, with sounds of the label, endless.

    Parameters
    ----------
    y, sr, seed, delta, length
        As :func:`cosines` has them.
    clips : sequence of Tensor, shape (any,)
        Of the label.
    """
    plane, chance, asked = Patches(y, sr=sr), np.random.default_rng(seed), itertools.count()
    others = [plane.cells(fitted(clip.to(y), len(y))) for clip in clips]
    sounds = [plane.own, -plane.own, *others, *(other - plane.own for other in others)]

    def climb(ball: Ball) -> Talk:
        covered = (max(_LAST, _FIRST * 2 ** (-k / _SMALLER)) for k in asked)
        return by_patches(ball, plane, chance, covered, long=_LONG, own=_OWN, sounds=sounds)

    ball = first_ball(y, torch.zeros_like(plane.own), plane.render, _PATCHES_DB)
    here = None if delta is None else plane.cells(delta)
    return shrink(_beneath(ball, here, length), climb, patience=_IMPATIENCE, length=length)


def first_length(y: Tensor) -> float:
    """Radius of the ball that cosines begin in."""
    return first_ball(y, y, lambda change: change, _COSINES_DB).radius


def _beneath(ball: Ball, here: Tensor | None, length: float) -> Ball:
    """The ball beneath a change of known length, or the first ball, with what of the change is in it."""
    if length < math.inf:
        ball.radius = _CLOSER * length
    if here is not None:
        ball.here = ball.within(here[None])[0]
    return ball
