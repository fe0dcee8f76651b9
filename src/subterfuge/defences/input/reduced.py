"""``denoise``: noise turned down as ``noisereduce.reduce_noise(y, sr)`` does by default, and its slope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from subterfuge.defences.input.defence import Undrawn
from subterfuge.defences.input.tents import smoothed
from subterfuge.transforms.transform import Parameters, check_range

_FFT, _HOP = 1024, 256
# What is filtered at once, and with how much of what is before and after it (beyond the clip, silence).
_PIECE, _AROUND = 600_000, 30_000
# The mean of a band moves over so many seconds; a cell is half open at so many times that mean above it.
_SECONDS, _ABOVE, _SLOPE = 2.0, 2.0, 10.0
_SMOOTH_HZ, _SMOOTH_MS = 500.0, 50.0
# Frames that the moving mean takes at once: most of the work is a product with a matrix of that size.
_BLOCK = 64


@dataclass(frozen=True)
class Reduced(Undrawn):
    """Cells of time and frequency that are not three times the moving mean of their band are turned down.

    This is ``noisereduce.reduce_noise(y, sr, prop_decrease=strength)`` (Sainburg, Thielk and Gentner, 2020)
    with its defaults, which are those of its non-stationary gate, within the rounding of the clip's own
    precision; the original experiment's *denoise* classifier was fitted behind it. The mean runs forward and
    backward over two seconds; the mask is smoothed over 500 Hz and 50 ms, as if it were closed beyond the
    edges. Clips of more than 600,000 samples are filtered in pieces of that many, each with 30,000 samples of
    what is on either side of it. Silence stays silence, where ``noisereduce`` divides by zero.

    The gate is soft, and its slope is the true one. For clips of several pieces, gradients cost every piece
    a second pass forward, and the memory of one.

    Parameters
    ----------
    strength : float
        How much of a closed cell is taken away, 0 to 1.

    Raises
    ------
    SubterfugeError
        If it is out of range.

    Examples
    --------
    >>> hiss = 0.01 * torch.randn(1, 48000, generator=torch.Generator().manual_seed(0))
    >>> left = Reduced().apply(hiss, sr=16000, drawn={})
    >>> bool(left.norm() < 0.2 * hiss.norm())
    True
    """

    strength: float = 1.0

    name = "denoise"
    adaptive = "differentiable"

    def __post_init__(self) -> None:
        """Check it as soon as it is named."""
        check_range("denoise (strength)", self.strength, self.strength, 0, 1)

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """The clips with the noise turned down, shape (batch, samples)."""
        if not y.numel():  # of which there is no Fourier transform
            return y
        if y.shape[1] <= _PIECE:
            return self._piece(y, 0, sr)
        pieces = [
            _Again.apply(y, lambda y, start=start: self._piece(y, start, sr))  # type: ignore[no-untyped-call]
            for start in range(0, y.shape[1], _PIECE)
        ]
        return torch.cat(pieces, 1)

    def _piece(self, y: Tensor, start: int, sr: int) -> Tensor:
        """The piece that begins there, filtered.

        Only frames are taken that touch the clip or that the mask's smoothing reaches; the others, all
        silence, matter for where the backward pass of the moving mean begins.
        """
        samples = y.shape[1]
        reach = int(_SMOOTH_MS / (_HOP / sr * 1000))  # to the last bit as they write it
        size = min(samples, _PIECE)  # of the last piece, too, however little is left for it
        origin = start - _AROUND
        final = (size + 2 * _AROUND) // _HOP  # the last frame, were all taken
        end = min(samples - origin, size + 2 * _AROUND)  # of what sounds, counted from the origin
        first = 0 if start else max(0, _AROUND // _HOP - reach - 4)
        last = min(final, (end + _FFT // 2) // _HOP + reach + 1)

        low, high = origin + first * _HOP - _FFT // 2, origin + last * _HOP + _FFT // 2
        begin, stop = max(low, origin, 0), min(high, origin + end)
        padded = functional.pad(y[:, begin:stop], (begin - low, high - stop))
        window = torch.hann_window(_FFT, dtype=y.dtype, device=y.device)
        cells = torch.stft(padded, _FFT, _HOP, window=window, center=False, return_complex=True)
        mask = _mask(cells, sr, final - last)
        mask = smoothed(mask, int(_SMOOTH_HZ / (sr / (_FFT / 2))), reach)
        mask = self.strength * mask + (1.0 - self.strength)
        out = torch.istft(cells * mask, _FFT, _HOP, window=window, length=(last - first) * _HOP)
        skipped = _AROUND - first * _HOP
        return out[:, skipped : skipped + min(size, samples - start)]


class _Again(torch.autograd.Function):
    """A function whose way there is forgotten, and gone once more for the way back."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(y)
        ctx.function = function
        return function(y)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        with torch.enable_grad():
            y = ctx.saved_tensors[0].detach().requires_grad_()
            (slope,) = torch.autograd.grad(ctx.function(y), y, grad)
        return slope, None


def _mask(cells: Tensor, sr: int, silent: int) -> Tensor:
    """How far each cell is open, before smoothing; so many silent frames follow those given."""
    # The slope of a magnitude of zero is not defined: a floor far below a file's last bit.
    size = (cells.real.square() + cells.imag.square() + 1e-24).sqrt()
    over = _SECONDS * sr / _HOP
    b = ((1 + 4 * over**2) ** 0.5 - 1) / (2 * over**2)
    keep = 1 - b
    forward = _followed(size, b, 1.0)
    # Silence dies away forward; the way back, which begins with the last of it, comes upon that once more.
    begins = b * (1 - keep ** (2 * silent)) / (1 - keep**2) + keep ** (2 * silent)
    level = _followed(forward.flip(-1), b, begins).flip(-1)
    return torch.sigmoid(_SLOPE * ((size - level) / level - _ABOVE))


def _followed(x: Tensor, b: float, begins: float) -> Tensor:
    """``f[t] = b * x[t] + (1 - b) * f[t - 1]`` along the last axis, from ``f[0] = begins * x[0]``.

    Block by block, and then what each block passes on to those after it.
    """
    blocks = -(-x.shape[-1] // _BLOCK)
    fed = functional.pad(
        torch.cat([begins * x[..., :1], b * x[..., 1:]], -1), (0, blocks * _BLOCK - x.shape[-1])
    )
    within = fed.reshape(*fed.shape[:-1], blocks, _BLOCK) @ _powers(1 - b, _BLOCK).to(x)
    passed = within[..., -1] @ _powers((1 - b) ** _BLOCK, blocks).to(x)
    before = functional.pad(passed[..., :-1], (1, 0))
    fading = (1 - b) ** torch.arange(1, _BLOCK + 1, dtype=torch.float64)
    whole: Tensor = within + before[..., None] * fading.to(x)
    return whole.flatten(-2)[..., : x.shape[-1]]


def _powers(base: float, size: int) -> Tensor:
    """``base ** (column - row)`` on and above the diagonal, 0 below."""
    place = torch.arange(size, dtype=torch.float64)
    return (base ** (place - place[:, None]).clamp(min=0)).triu()
