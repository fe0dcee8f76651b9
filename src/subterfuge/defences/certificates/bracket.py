"""The bracket about what it takes to change a label: certified below, attacked above, in dB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from subterfuge.defences.certificates.clip import ClipCertificate, certify_bounds
from subterfuge.defences.certificates.duelling import Array, Duels, duels_of
from subterfuge.defences.certificates.hardened import hardened_bounds
from subterfuge.defences.certificates.waveform import Bounded, Norm, feature_bounds
from subterfuge.errors import SubterfugeError

Bounds = Callable[..., Bounded]

# How the features of each name are bounded: of a clip (samples,) and ``sr=``.
BOUNDS: dict[str, Bounds] = {"librosa25": feature_bounds, "hardened25": hardened_bounds}


@dataclass(frozen=True)
class Bracket:
    """What is known of a clip: no change quieter than ``certified_db`` works, one of ``attacked_db`` did.

    Attributes
    ----------
    certificate : ClipCertificate
    certified_db : float
        SNR above which no perturbation changes the label; ``inf`` where nothing is certified.
    attacked_db : float or None
        SNR of the smallest adversarial example found; ``-inf`` where the search found none, None where there
        was none.
    """

    certificate: ClipCertificate
    certified_db: float
    attacked_db: float | None

    @property
    def gap_db(self) -> float | None:
        """How many dB are undecided, None where either side is missing."""
        if self.attacked_db is None or not np.isfinite([self.certified_db, self.attacked_db]).all():
            return None
        return self.certified_db - self.attacked_db


def bounds_for(victim: Any) -> Bounds:
    """How this victim's features are bounded.

    Raises
    ------
    SubterfugeError
        If its features have no bounds.
    """
    name = getattr(victim, "feature_name", None)
    if name not in BOUNDS:
        got = (
            f"features {name}"
            if name
            else f"{getattr(victim, 'name', type(victim).__name__)} without features"
        )
        raise SubterfugeError(f"certificates: got {got}, expected a victim on {' or '.join(BOUNDS)}")
    return BOUNDS[name]


def certify_clip(
    victim: Any,
    y: Array | Tensor,
    *,
    norm: Norm = "l2",
    target: int | None = None,
    duels: Duels | None = None,
    bounds: Bounds | None = None,
) -> ClipCertificate:
    """How small a perturbation of one clip provably cannot change what an RBF SVM hears.

    Parameters
    ----------
    victim : SvmVictim
    y : array or Tensor, shape (samples,)
        Mono, at the victim's rate, as the victim hears it. (Of a file of C channels that are averaged, a
        perturbation of norm e is one of e / sqrt(C) at most of what is heard.)
    norm : {'l2', 'linf'}
        Of the perturbation.
    target : int, optional
        Certify only that this label is not reached.
    duels : Duels, optional
        Those of the victim, where many clips are certified.
    bounds : callable, optional
        How its features are bounded, where not by their name.

    Raises
    ------
    SubterfugeError
        If the victim is of another kind, or the clip is of no use.
    """
    if norm not in ("l2", "linf"):
        raise SubterfugeError(f"norm: got {norm!r}, expected l2 or linf")
    duels = duels or duels_of(victim)
    if target is not None and not 0 <= target < duels.classes:
        raise SubterfugeError(f"target: got {target}, expected a label's index, 0 to {duels.classes - 1}")
    samples = y.detach().cpu().numpy() if isinstance(y, Tensor) else y
    made = (bounds or bounds_for(victim))(samples, sr=victim.sample_rate)
    return certify_bounds(duels, made, norm=norm, target=target)


def bracket(
    victim: Any,
    y: Tensor,
    *,
    distance: Tensor | Array | None = None,
    target: int | None = None,
    bounds: Bounds | None = None,
) -> list[Bracket]:
    """Certified below, attacked above, for each clip of a batch, in dB of SNR.

    Parameters
    ----------
    victim : SvmVictim
    y : Tensor, shape (batch, samples)
    distance : array, shape (batch,), optional
        L2 norm of the smallest perturbation known to succeed, such as ``Outcome.distance``; ``inf`` where an
        attack failed.
    target : int, optional
        The label that the attack sought; None for any other.
    bounds : callable, optional
        See :func:`certify_clip`.

    Raises
    ------
    SubterfugeError
        If the victim or a clip is of no use, or there is not one distance a clip.
    """
    if y.ndim != 2:
        raise SubterfugeError(f"certificates: got audio of shape {tuple(y.shape)}, expected (batch, samples)")
    known = None if distance is None else np.asarray(distance, dtype=np.float64).reshape(-1)
    if known is not None and len(known) != len(y):
        raise SubterfugeError(f"distance: got {len(known)}, expected one a clip, {len(y)}")
    duels = duels_of(victim)
    out = []
    for n, row in enumerate(y):
        certificate = certify_clip(victim, row, target=target, duels=duels, bounds=bounds)
        attacked = None if known is None else _snr_db(certificate.level, float(known[n]))
        out.append(Bracket(certificate, certificate.snr_db, attacked))
    return out


def _snr_db(level: float, distance: float) -> float:
    if not np.isfinite(distance) or level == 0:
        return float("-inf")
    return float("inf") if distance == 0 else float(20 * np.log10(level / distance))
