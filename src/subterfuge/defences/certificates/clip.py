"""The certificate of one clip: how small a perturbation of its waveform provably cannot change the label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subterfuge.defences.certificates.duelling import Array, Duels, elected
from subterfuge.defences.certificates.expansion import expanded
from subterfuge.defences.certificates.votes import largest_standing
from subterfuge.defences.certificates.waveform import Bounded, Norm

# Sizes looked at: SNR from 160 dB down to 0, in these steps (L2), or the same of the peak sample (linf).
STEP_DB, QUIETEST_DB = 0.1, 160.0


@dataclass(frozen=True)
class ClipCertificate:
    """No perturbation of a clip of up to this size changes what is heard (or makes it ``target``).

    Attributes
    ----------
    label : int
        Index of the label heard.
    target : int or None
        The label that is not reached; None for any other than ``label``.
    norm : {'l2', 'linf'}
    epsilon : float
        The size, in the samples' own unit; 0 where nothing is certified.
    level : float
        L2 norm of the clip.
    samples : int
    """

    label: int
    target: int | None
    norm: Norm
    epsilon: float
    level: float
    samples: int

    @property
    def snr_db(self) -> float:
        """SNR in dB above which nothing changes the label; ``inf`` where nothing is certified.

        For ``linf`` that of a perturbation as large as allowed at every sample.
        """
        size = self.epsilon * (1.0 if self.norm == "l2" else float(np.sqrt(self.samples)))
        return float(20 * np.log10(self.level / size)) if size > 0 and self.level > 0 else float("inf")


def certify_bounds(
    duels: Duels, bounds: Bounded, *, norm: Norm = "l2", target: int | None = None
) -> ClipCertificate:
    """Carry bounds on a clip's features through the duels.

    Each duel is expanded about the clip's features (:mod:`~subterfuge.defences.certificates.expansion`) in an
    ellipsoid that holds all that the features can become; its first order is bounded besides by the most that
    they can move against its gradient, which is less.

    Parameters
    ----------
    duels : Duels
    bounds : Bounded
        Such as :func:`~subterfuge.defences.certificates.waveform.feature_bounds` gives.
    norm : {'l2', 'linf'}
    target : int, optional
        Certify only that this label is not reached.
    """
    x = duels.place(bounds.features)
    level = float(np.linalg.norm(bounds.y))
    whole = level if norm == "l2" else level / np.sqrt(len(bounds.y))
    sizes = whole * 10 ** (-np.arange(QUIETEST_DB, -STEP_DB / 2, -STEP_DB) / 20)
    values = duels.values(x[None])[0]
    label = int(elected(values[None] > 0, duels.classes)[0])
    if level == 0 or target == label:
        return ClipCertificate(label, target, norm, 0.0, level, len(bounds.y))
    moves = bounds.within(sizes, norm=norm)
    slack = np.array([duel.slack for duel in duels.each])
    sides = np.sign(values)
    firsts = np.stack(
        [
            moves.most(-side * (duel.slope(x) @ duels.matrix))
            for side, duel in zip(sides, duels.each, strict=True)
        ]
    )
    # Where the first order alone could take away three times the value the others will not give it back.
    limits = (firsts < 3 * np.maximum(np.abs(values) - slack, 0)[:, None]).sum(1)
    stretches: dict[int, Array] = {}

    def holds(n: int, size: int) -> bool:
        if size not in stretches:
            stretches[size] = root_of(moves.ellipsoid(duels.matrix, size))
        about = expanded(duels.each[n], x, stretches[size])
        return max(about.least(1.0), about.least_against(float(firsts[n, size]))) > 0

    best = largest_standing(values > 0, duels.classes, holds, limits, target=target)
    return ClipCertificate(
        label, target, norm, float(sizes[best]) if best >= 0 else 0.0, level, len(bounds.y)
    )


def root_of(shape: Array) -> Array:
    """A matrix A with ``A A' = shape``, rounded up."""
    values, axes = np.linalg.eigh((shape + shape.T) / 2)
    return np.asarray(axes * np.sqrt(np.maximum(values, 0) + 1e-12 * max(float(values[-1]), 1e-300)))
