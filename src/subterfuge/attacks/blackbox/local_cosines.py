"""Local cosines: an orthonormal basis of short tones, each with a time and a frequency of its own."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.errors import SubterfugeError


class LocalCosines:
    """Cosines within smoothly overlapping stretches of time, orthonormal and complete.

    The clip is cut into parts; each part's window rises and falls over half of its neighbours', so that what
    one loses the other gains, and cosines of phases that are even on the left and odd on the right (a DCT of
    type IV) stay orthogonal across the overlap. With equal parts this is the MDCT, without its gaps at
    both ends; with a single one it is the DCT of the whole clip.

    Parameters
    ----------
    samples : int
        Of the clips, at least 1.
    part : int
        Samples of a part, about; all are made equal to within one sample.

    Attributes
    ----------
    edges : ndarray of int
        Where each part begins and the last one ends.

    Raises
    ------
    SubterfugeError
        If ``part`` is under 8.

    References
    ----------
    Coifman and Meyer, "Remarques sur l'analyse de Fourier à fenêtre", 1991; Princen and Bradley, "Analysis/
    synthesis filter bank design based on time domain aliasing cancellation", 1986.

    Examples
    --------
    >>> basis = LocalCosines(100, part=25)
    >>> atoms = torch.stack([basis.atom(number) for number in range(100)])
    >>> bool((atoms @ atoms.T - torch.eye(100)).abs().max() < 1e-12)
    True
    """

    # Samples of the shortest part.
    SHORTEST = 8

    def __init__(self, samples: int, *, part: int) -> None:
        if part < self.SHORTEST:
            raise SubterfugeError(f"part: got {part} samples, expected at least {self.SHORTEST}")
        count = max(1, round(samples / part))
        self.samples = samples
        self.edges = np.round(np.linspace(0, samples, count + 1)).astype(int)
        # Overlaps reach this far to either side of each inner edge.
        self.half = int(np.diff(self.edges).min()) // 2 if count > 1 else 0
        angle = (np.arange(-self.half, self.half) + 0.5) / max(1, self.half)
        self.rise = np.sin(np.pi / 4 * (1 + angle))

    def numbers(self, y: Tensor) -> Tensor:
        """A clip's share of each atom, both of shape (samples,): part after part, low tones first."""
        from scipy.fft import dct

        folded = y.double().cpu().numpy().copy()
        self._turn(folded, 1.0)
        for a, b in zip(self.edges[:-1], self.edges[1:], strict=True):
            folded[a:b] = dct(folded[a:b], type=4, norm="ortho")
        return torch.from_numpy(folded).to(y)

    def atom(self, number: int) -> Tensor:
        """One atom, shape (samples,), float64 and of unit length."""
        numbers = torch.zeros(self.samples, dtype=torch.float64)
        numbers[number] = 1.0
        return self.sound(numbers)

    def sound(self, numbers: Tensor) -> Tensor:
        """What numbers (samples,) add up to, shape (samples,): the inverse of :meth:`numbers`."""
        from scipy.fft import dct

        out = numbers.double().cpu().numpy().copy()
        for a, b in zip(self.edges[:-1], self.edges[1:], strict=True):
            if out[a:b].any():
                out[a:b] = dct(out[a:b], type=4, norm="ortho")
        self._turn(out, -1.0)
        return torch.from_numpy(out).to(numbers)

    def tones(self) -> NDArray[np.float64]:
        """Frequency of each atom as a share of half the sample rate, in (0, 1), shape (samples,)."""
        return np.concatenate([(np.arange(width) + 0.5) / width for width in np.diff(self.edges)])

    def _turn(self, x: NDArray[np.float64], way: float) -> None:
        """Mix each sample of an overlap with its mirror image beyond the edge: a rotation, in place."""
        h = self.half
        more, less = self.rise[h:], self.rise[:h][::-1]  # outwards from the edge
        for edge in self.edges[1:-1]:
            left, right = x[edge - h : edge][::-1].copy(), x[edge : edge + h].copy()
            x[edge - h : edge] = (more * left - way * less * right)[::-1]
            x[edge : edge + h] = more * right + way * less * left
