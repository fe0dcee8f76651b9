"""The masking picture: cells thinned to what a page can hold, so that nothing above the threshold is lost."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from subterfuge.audibility.masking import LEVEL, critical_bands
from subterfuge.report.masking_cells import Cells

STEPS = 300
FLOOR_DB = -20.0  # dB SPL of index 0: quieter than anybody hears
_NOTHING = -32768  # the worst ratio, in tenths of dB, of an instant without a perturbation


@dataclass(frozen=True, eq=False)
class Picture:
    """Clip, threshold and perturbation by critical band, at no more than :data:`STEPS` instants.

    An instant stands for the frames around it: in each band, for the one where the perturbation lies highest
    above the threshold, all three levels being those of that frame.

    Attributes
    ----------
    clip, threshold, noise : ndarray of uint8, shape (steps, bands)
        Levels: ``FLOOR_DB`` dB SPL plus ``step_db`` each. Noise is above the threshold exactly where it is
        before rounding; 0 is at or below the floor.
    step_db : float
        1/2, or 1 where half steps would not reach high enough.
    ratio_db : ndarray of float64, shape (steps, bands)
        Noise-to-mask ratio in dB; ``-inf`` where nothing was changed.
    worst_db : ndarray of float64, shape (steps,)
        Largest ratio of an instant.
    band : ndarray of int64, shape (steps,)
        The band where that is.
    when : ndarray of float64, shape (steps,)
        The time of that, in seconds from the beginning of the stretch.
    share : float
        Share of cells above the threshold before thinning.
    centre, rate_of : ndarray of float64, shape (bands,)
        Of the bands: in Hz, and in Bark.
    duration : float
        Of the stretch, in seconds.
    level : float
        Playback level: dB SPL of a sine of full scale.
    channels : int
    """

    clip: NDArray[np.uint8]
    threshold: NDArray[np.uint8]
    noise: NDArray[np.uint8]
    step_db: float
    ratio_db: NDArray[np.float64]
    worst_db: NDArray[np.float64]
    band: NDArray[np.int64]
    when: NDArray[np.float64]
    share: float
    centre: NDArray[np.float64]
    rate_of: NDArray[np.float64]
    duration: float
    level: float
    channels: int

    @property
    def steps(self) -> int:
        """How many instants there are."""
        return len(self.clip)

    @property
    def bands(self) -> int:
        """How many critical bands there are."""
        return int(self.clip.shape[1])

    @property
    def moment(self) -> int:
        """The instant where the perturbation stands out most."""
        return int(self.worst_db.argmax())

    @property
    def changed(self) -> bool:
        """Whether there is any perturbation."""
        return bool(np.isfinite(self.worst_db).any())

    def db(self, index: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Levels in dB SPL of ``clip``, ``threshold`` or ``noise``."""
        return FLOOR_DB + self.step_db * index.astype(np.float64)

    def packed(self) -> str:
        """What the page's script reads, in base64.

        Clip, threshold and noise (uint8), then for each instant the worst ratio in tenths of dB (int16,
        little endian; -32768 for none), its time in milliseconds (uint16) and its band (uint8).
        """
        tenths = np.full(self.steps, _NOTHING)
        known = np.isfinite(self.worst_db)
        tenths[known] = np.clip(np.round(10 * self.worst_db[known]), -32767, 32767)
        parts = [
            self.clip.tobytes(),
            self.threshold.tobytes(),
            self.noise.tobytes(),
            tenths.astype("<i2").tobytes(),
            np.clip(np.round(1000 * self.when), 0, 65535).astype("<u2").tobytes(),
            self.band.astype(np.uint8).tobytes(),
        ]
        return base64.b64encode(b"".join(parts)).decode("ascii")


def thinned(found: Cells, *, steps: int = STEPS, level: float = LEVEL) -> Picture:
    """Cells as a picture of at most ``steps`` instants, evenly spaced.

    Parameters
    ----------
    found : Cells
    steps : int
        At least 1.
    level : float
        The level that the threshold was worked out for.

    Examples
    --------
    A cell above the threshold is kept, however few instants there are:

    >>> noise = np.zeros((2, 50)); noise[1, 33] = 2.0
    >>> one = np.ones((2, 50))
    >>> found = Cells(one, one, noise, np.arange(50) * 10, 500, 22050, 10, 0.01, 1)
    >>> thinned(found, steps=5).worst_db.round(1).tolist()
    [-inf, -inf, -inf, 3.0, -inf]
    """
    steps = max(1, min(steps, found.length // found.hop))
    of = np.minimum(found.positions * steps // found.length, steps - 1)
    edges = np.searchsorted(of, np.arange(steps + 1))
    ratio = found.ratio
    chosen = np.stack([first + ratio[:, first:last].argmax(1) for first, last in pairwise(edges)])
    bands = np.arange(ratio.shape[0])

    def at(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(values[bands, chosen])

    clip, threshold, noise = (_spl(at(x), level) for x in (found.clip, found.threshold, found.noise))
    top = max(float(x.max()) for x in (clip, threshold, noise))
    step_db = 0.5 if top <= FLOOR_DB + 127 else 1.0
    whole_threshold = _index(threshold, step_db)
    whole_noise = _index(noise, step_db)
    thin = at(ratio)
    # Rounding must not take a cell over the threshold, nor one above it back.
    over = np.minimum(whole_threshold.astype(int) + 1, 255)
    whole_noise = np.where(thin > 1, np.maximum(whole_noise, over), np.minimum(whole_noise, whole_threshold))
    with np.errstate(divide="ignore"):
        ratio_db = 10 * np.log10(thin)
    band = ratio_db.argmax(1)
    known = critical_bands(found.rate)
    return Picture(
        clip=_index(clip, step_db),
        threshold=whole_threshold,
        noise=whole_noise.astype(np.uint8),
        step_db=step_db,
        ratio_db=ratio_db,
        worst_db=ratio_db.max(1),
        band=band,
        when=found.positions[chosen[np.arange(steps), band]] / found.rate,
        share=found.share,
        centre=known.centre.numpy()[: len(bands)],
        rate_of=known.rate.numpy()[: len(bands)],
        duration=found.length / found.rate,
        level=level,
        channels=found.channels,
    )


def _spl(power: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Sound pressure level in dB of a mean square, that of a sine of full scale being 1/2."""
    return level + 10 * np.log10(np.maximum(2 * power, math.ulp(0.0)))


def _index(db: NDArray[np.float64], step_db: float) -> NDArray[np.uint8]:
    return np.clip(np.round((db - FLOOR_DB) / step_db), 0, 255).astype(np.uint8)
