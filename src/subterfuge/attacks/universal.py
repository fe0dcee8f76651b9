"""One perturbation for many clips, seen or unseen: by gradients, or by queries alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.attacks.oracle import Oracle
from subterfuge.attacks.whitebox.quiet_bands import hold_back
from subterfuge.attacks.whitebox.steps import QUIET, cosine, heading, seed_from
from subterfuge.criteria import Criterion, Goal
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Victim

# Bands whose levels are sought by queries; pairs of mirrored draws a generation.
_BANDS, _PAIRS = 24, 5
Report = Callable[[str], None]


@dataclass(frozen=True)
class Universal:
    """A perturbation, and what it cost.

    Attributes
    ----------
    perturbation : Tensor, shape (samples,)
        Of a root mean square of one; it is repeated for as long as a clip lasts, and scaled to the clip.
    sample_rate : int
        In Hz.
    forward, backward : int
        Waveforms that went through the victim.
    trace : tuple of float
        Share of the clips of each step that reached the goal.
    interrupted : bool
    """

    perturbation: Tensor
    sample_rate: int
    forward: int
    backward: int
    trace: tuple[float, ...]
    interrupted: bool = False


def universal(
    victim: Victim,
    clips: Sequence[Tensor],
    criterion: Criterion,
    *,
    seconds: float = 1.0,
    snr_db: float = 20.0,
    steps: int = 200,
    batch: int = 6,
    shifts: bool = True,
    access: str = "gradients",
    budget: int | None = None,
    generator: torch.Generator | None = None,
    report: Report | None = None,
) -> Universal:
    """Search for one perturbation that makes the victim hear in any clip what the criterion wants.

    Instead of going from clip to clip (Moosavi-Dezfooli et al. 2017), the mean direction of a few clips is
    followed at a time (Shafahi et al. 2020): with each clip the repeated perturbation begins somewhere else,
    so that it works wherever it is put. Without gradients, an evolution strategy with mirrored draws
    (Salimans et al. 2017) seeks the levels of bands of noise.

    Parameters
    ----------
    victim : Victim
    clips : sequence of Tensor, each of shape (samples,)
        At the victim's rate; lengths may differ.
    criterion : Targeted or Untargeted
    seconds : float
        Length of the perturbation.
    snr_db : float
        Signal-to-noise ratio at which it is to succeed, the same for each clip.
    steps : int
        Steps along the gradient, or generations.
    batch : int
        Clips a step.
    shifts : bool
        Whether it begins anywhere; otherwise it always begins with the clip.
    access : str
        ``gradients``, ``scores``, ``top-k`` or ``label``.
    budget : int, optional
        Most waveforms through the victim.
    generator : torch.Generator, optional
    report : callable, optional

    Returns
    -------
    Universal
        Ctrl-C keeps what there is.

    Raises
    ------
    SubterfugeError
        If there are no clips, an option is out of range, or gradients are needed that the victim has not.

    References
    ----------
    Moosavi-Dezfooli, Fawzi, Fawzi and Frossard, "Universal adversarial perturbations", CVPR 2017. Shafahi,
    Najibi, Xu, Dickerson, Davis and Goldstein, "Universal adversarial training", AAAI 2020. Salimans, Ho,
    Chen, Sidor and Sutskever, "Evolution strategies as a scalable alternative to reinforcement learning",
    2017.

    Examples
    --------
    >>> found = universal(victim, list(y), Targeted("right"), seconds=0.02, snr_db=0, steps=5)
    >>> tuple(found.perturbation.shape), found.trace[-1]
    ((160,), 1.0)
    """
    _check(clips, seconds, snr_db, steps, batch)
    generator = torch.Generator().manual_seed(seed_from(generator))
    lesson = _Lesson(victim, clips, criterion, snr_db, batch, shifts, budget, generator)
    samples = max(1, round(seconds * victim.sample_rate))
    if access == "gradients":
        if not victim.differentiable:
            raise SubterfugeError("universal: gradients are needed, and the victim has none; name an access")
        return _by_gradients(lesson, samples, steps, report)
    lesson.victim = Oracle(victim, access=access)
    return _by_queries(lesson, samples, steps, report)


def tiled(perturbation: Tensor, samples: int, offset: int = 0) -> Tensor:
    """Repeated to a length, from somewhere within it.

    Examples
    --------
    >>> tiled(torch.tensor([1.0, 2.0, 3.0]), 5, 2)
    tensor([3., 1., 2., 3., 1.])
    """
    return perturbation[(torch.arange(samples, device=perturbation.device) + offset) % len(perturbation)]


class _Spent(Exception):
    """Raised where the budget does not allow another step."""


class _Lesson:
    """The clips, what is wanted of each, and the counts."""

    def __init__(
        self,
        victim: Victim,
        clips: Sequence[Tensor],
        criterion: Criterion,
        snr_db: float,
        batch: int,
        shifts: bool,
        budget: int | None,
        generator: torch.Generator,
    ) -> None:
        self.victim, self.clips, self.shifts, self.budget = victim, list(clips), shifts, budget
        self.batch, self.generator = min(batch, len(clips)), generator
        self.cost = int(getattr(victim, "cost", 1))
        self.forward = self.backward = 0
        self.ratio = 10 ** (-snr_db / 20)
        self.goals: list[Goal] = []
        from subterfuge.criteria import Untargeted

        for clip in self.clips:
            self.goals.append(criterion.bind(victim, clip[None]))
            self.forward += self.cost * isinstance(criterion, Untargeted) * (criterion.label is None)

    def afford(self, queries: int) -> None:
        if self.budget is not None and self.forward + queries * self.cost > self.budget:
            raise _Spent

    def drawn(self) -> list[tuple[int, int]]:
        """Some clips, each with where the perturbation begins."""
        chosen = torch.randperm(len(self.clips), generator=self.generator)[: self.batch].tolist()
        return [
            (i, int(torch.randint(2**31, (), generator=self.generator)) if self.shifts else 0) for i in chosen
        ]

    def placed(self, clip: Tensor, perturbation: Tensor, offset: int) -> Tensor:
        """A clip with the perturbation in it, shape (1, samples)."""
        level = clip.square().mean().sqrt().clamp(min=QUIET)
        return (clip + level * self.ratio * tiled(perturbation, len(clip), offset)).clamp(-1, 1)[None]


def _by_gradients(lesson: _Lesson, samples: int, steps: int, report: Report | None) -> Universal:
    like = lesson.clips[0]
    perturbation, drift = torch.zeros(samples).to(like), torch.zeros(samples).to(like)
    trace: list[float] = []
    interrupted = False
    guided = bool(getattr(lesson.victim, "guided", False))
    try:
        for step in range(steps):
            lesson.afford(lesson.batch)
            mean, done = torch.zeros_like(perturbation), 0
            for i, offset in lesson.drawn():
                slope, reached = _slope(lesson, i, offset, perturbation, guide=guided and step < steps // 4)
                done += reached
                # What has succeeded already still counts, a little: it is to stay so.
                mean = mean + (0.1 if reached else 1.0) * slope
            drift = 0.8 * drift + heading(mean[None], 0, step)[0]
            pace = cosine(step, steps, 0.3, 0.01) if step else 1.0
            way = heading(drift[None], 0, step)[0] * math.sqrt(samples)
            perturbation = _unit(perturbation + pace * way)
            trace.append(done / lesson.batch)
            if report is not None:
                report(f"step {step + 1} of {steps}: {done} of {lesson.batch} clips")
    except _Spent:
        pass
    except KeyboardInterrupt:
        interrupted = True
    return Universal(
        perturbation, lesson.victim.sample_rate, lesson.forward, lesson.backward, tuple(trace), interrupted
    )


def _slope(lesson: _Lesson, i: int, offset: int, perturbation: Tensor, *, guide: bool) -> tuple[Tensor, bool]:
    """Which way the perturbation is to go for one clip, of unit length, and whether it succeeds there."""
    clip, goal = lesson.clips[i], lesson.goals[i]
    with torch.enable_grad():
        x = lesson.placed(clip, perturbation, offset).requires_grad_()
        asked = {"guide": True} if guide else {}
        hearing = lesson.victim.hear(x, probabilities=goal.needs_probabilities, **asked)
        reached = bool(goal.reached(hearing))
        value = goal.nearness(hearing) if guide and not reached else goal.margin(hearing)
        (slope,) = torch.autograd.grad(value.sum(), x, allow_unused=True)
    lesson.forward += lesson.cost
    lesson.backward += lesson.cost
    slope = torch.zeros_like(x) if slope is None else torch.nan_to_num(slope)
    if not bool(slope.abs().max() > 0):
        return torch.zeros_like(perturbation), reached
    slope = heading(slope, 0, 0)
    # Cells far quieter than what is added have slopes that are true for far smaller steps only.
    slope = hold_back(slope, x.detach(), slope.new_full((1,), 1e-4))
    at = (torch.arange(x.shape[1], device=x.device) + offset) % len(perturbation)
    folded = torch.zeros_like(perturbation).index_add_(0, at, slope[0])
    return heading(folded[None], 0, 0)[0], reached


def _by_queries(lesson: _Lesson, samples: int, steps: int, report: Report | None) -> Universal:
    like, generator = lesson.clips[0], lesson.generator
    noise = torch.randn(samples, generator=generator, dtype=torch.float64)
    sr = lesson.victim.sample_rate
    levels = torch.zeros(_BANDS, dtype=torch.float64)
    trace: list[float] = []
    interrupted = False
    try:
        for generation in range(steps):
            sigma = cosine(generation, steps, 12.0, 2.0)
            lesson.afford(2 * _PAIRS * lesson.batch)
            chosen = lesson.drawn()
            draws = torch.randn(_PAIRS, _BANDS, generator=generator, dtype=torch.float64)
            draws = torch.cat([draws, -draws])
            fitness, shares = [], []
            for draw in draws:
                made = shaped(noise, levels + sigma * draw, sr=sr).to(like)
                value, share = _fitness(lesson, made, chosen)
                fitness.append(value)
                shares.append(share)
            # By rank, so that neither the scores' scale nor a single clip's matters.
            order = torch.tensor(fitness).argsort().argsort().double()
            weight = order / (len(draws) - 1) - 0.5
            if len(set(fitness)) > 1:
                levels = levels + 2 * sigma * (weight[:, None] * draws).mean(0)
            levels = (levels - levels.mean()).clamp(-60, 60)
            trace.append(sum(shares) / len(shares))
            if report is not None:
                report(f"generation {generation + 1} of {steps}: {100 * trace[-1]:.0f} % of what was tried")
    except _Spent:
        pass
    except KeyboardInterrupt:
        interrupted = True
    perturbation = _unit(shaped(noise, levels, sr=sr).to(like))
    return Universal(perturbation, sr, lesson.forward, 0, tuple(trace), interrupted)


def _fitness(lesson: _Lesson, perturbation: Tensor, chosen: list[tuple[int, int]]) -> tuple[float, float]:
    """Mean over clips of a margin that counts for no more than success itself, and the share of successes."""
    value, done = 0.0, 0
    with torch.no_grad():
        for i, offset in chosen:
            goal = lesson.goals[i]
            x = lesson.placed(lesson.clips[i], perturbation, offset)
            hearing = lesson.victim.hear(x, probabilities=goal.needs_probabilities)
            lesson.forward += lesson.cost
            reached = bool(goal.reached(hearing))
            done += reached
            value += math.tanh(float(goal.margin(hearing)[0]) / 5) + reached
    return value / len(chosen), done / len(chosen)


def shaped(noise: Tensor, levels_db: Tensor, *, sr: int) -> Tensor:
    """Noise with its spectrum drawn through levels at points evenly spaced to the ear, of unit level.

    Parameters
    ----------
    noise : Tensor, shape (samples,)
    levels_db : Tensor, shape (points,)
    sr : int

    Returns
    -------
    Tensor, shape (samples,)
    """
    spectrum = torch.fft.rfft(noise.double())
    # Linear below some 500 Hz and logarithmic above, much as critical bands are.
    place = torch.asinh(torch.linspace(0, sr / 2, len(spectrum), dtype=torch.float64) / 500)
    place = place / place[-1].clamp(min=1e-9) * (len(levels_db) - 1)
    low = place.long().clamp(max=len(levels_db) - 2)
    share = place - low
    gain = 10 ** ((levels_db[low] * (1 - share) + levels_db[low + 1] * share) / 20)
    return _unit(torch.fft.irfft(spectrum * gain, len(noise)))


def _unit(x: Tensor) -> Tensor:
    """Scaled to a root mean square of one; silence stays silence."""
    level = x.square().mean().sqrt()
    return x / level if bool(level > 0) else x


def _check(clips: Sequence[Tensor], seconds: float, snr_db: float, steps: int, batch: int) -> None:
    if not clips:
        raise SubterfugeError("clips: got none to learn from, expected at least one")
    if not 0 < seconds <= 600:
        raise SubterfugeError(f"seconds: got {seconds:g}, expected more than 0 and at most 600")
    if not -60 <= snr_db <= 120:
        raise SubterfugeError(f"snr: got {snr_db:g} dB, expected -60 to 120")
    for name, value in (("steps", steps), ("batch", batch)):
        if value < 1:
            raise SubterfugeError(f"{name}: got {value}, expected a whole number from 1 up")
