"""What the fused features need to know about a rate, a dtype and a device, worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from subterfuge.features.mel import dct_basis, mel_basis
from subterfuge.features.spectral import NEIGHBOURS
from subterfuge.features.stft import window_of

N_FFT, HOP, BINS = 2048, 512, 1025
MELS, MFCCS = 128, 20

# Bins are handled in runs of 32, the last one padded with empty bins.
RUN = NEIGHBOURS
RUNS = -(-BINS // RUN)
WIDTH = RUN * RUNS


@dataclass(frozen=True)
class Constants:
    """The constants of one rate, dtype and device."""

    window: Tensor
    """Shape (N_FFT,)."""
    moments: Tensor
    """Powers 0, 1 and 2 of a bin's distance from the middle of its run, shape (RUN, 3)."""
    middles: Tensor
    """Middles of the runs, in bins, shape (RUNS,)."""
    gather: tuple[tuple[slice, slice, Tensor], ...]
    """Mel filters a few at a time: the bins that they reach, the mels, the weights, shape (bins, mels)."""
    scatter: tuple[tuple[slice, slice, Tensor], ...]
    """Bins a few at a time, the mels that reach them, and the weights, shape (mels, bins)."""
    dct: Tensor
    """Shape (MFCCS, MELS)."""


@lru_cache(maxsize=1)
def _hold_memory() -> None:
    """Have the C library keep what is freed, up to 64 MB, for the next call.

    glibc hands blocks of some megabytes back to the system as they are freed, and the system hands them out
    page by page: a quarter of the time of a gradient. It stops once it has seen a block of nearly 32 MB, the
    most that it adapts to, come and go. The block is never touched; elsewhere this does nothing.
    """
    torch.empty(31 << 20, dtype=torch.uint8)


def _extent(used: Tensor) -> slice:
    where = used.nonzero()
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 1)


@lru_cache(maxsize=16)
def constants(sr: float, dtype: torch.dtype, device: torch.device) -> Constants:
    """The constants at a rate. The filter bank is cut in three, since a filter reaches few of the bins."""
    _hold_memory()
    away = torch.arange(RUN, dtype=torch.float64) - (RUN - 1) / 2
    basis = mel_basis(sr, N_FFT, MELS, 0.0, None, "slaney", torch.float64, torch.device("cpu"))
    basis = functional.pad(basis, (0, WIDTH - BINS))

    def there(x: Tensor) -> Tensor:
        return x.to(device=device, dtype=dtype).contiguous()

    gather, scatter = [], []
    for mels in (slice(0, 64), slice(64, 96), slice(96, MELS)):
        bins = _extent(basis[mels].any(0))
        gather.append((bins, mels, there(basis[mels, bins].T)))
    for bins in (slice(0, 4 * RUN), slice(4 * RUN, 12 * RUN), slice(12 * RUN, WIDTH)):
        mels = _extent(basis[:, bins].any(1))
        scatter.append((bins, mels, there(basis[mels, bins])))
    return Constants(
        window=window_of("hann", N_FFT, N_FFT, dtype, device),
        moments=there(torch.stack([away**0, away, away**2], dim=1)),
        middles=there(torch.arange(RUNS, dtype=torch.float64) * RUN + (RUN - 1) / 2),
        gather=tuple(gather),
        scatter=tuple(scatter),
        dct=dct_basis(MFCCS, MELS, dtype, device),
    )
