"""From instruments to a recording: balance, room, microphone, tape and level, shared by a group of clips."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Audio = NDArray[np.float32]
Floats = NDArray[np.float64]

_OCTAVES = np.log2(31.25 * 2.0 ** np.arange(10))  # of the equaliser's points: 31 Hz to 16 kHz


@dataclass(frozen=True)
class Chain:
    """What lies between the instruments and the file.

    Attributes
    ----------
    room_seconds, room_db, room_dark : float
        Time in which the tail falls by 60 dB, its level against the dry sound, and how much faster high
        frequencies fall than low ones.
    early : int
        Early reflections.
    eq_db : tuple of float
        Gain at each octave from 31 Hz to 16 kHz.
    peaks : tuple of (Hz, dB, width in octaves)
        Narrower resonances: of body, microphone and walls.
    highpass, lowpass : (Hz, order)
    saturation_db : float
        How far peaks are driven into a soft limit.
    noise_db, noise_slope : float
        Noise floor (RMS, of full scale) and its fall in dB an octave.
    hum_db, hum_hz : float
        Mains hum: level of full scale and frequency.
    level_db : float
        RMS of the loudest second, of full scale.
    width : float
        0 is mono, 1 as rendered, more is wider.
    brickwall_hz : float
        Where a lossy codec ended, or half the sample rate.
    """

    room_seconds: float
    room_db: float
    room_dark: float
    early: int
    eq_db: tuple[float, ...]
    peaks: tuple[tuple[float, float, float], ...]
    highpass: tuple[float, int]
    lowpass: tuple[float, int]
    saturation_db: float
    noise_db: float
    noise_slope: float
    hum_db: float
    hum_hz: float
    level_db: float
    width: float
    brickwall_hz: float


def draw_chain(rng: Generator, *, alone: bool) -> Chain:
    """Draw a recording's chain; a player ``alone`` is drier, more often mono, and varies more in level."""

    def log(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    strength = float(rng.uniform(0, 0.8 if alone else 1.4))
    eq = np.cumsum(rng.normal(0, strength, len(_OCTAVES)))
    slope = float(rng.normal(-0.5, 0.6))
    places = np.arange(len(eq)) - 4.5
    eq = eq - eq.mean() - places * float(np.dot(eq, places) / np.dot(places, places)) * 0.7 + slope * places
    peaks = tuple(
        (log(120, 8000), float(rng.normal(0, 3)), log(0.1, 0.8)) for _ in range(int(rng.integers(0, 5)))
    )
    telephone = rng.random() < 0.03
    lowpass = (log(2800, 4200), 4) if telephone else (log(3000, 22000), int(rng.integers(1, 4)))
    if not telephone and rng.random() < 0.6:
        lowpass = (20000.0, 2)
    return Chain(
        room_seconds=log(0.12, 0.9) if alone and rng.random() < 0.6 else log(0.2, 3.0),
        room_db=float(rng.uniform(-40, -10)) if alone else float(rng.uniform(-26, -3)),
        room_dark=float(rng.uniform(1.2, 4)),
        early=int(rng.integers(0, 18)),
        eq_db=tuple(np.clip(eq, -14, 14).tolist()),
        peaks=peaks,
        highpass=(log(250, 400), 3) if telephone else (log(12, 90), int(rng.integers(1, 4))),
        lowpass=lowpass,
        saturation_db=float(rng.uniform(0, 14)) if rng.random() < 0.4 else 0.0,
        noise_db=float(rng.uniform(-100, -72)) if rng.random() < 0.85 else float(rng.uniform(-72, -45)),
        noise_slope=float(rng.choice((-3.0, -6.0, -6.0))),
        hum_db=float(rng.uniform(-80, -45)) if rng.random() < 0.12 else -200.0,
        hum_hz=float(rng.choice((50.0, 60.0))),
        level_db=float(np.clip(rng.normal(-19, 6 if alone else 5), -45, -8)),
        width=0.0 if rng.random() < (0.6 if alone else 0.2) else float(rng.uniform(0.1, 1.4)),
        brickwall_hz=float(rng.choice((15000.0, 16000.0, 17500.0, 19000.0)))
        if rng.random() < 0.45
        else 22050.0,
    )


def balance(solo: Audio, backing: Audio | None, backing_db: float) -> Audio:
    """Bring the solo to a level of one, and what plays along to ``backing_db`` under it."""
    y = solo / max(loudness(solo), 1e-9)
    if backing is not None and loudness(backing) > 1e-6:
        y = y + backing * (10 ** (backing_db / 20) / loudness(backing))
    return np.asarray(y, dtype=np.float32)


def loudness(y: Audio) -> float:
    """RMS of the frames (of 0.1 s) that are not quiet: what sounds counts, silence around it does not."""
    frame = 4410
    if y.shape[-1] < frame:
        return float(np.sqrt(np.mean(np.square(y))))
    frames = y[:, : y.shape[1] // frame * frame].reshape(y.shape[0], -1, frame)
    power = np.mean(np.square(frames), axis=(0, 2))
    loud = power[power > power.max() / 100]
    return float(np.sqrt(loud.mean())) if len(loud) else 0.0


def record(y: Audio, chain: Chain, response: Floats, size: int) -> Audio:
    """Put a mix through a chain, but for its level: width, room and colour, in one multiplication.

    Parameters
    ----------
    y : array, shape (channels, samples)
    chain : Chain
    response : complex array, shape (2, frequencies)
        By :func:`respond`, for transforms of ``size`` samples.
    """
    from scipy import fft

    middle = y.mean(axis=0, keepdims=True)
    if chain.width == 0:
        y, response = middle, response[:1]
    else:
        y = np.broadcast_to(middle + np.float32(chain.width) * (y - middle), (2, y.shape[1]))
    spectrum = fft.rfft(y, size, axis=1)
    spectrum *= response
    return np.asarray(fft.irfft(spectrum, size, axis=1)[:, : y.shape[1]], dtype=np.float32)


def transform_size(samples: int, chain: Chain, rate: int) -> int:
    """A quick transform's size that holds so many samples and the room's tail."""
    from scipy.fft import next_fast_len

    return int(next_fast_len(samples + _tail_length(chain, rate), real=True))


def respond(rng: Generator, chain: Chain, size: int, rate: int) -> NDArray[np.complex64]:
    """The chain's frequency response, both channels: room times colour, shape (2, size // 2 + 1)."""
    from scipy import fft

    room = fft.rfft(impulse(rng, chain, rate), size, axis=1)
    return np.asarray(room * colour(chain, size, rate), dtype=np.complex64)


def _tail_length(chain: Chain, rate: int) -> int:
    return max(round(chain.room_seconds * rate), 1)


def impulse(rng: Generator, chain: Chain, rate: int) -> Audio:
    """A room's impulse response, shape (2, samples): direct sound, early reflections, a tail that darkens.

    The tail's energy is ``room_db`` against the direct sound's; it falls by 60 dB in ``room_seconds``.
    """
    from scipy.signal import lfilter

    length = _tail_length(chain, rate)
    t = np.arange(length, dtype=np.float32) / rate
    noise = rng.standard_normal((2, length), dtype=np.float32)
    dark = lfilter([0.12], [1, -0.88], noise, axis=1).astype(np.float32) * 3
    fall = np.float32(-3 * np.log(10) / chain.room_seconds)
    tail = dark * np.exp(fall * t) + noise * np.exp(fall * np.float32(chain.room_dark) * t)
    for _ in range(chain.early):
        at = round(float(rng.uniform(0.002, 0.06)) * rate)
        if at < length:
            gain = float(rng.uniform(0.2, 1)) * 6 * 0.97 ** (at / rate * 1000)
            tail[:, at] += gain * rng.uniform(-1, 1, 2)
    tail[:, 0] = 0
    energy = float(np.mean(np.sum(np.square(tail), axis=1)))
    tail *= np.float32(10 ** (chain.room_db / 20) / max(np.sqrt(energy), 1e-9))
    tail[:, 0] += 1
    return np.asarray(tail, dtype=np.float32)


def colour(chain: Chain, size: int, rate: int) -> NDArray[np.float32]:
    """The chain's gain at each frequency of a real transform of ``size`` samples."""
    octave, coarse = _grid(size, rate)
    hz = 2.0**coarse
    db = np.interp(coarse, _OCTAVES, chain.eq_db)
    for centre, peak, width in chain.peaks:
        db += peak * np.exp(-0.5 * ((coarse - np.log2(centre)) / width) ** 2)
    # Butterworth roll-offs
    db -= 10 * np.log10(1 + (hz / chain.lowpass[0]) ** (2 * chain.lowpass[1]))
    db -= 10 * np.log10(1 + (chain.highpass[0] / hz) ** (2 * chain.highpass[1]))
    db -= np.where(hz > chain.brickwall_hz, 400 * (coarse - np.log2(chain.brickwall_hz)), 0)
    return np.asarray(10 ** (np.maximum(np.interp(octave, coarse, db), -120) / 20), dtype=np.float32)


@lru_cache(maxsize=4)
def _grid(size: int, rate: int) -> tuple[Floats, Floats]:
    """log2 of the transform's frequencies, and a coarser grid of them that curves are drawn on."""
    octave = np.log2(np.maximum(np.fft.rfftfreq(size, 1 / rate), 1.0))
    return octave, np.linspace(0, np.log2(rate / 2), 1500)


def finish(rng: Generator, y: Audio, chain: Chain, rate: int) -> Audio:
    """Saturation, level, noise floor and short fades; both channels, never beyond full scale."""
    level = max(loudness(y), 1e-9)
    y = y * np.float32(1 / level)
    if chain.saturation_db:
        drive = np.float32(10 ** (chain.saturation_db / 20) * 0.25)
        y = np.tanh(y * drive) / drive
    y = y * np.float32(10 ** (chain.level_db / 20) / max(loudness(y), 1e-9))
    noise = rng.standard_normal(y.shape, dtype=np.float32)
    y = y + noise_floor(noise, chain) + hum(rng, chain, y.shape[1], rate)
    peak = float(np.abs(y).max())
    if peak > 0.98:
        y = y * np.float32(0.98 / peak)
    ramp = (np.sin(np.linspace(0, np.pi / 2, round(0.006 * rate))) ** 2).astype(np.float32)
    y[:, : len(ramp)] *= ramp
    y[:, -len(ramp) :] *= ramp[::-1]
    return np.asarray(np.repeat(y, 2, axis=0) if y.shape[0] == 1 else y, dtype=np.float32)


def noise_floor(white: Audio, chain: Chain) -> Audio:
    """White noise coloured by the chain's slope, at its level."""
    from scipy.signal import lfilter

    if chain.noise_slope <= -6:
        white = lfilter([1], [1, -0.985], white, axis=1)
    elif chain.noise_slope < 0:  # poles and zeros in alternation fall by about 3 dB an octave
        white = lfilter(
            [0.04992, -0.09599, 0.05061, -0.00441], [1, -2.49496, 2.01727, -0.5222], white, axis=1
        )
    return np.asarray(
        white * (10 ** (chain.noise_db / 20) / max(float(np.sqrt(np.mean(white**2))), 1e-12)), np.float32
    )


def hum(rng: Generator, chain: Chain, samples: int, rate: int) -> Audio:
    """Mains hum and some of its harmonics."""
    if chain.hum_db < -120:
        return np.zeros((1, 1), dtype=np.float32)
    t = np.arange(samples) / rate
    y = sum(
        float(rng.uniform(0, 1)) / k * np.sin(2 * np.pi * k * chain.hum_hz * t + k) for k in (1, 2, 3, 5, 7)
    )
    return np.asarray(10 ** (chain.hum_db / 20) * np.atleast_2d(y), dtype=np.float32)


def louder(chain: Chain, db: float) -> Chain:
    """The same chain, turned up or down."""
    return replace(chain, level_db=chain.level_db + db)
