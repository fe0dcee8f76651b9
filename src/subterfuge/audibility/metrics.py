"""How audible a change is: one record of many measures a pair of clips, and one sentence over all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from subterfuge.audibility.loudness import loudness_lu
from subterfuge.audibility.masked_noise import masked_noise
from subterfuge.audibility.masking import LEVEL
from subterfuge.audibility.snr import db_x, peak_db, segmental_snr_db, snr_db
from subterfuge.audibility.thresholds import MEASURES, measure
from subterfuge.audibility.unmeasured import Unmeasured
from subterfuge.audibility.visqol import check_visqol, visqol_mos
from subterfuge.audibility.zimtohrli import zimtohrli_distance, zimtohrli_mos
from subterfuge.errors import SubterfugeError

# Playback levels that make sense: full scale at the threshold of hearing, and beyond any loudspeaker.
QUIETEST, LOUDEST = 0.0, 140.0


@dataclass(frozen=True)
class Audibility:
    """Measures of how well a listener could tell two clips apart; None where one could not be taken.

    :data:`subterfuge.audibility.thresholds.MEASURES` says of each from where on listeners notice.

    Attributes
    ----------
    level_db : float
        Playback level assumed: dB SPL of a sine of full scale. Only the noise-to-mask ratios depend on it.
    snr_db : float
        Over all channels; ``inf`` where nothing changed, ``-inf`` where the clip is silent.
    segmental_snr_db : float or None
        Mean over segments of 20 ms, each within [-10, 35] dB; None where the clip is silent.
    peak_db : float
        Largest sample of the perturbation, dBFS; ``-inf`` where nothing changed.
    db_x : float
        Peak of the perturbation minus peak of the clip, dB.
    loudness_lu : float or None
        Integrated loudness (BS.1770-4) of the perturbation minus the clip's, LU.
    nmr_mean_db, nmr_worst_db : float
        Noise-to-mask ratio: of the mean over critical bands and frames, and of the worst of them, in dB;
        ``-inf`` where nothing changed.
    nmr_share : float
        Share of critical bands and frames above 0 dB, in [0, 1].
    zimtohrli, zimtohrli_mos : float or None
        Distance, 0 for none, and the opinion score, 1 to 5, that it stands for.
    visqol : float or None
        MOS-LQO of audio mode, 1 to 4.73; only if asked for.
    notes : dict of str to str
        For each measure that could not be taken, why.
    """

    level_db: float
    snr_db: float
    segmental_snr_db: float | None
    peak_db: float
    db_x: float
    loudness_lu: float | None
    nmr_mean_db: float
    nmr_worst_db: float
    nmr_share: float
    zimtohrli: float | None
    zimtohrli_mos: float | None
    visqol: float | None
    notes: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The record as plain JSON types, with its verdict; what is infinite is None, and a note says why."""
        known = asdict(self)
        for name, value in known.items():
            if isinstance(value, float) and not math.isfinite(value):
                known[name] = None
                known["notes"][name] = f"infinite, since {self._endless}"
        return {**known, "verdict": verdict(self)}

    @property
    def _endless(self) -> str:
        if self.snr_db == math.inf:
            return "nothing was changed"
        return "the clip is silent" if self.snr_db == -math.inf else "what was changed is next to nothing"


def measure_audibility(
    original: Tensor,
    changed: Tensor,
    *,
    sr: int,
    level: float = LEVEL,
    visqol: bool = False,
    report: Callable[[str], None] | None = None,
) -> Audibility:
    """Measure how audible the difference of two clips is.

    Parameters
    ----------
    original, changed : Tensor of float32 or float64, shape (channels, samples)
        The clip and what became of it, sample by sample; full scale is 1.
    sr : int
        Sample rate of both in Hz.
    level : float
        Playback level assumed: dB SPL of a sine of full scale, from 0 to 140.
    visqol : bool
        Whether to ask ViSQOL too, which takes longer than all else together.
    report : callable, optional
        Told what is being measured.

    Returns
    -------
    Audibility

    Raises
    ------
    SubterfugeError
        If the clips differ in shape, are empty or not finite, the level makes no sense, or ViSQOL is wanted
        and not installed.

    Examples
    --------
    >>> y = torch.randn(1, 22050, generator=torch.Generator().manual_seed(0)) / 10
    >>> found = measure_audibility(y, 1.001 * y, sr=22050)
    >>> round(found.snr_db, 2), verdict(found)
    (60.0, 'below threshold by 2 of 2 measures (worst noise-to-mask ratio, Zimtohrli distance)')
    """
    _check(original, changed, sr, level)
    if visqol:
        check_visqol()
    tell = report or (lambda what: None)
    original, changed = original.detach().cpu(), changed.detach().cpu()
    if original.dtype != changed.dtype:
        original, changed = original.double(), changed.double()
    notes: dict[str, str] = {}

    def taken(name: str, take: Callable[[], float]) -> float | None:
        tell(measure(name).title)
        try:
            return take()
        except Unmeasured as reason:
            notes[name] = str(reason)
            return None

    tell("noise-to-mask ratio")
    noise = masked_noise(original, changed, sr=sr, level=level)
    segmental = segmental_snr_db(original, changed, sr=sr)
    if segmental is None:
        notes["segmental_snr_db"] = "the clip is silent"
    distance = taken("zimtohrli", lambda: zimtohrli_distance(original, changed, sr=sr))
    return Audibility(
        level_db=float(level),
        snr_db=snr_db(original, changed),
        segmental_snr_db=segmental,
        peak_db=peak_db(original, changed),
        db_x=db_x(original, changed),
        loudness_lu=taken("loudness_lu", lambda: loudness_lu(original, changed, sr=sr)),
        nmr_mean_db=noise.mean_db,
        nmr_worst_db=noise.worst_db,
        nmr_share=noise.share,
        zimtohrli=distance,
        zimtohrli_mos=None if distance is None else zimtohrli_mos(distance),
        visqol=taken("visqol", lambda: visqol_mos(original, changed, sr=sr)) if visqol else None,
        notes=notes,
    )


def verdict(found: Audibility) -> str:
    """One sentence, without its full stop, over all measures that have a published threshold.

    Parameters
    ----------
    found : Audibility

    Returns
    -------
    str
        By how many of the measures the change stays below its threshold; if by all, which they are, else
        those that it is above, with their values.

    Examples
    --------
    >>> y = torch.zeros(1, 100)
    >>> verdict(measure_audibility(y, y + 0.5, sr=8000))
    'below threshold by 0 of 1 measure; above it: worst noise-to-mask ratio (... dB, at most 0 dB)'
    """
    judged = [(each, each.unheard(getattr(found, each.name))) for each in MEASURES]
    known = [(each, unheard) for each, unheard in judged if unheard is not None]
    if not known:
        return "not judged: no measure with a published threshold could be taken"
    below = [each.title for each, unheard in known if unheard]
    above = [
        f"{each.title} ({each.shown(getattr(found, each.name))}, {each.limit})"
        for each, unheard in known
        if not unheard
    ]
    same = "nothing was changed: " if found.snr_db == math.inf else ""
    text = f"{same}below threshold by {len(below)} of {len(known)} measure{'s' * (len(known) > 1)}"
    return f"{text}; above it: {', '.join(above)}" if above else f"{text} ({', '.join(below)})"


def check_level(level: float) -> None:
    """Raise unless a playback level makes sense.

    Raises
    ------
    SubterfugeError
        If it is not a number from 0 to 140.
    """
    if not QUIETEST <= level <= LOUDEST:
        raise SubterfugeError(
            f"level: got {level:g}, expected dB SPL of a sine of full scale, from {QUIETEST:g} to {LOUDEST:g}"
        )


def _check(original: Tensor, changed: Tensor, sr: int, level: float) -> None:
    check_level(level)
    if not sr > 0:
        raise SubterfugeError(f"sr: got {sr}, expected a sample rate in Hz above 0")
    for name, y in (("original", original), ("changed", changed)):
        if y.ndim != 2 or y.numel() == 0 or not y.is_floating_point():
            raise SubterfugeError(
                f"{name}: got {y.dtype}, shape {tuple(y.shape)}, expected floats, shape (channels, samples)"
            )
        if not bool(torch.isfinite(y).all()):
            raise SubterfugeError(f"{name}: holds NaN or infinite samples, expected finite ones")
    if original.shape != changed.shape:
        raise SubterfugeError(
            f"changed: got (channels, samples) {tuple(changed.shape)}, expected those of the original, "
            f"{tuple(original.shape)}"
        )
