"""The page of the masking benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

import common

# Bands of ours (half a Bark each) that are summed up together, and what they are called.
RANGES = {"below 0.8 kHz": (0, 14), "0.8 to 2.7 kHz": (14, 28), "2.7 to 6.4 kHz": (28, 38), "above": (38, 99)}
# Bars of cost, ms a clip of 3 s and core.
FORWARD, WITH_GRADIENT = 10.0, 40.0


@dataclass(frozen=True)
class Filled:
    """A noise that fills a threshold of one clip.

    Attributes
    ----------
    snr : float
        dB.
    own, most : float
        Power over the threshold that it fills, dB, by that threshold's own measure: median and largest.
    over : dict of ndarray, shape (bands, frames)
        Over ours, dB, with full scale played at 92 dB SPL (``92``) and as loud as theirs has it (``same``).
    zimtohrli : float
    in_band : ndarray, shape (bands, frames)
        Clip over noise within Zwicker's bands, dB; nan where the clip is soft.
    full_scale : float
        dB SPL of a sine of full scale.
    """

    snr: float
    own: float
    most: float
    over: dict[str, np.ndarray]
    zimtohrli: float
    in_band: np.ndarray
    full_scale: float


@dataclass(frozen=True)
class Timing:
    """Milliseconds a clip of 3 s."""

    theirs: float
    ours: float
    with_gradient: float


@dataclass
class Found:
    """All that was measured."""

    seed_clips: int
    filled: dict[str, list[Filled]] = field(default_factory=dict)
    softer: list[dict[str, float]] = field(default_factory=list)
    explosion: list[dict[int, tuple[float, float, float]]] = field(default_factory=list)
    pruned: list[tuple[int, int, int]] = field(default_factory=list)
    in_time: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    timing: Timing | None = None
    frames: int = 0


WHOSE = {"theirs": "ART's (Qin et al.)", "ours": "ours"}


def page(found: Found) -> str:
    """The text of the page."""
    clips = len(found.softer)
    return "\n".join(
        [
            common.header(
                "Two masking thresholds, side by side",
                packages=["adversarial-robustness-toolbox"],
                command=".venv-bench/bin/python benchmarks/masking.py ../shared/seed",
            ),
            f"On {clips} clips of 3 s: {found.seed_clips} of the seed's, the others those that come with the",
            "package. *Theirs* is the threshold of Qin et al. (2019) as the Adversarial Robustness Toolbox",
            "computes it, with its own settings at 44.1 kHz; noise is put between 40 Hz and 16 kHz only.",
            "",
            *_noise(found),
            *_bands(found),
            *_clips_level(found),
            *_time(found),
            *_cost(found),
        ]
    )


def _noise(found: Found) -> list[str]:
    head = ["noise that fills", "SNR, dB", "by its own measure, dB", "over ours at its own level, dB"]
    head += ["cells above ours", "over ours at 92 dB SPL, dB", "clip over noise in a band, dB", "Zimtohrli"]
    rows = []
    for name, all_of_it in found.filled.items():
        same, set_ = ([one.over[at] for one in all_of_it] for at in ("same", "92"))
        rows.append(
            [
                WHOSE[name],
                _median(one.snr for one in all_of_it),
                _median(one.own for one in all_of_it),
                f"{_median(np.median(one) for one in same)}, worst {max(one.max() for one in same):.1f}",
                f"{np.mean([(one > 0).mean() for one in same]):.0%}",
                _median(np.median(one) for one in set_),
                _median(np.nanmedian(one.in_band) for one in all_of_it),
                f"{np.median([one.zimtohrli for one in all_of_it]):.4f}",
            ]
        )
    return [
        "## Noise that fills a threshold",
        "",
        "Noise is shaped until it lies at a threshold and nowhere above, by that threshold's own measure. So",
        "it is unheard, each says of its own. What it is by other measures (medians over the clips; the",
        "just-noticeable difference of Zimtohrli is 0.0121):",
        "",
        common.table(head, rows),
        "Theirs compares every *bin* of 21 Hz with a threshold for a whole critical band, so a band of `n`",
        "bins may be filled `n` times over; ours sums the noise over the band first.",
        "",
    ]


def _bands(found: Found) -> list[str]:
    theirs = [one.over["same"] for one in found.filled["theirs"]]
    by_range = [
        [words, _median(np.median(one[slice(*of)]) for one in theirs)] for words, of in RANGES.items()
    ]
    heights = sorted({hz for one in found.explosion for hz in one})
    high = [
        [
            f"{hz / 1000:g} kHz",
            *(_median(one[hz][i] for one in found.explosion if hz in one) for i in range(3)),
        ]
        for hz in heights
    ]
    found_, kept, near = (sum(column) for column in zip(*found.pruned, strict=True))
    return [
        "## Over frequency",
        "",
        "How far noise that fills theirs is above ours, played as loud as theirs has it:",
        "",
        common.table(["bands", "median, dB"], by_range),
        "At high frequencies the formula of the threshold in quiet grows with the fourth power; where",
        "nothing caps it, it allows anything:",
        "",
        common.table(["at", "theirs, dB SPL", "ours, dB SPL", "theirs as a sine, dB re full scale"], high),
        f"Of {found_:,} maskers that theirs finds it keeps {kept:,}, {near:,} of them within half a Bark of",
        "the one before, which its own rule was to forbid.",
        "",
    ]


def _clips_level(found: Found) -> list[str]:
    theirs = max(one["theirs"] for one in found.softer)
    ours = _median(one["ours"] for one in found.softer)
    level = [one.full_scale for one in found.filled["theirs"]]
    return [
        "## A clip played 40 dB softer",
        "",
        "Theirs takes the loudest peak of any clip for 96 dB SPL: a sine of full scale is played at "
        f"{min(level):.0f} to {max(level):.0f} dB SPL, depending on the clip,",
        f"and the threshold of a clip played 40 dB softer is the same curve 40 dB lower (to {theirs:.2g}",
        "dB): nobody hears that little. Ours has a level of playback as a parameter; there the threshold",
        f"falls {ours} dB less than the clip (median), since the ear's own threshold stays where it is.",
        "",
    ]


def _time(found: Found) -> list[str]:
    parts = ["## Before and after a sound", ""]
    for kind, spans in found.in_time.items():
        rows = []
        for span, told in spans.items():
            cells = {name: float(np.median(values)) for name, values in told.items()}
            rows.append(
                [
                    span,
                    *(f"{cells[f'{who} beside'] - cells[f'{who} alone']:.1f}" for who in ("theirs", "ours")),
                    *(f"{cells[f'{who} beside']:.1f}" for who in ("theirs", "ours")),
                ]
            )
        name = {"burst": "A burst of noise of 200 ms", "click": "A click of 1 ms"}[kind]
        head = [f"{name}: noise", "theirs, dB over quiet", "ours, dB over quiet", "theirs, dB re sound"]
        parts += [common.table([*head, "ours, dB re sound"], rows)]
    return [
        *parts,
        "How much more noise a sound lets pass in those moments than silence does, and how loud that is.",
        "Masking before a sound lasts for some 5 ms, after it for 100 or more (Zwicker and Fastl). Theirs",
        "knows of time only that its windows are 46 ms long.",
        "",
    ]


def _cost(found: Found) -> list[str]:
    if found.timing is None:
        return []
    ours, both = found.timing.ours, found.timing.with_gradient
    kept = f"{_kept(ours, FORWARD)}; {_kept(both, WITH_GRADIENT)}"
    rows = [
        ["ours", f"{ours:.1f}", f"{both:.1f}", f"{found.timing.theirs / ours:.0f} times as fast"],
        ["ART's", f"{found.timing.theirs:.1f}", "–", ""],
    ]
    return [
        "## Cost",
        "",
        "Milliseconds of one core for a clip of 3 s:",
        "",
        common.table(["threshold", "forward", "with gradient", ""], rows),
        f"To be reached: {FORWARD:.0f} ms forward, {WITH_GRADIENT:.0f} ms with gradient: {kept}.",
        "",
    ]


def _kept(value: float, most: float) -> str:
    return f"{value:.1f} ms, {'reached' if value <= most else 'missed'}"


def _median(values: Iterable[float] | Sequence[float]) -> str:
    return f"{float(np.median(list(values))):.1f}".replace("-", "−")
