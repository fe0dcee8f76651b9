"""Each measure of audibility: what it is called, and from where on listeners notice, if that is published.

A threshold stands here only if it has been published. Measures without one are reported, but have no part in
the verdict: they say how large a change is, not whether it is heard.

References
----------
Brandenburg, "Evaluation of quality for audio encoding at low bit rates", AES 82, 1987. ITU-R BS.1387-1,
"Method for objective measurements of perceived audio quality", 2001. Manocha, Finkelstein, Zhang, Bryan,
Mysore and Jin, "A differentiable perceptual audio metric learned from just noticeable differences",
Interspeech 2020. Zimtohrli's correlation report of 2025-06-26 (github.com/google/zimtohrli, CORRELATION.md,
revision v0.1.10-84-g9f6ee27): for each measure the threshold that is right most often about those listeners.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_REPORT = "Zimtohrli's correlation report, 2025"


@dataclass(frozen=True)
class Measure:
    """A field of :class:`subterfuge.audibility.metrics.Audibility`, explained.

    Attributes
    ----------
    name : str
        Of the field.
    title : str
        For people, in the middle of a sentence.
    unit : str
        ``dB``, ``LU``, ``%`` (of a share in [0, 1]) or empty.
    digits : int
        After the point, when it is shown.
    threshold : float or None
        Where listeners begin to notice; None where nothing is published.
    high_is_better : bool
        Whether values above the threshold are the unheard ones, as of opinion scores.
    source : str
        Who published the threshold; empty without one.
    about : str
        How far the threshold can be trusted; without one, what the measure tells.
    """

    name: str
    title: str
    unit: str
    digits: int
    threshold: float | None = None
    high_is_better: bool = False
    source: str = ""
    about: str = ""

    def unheard(self, value: float | None) -> bool | None:
        """Whether a value lies on the side of the threshold where listeners do not notice, or right on it.

        None where there is no threshold or no value.

        Examples
        --------
        >>> measure("nmr_worst_db").unheard(-0.1), measure("visqol").unheard(3.0)
        (True, False)
        """
        if self.threshold is None or value is None or math.isnan(value):
            return None
        return value >= self.threshold if self.high_is_better else value <= self.threshold

    def shown(self, value: float | None) -> str:
        """A value with its unit, for people.

        Examples
        --------
        >>> measure("nmr_worst_db").shown(-3.21), measure("nmr_share").shown(0.0123)
        ('-3.2 dB', '1.23 %')
        """
        if value is None or math.isnan(value):
            return "not measured"
        if self.unit == "%":
            value *= 100
        number = f"{value:.{self.digits}f}" if math.isfinite(value) else str(value)
        return f"{number} {self.unit}".rstrip()

    @property
    def limit(self) -> str:
        """The threshold, for people: ``at most 0 dB``; ``none published`` without one."""
        if self.threshold is None:
            return "none published"
        return f"{'at least' if self.high_is_better else 'at most'} {self.threshold:g} {self.unit}".rstrip()


MEASURES = (
    Measure(
        "snr_db",
        "signal-to-noise ratio",
        "dB",
        1,
        about="how much weaker the change is than the clip, whatever the ear makes of either",
    ),
    Measure(
        "segmental_snr_db",
        "segmental SNR",
        "dB",
        1,
        about="the same in segments of 20 ms, each held to -10 to 35 dB: low if quiet stretches are changed",
    ),
    Measure(
        "peak_db", "peak of the change", "dB", 1, about="the largest sample of the change, re full scale"
    ),
    Measure(
        "db_x",
        "dB_x",
        "dB",
        1,
        about="peak of the change re peak of the clip, as attacks on speech recognisers report it",
    ),
    Measure(
        "loudness_lu",
        "loudness of the change",
        "LU",
        1,
        about="loudness of the change played alone, relative to the clip's; what masks it is not heeded",
    ),
    Measure(
        "nmr_mean_db",
        "mean noise-to-mask ratio",
        "dB",
        1,
        about="the total NMR of ITU-R BS.1387: an average, under which single sounds may well be heard",
    ),
    Measure(
        "nmr_worst_db",
        "worst noise-to-mask ratio",
        "dB",
        1,
        threshold=0.0,
        source="Brandenburg 1987; ITU-R BS.1387",
        about="0 dB is what is just masked, by definition, and no rate of hits is published; BS.1387 calls a "
        "moment disturbed from 1.5 dB in any band",
    ),
    Measure(
        "nmr_share",
        "time-frequency above the mask",
        "%",
        2,
        about="share of critical bands and moments in which the change rises above what the clip masks",
    ),
    Measure(
        "zimtohrli",
        "Zimtohrli distance",
        "",
        4,
        threshold=0.0121,
        source=_REPORT,
        about="right for 74 % of the verdicts of listeners in Manocha et al. 2020 (short recordings, changed "
        "by noise, reverberation, equalisers and codecs), where the commoner answer alone is right for 52 %; "
        "it hardly heeds level (a clip 20 dB quieter may stay below)",
    ),
    Measure(
        "zimtohrli_mos",
        "Zimtohrli opinion score",
        "",
        2,
        about="the distance, put on the scale of opinion scores, 5 for no difference",
    ),
    Measure(
        "visqol",
        "ViSQOL opinion score",
        "",
        2,
        threshold=4.246,
        high_is_better=True,
        source=_REPORT,
        about="right for 71 % of the verdicts of the same listeners; levels are matched first; a clip beside "
        "itself gets 4.73, and in ViSQOL's own conformance tests AAC at 128 and 256 kbit/s gets 4.68, at 64 "
        "kbit/s 4.35",
    ),
)


def measure(name: str) -> Measure:
    """The measure of that name; a KeyError where there is none."""
    return _BY_NAME[name]


_BY_NAME = {each.name: each for each in MEASURES}
