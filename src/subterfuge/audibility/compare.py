"""Two files, and how audible the difference between them is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from subterfuge.audibility.masking import LEVEL
from subterfuge.audibility.metrics import Audibility, check_level, measure_audibility
from subterfuge.audibility.thresholds import MEASURES
from subterfuge.audibility.visqol import check_visqol
from subterfuge.audio import read_audio
from subterfuge.errors import SubterfugeError


@dataclass(frozen=True)
class Comparison:
    """Two files of one format, compared.

    Attributes
    ----------
    original, changed : str
        Their paths.
    sample_rate : int
        In Hz.
    channels, frames : int
    audibility : Audibility
    """

    original: str
    changed: str
    sample_rate: int
    channels: int
    frames: int
    audibility: Audibility

    def as_json(self) -> dict[str, Any]:
        """The comparison as plain JSON types, with the published thresholds that the verdict rests on."""
        return {
            **asdict(self),
            "audibility": self.audibility.as_json(),
            "thresholds": {
                each.name: {
                    "threshold": each.threshold,
                    "unheard": "at least" if each.high_is_better else "at most",
                    "source": each.source,
                    "about": each.about,
                }
                for each in MEASURES
                if each.threshold is not None
            },
        }


def compare_files(
    original: str | Path,
    changed: str | Path,
    *,
    level: float = LEVEL,
    visqol: bool = False,
    report: Callable[[str], None] | None = None,
) -> Comparison:
    """Measure how audible the difference of two files is.

    Parameters
    ----------
    original, changed : str or Path
        Any files that :func:`subterfuge.audio.read_audio` reads, alike in rate, channels and length.
    level, visqol, report
        As in :func:`subterfuge.audibility.metrics.measure_audibility`.

    Raises
    ------
    SubterfugeError
        If a file cannot be read, the two do not match, or an option is wrong.
    """
    check_level(level)
    if visqol:
        check_visqol()
    a, b = read_audio(original), read_audio(changed)
    for what, got, wanted in (
        ("sample rate", f"{b.sr} Hz", f"{a.sr} Hz"),
        ("number of channels", str(b.channels), str(a.channels)),
        ("length", f"{b.frames} frames", f"{a.frames} frames"),
    ):
        if got != wanted:
            raise SubterfugeError(f"{changed}: its {what} is {got}, expected {wanted} as in {original}")
    found = measure_audibility(a.data, b.data, sr=a.sr, level=level, visqol=visqol, report=report)
    return Comparison(str(original), str(changed), a.sr, a.channels, a.frames, found)
