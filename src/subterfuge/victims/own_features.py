"""Features of the user's own, ``module:callable``, for models of scikit-learn: (y, sr) to a vector."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.victims.own_code import in_short, load_reference


class OwnFeatures:
    """A function of the user's that takes ``(y, sr)``, mono float32 audio and its rate, and returns a vector.

    Parameters
    ----------
    reference : str
        ``module:callable``.

    Raises
    ------
    SubterfugeError
        If there is no such function.

    Examples
    --------
    >>> OwnFeatures("librosa.feature:rms").plain(np.zeros(512), 8000)
    Traceback (most recent call last):
        ...
    subterfuge.errors.SubterfugeError: librosa.feature:rms: failed on 512 samples (TypeError: ...
    """

    def __init__(self, reference: str) -> None:
        self.reference = reference
        self.function = load_reference(reference)
        if not callable(self.function):
            raise SubterfugeError(
                f"{reference}: got a {type(self.function).__name__}, expected a function of (y, sr)"
            )

    def plain(self, y: NDArray[Any], sr: float) -> NDArray[np.float64]:
        """The vector of one clip, shape (samples,), as the function itself gives it."""
        try:
            given = self.function(np.array(y, dtype=np.float32), sr)
        except SubterfugeError:
            raise
        except Exception as error:
            raise SubterfugeError(
                f"{self.reference}: failed on {len(y)} samples ({in_short(error)})"
            ) from error
        if isinstance(given, Tensor):
            given = given.detach().cpu().numpy()
        try:
            vector = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError):
            raise SubterfugeError(
                f"{self.reference}: gave a {type(given).__name__}, expected a vector of numbers"
            ) from None
        if vector.ndim != 1 or not len(vector):
            raise SubterfugeError(
                f"{self.reference}: gave an array of shape {vector.shape}, expected a vector of numbers"
            )
        return vector

    def torch(self, y: Tensor, *, sr: float) -> Tensor:
        """The vectors of a batch, shape (batch, samples), without gradients."""
        rows = [self.plain(row, sr) for row in y.detach().cpu().numpy()]
        return torch.from_numpy(np.stack(rows)).to(y.device)

    def size(self, sr: int) -> int:
        """How many numbers it gives, by a second of faint noise."""
        return len(self.plain(np.random.default_rng(0).normal(0, 0.01, sr), sr))
