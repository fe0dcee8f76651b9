"""A waveform's attributions by critical band and moment: exact, whatever the windows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.audibility.bands import half_bands

# A window of about 46 ms, as long as the ear and most front ends take to tell a low band from the next.
_HALF_WINDOW = 0.0232
MOMENTS = 100


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of a clip: bands half a Bark wide by evenly spaced moments.

    Attributes
    ----------
    edges : tuple of float
        Of the bands, in Hz, one more than there are; what lies above the last belongs to the last.
    moments : int
    seconds : float
        Length of the clip.
    """

    edges: tuple[float, ...]
    moments: int
    seconds: float

    @property
    def bands(self) -> int:
        """How many bands there are."""
        return len(self.edges) - 1


def grid_of(samples: int, sr: int, *, moments: int = MOMENTS) -> Grid:
    """The cells of a clip, none shorter than half a window (about 23 ms)."""
    seconds = samples / sr
    return Grid(half_bands(sr), max(1, min(moments, int(seconds / _HALF_WINDOW))), seconds)


def cell_attribution(y: Tensor, slope: Tensor, *, sr: int, grid: Grid) -> Tensor:
    """What of ``slope @ y`` falls to each cell.

    A clip is the sum of what an overlapping transform finds at each bin of each frame, and ``slope @ y`` is
    linear in it, so each of these has its own share and all shares add up; those of a cell are put together.

    Parameters
    ----------
    y, slope : Tensor, shape (samples,)
    sr : int
    grid : Grid

    Returns
    -------
    Tensor of float64, shape (bands, moments)
        Its sum is ``slope @ y``.

    Examples
    --------
    >>> y = torch.sin(torch.arange(8000.0).double() * 2 * torch.pi * 440 / 8000)
    >>> shares = cell_attribution(y, y, sr=8000, grid=grid_of(8000, 8000))
    >>> round(shares.sum().item(), 6), round((y @ y).item(), 6)
    (4000.0, 4000.0)
    """
    of_y, of_slope = (transform(one.double()[None], sr)[0] for one in (y, slope))
    n = window_size(sr)
    shares = (of_y.conj() * of_slope).real * (2 / n)
    shares[0] /= 2
    shares[-1] /= 2
    band, moment = cell_of(shares.shape[1], len(y), sr, grid)
    cells = torch.zeros(grid.bands, shares.shape[1], dtype=torch.float64, device=y.device)
    cells.index_add_(0, band.to(y.device), shares)
    out = torch.zeros(grid.bands, grid.moments, dtype=torch.float64, device=y.device)
    out.index_add_(1, moment.to(y.device), cells)
    return out


def window_size(sr: int) -> int:
    """Samples to a window, an even number."""
    return 2 * max(8, round(_HALF_WINDOW * sr))


def transform(y: Tensor, sr: int) -> Tensor:
    """Spectra of overlapping frames, shape (batch, bins, frames); their windows' squares add up to 1."""
    n = window_size(sr)
    window = torch.hann_window(n, dtype=y.dtype, device=y.device).sqrt()
    hop, samples = n // 2, y.shape[1]
    frames = samples // hop + 2
    padded = torch.nn.functional.pad(y, (hop, frames * hop - samples))
    pieces = padded.unfold(1, n, hop) * window
    spectra: Tensor = torch.fft.rfft(pieces)
    return spectra.transpose(1, 2)


def back(spectra: Tensor, samples: int, sr: int) -> Tensor:
    """The waveforms that :func:`transform` takes to ``spectra``, shape (batch, samples)."""
    n = window_size(sr)
    window = torch.hann_window(n, dtype=torch.float64, device=spectra.device).sqrt()
    hop = n // 2
    pieces = torch.fft.irfft(spectra.transpose(1, 2), n) * window
    out: Tensor = pieces.new_zeros(len(spectra), (pieces.shape[1] + 1) * hop)
    out[:, : pieces.shape[1] * hop] += pieces[..., :hop].flatten(1)
    out[:, hop:] += pieces[..., hop:].flatten(1)
    return out[:, hop : hop + samples]


def cell_of(frames: int, samples: int, sr: int, grid: Grid) -> tuple[Tensor, Tensor]:
    """Which band each bin of :func:`transform` belongs to, and which moment each frame."""
    n = window_size(sr)
    hz = torch.arange(n // 2 + 1, dtype=torch.float64) * sr / n
    edges = torch.tensor(grid.edges[1:-1], dtype=torch.float64)
    centre = torch.arange(frames, dtype=torch.float64) * (n // 2) / samples
    moment = (centre * grid.moments).floor().clamp(0, grid.moments - 1)
    return torch.bucketize(hz, edges, right=True), moment.long()
