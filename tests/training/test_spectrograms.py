"""What a network learns from is what the victim hears later, of any file; those of no use are named."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from subterfuge.audio import load_plain
from subterfuge.corpora.corpus import Clip
from subterfuge.features.logmel import logmel
from subterfuge.training.spectrograms import FLOOR_DB, loudest, spectrograms_of

RATE = 16000
FRONT: dict[str, Any] = {
    "n_fft": 256,
    "hop_length": 128,
    "n_mels": 20,
    "fmin": 30.0,
    "fmax": 7000.0,
    "floor_db": -40.0,
}
HOW: dict[str, Any] = {"front_end": FRONT, "sample_rate": RATE, "seconds": 0.5}
FRAMES = 1 + 8000 // 128


def sound(seconds: float, sr: int = RATE, channels: int = 1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * sr)) / sr
    return 0.3 * np.sin(2 * np.pi * 500 * t)[:, None] + 0.05 * rng.normal(size=(len(t), channels))


def clip(path: Path, y: np.ndarray, sr: int = RATE, subtype: str = "FLOAT") -> Clip:
    soundfile.write(path, y, sr, subtype=subtype)
    return Clip(path, "cel", path.stem)


def one(path: Path, y: np.ndarray, sr: int = RATE, **how: Any) -> torch.Tensor:
    found = spectrograms_of([clip(path, y, sr)], **(HOW | how))
    assert not found.skipped and found.values.shape == (1, 20, FRAMES)
    assert found.values.dtype == torch.float16
    return found.values[0]


def heard(y: torch.Tensor, floor_db: float) -> torch.Tensor:
    return logmel(y, sr=RATE, **{**FRONT, "floor_db": floor_db})[0]


def test_it_is_what_the_victim_hears_once_the_floor_is_added(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    value = one(path, sound(0.5))
    y = load_plain(path, RATE)
    torch.testing.assert_close(value.float(), heard(y, FLOOR_DB), atol=0.01, rtol=0)
    floor = torch.tensor(-40.0 * math.log(10) / 10)
    torch.testing.assert_close(torch.logaddexp(value.float(), floor), heard(y, -40.0), atol=0.01, rtol=0)


def test_what_is_short_is_followed_by_silence(tmp_path: Path) -> None:
    value = one(tmp_path / "a.wav", sound(0.1))
    y = torch.nn.functional.pad(load_plain(tmp_path / "a.wav", RATE), (0, 8000 - 1600))
    torch.testing.assert_close(value.float(), heard(y, FLOOR_DB), atol=0.01, rtol=0)
    assert float(value[:, -20:].max()) < float(value[:, :10].max()) - 10


def test_of_what_is_long_the_loudest_part_is_taken(tmp_path: Path) -> None:
    y = np.concatenate([0.01 * sound(1.0), sound(0.5, seed=1), 0.01 * sound(0.7)])
    value = one(tmp_path / "a.wav", y)
    torch.testing.assert_close(value, one(tmp_path / "b.wav", sound(0.5, seed=1)), atol=0.02, rtol=0)


@pytest.mark.parametrize("samples", [3, 10, 99, 100, 101, 1000])
def test_the_loudest_part_is_the_loudest_of_those_looked_at(samples: int) -> None:
    y = torch.randn(samples, generator=torch.Generator().manual_seed(samples))
    part = loudest(y, 100)
    assert len(part) == 100
    if samples > 100:
        energies = [float(y[i : i + 100].square().sum()) for i in range(0, samples - 99, 10)]
        assert float(part.square().sum()) == pytest.approx(max(energies))


@pytest.mark.parametrize("sr", [8000, 44100, 192000])
def test_rates_and_channels_are_brought_to_the_victims(tmp_path: Path, sr: int) -> None:
    value = one(tmp_path / "a.wav", sound(0.5, sr, channels=2), sr)
    assert bool(value.isfinite().all())
    band = heard(torch.sin(torch.arange(8000) * 2 * math.pi * 500 / RATE)[None], FLOOR_DB).mean(1).argmax()
    assert int(value.float().mean(1).argmax()) == int(band)


def test_files_of_no_use_are_named_and_the_rest_goes_on_however_many_workers(tmp_path: Path) -> None:
    good = [clip(tmp_path / f"good{i}.wav", sound(0.1 + 0.02 * i, seed=i)) for i in range(20)]
    cut = tmp_path / "cut.wav"
    cut.write_bytes(good[0].path.read_bytes()[:30])
    (tmp_path / "text.wav").write_text("no audio")
    nan = sound(0.2)
    nan[100] = np.nan
    bad = [
        clip(tmp_path / "silent.wav", np.zeros(4000)),
        clip(tmp_path / "nan.wav", nan),
        clip(tmp_path / "inf.wav", nan * np.inf, 8000),
        clip(tmp_path / "huge.wav", np.tile([1e30, -1e30], 2000)),
        clip(tmp_path / "none.wav", np.zeros(0)),
        Clip(cut, "cel", "cut"),
        Clip(tmp_path / "text.wav", "cel", "text"),
        Clip(tmp_path / "gone.wav", "cel", "gone"),
    ]
    clips = [*bad[:4], *good, *bad[4:]]
    said: list[tuple[str, int, int]] = []
    alone = spectrograms_of(clips, **HOW, progress=lambda *told: said.append(told))
    assert alone.clips == tuple(good) and len(alone.values) == 20
    why = {skipped.path.stem: skipped.why for skipped in alone.skipped}
    assert list(why) == [clip.path.stem for clip in bad]
    assert why["silent"] == "is silent" and "not finite" in why["nan"]
    assert "no such file" in why["gone"] and "too loud" in why["huge"]
    assert all("\n" not in reason and str(tmp_path) not in reason for reason in why.values())
    assert said[-1] == ("spectrograms", 28, 28)
    both = spectrograms_of(clips, **HOW, workers=2)
    assert both.clips == alone.clips and both.skipped == alone.skipped
    assert torch.equal(both.values, alone.values)
    for i in (0, 19):
        y = load_plain(good[i].path, RATE)
        padded = torch.nn.functional.pad(y, (0, 8000 - y.shape[1]))
        torch.testing.assert_close(alone.values[i].float(), heard(padded, FLOOR_DB), atol=0.01, rtol=0)


def test_no_clips_and_none_of_use_are_no_trouble(tmp_path: Path) -> None:
    assert spectrograms_of([], **HOW).values.shape == (0, 20, FRAMES)
    none = spectrograms_of([clip(tmp_path / "a.wav", np.zeros(80))], **HOW)
    assert none.values.shape == (0, 20, FRAMES) and len(none.skipped) == 1
