"""Each feature on its own is librosa's, frame by frame, over grids of its parameters."""

from __future__ import annotations

from itertools import product

import librosa
import numpy as np
import pytest
import scipy.fft
import torch
from reference import KINDS, Array, make, quietly, rolloff_bins

from subterfuge.errors import SubterfugeError
from subterfuge.features import frames
from subterfuge.features.cepstral import melspectrogram, mfcc, power_to_db
from subterfuge.features.mel import dct_basis, mel_basis
from subterfuge.features.spectral import spectral_bandwidth, spectral_centroid, spectral_rolloff
from subterfuge.features.stft import fft_frequencies, spectrogram, stft
from subterfuge.features.temporal import rms, zero_crossing_rate

CPU = torch.device("cpu")
SOUNDS = [make(kind, samples, 5, 0.8) for kind, samples in product(KINDS, (1, 3000))]
FRAMES = [
    {"n_fft": 2048, "hop_length": 512},
    {"n_fft": 1000, "hop_length": 300, "win_length": 700},
    {"n_fft": 511, "hop_length": 64, "window": "hamming"},
    {"n_fft": 256, "hop_length": 400, "pad_mode": "reflect"},
    {"n_fft": 1024, "hop_length": 100, "pad_mode": "edge"},
    {"n_fft": 512, "hop_length": 128, "center": False},
]


def asked(y: Array, options: dict) -> bool:
    return options.get("center", True) or len(y) >= options["n_fft"]


def close(ours: torch.Tensor, theirs: Array, rtol: float = 1e-6, atol: float = 1e-9) -> None:
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=rtol, atol=atol)


@pytest.mark.parametrize("options", FRAMES, ids=str)
def test_transforms(options: dict) -> None:
    for y in SOUNDS:
        if not asked(y, options):
            continue
        theirs = quietly(librosa.stft, y, **options)
        close(stft(torch.from_numpy(y), **options), theirs, atol=1e-11)
        single = stft(torch.from_numpy(y).float(), **options)
        assert single.dtype == torch.complex64
        # To the last bit or two of float32, also far below the frame's peak: librosa transforms in double.
        close(single, quietly(librosa.stft, y.astype(np.float32), **options), rtol=1e-6, atol=1e-13)
        power = spectrogram(torch.from_numpy(y), power=2.0, **options)
        close(power, np.abs(theirs) ** 2, rtol=1e-9, atol=1e-11)
        half = spectrogram(torch.from_numpy(y), power=0.5, **options)
        close(half, np.abs(theirs) ** 0.5, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", FRAMES, ids=str)
@pytest.mark.parametrize("sr", [16000, 44100])
def test_shapes_of_spectra(options: dict, sr: int) -> None:
    for y in SOUNDS:
        if not asked(y, options):
            continue
        x = torch.from_numpy(y)
        close(
            spectral_centroid(y=x, sr=sr, **options),
            quietly(librosa.feature.spectral_centroid, y=y, sr=sr, **options),
            atol=1e-5,
        )
        for p in (1, 2, 3.5):
            close(
                spectral_bandwidth(y=x, sr=sr, p=p, **options),
                quietly(librosa.feature.spectral_bandwidth, y=y, sr=sr, p=p, **options),
                atol=1e-4,
            )
        S = np.abs(quietly(librosa.stft, y, **options))
        for share in (0.1, 0.85, 0.99):
            ours = spectral_rolloff(y=x, sr=sr, roll_percent=share, **options)[0].numpy()
            low, high = rolloff_bins(S, share, 1e-12)
            bins = ours * options["n_fft"] / sr
            assert np.all((low - 1e-6 <= bins) & (bins <= high + 1e-6))
            if np.array_equal(low, high):
                theirs = quietly(librosa.feature.spectral_rolloff, y=y, sr=sr, roll_percent=share, **options)
                np.testing.assert_allclose(ours, theirs[0], rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_from_a_spectrogram_as_from_its_audio(dtype: torch.dtype) -> None:
    y = torch.from_numpy(np.stack([y for y in SOUNDS if len(y) == 3000])).to(dtype)
    S = spectrogram(y, n_fft=1024, hop_length=256)
    options = {"n_fft": 1024, "hop_length": 256, "sr": 22050}
    for function in (spectral_centroid, spectral_bandwidth, spectral_rolloff):
        torch.testing.assert_close(function(S=S, sr=22050), function(y=y, **options))
    torch.testing.assert_close(
        melspectrogram(S=S**2, sr=22050, n_mels=40),
        melspectrogram(y=y, n_mels=40, **options),
        rtol=1e-4,
        atol=1e-9,
    )


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize(("length", "hop"), [(2048, 512), (1000, 333), (7, 3), (64, 100)])
def test_level_and_crossings(center: bool, length: int, hop: int) -> None:
    for y in SOUNDS:
        if not center and len(y) < length:
            continue
        options = {"frame_length": length, "hop_length": hop, "center": center}
        for x in (y, y.astype(np.float32)):
            theirs = librosa.feature.rms(y=x, dtype=x.dtype, **options)
            close(rms(y=torch.from_numpy(x), **options), theirs, rtol=2e-5, atol=1e-12)
            theirs = librosa.feature.zero_crossing_rate(x, **options)
            close(zero_crossing_rate(torch.from_numpy(x), **options), theirs)
        theirs = librosa.feature.zero_crossing_rate(y, threshold=0.1, **options)
        close(zero_crossing_rate(torch.from_numpy(y), threshold=0.1, **options), theirs)


@pytest.mark.parametrize("pad_mode", ["constant", "edge", "reflect"])
def test_padding_of_levels(pad_mode: str) -> None:
    for y in SOUNDS:
        theirs = librosa.feature.rms(y=y, pad_mode=pad_mode, dtype=np.float64)
        close(rms(y=torch.from_numpy(y), pad_mode=pad_mode), theirs, rtol=1e-9)


@pytest.mark.parametrize("sr", [4000, 8000, 22050, 44100, 96000])
@pytest.mark.parametrize(("n_fft", "n_mels"), [(2048, 128), (512, 20), (1023, 64)])
def test_filters_are_librosas_to_the_last_bit_but_one(sr: int, n_fft: int, n_mels: int) -> None:
    for (fmin, fmax), norm in product(((0.0, None), (300.0, 1900.0)), ("slaney", None)):
        theirs = quietly(
            librosa.filters.mel, sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, norm=norm
        )
        ours = mel_basis(sr, n_fft, n_mels, fmin, fmax, norm, torch.float32, CPU).numpy()
        np.testing.assert_allclose(ours, theirs, rtol=3e-7, atol=theirs.max() * 1e-7)
    np.testing.assert_allclose(
        fft_frequencies(sr=sr, n_fft=n_fft), librosa.fft_frequencies(sr=sr, n_fft=n_fft)
    )


def test_cosines() -> None:
    ours = dct_basis(20, 128, torch.float64, CPU).numpy()
    theirs = scipy.fft.dct(np.eye(128), axis=0, type=2, norm="ortho")[:20]
    np.testing.assert_allclose(ours, theirs, atol=1e-14)


@pytest.mark.parametrize("top_db", [None, 0, 30.0, 80.0])
@pytest.mark.parametrize("amin", [1e-10, 1e-3])
def test_decibels_clip_by_clip(top_db: float | None, amin: float) -> None:
    rng = np.random.default_rng(0)
    S = 10.0 ** rng.uniform(-14, 3, (4, 30, 9)) * np.array([1e-9, 1e-3, 1.0, 0.0])[:, None, None]
    ours = power_to_db(torch.from_numpy(S), amin=amin, top_db=top_db)
    theirs = np.stack([librosa.power_to_db(clip, amin=amin, top_db=top_db) for clip in S])
    close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_mfcc": 13, "n_mels": 40, "n_fft": 512, "hop_length": 160},
        {"lifter": 22, "fmin": 50.0, "fmax": 7000.0},
        {"power": 1.0, "center": False, "n_fft": 1024},
    ],
    ids=str,
)
def test_cepstrum(options: dict) -> None:
    for y in SOUNDS:
        if not options.get("center", True) and len(y) < options["n_fft"]:
            continue
        mel = {name: value for name, value in options.items() if name not in ("n_mfcc", "lifter")}
        x = torch.from_numpy(y)
        theirs = quietly(librosa.feature.melspectrogram, y=y, sr=16000, **mel)
        close(melspectrogram(y=x, sr=16000, **mel), theirs, atol=1e-12)
        theirs = quietly(librosa.feature.mfcc, y=y, sr=16000, **options)
        close(mfcc(y=x, sr=16000, **options), theirs, atol=1e-5)


def test_blocks_of_frames_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    y = torch.from_numpy(np.stack([make(kind, 9000, 2, 0.5) for kind in KINDS])).requires_grad_()
    results = []
    for size in (1 << 22, 2048 * len(y) * 5):
        monkeypatch.setattr(frames, "BLOCK", size)
        features = torch.cat(
            [
                part.mean(-1)
                for part in (
                    rms(y=y),
                    spectral_centroid(y=y),
                    spectral_rolloff(y=y),
                    mfcc(y=y),
                    spectrogram(y),
                )
            ],
            dim=-1,
        )
        results.append((features, *torch.autograd.grad(features.square().mean(), y)))
    for whole, blocks in zip(*results, strict=True):
        torch.testing.assert_close(blocks, whole, rtol=1e-10, atol=1e-10)


def test_leading_dimensions_are_kept() -> None:
    y = torch.from_numpy(make("noise", 3000, 1, 0.5)).expand(2, 3, -1)
    assert mfcc(y=y).shape == (2, 3, 20, 6)
    assert zero_crossing_rate(y).shape == rms(y=y).shape == spectral_rolloff(y=y).shape == (2, 3, 1, 6)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda y: stft(y, hop_length=0), "hop_length is 0"),
        (lambda y: stft(y, n_fft=64, win_length=65), "win_length is 65"),
        (lambda y: stft(y, window="flat as a pancake"), "window is 'flat as a pancake'"),
        (lambda y: stft(y, pad_mode="wrap"), "pad_mode is 'wrap'"),
        (lambda y: stft(y, center=False), "has 100 samples"),
        (lambda y: zero_crossing_rate(y, center=False), "has 100 samples"),
        (lambda y: zero_crossing_rate(y, threshold=-1), "threshold is -1"),
        (lambda y: spectral_centroid(sr=8000), "Neither y nor S"),
        (lambda y: spectral_centroid(S=y), "S is a"),
        (lambda y: spectral_bandwidth(y=y, p=0), "p is 0"),
        (lambda y: spectral_rolloff(y=y, roll_percent=1.0), "roll_percent is 1.0"),
        (lambda y: melspectrogram(sr=8000), "Neither y nor S"),
        (lambda y: melspectrogram(y=y, n_mels=0), "n_mels is 0"),
        (lambda y: melspectrogram(y=y, fmin=9000.0, fmax=8000.0), "fmin is 9000.0"),
        (lambda y: melspectrogram(y=y, norm="tall"), "norm is 'tall'"),
        (lambda y: mfcc(y=y, lifter=-1), "lifter is -1"),
        (lambda y: mfcc(y=y, n_mfcc=2.5), "n_mfcc is 2.5"),
        (lambda y: power_to_db(y), "S has shape (100,)"),
        (lambda y: power_to_db(y[None], amin=0), "amin is 0"),
        (lambda y: power_to_db(y[None], top_db=-1), "top_db is -1"),
    ],
)
def test_bad_options_are_said_in_a_sentence(call, says: str) -> None:
    with pytest.raises(SubterfugeError) as caught:
        call(torch.zeros(100))
    assert says in str(caught.value)
    assert "expected" in str(caught.value)
