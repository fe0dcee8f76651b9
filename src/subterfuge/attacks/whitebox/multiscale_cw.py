"""Multi-scale C&W: Carlini and Wagner with a spectral distance (Prinz, Flexer and Widmer, 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import Adam, heading, lengths, loudness, opening, place
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim

SCALES = (2048, 1024, 512, 256, 128, 64)


def multiscale_cw(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 500,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    rate: float = 0.1,
    weight: float = 4.0,
    adapt: float = 0.95,
    scales: tuple[int, ...] = SCALES,
) -> Outcome:
    """Adam on the perturbation: the spectra's distance at several resolutions, plus a weighted margin.

    The distance is :func:`spectral_distance`, so the change hides where the clip is loud, at every trade
    of time against frequency. The paper stops at the first success; this search goes on, with the weight
    of the margin and the size of the perturbation reduced by ``adapt`` at each success and the weight
    raised again by each failure, and keeps the smallest in L2. The two terms' gradients are brought to
    unit length, so that neither the victim's scale nor the clip's level matters.

    Parameters
    ----------
    victim : Victim
        Differentiable.
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
    steps : int
        Forward queries a row, the one at the clip included.
    generator : torch.Generator, optional
        Only for the direction where the gradient is exactly zero.
    watch : Watch, optional
    rate : float
        Adam's learning rate, relative to the largest sample of a perturbation that reaches the boundary
        of the linearised victim.
    weight : float
        Of the margin against the spectral distance, at first.
    adapt : float
        Factor on the weight and the perturbation after a success, in (0, 1).
    scales : tuple of int
        Window lengths, in samples; those longer than the clip are left out.

    Returns
    -------
    Outcome
        Distances in L2 (it is the smallest L2 norm on the way that is kept).

    Raises
    ------
    SubterfugeError
        If the victim has no gradients or ``steps`` is under 2.

    References
    ----------
    Prinz, Flexer and Widmer, "On end-to-end white-box adversarial attacks in music information retrieval",
    TISMIR 4(1), 2021, section 3. Spectral distance: Engel et al., "DDSP", ICLR 2020, section 4.2.1.

    Examples
    --------
    With any differentiable ``victim`` and two clips ``y`` that it hears as its label 0:

    >>> outcome = multiscale_cw(victim, y, Targeted(1), steps=100)
    >>> outcome.success
    tensor([True, True])
    """
    with Search(victim, y, criterion, watch=watch) as search:
        start = opening(search, steps, generator)
        rows, clean, unit = start.rows, start.y, start.distance
        push = heading(start.gradient, start.seed, 0)
        peak = push.abs().amax(1)
        delta, adam = torch.zeros_like(clean), Adam(clean)
        pull_weight = torch.full_like(unit, weight)
        reached = torch.zeros_like(rows, dtype=torch.bool)
        for step in range(1, steps):
            if not len(rows):
                break
            pull = spectral_slope(clean, delta, scales)
            pull = pull / lengths(pull).clamp(min=1e-30)[:, None]
            hinge = torch.where(reached, 0.0, pull_weight)
            pace = rate * unit * peak
            delta = delta - pace[:, None] * adam.direction(pull - hinge[:, None] * push)
            x = place(clean, delta)
            _, reached, gradient = search.climb(x, rows)
            push = heading(gradient, start.seed, step)
            delta = (x - clean) * torch.where(reached, adapt, 1.0)[:, None]
            pull_weight = (pull_weight * torch.where(reached, adapt, adapt**-0.25)).clamp(1e-3, 1e3)
            best = search.best_distance[rows]
            late = step % 50 == 0 and ~torch.isfinite(best)
            unit = torch.where(torch.isfinite(best), torch.minimum(unit, best), unit)
            unit = torch.where(torch.as_tensor(late), torch.minimum(4 * unit, loudness(clean)), unit)
    return search.outcome()


def spectral_distance(y: Tensor, x: Tensor, scales: tuple[int, ...] = SCALES) -> Tensor:
    """Mean absolute difference of the magnitudes plus that of their logarithms, summed over the scales.

    Shapes (batch, samples) both, result (batch,); windows are Hann and overlap by three quarters.

    Examples
    --------
    >>> spectral_distance(torch.ones(1, 256), torch.ones(1, 256))
    tensor([0.])
    """
    total = torch.zeros(len(y), dtype=y.dtype, device=y.device)
    for size in _fitting(scales, y):
        own, other = _magnitude(_stft(y, size)), _magnitude(_stft(x, size))
        total = total + ((own - other).abs() + (own.log() - other.log()).abs()).mean((1, 2))
    return total


def spectral_slope(y: Tensor, delta: Tensor, scales: tuple[int, ...]) -> Tensor:
    """Gradient of :func:`spectral_distance` by the perturbation, shape (batch, samples).

    Written out down to the transform's output: both differences have the sign of the louder of the two.
    """
    slopes = []
    for own, part in zip(torch.split(y, 1), torch.split(delta, 1), strict=True):
        slope = torch.zeros_like(part)
        for size in _fitting(scales, y):
            moved = (own + part).detach().requires_grad_(True)
            with torch.enable_grad():
                spectrum = _stft(moved, size)
            cells = spectrum.detach()
            magnitude = _magnitude(cells)
            way = (magnitude - _magnitude(_stft(own, size))).sign_() * (1 + 1 / magnitude) / magnitude
            cells = cells * (way / way[0].numel())
            slope += torch.autograd.grad(spectrum, moved, cells)[0]
        slopes.append(slope)
    return torch.nan_to_num(torch.cat(slopes)) if slopes else torch.zeros_like(delta)


def _fitting(scales: tuple[int, ...], y: Tensor) -> list[int]:
    return [size for size in scales if size <= y.shape[1]]


def _stft(y: Tensor, size: int) -> Tensor:
    window = torch.hann_window(size, dtype=y.dtype, device=y.device)
    return torch.stft(y, size, size // 4, window=window, return_complex=True)


def _magnitude(spectrum: Tensor) -> Tensor:
    # The small addend keeps logarithm and slope finite where a cell is empty.
    return (spectrum.real.square() + spectrum.imag.square() + 1e-14).sqrt_()
