"""Where label-only steps may go: anywhere, or along what a clip is made of and what it hides."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.attacks.blackbox.subspace import Subspace
from subterfuge.attacks.whitebox.steps import lengths

# Of the subspace: bands on the Bark scale and stretches of time, for the clip's own sound and for noise each.
_BANDS, _TIMES = 24, 4


class Directions:
    """Random directions about one clip, all of them of unit length.

    Boundaries are hard to follow by white noise: in a hundred thousand dimensions nearly all of any direction
    is along the boundary. A classifier of sound hears bands and time, so a few hundred directions will do:
    the clip's own sound, band by band and stretch by stretch, and noise shaped as what the clip masks.

    Parameters
    ----------
    y : Tensor, shape (samples,)
    sr : float
    shaped : bool
        Whether they lie in that subspace, or anywhere.
    seed : int

    Attributes
    ----------
    size : int
        The dimension of the space that they are drawn from.

    References
    ----------
    Low-dimensional subspaces for attacks that see labels: Brunner et al., "Guessing smart: biased sampling
    for efficient black-box adversarial attacks", ICCV 2019; Li et al., "QEBA: query-efficient boundary-based
    blackbox attack", CVPR 2020.

    Examples
    --------
    >>> y = torch.randn(22050, generator=torch.Generator().manual_seed(0)) / 10
    >>> around = Directions(y, sr=22050, shaped=True, seed=0)
    >>> around.draw(3).norm(dim=1).round(decimals=3)
    tensor([1., 1., 1.])
    """

    def __init__(self, y: Tensor, *, sr: float, shaped: bool, seed: int) -> None:
        self.y, self.chance = y, torch.Generator().manual_seed(seed)
        self.space: Subspace | None = None
        self.size = len(y)
        if not shaped:
            return
        self.space = Subspace(y[None], sr=sr, bands=_BANDS, times=_TIMES, noise=True, seed=seed)
        assert self.space.whisper is not None
        # What each number is worth: the length of the sound that it stands for.
        sounds = torch.stack([self.space.carrier[0], self.space.whisper[0]])
        power = sounds.real.square() + sounds.imag.square()
        bands, times = (share.square() for share in self.space.shape)
        self.worth = (bands @ power.transpose(1, 2) @ times.T).sqrt()  # (2, bands, times)
        self.sounds = sounds
        self.size = self.worth.numel()

    def draw(self, number: int) -> Tensor:
        """Directions of unit length, shape (number, samples)."""
        if self.space is None:
            white = torch.randn(number, len(self.y), generator=self.chance, dtype=torch.float64)
            white = white.to(self.y)
            return white / lengths(white)[:, None]
        chance = torch.randn(number, *self.worth.shape, generator=self.chance, dtype=torch.float64)
        least = 1e-4 * self.worth.amax()
        values = chance.to(self.y) / torch.maximum(self.worth, least)
        bands, times = self.space.shape
        spectra = torch.zeros(number, *self.sounds.shape[1:], dtype=self.sounds.dtype, device=self.y.device)
        for kind, sound in enumerate(self.sounds):
            spectra += sound * (times.T @ (values[:, kind].transpose(1, 2) @ bands))
        out = self._overlapped(spectra)
        return out / lengths(out).clamp(min=1e-30)[:, None]

    def _overlapped(self, spectra: Tensor) -> Tensor:
        assert self.space is not None
        back = torch.fft.irfft(spectra, self.space.window) * self.space.taper
        half = self.space.hop
        out = back.new_zeros(len(back), back.shape[1] * half + half)
        out[:, :-half] += back[..., :half].flatten(1)
        out[:, half:] += back[..., half:].flatten(1)
        drawn: Tensor = out[:, half : half + len(self.y)]
        return drawn


def perpendicular(direction: Tensor, others: Tensor) -> Tensor:
    """What a direction has that others have not, at unit length; zero where that is nothing.

    Parameters
    ----------
    direction : Tensor, shape (samples,)
        Of unit length.
    others : Tensor, shape (any, samples)
        Of unit length (or zero) and at right angles to each other.

    Examples
    --------
    >>> perpendicular(torch.tensor([0.6, 0.8]), torch.tensor([[1.0, 0.0]]))
    tensor([0., 1.])
    """
    left = direction - others.T @ (others @ direction)
    length = torch.linalg.vector_norm(left)
    # What is left of a direction that lies among the others is rounding alone.
    return left / length if float(length) > 1e-4 else torch.zeros_like(left)
