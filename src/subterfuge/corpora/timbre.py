"""What a player's breath, throat, bow or amplifier does to a soundfont's tone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Audio = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]

_FRAME, _HOP = 1024, 256

# Formants in Hz of sung vowels, for a low voice: frequency and bandwidth of five, and their levels in dB.
VOWELS = {
    "a": ((650, 80, 0), (1080, 90, -6), (2650, 120, -7), (2900, 130, -8), (3250, 140, -22)),
    "e": ((400, 70, 0), (1700, 80, -14), (2600, 100, -12), (3200, 120, -14), (3580, 120, -20)),
    "i": ((290, 40, 0), (1870, 90, -15), (2800, 100, -18), (3250, 120, -20), (3540, 120, -30)),
    "o": ((400, 40, 0), (800, 80, -10), (2600, 100, -12), (2800, 120, -12), (3000, 120, -26)),
    "u": ((350, 40, 0), (600, 60, -20), (2400, 100, -32), (2675, 120, -28), (2950, 120, -36)),
}


@dataclass(frozen=True)
class Throat:
    """One singer: how much smaller than a bass's the throat is, how the source falls off, how much breath."""

    size: float
    tilt_db: float
    depth: float
    breath_db: float
    consonants: float


def draw_throat(rng: Generator, *, plain: bool) -> Throat:
    """Draw a singer; ``plain`` where the tone is a bare source and the throat must do everything."""
    return Throat(
        size=float(rng.uniform(0.95, 1.35)),
        tilt_db=float(rng.uniform(-9, -2)) if plain else float(rng.uniform(-2, 2)),
        depth=1.0 if plain else float(rng.uniform(0.2, 0.7)),
        breath_db=float(rng.uniform(-50, -22)),
        consonants=float(rng.uniform(0, 0.8)),
    )


def sing(rng: Generator, y: Audio, onsets: list[float], throat: Throat, rate: int) -> Audio:
    """A tone as if sung: a vowel for each note, gliding into the next, breath, and hissed consonants.

    Parameters
    ----------
    rng : Generator
    y : array, shape (channels, samples)
    onsets : list of float
        Where notes begin, in seconds.
    throat : Throat
    rate : int
        Sample rate in Hz.
    """
    hz = np.fft.rfftfreq(_FRAME, 1 / rate)
    names = list(VOWELS)
    times: list[float] = [0.0]
    gains: list[Floats] = []
    for onset in onsets or [0.0]:
        if onset > 0.02:
            times.append(onset - 0.02)
            gains.append(gains[-1] if gains else _vowel(rng, names, hz, throat))
        times.append(onset + float(rng.uniform(0.04, 0.15)))
        gains.append(_vowel(rng, names, hz, throat))
    gains.insert(0, gains[0])
    air = breath(rng, y, throat.breath_db, 2500 * throat.size, rate)
    y = moving_filter(np.asarray(y + air, dtype=np.float32), np.array(times), np.array(gains), rate)
    return _consonants(rng, y, onsets, throat, rate)


def _vowel(rng: Generator, names: list[str], hz: Floats, throat: Throat) -> Floats:
    """A vowel's gain in dB at each frequency, every singer's and every time a little different."""
    first, second = (VOWELS[names[int(rng.integers(len(names)))]] for _ in range(2))
    blend = float(rng.uniform(0, 0.5))
    power = np.full_like(hz, 10 ** (-5.0))
    for (f1, b1, g1), (f2, b2, g2) in zip(first, second, strict=True):
        centre = ((1 - blend) * f1 + blend * f2) * throat.size * float(rng.uniform(0.95, 1.05))
        width = ((1 - blend) * b1 + blend * b2) * 1.4
        level = (1 - blend) * g1 + blend * g2 + float(rng.normal(0, 2))
        power += 10 ** (level / 10) / (1 + ((hz - centre) / (width / 2)) ** 2)
    tilt = throat.tilt_db * np.log2(np.maximum(hz, 150) / 500)
    return np.asarray(throat.depth * 10 * np.log10(power) + tilt)


def _consonants(rng: Generator, y: Audio, onsets: list[float], throat: Throat, rate: int) -> Audio:
    """A hiss just before some of the notes, and a short dip of the tone under it."""
    level = float(np.sqrt(np.mean(np.square(y))))
    y = y.copy()
    for onset in onsets:
        if rng.random() >= throat.consonants:
            continue
        length = round(float(rng.uniform(0.03, 0.13)) * rate)
        begin = round(onset * rate) - length // 2
        if begin < 0 or begin + length > y.shape[1]:
            continue
        shape = np.hanning(length).astype(np.float32)
        low = float(rng.uniform(1500, 6500))
        hiss = _band(rng.standard_normal(length), low, min(low * 2, 0.45 * rate), rate)
        hiss *= level * 10 ** (float(rng.uniform(-16, -2)) / 20) / max(float(np.sqrt(np.mean(hiss**2))), 1e-9)
        y[:, begin : begin + length] *= 1 - float(rng.uniform(0.3, 0.95)) * shape
        y[:, begin : begin + length] += (hiss * shape).astype(np.float32)
    return y


def breath(rng: Generator, y: Audio, level_db: float, centre_hz: float, rate: int) -> Audio:
    """Noise about a frequency that follows the tone's loudness, so far below it; the same in all channels."""
    from scipy.signal import lfilter

    step = 64
    power = np.square(y.mean(axis=0)[: y.shape[1] // step * step]).reshape(-1, step).mean(axis=1)
    follow = np.sqrt(lfilter([0.06], [1, -0.94], power))
    loud = np.interp(np.arange(y.shape[1]), (np.arange(len(follow)) + 0.5) * step, follow)
    noise = _band(rng.standard_normal(y.shape[1]), centre_hz / 3, min(centre_hz * 2, 0.45 * rate), rate)
    noise /= max(float(np.sqrt(np.mean(noise**2))), 1e-9)
    return np.asarray((10 ** (level_db / 20) * noise * loud)[None], dtype=np.float32)


def _band(x: Any, low: float, high: float, rate: int) -> Floats:
    from scipy.signal import butter, sosfilt

    return np.asarray(sosfilt(butter(1, (low, high), "bandpass", fs=rate, output="sos"), x))


def brighten(rng: Generator, y: Audio, depth_db: float, rate: int) -> Audio:
    """Brightness that comes and goes over a second or so, as a player's dynamics do: a tilt about 1 kHz.

    ``depth_db`` is by how many dB an octave it moves, at most, about a middle that is itself drawn.
    """
    hz = np.fft.rfftfreq(_FRAME, 1 / rate)
    octaves = np.log2(np.clip(hz, 100, 12000) / 1000)
    times = np.arange(0, y.shape[1] / rate + 0.6, 0.6)
    tilts = float(rng.normal(-0.3, 0.4)) * depth_db + rng.uniform(-depth_db, depth_db, len(times))
    return moving_filter(y, times, tilts[:, None] * octaves, rate)


def moving_filter(y: Audio, times: Floats, gains_db: Floats, rate: int) -> Audio:
    """A filter that changes in time: gains over frequency at some instants, interpolated between them.

    Parameters
    ----------
    y : array, shape (channels, samples)
    times : array, shape (instants,)
        In seconds, increasing.
    gains_db : array, shape (instants, 513)
        At the frequencies of a transform of 1024 samples.
    rate : int
        Sample rate in Hz.
    """
    from scipy import fft

    window = np.sqrt(np.hanning(_FRAME + 1)[:-1]).astype(np.float32)
    padded = np.pad(y, ((0, 0), (_FRAME, _FRAME + -y.shape[1] % _HOP)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME, axis=1)[:, ::_HOP]
    at = (np.arange(frames.shape[1]) * _HOP - _FRAME / 2) / rate
    place = np.clip(np.searchsorted(times, at) - 1, 0, max(len(times) - 2, 0))
    span = np.maximum(times[np.minimum(place + 1, len(times) - 1)] - times[place], 1e-9)
    share = np.clip((at - times[place]) / span, 0, 1).astype(np.float32)[:, None]
    linear = (10 ** (gains_db / 20)).astype(np.float32)
    gain = (1 - share) * linear[place] + share * linear[np.minimum(place + 1, len(times) - 1)]
    spectrum = fft.rfft(frames * window, axis=-1) * gain
    pieces = fft.irfft(spectrum, _FRAME, axis=-1) * (window * (2 * _HOP / _FRAME))
    out = np.zeros_like(padded)
    for k in range(_FRAME // _HOP):  # every fourth frame lies beside the next: four sums do it all
        mine = pieces[:, k :: _FRAME // _HOP]
        begin = k * _HOP
        flat = mine.reshape(y.shape[0], -1)
        length = min(flat.shape[1], out.shape[1] - begin)
        out[:, begin : begin + length] += flat[:, :length]
    return np.asarray(out[:, _FRAME : _FRAME + y.shape[1]], dtype=np.float32)


def amplify(y: Audio, drive_db: float, rate: int, cabinet_hz: float) -> Audio:
    """An amplifier driven so hard, and its loudspeaker's roll-off: how an electric guitar is heard."""
    from scipy.signal import butter, sosfilt

    level = max(float(np.sqrt(np.mean(np.square(y)))), 1e-9)
    driven = np.tanh(y * (10 ** (drive_db / 20) / level * 0.3) + 0.1) - np.tanh(0.1)
    box = np.concatenate(
        [butter(2, 80, "highpass", fs=rate, output="sos"), butter(2, cabinet_hz, fs=rate, output="sos")]
    )
    return np.asarray(sosfilt(box, driven, axis=1), dtype=np.float32)
