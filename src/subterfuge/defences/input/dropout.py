"""``dropout``: cells of time and frequency left out by chance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from subterfuge.transforms.transform import Parameters, check_range

_FFT, _HOP = 1024, 256


@dataclass(frozen=True)
class Dropout:
    """Each cell of a short-time transform (1024 samples, 256 apart) is silenced with the chance ``share``.

    Raises
    ------
    SubterfugeError
        If it is not within 0 to 0.99.

    Examples
    --------
    >>> y = torch.ones(1, 4)
    >>> Dropout(0.0).apply(y, sr=8000, drawn={"seed": 1}).round(decimals=5)
    tensor([[1., 1., 1., 1.]])
    """

    share: float = 0.1
    name = "dropout"
    random = True
    adaptive = "expectation"

    def __post_init__(self) -> None:
        """Check it as soon as it is named."""
        check_range("dropout (share)", self.share, self.share, 0, 0.99)

    def draw(self, generator: torch.Generator) -> dict[str, float]:
        """``seed``: what says which cells."""
        return {"seed": int(torch.randint(2**31, (), generator=generator))}

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """The clips without those cells, the same in every row; linear."""
        if not len(y):  # of which there is no Fourier transform
            return y
        samples = y.shape[1]
        padded = functional.pad(y, (0, max(0, _FFT - samples)))
        window = torch.hann_window(_FFT, dtype=y.dtype, device=y.device)
        cells = torch.stft(padded, _FFT, _HOP, window=window, pad_mode="constant", return_complex=True)
        generator = torch.Generator().manual_seed(int(drawn["seed"]))
        kept = torch.rand(cells.shape[1:], generator=generator) >= self.share
        cells = cells * kept.to(cells)
        return torch.istft(cells, _FFT, _HOP, window=window, length=padded.shape[1])[:, :samples]
