"""The recording chain: rooms decay, equalisers colour, noise and level are as drawn; timbres move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import welch

from subterfuge.corpora import mixing, timbre

RATE = 44100
FLAT = mixing.Chain(
    room_seconds=0.6,
    room_db=-6.0,
    room_dark=2.0,
    early=5,
    eq_db=(0.0,) * 10,
    peaks=(),
    highpass=(1.0, 1),
    lowpass=(40000.0, 1),
    saturation_db=0.0,
    noise_db=-150.0,
    noise_slope=0.0,
    hum_db=-200.0,
    hum_hz=50.0,
    level_db=-20.0,
    width=1.0,
    brickwall_hz=22050.0,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def rms_db(y):
    return 10 * np.log10(np.mean(np.square(y, dtype=np.float64)) + 1e-30)


@pytest.mark.parametrize("seconds", [0.3, 0.6, 1.8])
def test_the_room_decays_as_it_says(seconds):
    """The tail, integrated backwards (Schroeder), falls by 30 dB in half the reverberation time."""
    tail = mixing.impulse(rng(), replace(FLAT, room_seconds=seconds, early=0), RATE)[:, 1:]
    energy = np.cumsum(np.sum(tail.astype(np.float64) ** 2, axis=0)[::-1])[::-1]
    falls = 10 * np.log10(energy / energy[0] + 1e-12)
    assert np.argmax(falls < -30) / RATE == pytest.approx(seconds / 2, rel=0.15)


@pytest.mark.parametrize("wet", [-30.0, -6.0, 0.0])
def test_the_room_is_as_loud_as_it_says(wet):
    response = mixing.impulse(rng(), replace(FLAT, room_db=wet), RATE)
    assert response[:, 0] == pytest.approx([1, 1])
    energy = np.mean(np.sum(response[:, 1:].astype(np.float64) ** 2, axis=1))
    assert 10 * np.log10(energy) == pytest.approx(wet, abs=0.1)


def test_high_frequencies_fall_faster():
    tail = mixing.impulse(rng(), replace(FLAT, room_seconds=1.5, room_dark=4.0, early=0), RATE)[0]

    def high_share(begin, end):
        hz, power = welch(tail[int(begin * RATE) : int(end * RATE)], RATE, nperseg=1024)
        return power[hz > 5000].sum() / power.sum()

    assert high_share(0.5, 0.8) < 0.3 * high_share(0.001, 0.05)


def test_the_equaliser_gives_what_it_says():
    chain = replace(
        FLAT, eq_db=tuple(np.linspace(-9, 9, 10)), peaks=((3000.0, 6.0, 0.1),), lowpass=(8000.0, 4)
    )
    gain = 20 * np.log10(mixing.colour(chain, 1 << 16, RATE))
    hz = np.fft.rfftfreq(1 << 16, 1 / RATE)

    def at(frequency):
        return gain[np.argmin(np.abs(hz - frequency))]

    assert at(125) == pytest.approx(-5, abs=0.2)
    assert at(1000) == pytest.approx(1, abs=0.2)
    assert at(3000) - 6 == pytest.approx(1 + 2 * np.log2(3), abs=0.3)
    assert at(8000) == pytest.approx(7 - 3, abs=0.4)
    assert at(16000) < -15
    wall = 20 * np.log10(mixing.colour(replace(FLAT, brickwall_hz=16000.0), 1 << 16, RATE))
    assert abs(wall[np.argmin(np.abs(hz - 15500))]) < 1.5 and wall[np.argmin(np.abs(hz - 20000))] < -100


def test_record_is_the_chain_at_every_frequency():
    y = rng().standard_normal((2, 4000)).astype(np.float32)
    chain = replace(FLAT, room_seconds=0.05)
    size = mixing.transform_size(4000, chain, RATE)
    out = mixing.record(y, chain, mixing.respond(rng(1), chain, size, RATE), size)
    response = np.fft.irfft(mixing.respond(rng(1), chain, size, RATE), size, axis=1)
    for channel in range(2):
        # An equaliser without delay also has something of before, which is at the end of the circle.
        whole = np.convolve(y[channel], response[channel])
        whole[: len(whole) - size] += whole[size:]
        np.testing.assert_allclose(out[channel], whole[:4000], atol=1e-3)
    mono = mixing.record(y, replace(chain, width=0.0), mixing.respond(rng(1), chain, size, RATE), size)
    assert mono.shape == (1, 4000)


def test_balance_puts_the_backing_under_the_solo_whatever_their_levels():
    solo, backing = (
        g * rng(i).standard_normal((2, RATE)).astype(np.float32) for i, g in ((0, 0.001), (1, 0.7))
    )
    alone = mixing.balance(solo, None, 0.0)
    both = mixing.balance(solo, backing, -12.0)
    assert rms_db(alone) == pytest.approx(0, abs=0.1)
    assert rms_db(both - alone) == pytest.approx(-12, abs=0.1)
    # Where the solo rests, its level is that of what is played.
    half = np.concatenate([solo, np.zeros_like(solo)], axis=1)
    assert rms_db(mixing.balance(half, None, 0.0)[:, :RATE]) == pytest.approx(0, abs=0.1)
    silent = mixing.balance(np.zeros_like(solo), None, 0.0)
    assert not silent.any()


@pytest.mark.parametrize("level", [-45.0, -20.0, -8.0])
def test_finish_sets_level_and_noise_and_never_clips(level):
    t = np.arange(3 * RATE) / RATE
    tone = np.sin(2 * np.pi * 440 * t)[None].astype(np.float32) * (t < 1.5)
    chain = replace(FLAT, level_db=level, noise_db=level - 30, noise_slope=-6.0)
    y = mixing.finish(rng(), tone, chain, RATE)
    assert y.shape == (2, 3 * RATE) and y.dtype == np.float32 and np.abs(y).max() <= 0.98
    assert rms_db(y[:, 4410 : int(1.4 * RATE)]) == pytest.approx(level, abs=0.3)
    assert rms_db(y[:, int(1.6 * RATE) : int(2.9 * RATE)]) == pytest.approx(level - 30, abs=1.5)
    assert np.abs(y[:, 0]).max() < 1e-3


def test_noise_falls_by_its_slope():
    white = rng().standard_normal((1, 1 << 18)).astype(np.float32)
    for slope in (-3.0, -6.0):
        y = mixing.noise_floor(white, replace(FLAT, noise_db=-40.0, noise_slope=slope))
        assert rms_db(y) == pytest.approx(-40, abs=0.1)
        hz, power = welch(y[0], RATE, nperseg=8192)
        octave = [10 * np.log10(power[(hz > f) & (hz < 2 * f)].mean()) for f in (500, 1000, 2000, 4000)]
        assert np.mean(np.diff(octave)) == pytest.approx(slope, abs=0.6)


def test_hum_is_mains():
    y = mixing.hum(rng(), replace(FLAT, hum_db=-50.0, hum_hz=60.0), RATE, RATE)
    spectrum = np.abs(np.fft.rfft(y[0]))
    loud = np.flatnonzero(spectrum > spectrum.max() / 100)
    assert set(loud) <= {60, 120, 180, 300, 420}
    assert not mixing.hum(rng(), FLAT, RATE, RATE).any()


def test_chains_stay_within_reason():
    for alone in (True, False):
        for seed in range(300):
            chain = mixing.draw_chain(rng(seed), alone=alone)
            assert -45 <= chain.level_db <= -8 and chain.noise_db <= -34
            assert max(map(abs, chain.eq_db)) <= 14 and chain.room_seconds <= 3.0
            assert chain.lowpass[0] >= 2800 and chain.highpass[0] <= 400


# ---------------------------------------------------------------- timbre


def test_a_moving_filter_without_gain_changes_nothing():
    y = rng().standard_normal((2, 50_001)).astype(np.float32)
    out = timbre.moving_filter(y, np.array([0.0, 1.0]), np.zeros((2, 513)), RATE)
    np.testing.assert_allclose(out, y, atol=2e-3)


def test_a_moving_filter_moves():
    y = rng().standard_normal((1, 2 * RATE)).astype(np.float32)
    gains = np.zeros((2, 513))
    gains[1] = -20.0
    out = timbre.moving_filter(y, np.array([0.5, 1.5]), gains, RATE)
    change = [
        rms_db(out[:, a:b]) - rms_db(y[:, a:b]) for a, b in ((0, 20000), (42100, 46100), (70000, 88000))
    ]
    assert change[0] == pytest.approx(0, abs=0.1) and change[2] == pytest.approx(-20, abs=0.2)
    # Gains are interpolated as they multiply, half of one and a tenth.
    assert change[1] == pytest.approx(20 * np.log10(0.55), abs=0.5)


def test_breath_follows_the_tone():
    t = np.arange(2 * RATE) / RATE
    y = (np.sin(2 * np.pi * 300 * t) * (t < 1))[None].astype(np.float32)
    air = timbre.breath(rng(), y, -30.0, 2000.0, RATE)
    assert rms_db(air[:, 4000:40000]) - rms_db(y[:, 4000:40000]) == pytest.approx(-30, abs=1)
    assert rms_db(air[:, 60000:]) < -80


def test_vowels_raise_what_they_should():
    """A flat source sung on one vowel is loudest where its first formant lies, not two octaves above."""
    y = rng().standard_normal((1, RATE)).astype(np.float32)
    throat = timbre.Throat(size=1.0, tilt_db=0.0, depth=1.0, breath_db=-90.0, consonants=0.0)
    levels = []
    for seed in range(20):
        hz, power = welch(timbre.sing(rng(seed), y, [0.0], throat, RATE)[0], RATE, nperseg=2048)
        levels.append(
            10 * np.log10(power[(hz > 250) & (hz < 1100)].max() / power[(hz > 4500) & (hz < 9000)].max())
        )
    assert min(levels) > 15


def test_an_amplifier_driven_hard_makes_overtones_of_a_sine():
    t = np.arange(RATE) / RATE
    y = np.sin(2 * np.pi * 200 * t)[None].astype(np.float32)

    def overtone_db(drive):
        spectrum = np.abs(np.fft.rfft(timbre.amplify(y, drive, RATE, 5000.0)[0]))
        return 20 * np.log10(spectrum[600] / spectrum[200])

    assert overtone_db(-12) < -25 < -15 < overtone_db(30)


def test_brightness_comes_and_goes():
    y = rng().standard_normal((1, 3 * RATE)).astype(np.float32)
    out = timbre.brighten(rng(3), y, 6.0, RATE)
    shares = []
    for begin in range(0, 3 * RATE, RATE // 2):
        hz, power = welch(out[0, begin : begin + RATE // 2], RATE, nperseg=2048)
        shares.append(10 * np.log10(power[hz > 4000].sum() / power[(hz > 100) & (hz < 400)].sum()))
    assert np.ptp(shares) > 6
