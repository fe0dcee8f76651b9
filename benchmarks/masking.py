"""What our masking threshold allows, and what ART's does (that of Qin et al., 2019), on the same clips.

Run with the environment that ``make bench`` builds::

    OMP_NUM_THREADS=1 .venv-bench/bin/python benchmarks/masking.py ../shared/seed

Noise is shaped until it fills a threshold and is nowhere above it, by the very measure that the threshold
comes with: to that threshold it is unheard. Then it is measured by other means.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import common
from masking_page import Filled, Found, Timing, page
from subterfuge.audibility.bands import bark
from subterfuge.audibility.masking import LEVEL, band_power, critical_bands, frame_times, masking_threshold
from subterfuge.audibility.zimtohrli import zimtohrli_distance

SR = common.SAMPLE_RATE
SIZE, HOP = 2048, 512  # ART's defaults
LOWEST, HIGHEST = 40.0, 16000.0  # noise stays between: beyond, their threshold is beyond all measure, too
# Zwicker's critical bands, Hz; the last is what is left below HIGHEST.
EDGES = (0, 100, 200, 300, 400, 510, 630, 770, 920, 1080, 1270, 1480, 1720, 2000, 2320, 2700, 3150, 3700)
EDGES += (4400, 5300, 6400, 7700, 9500, 12000, 15500)


# ---------------------------------------------------------------- thresholds that noise can fill


@dataclass(frozen=True)
class Theirs:
    """ART's threshold of a clip, in the unit of the squared transform; shape (bins, frames)."""

    limit: Tensor
    full_scale: float  # what it takes a sine of full scale for, in dB SPL

    @property
    def name(self) -> str:
        return "theirs"

    def ratio(self, delta: Tensor) -> Tensor:
        """Power over threshold of every bin."""
        return transform(delta).abs().square() / self.limit.clamp(min=1e-30)

    @property
    def told(self) -> Tensor:
        """Which bins noise may be in, shape (bins,)."""
        return self.limit.amax(1) > 0

    @property
    def reach(self) -> tuple[int, int]:
        """Bins and frames that a change of one touches."""
        return 6, 2

    def held(self, delta: Tensor, gain: Callable[[Tensor], Tensor]) -> Tensor:
        """``delta`` with each bin multiplied by a gain of its ratio."""
        spectra = transform(delta)
        ratio = spectra.abs().square() / self.limit.clamp(min=1e-30)
        return back(spectra * torch.where(self.limit > 0, gain(ratio.clamp(min=1e-12)), 0.0), len(delta))


@dataclass(frozen=True)
class Ours:
    """Our threshold of a clip; shape (bands, frames)."""

    limit: Tensor
    full_scale: float = LEVEL

    @property
    def name(self) -> str:
        return "ours"

    def ratio(self, delta: Tensor) -> Tensor:
        """Noise-to-mask ratio of every critical band."""
        return band_power(delta[None], sr=SR)[0] / self.limit

    @property
    def told(self) -> Tensor:
        """Which bands noise may be in, shape (bands,)."""
        return critical_bands(SR).high <= HIGHEST

    @property
    def reach(self) -> tuple[int, int]:
        """Bands and frames that a change of one touches."""
        return 1, 4

    def held(self, delta: Tensor, gain: Callable[[Tensor], Tensor]) -> Tensor:
        """``delta`` with each band and instant multiplied by a gain of its ratio."""
        size, hop = 1024, 256
        cells = gain(self.ratio(delta).clamp(min=1e-12)) * self.told[:, None]
        hz = np.arange(size // 2 + 1) * SR / size
        place = np.interp(bark(hz), critical_bands(SR).rate.numpy(), np.arange(len(cells)))
        low = torch.from_numpy(np.floor(place)).long()
        share = torch.from_numpy(place)[:, None] - low[:, None]
        gains = cells[low] * (1 - share) + cells[(low + 1).clamp(max=len(cells) - 1)] * share
        window = torch.hann_window(size, dtype=delta.dtype)
        spectra = torch.stft(delta, size, hop, window=window, pad_mode="constant", return_complex=True)
        return torch.istft(spectra * gains, size, hop, window=window, length=len(delta))


def transform(y: Tensor) -> Tensor:
    """The transform that ART takes: no padding, a periodic Hann window."""
    window = torch.hann_window(SIZE, dtype=y.dtype)
    return torch.stft(y, SIZE, HOP, window=window, center=False, return_complex=True)


def back(spectra: Tensor, samples: int) -> Tensor:
    """The signal whose transform is nearest; silent at both ends, where too few windows reach."""
    window = torch.hann_window(SIZE, dtype=torch.float64)
    frames = (torch.fft.irfft(spectra, SIZE, dim=0) * window[:, None]).T
    parts, count = SIZE // HOP, len(frames)
    total = torch.zeros(count + parts - 1, HOP, dtype=torch.float64)
    for part in range(parts):
        total[part : part + count] += frames[:, part * HOP : (part + 1) * HOP]
    y = torch.zeros(samples, dtype=torch.float64)
    y[: total.numel()] = total.flatten() / 1.5  # four squared windows add up to so much
    y[:SIZE], y[-SIZE - HOP :] = 0, 0
    return y


def theirs(y: Tensor) -> Theirs:
    """ART's threshold, limited to :data:`HIGHEST`."""
    level, loudest = masker().calculate_threshold_and_psd_maximum(y.numpy())
    full_scale = float(96 - loudest + 10 * np.log10(1 / 6))  # what a sine of amplitude one has in its bin
    limit = torch.from_numpy(10 ** (level / 10) / unit(full_scale))
    hz = np.arange(SIZE // 2 + 1) * SR / SIZE
    limit[(hz >= HIGHEST) | (hz < LOWEST)] = 0
    return Theirs(limit, full_scale)


def unit(full_scale: float) -> float:
    """From squared transform to their sound pressure, as a power: a sine of one has SIZE / 4 in its bin."""
    return 10 ** (full_scale / 10) * 16 / SIZE**2


def ours(y: Tensor, *, level: float = LEVEL) -> Ours:
    return Ours(masking_threshold(y[None], sr=SR, level=level)[0], level)


@cache
def masker() -> object:
    """ART's, at our sample rate; all else as it comes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from art.attacks.evasion.imperceptible_asr.imperceptible_asr import PsychoacousticMasker
    return PsychoacousticMasker(window_size=SIZE, hop_size=HOP, sample_rate=SR)


def fill(threshold: Theirs | Ours, samples: int, *, seed: int, within: Tensor | None = None) -> Tensor:
    """Noise that fills a threshold and is above it nowhere, float64, shape (samples,).

    First every cell is brought to its threshold, again and again, since neighbours leak into each other; then
    those that are above it are brought down, at last with all that leaks into them. The fraction of a dB by
    which a few are above it even so comes off the whole.
    """
    generator = torch.Generator().manual_seed(seed)
    delta = 1e-3 * torch.randn(samples, generator=generator, dtype=torch.float64)
    if within is None:
        within = fade(samples, SIZE, samples - SIZE - HOP, SIZE)

    def neighbours(gain: Tensor, times: int) -> Tensor:
        over, along = (times * n for n in threshold.reach)
        square = (2 * over + 1, 2 * along + 1)
        return -functional.max_pool2d(-gain[None, None], square, 1, (over, along))[0, 0]

    def gain(ratio: Tensor) -> Tensor:
        if step < 20:
            return (ratio**-0.5).clamp(0.1, 10)
        if step < 30:
            return (0.97 / ratio).clamp(max=1.0) ** 0.5
        return neighbours(torch.where(ratio > 1, 0.95 / ratio, 1.0) ** 0.5, 1 if step < 40 else 2)

    for step in range(50):  # noqa: B007 (gain reads it)
        delta = threshold.held(delta, gain) * within
    return delta / threshold.ratio(delta)[threshold.told].max().clamp(min=1.0).sqrt()


def fade(samples: int, start: int, stop: int, length: int) -> Tensor:
    """One between two samples, zero outside, with slopes of so many samples within."""
    slope = torch.hann_window(2 * length, periodic=False, dtype=torch.float64)
    shape = torch.zeros(samples, dtype=torch.float64)
    shape[start:stop] = 1
    shape[start : start + length] = slope[:length]
    shape[stop - length : stop] = slope[length:]
    return shape


# ---------------------------------------------------------------- what it amounts to


def measured(clip: Tensor, delta: Tensor, one: Theirs | Ours, at: dict[str, Ours]) -> Filled:
    """A noise that fills a threshold, by that threshold's own measure and by others."""
    heard = at["92"].told
    hop = round(float(frame_times(SR, SR)[1]) * SR)
    inside = slice(2 * SIZE // hop, -2 * SIZE // hop - 4)  # where it is not faded out
    bins = slice(SIZE // HOP, -SIZE // HOP - 1) if isinstance(one, Theirs) else inside
    own = one.ratio(delta)[one.told]
    return Filled(
        snr=float(10 * (clip.square().sum() / delta.square().sum()).log10()),
        most=float(10 * own.max().log10()),
        own=float(10 * own[:, bins].median().log10()),
        over={
            name: (10 * judge.ratio(delta)[heard][:, inside].log10()).numpy() for name, judge in at.items()
        },
        zimtohrli=zimtohrli_distance(clip.float()[None], (clip + delta).float()[None], sr=SR),
        in_band=in_band(clip, delta),
        full_scale=one.full_scale,
    )


def in_band(clip: Tensor, delta: Tensor) -> np.ndarray:
    """Clip over noise in dB within Zwicker's bands, where the clip is within 50 dB of its loudest band.

    Shape (bands, frames), nan elsewhere: plain energies of transforms of 46 ms, no model at all.
    """
    bins = torch.arange(SIZE // 2 + 1) * SR / SIZE
    rows = []
    for signal in (clip, delta):
        squares = transform(signal).abs().square()
        rows.append(
            torch.stack([squares[(bins >= a) & (bins < b)].sum(0) for a, b in itertools.pairwise(EDGES)])
        )
    signal, noise = (row[:, 4:-5] for row in rows)
    ratio = 10 * (signal / noise.clamp(min=1e-30)).log10()
    return torch.where(signal > 1e-5 * signal.max(), ratio, torch.nan).numpy()


# Seconds from where it begins and from where it ends.
BEFORE = {"50 to 20 ms before it": (-0.05, -0.02), "20 to 5 ms before it": (-0.02, -0.005)}
AFTER = {"20 to 50 ms after it": (0.02, 0.05), "50 to 100 ms after it": (0.05, 0.1)}


def lone(kind: str, seed: int) -> tuple[Tensor, float, float]:
    """Noise of 200 ms or a click of 1 ms amid silence, mean square 0.01; where it begins and ends, s."""
    generator = torch.Generator().manual_seed(seed)
    begin = round(0.3 * SR) + int(torch.randint(0, HOP, (1,), generator=generator))
    y = torch.zeros(round(0.8 * SR), dtype=torch.float64)
    length = round((0.2 if kind == "burst" else 0.001) * SR)
    y[begin : begin + length] = torch.randn(length, generator=generator, dtype=torch.float64)
    return 0.1 * y / y[begin : begin + length].square().mean().sqrt(), begin / SR, (begin + length) / SR


def in_time(kind: str, seeds: int) -> dict[str, dict[str, list[float]]]:
    """How loud noise may be before and after a sound, and in silence, in dB of the sound's mean square."""
    found: dict[str, dict[str, list[float]]] = {}
    for seed in range(seeds):
        y, begin, end = lone(kind, seed)
        by_art = theirs(y)
        # Ours at the level that theirs takes it to be played at: only so are the two of one listener.
        level = by_art.full_scale
        silent = torch.zeros_like(y)
        pairs = [(by_art, in_quiet(by_art)), (ours(y, level=level), ours(silent, level=level))]
        for name, (since, until) in {**BEFORE, **AFTER}.items():
            zero = end if name in AFTER else begin
            a, b = round((zero + since) * SR), round((zero + until) * SR)
            within = fade(len(y), a, b, round(0.003 * SR))
            for beside, alone in pairs:
                for what, threshold in (("beside", beside), ("alone", alone)):
                    delta = fill(threshold, len(y), seed=seed, within=within)
                    power = float((delta[a:b].square().mean() / 0.01).log10())
                    found.setdefault(name, {}).setdefault(f"{threshold.name} {what}", []).append(10 * power)
    return found


def in_quiet(one: Theirs) -> Theirs:
    """Their threshold without the clip."""
    silent = torch.from_numpy(10 ** (masker().absolute_threshold_hearing / 10) / unit(one.full_scale))
    return Theirs(torch.where(one.limit > 0, silent[:, None], 0.0), one.full_scale)


def softer(clip: Tensor, by: float) -> dict[str, float]:
    """What scaling a clip down does to the thresholds, less the scaling itself, dB."""
    scaled = clip * 10 ** (-by / 20)
    a, b = theirs(clip).limit, theirs(scaled).limit
    there = (a > 0) & (b > 0)
    by_theirs = 10 * (b[there] / a[there]).log10() + by
    by_ours = 10 * (ours(scaled).limit / ours(clip).limit).log10() + by
    return {
        "theirs": float(by_theirs.abs().max()),
        "ours": float(by_ours.median()),
        "most": float(by_ours.max()),
    }


def explosion(clip: Tensor) -> dict[int, tuple[float, float, float]]:
    """Thresholds at high frequencies: theirs and ours in dB SPL; theirs as a sine, in dB of full scale."""
    level, _ = masker().calculate_threshold_and_psd_maximum(clip.numpy())
    full = theirs(clip).full_scale
    limit = 10 * (2 * ours(clip, level=full).limit).log10() + full
    found = {}
    for hz in (12000, 15000, 16000, 17000, 18000, 19000, 20000):
        at = float(np.median(level[int(hz / SR * SIZE)]))
        bands = critical_bands(SR)
        i = int((bands.centre - hz).abs().argmin())
        found[hz] = at, float(limit[i].median()), at - full
    return found


def timings(clip: Tensor, rounds: int) -> Timing:
    """Milliseconds of one core a clip, taken turn about."""
    y = clip.float()[None]

    def forward() -> None:
        with torch.no_grad():
            masking_threshold(y, sr=SR)

    def both() -> None:
        leaf = y.clone().requires_grad_()
        torch.autograd.grad(masking_threshold(leaf, sr=SR).sum(), leaf)

    calls = {
        "theirs": lambda: masker().calculate_threshold_and_psd_maximum(y[0].numpy()),
        "ours": forward,
        "with gradient": both,
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            for _ in range(1 if name == "theirs" else 5):
                start = time.process_time()
                call()
                taken[name].append(1e3 * (time.process_time() - start))
    return Timing(**{name.replace(" ", "_"): float(np.median(times)) for name, times in taken.items()})


def pruned(clip: Tensor) -> tuple[int, int, int]:
    """Of ART's maskers: how many it finds, keeps, and keeps within half a Bark of the one before."""
    model = masker()
    psd, _ = model.power_spectral_density(clip.numpy())
    found = kept = near = 0
    for frame in psd.T:
        levels, bins = model.find_maskers(frame)
        left = model.filter_maskers(levels, bins)[1]
        found, kept = found + len(bins), kept + len(left)
        near += int((np.diff(model.bark[left]) < 0.5).sum())
    return found, kept, near


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seed", type=Path, metavar="SEED", help="folder of the seed's data")
    parser.add_argument("--clips", type=int, help="how many of the clips, for a trial")
    options = parser.parse_args()
    common.one_thread()
    warnings.simplefilter("ignore")
    clock = common.Clock()
    embedded = sorted((common.ROOT / "src" / "subterfuge" / "embedded" / "clips").glob("*.flac"))
    paths = [*common.clips(options.seed), *embedded][: options.clips]
    found = Found(seed_clips=min(len(common.clips(options.seed)), len(paths)))
    for number, path in enumerate(paths):
        clip = torch.from_numpy(common.load_waveform(path)).double()
        by_art = theirs(clip)
        judges = {"92": ours(clip), "same": ours(clip, level=by_art.full_scale)}
        for name, one in (("theirs", by_art), ("ours", judges["92"])):
            delta = fill(one, len(clip), seed=number)
            found.filled.setdefault(name, []).append(measured(clip, delta, one, judges))
        found.softer.append(softer(clip, 40.0))
        found.explosion.append(explosion(clip))
        found.pruned.append(pruned(clip))
        clock.say(f"{number + 1} of {len(paths)} {path.stem}")
    for kind in ("burst", "click"):
        found.in_time[kind] = in_time(kind, 5 if options.clips is None else 1)
        clock.say(f"{kind}: before and after")
    clip = torch.from_numpy(common.load_waveform(paths[0])).double()
    found.timing = timings(clip, 7)
    found.frames = len(frame_times(len(clip), SR))
    common.write_page("masking", page(found))
    clock.say("done")


if __name__ == "__main__":
    main()
