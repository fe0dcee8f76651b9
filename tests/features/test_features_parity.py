"""The 25 features are librosa's, for any audio at any rate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import KINDS, Array, audio, make, misses

from subterfuge.errors import SubterfugeError
from subterfuge.features import fused
from subterfuge.features.summary import NAMES, composed25, librosa25

RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000, 12345.5)
BOUND = {np.float64: 1e-4, np.float32: 1e-3}


def assert_librosa(y: Array, sr: float, scale: Array, dtype: type) -> None:
    x = y.astype(dtype)
    ours = librosa25(torch.from_numpy(x)[None], sr=sr)
    assert ours.shape == (1, 25)
    assert ours.dtype == torch.from_numpy(x).dtype
    miss = misses(ours[0], x, sr, scale)
    worst = int(miss.argmax())
    assert miss[worst] < BOUND[dtype], f"{NAMES[worst]} is {miss[worst]:.2g} units off"


@settings(max_examples=150, deadline=None, derandomize=True)
@given(y=audio(), sr=st.sampled_from(RATES), dtype=st.sampled_from([np.float32, np.float64]))
def test_any_audio_at_any_rate(scale: Array, y: Array, sr: float, dtype: type) -> None:
    assert_librosa(y, sr, scale, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_at_the_seeds_rate(scale: Array, kind: str, dtype: type) -> None:
    for samples in (1, 2, 1023, 30_000):
        assert_librosa(make(kind, samples, 7, 0.9), 44100, scale, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_seeds_clips(seed, scale: Array, dtype: type) -> None:
    import librosa

    for path in sorted((seed / "clips").glob("*.wav")):
        y, sr = librosa.load(path, sr=44100)
        assert_librosa(y, sr, scale, dtype)


def test_samples_about_the_threshold_of_zero_crossings(scale: Array) -> None:
    y = np.tile([1e-10, -1e-10, -1.1e-10, 0.0, -0.0, 2e-10, -3e-10, 1e-12, -1e-9], 500)
    assert_librosa(y, 44100, scale, np.float64)
    assert_librosa(y, 44100, scale, np.float32)


def test_a_tone_in_float32_needs_the_double_transform(scale: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    # The guard is there for a reason: without it this tone misses the bound.
    y = make("tone", 30_000, 3, 1.0).astype(np.float32)
    ours = torch.from_numpy(y)[None]
    assert misses(librosa25(ours, sr=44100)[0], y, 44100, scale).max() < 1e-4
    monkeypatch.setattr(fused, "_imprecise", lambda of, sr: torch.zeros_like(of.total, dtype=torch.bool))
    assert misses(librosa25(ours, sr=44100)[0], y, 44100, scale).max() > 1e-3


def a_batch(dtype: torch.dtype) -> torch.Tensor:
    rows = [make(kind, 5000, 11, 0.7) for kind in KINDS]
    return torch.from_numpy(np.stack(rows)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_do_not_influence_each_other(dtype: torch.dtype) -> None:
    # Above all the floor of the decibels, which hangs on the loudest cell of the clip.
    y = a_batch(dtype).requires_grad_()
    weights = torch.linspace(-1, 1, 25, dtype=dtype)
    together = librosa25(y, sr=44100)
    (grad,) = torch.autograd.grad(together @ weights, y, torch.ones(len(y), dtype=dtype))
    for row in range(len(y)):
        alone = y[row : row + 1].detach().requires_grad_()
        features = librosa25(alone, sr=44100)
        (by_row,) = torch.autograd.grad((features @ weights).sum(), alone)
        eps = 1e-10 if dtype == torch.float64 else 2e-4
        torch.testing.assert_close(features[0], together[row], rtol=eps, atol=eps)
        assert (by_row[0] - grad[row]).norm() <= eps * 10 * by_row.norm() + 1e-12


@pytest.mark.parametrize("block", [1, 3, 37, 10_000])
def test_the_block_size_changes_nothing(block: int) -> None:
    y = a_batch(torch.float64).requires_grad_()
    pairs = []
    for frames in (None, block):
        features = librosa25(y, sr=22050, block_frames=frames)
        pairs.append((features, *torch.autograd.grad(features.square().sum(), y)))
    for once, again in zip(*pairs, strict=True):
        torch.testing.assert_close(once, again, rtol=1e-9, atol=1e-9 * float(once.detach().abs().max()))


def test_the_fused_way_is_the_single_features_together() -> None:
    y = a_batch(torch.float64)
    for samples in (1, 700, 5000):
        for sr in (8000, 44100):
            torch.testing.assert_close(
                librosa25(y[:, :samples], sr=sr), composed25(y[:, :samples], sr=sr), rtol=1e-9, atol=1e-7
            )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_not_a_number_stays_in_its_row(dtype: torch.dtype) -> None:
    y = torch.from_numpy(np.stack([make("noise", 3000, seed, 1.0) for seed in (1, 2, 3)])).to(dtype)
    sound = librosa25(y, sr=44100)
    y[1, 1500] = torch.nan
    y.requires_grad_()
    features = librosa25(y, sr=44100)
    torch.testing.assert_close(features[::2], sound[::2])
    assert features[1, [0, 1, 2, 5, 24]].isnan().all()
    (grad,) = torch.autograd.grad(features.sum(), y)
    assert grad[::2].isfinite().all()


def test_a_clip_that_is_a_view_is_taken_as_it_is() -> None:
    y = torch.from_numpy(make("noise", 20_000, 5, 1.0))
    views = y.unfold(0, 6000, 1500)
    torch.testing.assert_close(librosa25(views, sr=44100), librosa25(views.contiguous(), sr=44100))


@pytest.mark.parametrize(
    ("y", "sr", "says"),
    [
        (torch.zeros(5), 44100, "shape is (5,)"),
        (torch.zeros(2, 0), 44100, "shape is (2, 0)"),
        (torch.zeros(0, 5), 44100, "shape is (0, 5)"),
        (torch.zeros(1, 5, dtype=torch.int16), 44100, "dtype is torch.int16"),
        (torch.zeros(1, 5, dtype=torch.float16), 44100, "dtype is torch.float16"),
        (torch.zeros(1, 5), 0, "sr is 0"),
        ([0.0], 44100, "a list"),
    ],
)
def test_bad_input_is_said_in_a_sentence(y: object, sr: float, says: str) -> None:
    with pytest.raises(SubterfugeError) as caught:
        librosa25(y, sr=sr)  # type: ignore[arg-type]
    assert says in str(caught.value)
    assert "expected" in str(caught.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_an_accelerator_gives_the_same() -> None:
    y = a_batch(torch.float64)
    there = librosa25(y.cuda(), sr=44100)
    torch.testing.assert_close(there.cpu(), librosa25(y, sr=44100), rtol=1e-8, atol=1e-6)
