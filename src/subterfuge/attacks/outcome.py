"""What an attack returns: audio, success, distance and queries, one independent problem a row."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Queries:
    """Waveforms sent through the victim, forward and backward ones apart, int64, shape (batch,)."""

    forward: Tensor
    backward: Tensor


@dataclass(frozen=True)
class Outcome:
    """The result of an attack on a batch.

    Attributes
    ----------
    audio : Tensor, shape (batch, samples)
        The smallest adversarial example found; where there is none, the attempt that came nearest to
        the goal (never the input as if it were an answer).
    success : Tensor of bool, shape (batch,)
        Whether the victim's prediction on ``audio`` reached the goal.
    distance : Tensor, shape (batch,)
        Norm of ``audio - y`` in the attack's own norm (L2 unless it says otherwise), success or not.
    queries : Queries
        Per row.
    trace : Tensor, shape (batch, n)
        Smallest successful distance after each query (forward ones), ``inf`` before the first success.
    interrupted : bool
        Whether Ctrl-C cut the search short (a spent budget does not count: it was asked for).
    """

    audio: Tensor
    success: Tensor
    distance: Tensor
    queries: Queries
    trace: Tensor
    interrupted: bool = False
