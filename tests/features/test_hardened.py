"""The hardened features: true slopes, deafness to level, bounded sensitivity, and a victim that uses them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from subterfuge.corpora.open import open_corpus
from subterfuge.errors import SubterfugeError
from subterfuge.features.hardened import NAMES, hardened25, hardened25_plain
from subterfuge.features.summary import librosa25

SR = 16000


def clips(rows: int = 2, seconds: float = 0.5, *, seed: int = 0) -> torch.Tensor:
    """Tones with harmonics that fade, over a faint noise."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(int(SR * seconds), dtype=torch.float64) / SR
    rows_ = []
    for row in range(rows):
        tone = sum(torch.sin(2 * torch.pi * 220 * (row + 1) * k * t + k) / k for k in range(1, 9))
        hiss = torch.randn(len(t), generator=generator, dtype=torch.float64)
        rows_.append(0.1 * tone * torch.exp(-3 * t) + 1e-3 * hiss)
    return torch.stack(rows_)


@pytest.mark.parametrize("number", range(25))
def test_each_slope_is_the_true_one(number: int) -> None:
    y = clips().requires_grad_()
    (slope,) = torch.autograd.grad(hardened25(y, sr=SR)[:, number].sum(), y)
    generator = torch.Generator().manual_seed(number)
    for _ in range(3):
        step = torch.randn(y.shape, generator=generator, dtype=y.dtype) * 1e-7
        with torch.no_grad():
            came = (hardened25(y + step, sr=SR) - hardened25(y - step, sr=SR))[:, number] / 2
        torch.testing.assert_close((slope * step).sum(1), came, rtol=2e-3, atol=1e-12)


def test_the_level_says_nothing() -> None:
    y = clips()
    for gain in (0.1, 0.3, 7.0):
        torch.testing.assert_close(hardened25(gain * y, sr=SR), hardened25(y, sr=SR), rtol=1e-3, atol=1e-4)


def test_rows_do_not_hear_each_other() -> None:
    y = clips(3)
    together = hardened25(y, sr=SR)
    for row in range(3):
        torch.testing.assert_close(together[row : row + 1], hardened25(y[row : row + 1], sr=SR))


def test_crossings_of_noise_are_those_that_are_counted() -> None:
    """Rice: for Gaussian noise of any colour the count and the autocorrelation tell the same."""
    white = torch.randn(1, 400_000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    red = torch.nn.functional.conv1d(white[None], torch.ones(1, 1, 5, dtype=white.dtype))[0]
    for noise in (white, red):
        counted = float((noise[:, 1:].sign() != noise[:, :-1].sign()).double().mean())
        assert abs(float(hardened25(noise, sr=SR)[0, 4]) - counted) < 0.003
    assert abs(float(hardened25(white, sr=SR)[0, 4]) - 0.5) < 0.003


def test_known_values_of_a_steady_tone() -> None:
    t = torch.arange(3 * SR, dtype=torch.float64) / SR
    x = hardened25(torch.sin(2 * torch.pi * 1000 * t)[None], sr=SR)[0]
    assert abs(float(x[4]) - 2 * 1000 / SR) < 1e-3  # two crossings a period
    # A frame of the middle holds all of the tone's power: Hann's mean square, over half of the bins.
    assert abs(float(x[0]) - math.sqrt(0.375 / 2 / 1025 * 2048)) < 0.01


def test_a_higher_floor_is_moved_less() -> None:
    """Faint noise moves the cepstrum by less the higher the floor, and far less than librosa's."""
    y = clips(1)
    t = torch.arange(y.shape[1], dtype=torch.float64) / SR
    clean = (0.1 * torch.sin(2 * torch.pi * 440 * t))[None]
    noisy = clean + 1e-4 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1)).double()

    def moved(floor: float) -> float:
        a, b = (hardened25(x, sr=SR, floor_db=floor)[0, 5:] for x in (clean, noisy))
        return float((a - b).norm() / a.norm())

    assert moved(-20) < moved(-40) < moved(-60)
    other = (0.1 * torch.sin(2 * torch.pi * 440 * t) + 0.05 * torch.sin(2 * torch.pi * 1320 * t))[None]
    of = {f: [f(x, sr=SR)[0, 5:] for x in (clean, noisy, other)] for f in (hardened25, librosa25)}
    share = {f: float((x[1] - x[0]).norm() / (x[2] - x[0]).norm()) for f, x in of.items()}
    assert share[hardened25] < 0.25 * share[librosa25]


def test_a_click_in_one_frame_moves_no_cepstral_mean() -> None:
    """Of forty frames the one that a click lies in is among those that are left out."""
    t = torch.arange(3 * SR, dtype=torch.float64) / SR
    y = (0.1 * torch.sin(2 * torch.pi * 500 * t))[None]
    click = y.clone()
    click[0, 24_000:24_020] += 0.3
    kept, all_ = (
        (hardened25(click, sr=SR, trim=trim) - hardened25(y, sr=SR, trim=trim))[0, 5:].norm()
        for trim in (0.25, 0.0)
    )
    assert kept < 0.1 * all_


@pytest.mark.parametrize("samples", [1, 2, 700, 5000])
@pytest.mark.parametrize("level", [0.0, 1e-30, 1e-6, 1.0])
def test_all_is_finite_down_to_silence(samples: int, level: float) -> None:
    y = (level * torch.ones(1, samples)).requires_grad_()
    x = hardened25(y, sr=SR)
    (slope,) = torch.autograd.grad(x.sum(), y)
    assert x.shape == (1, 25) == (1, len(NAMES))
    assert x.isfinite().all() and slope.isfinite().all()


def test_the_plain_path_is_the_same() -> None:
    y = clips(1).float()
    np.testing.assert_allclose(hardened25_plain(y[0].numpy(), SR), hardened25(y, sr=SR)[0].numpy(), rtol=1e-5)


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(SubterfugeError, match=r"\(batch, samples\) was expected"):
        hardened25(torch.zeros(100), sr=SR)
    with pytest.raises(SubterfugeError, match=r"trim is 0\.5"):
        hardened25(torch.zeros(1, 100), sr=SR, trim=0.5)


def test_a_victim_is_trained_on_them_saved_loaded_and_attacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four kinds of tone: heard rightly, with gradients, by the plain path too; and fooled by an attack."""
    import soundfile

    from subterfuge import load_victim
    from subterfuge.attacks.whitebox.minimal import minimal
    from subterfuge.criteria import Untargeted
    from subterfuge.training.train import train

    monkeypatch.setenv("SUBTERFUGE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    t = np.arange(SR // 2) / SR
    for label, harmonics in (("flu", (1,)), ("cla", (1, 3, 5)), ("tru", range(1, 12))):
        (tmp_path / "corpus" / label).mkdir(parents=True)
        for n in range(12):
            pitch = 200 * 2 ** rng.uniform(0, 1)
            y = sum(np.sin(2 * np.pi * pitch * k * t) for k in harmonics) + 0.01 * rng.normal(size=len(t))
            soundfile.write(tmp_path / "corpus" / label / f"{label}{n}.wav", 0.1 * y, SR)
    told = train(
        open_corpus(tmp_path / "corpus"),
        out=tmp_path / "victim",
        tune=0,
        sample_rate=SR,
        features="hardened25",
    )
    assert told.grouped is not None and told.grouped.accuracy.value > 0.9
    assert told.components is not None and told.components.features == NAMES
    victim = load_victim(tmp_path / "victim")
    assert victim.info is not None and victim.info.features == "hardened25"
    y = torch.from_numpy(soundfile.read(tmp_path / "corpus/flu/flu0.wav")[0]).float()[None]
    assert victim.labels[int(victim.predict(y))] == "flu"
    assert victim.verdict(y).predicted == victim.predict(y)
    outcome = minimal(victim, y, Untargeted(), steps=60)
    assert bool(outcome.success)
    assert victim.labels[int(victim.verdict(outcome.audio).predicted)] != "flu"
