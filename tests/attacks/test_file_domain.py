"""Resampling as librosa does it, forward to the bit, backward as its transpose; gain and wrapping."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch
from closed_form import Counting, clips, linear
from torch import Tensor

from subterfuge.attacks.file_domain import at_rate, resample
from subterfuge.audio import load_plain
from subterfuge.victims.victim import Hearing, TorchVictim

# A file's rate, and the rate that it is heard at.
PAIRS = [
    (44100, 22050),
    (22050, 44100),
    (48000, 44100),
    (44100, 48000),
    (8000, 44100),
    (192000, 22050),
    (11025, 8000),
    (22051, 16000),
]


@pytest.mark.parametrize("samples", [1, 2, 3, 17, 1001, 4410])
@pytest.mark.parametrize(("orig_sr", "target_sr"), PAIRS)
def test_forward_is_what_librosa_loads(tmp_path: Path, orig_sr: int, target_sr: int, samples: int) -> None:
    rng = np.random.default_rng(samples)
    y = rng.uniform(-0.7, 0.7, (samples, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", y, orig_sr, subtype="FLOAT")
    loaded, _ = librosa.load(tmp_path / "a.wav", sr=target_sr)
    mono = torch.from_numpy(y.T.copy()).mean(0, keepdim=True)
    ours = resample(mono, orig_sr=orig_sr, target_sr=target_sr)
    assert ours.dtype == torch.float32
    assert ours.shape == (1, len(loaded)) == (1, -(-samples * target_sr // orig_sr))
    assert np.array_equal(ours[0].numpy(), loaded)


def smooth(samples: int, *, seed: int, band: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """Noise below ``band`` of half the rate, silent in the outer sixths, shape (1, samples)."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.rfft(torch.randn(samples, generator=generator, dtype=torch.float64))
    spectrum[int(band * len(spectrum)) :] = 0
    x = torch.fft.irfft(spectrum, samples)
    window = torch.zeros(samples, dtype=torch.float64)
    window[samples // 6 : -(samples // 6)] = torch.hann_window(
        samples - 2 * (samples // 6), dtype=torch.float64
    )
    return (x * window)[None].to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("orig_sr", "target_sr"), PAIRS)
def test_backward_is_the_transpose(orig_sr: int, target_sr: int, dtype: torch.dtype) -> None:
    samples = orig_sr // 3 + 1
    x = smooth(samples, seed=1, band=0.8, dtype=dtype).requires_grad_()
    out = resample(x, orig_sr=orig_sr, target_sr=target_sr)
    # Three kinds of slope: of the same sound, of noise up to the band's edge, of an impulse.
    impulse = torch.zeros_like(out)
    impulse[0, out.shape[1] // 2] = 1
    for w in (out.detach(), smooth(out.shape[1], seed=2, band=1.0, dtype=dtype), impulse):
        (back,) = torch.autograd.grad(out, x, w, retain_graph=True)
        assert back.shape == x.shape and back.dtype == dtype
        ahead, behind = float((out.detach() * w).sum()), float((x.detach() * back).sum())
        size = float(out.detach().norm() * w.norm())
        assert abs(ahead - behind) <= 0.01 * size, (ahead, behind)
    # Not only on the whole: the slope of one heard sample is the filter about its place.
    place = int(back.abs().argmax())
    assert abs(place / orig_sr - (out.shape[1] // 2) / target_sr) <= 1 / min(orig_sr, target_sr)


@pytest.mark.parametrize(("orig_sr", "target_sr"), [(44100, 22050), (8000, 22050), (48000, 44100)])
def test_slope_by_a_file_sample_is_the_difference_it_makes(orig_sr: int, target_sr: int) -> None:
    """In the middle and near an edge, for a function that is not linear in what is heard."""
    samples = 900
    y = clips(1, samples).float().double().requires_grad_()

    def value(z: Tensor) -> Tensor:
        return resample(z, orig_sr=orig_sr, target_sr=target_sr).square().sum()

    (slope,) = torch.autograd.grad(value(y), y)
    for where in (450, 451, 300, 620):
        step = torch.zeros_like(y)
        step[0, where] = 1e-4
        with torch.no_grad():
            difference = float(value(y + step) - value(y - step)) / 2e-4
        assert float(slope[0, where]) == pytest.approx(difference, abs=0.02 * float(slope.abs().max()))


def test_rows_are_resampled_apart() -> None:
    y = clips(3, 501, dtype=torch.float32)
    together = resample(y, orig_sr=44100, target_sr=22050)
    for i in range(3):
        assert torch.equal(resample(y[[i]], orig_sr=44100, target_sr=22050)[0], together[i])


@pytest.mark.parametrize(("orig_sr", "target_sr"), [(44100, 22050), (8000, 44100), (48000, 44100)])
def test_no_rows_have_the_length_of_any(orig_sr: int, target_sr: int) -> None:
    some, none = (resample(torch.zeros(n, 501), orig_sr=orig_sr, target_sr=target_sr) for n in (1, 0))
    assert none.shape == (0, some.shape[1])


def test_same_rate_is_left_alone() -> None:
    y = clips(2, 50)
    assert resample(y, orig_sr=8000, target_sr=8000) is y


class Ears(TorchVictim):
    """Hears the mean and the peak; keeps what it was given."""

    labels = ("mean", "peak")
    sample_rate = 22050
    guided = True

    def hear(self, y: Tensor, *, probabilities: bool = False, guide: bool = False) -> Hearing:
        self.heard = y.detach()
        scores = torch.stack([y.mean(1), y.abs().amax(1)], 1)
        return Hearing(
            scores,
            scores.argmax(1),
            scores.softmax(1) if probabilities else None,
            2 * scores if guide else None,
        )


def test_a_victim_at_another_rate_hears_the_resampled_times_the_gain() -> None:
    victim, y = Ears(), clips(2, 600, dtype=torch.float32)
    hearer = at_rate(victim, 44100, gain=3.0)
    there = resample(3.0 * y, orig_sr=44100, target_sr=22050)
    assert (hearer.labels, hearer.sample_rate, hearer.differentiable) == (victim.labels, 44100, True)
    for ask in (hearer.hear, hearer.scores, hearer.predict, hearer.probabilities, hearer.verdict, hearer):
        ask(y)
        assert torch.equal(victim.heard, there)
    hearing = hearer.hear(y, probabilities=True, guide=True)
    assert torch.equal(hearing.scores, victim.scores(there))
    assert torch.equal(hearing.predicted, victim.predict(there))
    assert hearing.probabilities is not None and hearing.guide is not None
    assert torch.equal(hearing.guide, 2 * hearing.scores)
    assert hearer.hear(y).probabilities is None and hearer.hear(y).guide is None


def test_gain_is_part_of_the_slope() -> None:
    victim, y = linear(2, 192), clips(1, 192).requires_grad_()
    slopes = [
        torch.autograd.grad(at_rate(victim, victim.sample_rate, gain=gain).scores(y)[0, 0], y)[0]
        for gain in (1.0, 4.0)
    ]
    torch.testing.assert_close(slopes[1], 4 * slopes[0])


def test_only_a_guided_victim_is_asked_for_its_guide() -> None:
    assert at_rate(Ears(), 44100).guided
    assert not at_rate(Counting(linear(2, 192)), 44100).guided


def test_what_is_searched_in_is_what_the_verdict_hears(tmp_path: Path) -> None:
    """The wrapper on a file's mean, and the plain path on the file, give one and the same waveform."""
    data = clips(2, 3001, dtype=torch.float32)
    soundfile.write(tmp_path / "a.wav", data.T.numpy(), 48000, subtype="FLOAT")
    victim = Ears()
    at_rate(victim, 48000).hear(data.mean(0, keepdim=True))
    assert torch.equal(victim.heard, load_plain(tmp_path / "a.wav", 22050))
