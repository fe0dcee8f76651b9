"""The certificate of one feature vector: how far it may move before each label could be elected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from subterfuge.defences.certificates.duelling import Array, Duel, Duels
from subterfuge.defences.certificates.expansion import expanded
from subterfuge.defences.certificates.simple import interval_radius, rkhs_radius
from subterfuge.defences.certificates.votes import standing
from subterfuge.errors import SubterfugeError

Bound = Callable[[Duel, Array], float]


def tightened_radius(duel: Duel, x: Array) -> float:
    """The best of all bounds for one duel at a standardised point ``x``, shape (d,)."""
    return max(rkhs_radius(duel, x), interval_radius(duel, x), expanded(duel, x).radius())


BOUNDS: dict[str, Bound] = {
    "rkhs": rkhs_radius,
    "interval": interval_radius,
    "tightened": tightened_radius,
}


@dataclass(frozen=True)
class PointCertificate:
    """How far a standardised feature vector may move, in Euclidean distance.

    Attributes
    ----------
    label : int
        Index of the label elected there.
    by_label : array, shape (labels,)
        No point nearer than this is heard as that label; infinite for the one elected.
    """

    label: int
    by_label: Array

    @property
    def radius(self) -> float:
        """No point nearer than this is heard as anything else."""
        return float(self.by_label.min())


def certify_point(
    duels: Duels, x: Array, *, bound: str = "tightened", every: bool = True
) -> PointCertificate:
    """Within which distances a standardised feature vector provably keeps its label, and reaches no other.

    Parameters
    ----------
    duels : Duels
        Of :func:`~subterfuge.defences.certificates.duelling.duels_of`.
    x : array, shape (d,)
        A standardised vector, see ``Duels.place``.
    bound : {'tightened', 'rkhs', 'interval'}
    every : bool
        Whether each label's own distance is wanted, or only that of any other, which is faster.

    Raises
    ------
    SubterfugeError
        If ``x`` is no finite vector of the right length, or the bound is of another name.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from subterfuge.defences.certificates.duelling import duels_of
    >>> duels = duels_of(SVC(C=10, gamma=0.5).fit([[-1.0], [1.0]], [0, 1]))
    >>> round(certify_point(duels, np.array([-1.0])).radius, 3)  # the boundary is at 0
    1.0
    """
    x = np.asarray(x, dtype=np.float64)
    expected = duels.each[0].vectors.shape[1]
    if x.shape != (expected,) or not np.isfinite(x).all():
        raise SubterfugeError(
            f"certificates: got a vector of shape {x.shape}, expected {expected} finite numbers"
        )
    if bound not in BOUNDS:
        raise SubterfugeError(f"bound: got {bound!r}, expected {', '.join(BOUNDS)}")
    first_wins = duels.values(x[None])[0] > 0
    label, by_label = standing(
        first_wins, duels.each, lambda duel: BOUNDS[bound](duel, x), duels.classes, every=every
    )
    return PointCertificate(label, by_label)
