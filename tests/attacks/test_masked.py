"""`masked`: nearly the least audible change there is, below the threshold in silence, fit for any clip."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from closed_form import Counting, Deaf, Linear, clips, linear
from hidden_optimum import heard, least_heard, ratios
from torch import Tensor

from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Watch
from subterfuge.attacks.whitebox import masked as module
from subterfuge.attacks.whitebox.hidden_norm import room
from subterfuge.attacks.whitebox.masked import masked
from subterfuge.attacks.whitebox.minimal import minimal
from subterfuge.attacks.workbench import attack_file
from subterfuge.audibility.masking import frame_times, masking_threshold, noise_to_mask
from subterfuge.audio import load_plain, read_audio
from subterfuge.criteria import Targeted, Untargeted
from subterfuge.errors import SubterfugeError

RATE = 8000


@pytest.mark.parametrize("case", ["two labels", "few samples matter", "five labels"])
def test_it_comes_near_the_least_audible_change_that_there_is(case: str) -> None:
    """On linear victims that is bounded from below; ``minimal`` is much further off."""
    victim = linear(5 if "five" in case else 2, 192, spiky="few" in case)
    y = clips(2, 192)
    label = (victim.predict(y) + 1) % len(victim.labels)
    # So little may be filled that there is no way below it.
    threshold = room(y, sr=RATE) / 300
    planes = [victim.planes(row, int(one)) for row, one in zip(y, label, strict=True)]
    least = torch.tensor(
        [
            least_heard(*plane, threshold=one, sr=RATE, rounds=40)
            for plane, one in zip(planes, threshold, strict=True)
        ]
    )
    ours = masked(victim, y, Targeted(label), steps=200, threshold=threshold)
    assert ours.success.all()
    torch.testing.assert_close(ours.distance, heard(y, ours.audio, sr=RATE, threshold=threshold))
    assert (ours.distance >= least * (1 - 1e-6)).all(), "less than the least"
    assert (ours.distance <= 1.5 * least).all(), ours.distance / least
    plain = minimal(victim, y, Targeted(label), steps=200).audio
    assert (heard(y, plain, sr=RATE, threshold=threshold) > 1.6 * least).all()


def decaying(samples: int, *, sr: int = RATE, silence: float = 0.0) -> Tensor:
    """Two notes that die away over faint noise, after some seconds of nothing; shape (2, samples)."""
    t = torch.arange(samples) / sr - silence
    notes = torch.stack(
        [torch.sin(2 * math.pi * hz * t) + torch.sin(4 * math.pi * hz * t) for hz in (300, 700)]
    )
    hiss = torch.randn(2, samples, generator=torch.Generator().manual_seed(1))
    return 0.2 * torch.where(t < 0, 0.0, (notes + 0.3 * hiss) * torch.exp(-4 * t))


def wide(y: Tensor, *, share: float) -> tuple[Linear, Tensor]:
    """A linear victim that hears every sample alike, and what to want of it.

    Its boundary lies at ``share`` of the quieter row's size from either row: these are orthogonal to it.
    """
    white = torch.randn(2, y.shape[1], generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    rows = torch.linalg.qr(y.double().T).Q
    weight = white - white @ rows @ rows.T
    victim = Linear(weight / weight.norm(dim=1, keepdim=True), torch.zeros(2, dtype=torch.float64))
    victim.sample_rate = RATE
    away = share * float(y.norm(dim=1).min()) * float((victim.weight[0] - victim.weight[1]).norm())
    victim.bias = torch.tensor([away, 0.0], dtype=torch.float64)
    assert (victim.predict(y) == 0).all()
    return victim, torch.ones(len(y), dtype=torch.int64)


def worst_db(y: Tensor, changed: Tensor, *, sr: float) -> Tensor:
    return 10 * noise_to_mask(y, changed, sr=sr).amax((1, 2)).log10()


def test_a_linear_victim_is_moved_less_audibly_than_by_the_smallest_change() -> None:
    y = decaying(6000)
    victim, label = wide(y, share=0.02)
    ours, plain = (attack(victim, y, Targeted(label), steps=150) for attack in (masked, minimal))
    assert ours.success.all() and plain.success.all()
    quieter = worst_db(y, plain.audio, sr=RATE) - worst_db(y, ours.audio, sr=RATE)
    assert (quieter > 10).all(), quieter
    assert ((ours.audio - y).norm(dim=1) > (plain.audio - y).norm(dim=1)).all(), "that is what it costs"


@pytest.mark.parametrize("name", ["orchestra-svc", "orchestra-cnn"])
def test_the_embedded_victims_are_moved_less_audibly_than_by_the_smallest_change(name: str) -> None:
    from subterfuge import load_victim
    from subterfuge.corpora.embedded import clips as embedded

    victim = load_victim(name)
    sr = victim.sample_rate
    y = load_plain(next(clip.path for clip in embedded() if clip.label == "flu"), sr)[:, :sr]
    label = (victim.predict(y) + 1) % len(victim.labels)
    ours, plain = (attack(victim, y, Targeted(label), steps=90) for attack in (masked, minimal))
    assert ours.success.all() and plain.success.all()
    assert (worst_db(y, ours.audio, sr=sr) < worst_db(y, plain.audio, sr=sr) - 6).all()


def test_nothing_is_heard_before_an_onset() -> None:
    """The smallest change to a victim that hears every sample alike fills the silence; this one does not."""
    y = decaying(6000, silence=0.3)
    victim, label = wide(y, share=0.003)
    before = frame_times(y.shape[1], RATE) < 0.3
    assert (y[:, : int(0.3 * RATE)] == 0).all()
    found: dict[str, Tensor] = {}
    for attack in (masked, minimal):
        outcome = attack(victim, y, Targeted(label), steps=150)
        assert outcome.success.all()
        found[attack.__name__] = noise_to_mask(y, outcome.audio, sr=RATE)[..., before].amax((1, 2))
    assert (found["masked"] < 0.8).all(), found
    assert (found["minimal"] > 100).all(), found


def test_it_does_not_click_where_a_clip_is_cut_off() -> None:
    """A victim listens to low tones alone, beside a clip of low tones; both begin and end in full."""
    t = torch.arange(8000, dtype=torch.float64) / RATE
    y = torch.stack([0.5 * torch.sin(2 * math.pi * hz * t) for hz in (200, 310)])
    weight = torch.stack([torch.cos(2 * math.pi * hz * t) for hz in (240, 270)]) / len(t)
    victim = Linear(weight, torch.tensor([0.02, 0.0], dtype=torch.float64))
    victim.sample_rate = RATE
    label = 1 - victim.predict(y)
    outcome = masked(victim, y, Targeted(label), steps=300)
    assert outcome.success.all()
    cells = noise_to_mask(y, outcome.audio, sr=RATE).amax(1)
    ends = (frame_times(y.shape[1], RATE) < 0.01) | (frame_times(y.shape[1], RATE) > 0.99)
    assert (cells[:, ends].amax(1) <= 0.3 * cells[:, ~ends].amax(1)).all(), cells


@pytest.mark.parametrize("samples", [1, 17, 300])
@pytest.mark.parametrize("sr", [8000, 192000])
@pytest.mark.parametrize("silent", [True, False])
def test_clips_of_any_length_and_rate(samples: int, sr: int, silent: bool) -> None:
    victim = linear(2, samples)
    victim.weight[1] = -victim.weight[0]  # a way to either label, also of one sample
    victim.sample_rate = sr
    y = torch.zeros(2, samples) if silent else clips(2, samples, dtype=torch.float32)
    outcome = masked(victim, y, Targeted(1 - victim.predict(y)), steps=100)
    assert outcome.audio.dtype == torch.float32 and outcome.audio.abs().max() <= 1
    assert outcome.success.all() and (outcome.distance > 0).all()
    torch.testing.assert_close(outcome.distance, heard(y, outcome.audio, sr=sr))


def test_the_clip_itself_is_at_no_distance_and_failure_at_that_of_the_attempt() -> None:
    y = clips(3, 192)
    victim = linear(2, 192)
    label = victim.predict(y)
    label[1] = 1 - label[1]
    outcome = masked(victim, y, Targeted(label), steps=30)
    assert outcome.distance[[0, 2]].tolist() == [0.0, 0.0] and outcome.distance[1] >= module._ENOUGH**0.5
    failed = masked(Deaf(victim), y, Targeted(1), steps=30)
    assert not failed.success.any() and torch.isinf(failed.trace).all()
    torch.testing.assert_close(failed.distance, heard(y, failed.audio, sr=RATE))


def test_what_minimal_cannot_reach_is_given_the_other_steps_too() -> None:
    """Where the first share of the steps finds no way, all the others look for one."""
    y = clips(2, 192)
    counting = Counting(Deaf(linear(2, 192)))
    outcome = masked(counting, y, Targeted(1), steps=100)
    assert not outcome.success.any()
    assert (outcome.queries.forward > 95).all()


@pytest.mark.parametrize("stop", [20, 80])
def test_an_interruption_in_either_part_keeps_the_best(stop: int) -> None:
    """Ctrl-C while ``minimal`` looks for a way (the first 30 steps), and while the boundary is followed."""
    y = decaying(2000)[:1]
    victim, label = wide(y, share=0.1)
    whole = masked(victim, y, Targeted(label), steps=100)
    cut = masked(Counting(victim, stop_after=stop), y, Targeted(label), steps=100)
    assert cut.interrupted and cut.queries.forward.tolist() == [stop]
    assert cut.success.all() and victim.predict(cut.audio) == label
    torch.testing.assert_close(cut.distance, whole.trace[:, stop - 1])
    spent = masked(victim, y, Targeted(label), steps=100, watch=Watch(budget=stop))
    assert torch.equal(spent.audio, cut.audio) and not spent.interrupted


def test_a_seed_decides_and_nothing_else() -> None:
    y = clips(2, 192)

    def run(seed: int) -> Outcome:
        generator = torch.Generator().manual_seed(seed)
        return masked(Deaf(None), y, Targeted(1), steps=30, generator=generator)

    assert torch.equal(run(1).audio, run(1).audio) and not torch.equal(run(1).audio, run(2).audio)
    victim = linear(3, 192)
    same = [masked(victim, y, Untargeted(), steps=40).audio for _ in range(2)]
    assert torch.equal(*same)


def test_each_row_has_a_threshold_of_its_own() -> None:
    y = decaying(3000)
    y[1] = 0.01 * y[1]
    victim, label = wide(y, share=0.05)
    threshold = room(y, sr=RATE) * torch.tensor([1.0, 0.1])[:, None, None]
    together = masked(victim, y, Targeted(label), steps=60, threshold=threshold)
    for i in range(2):
        alone = masked(victim, y[[i]], Targeted(label[[i]]), steps=60, threshold=threshold[[i]])
        assert alone.success[0] and together.success[i]
        torch.testing.assert_close(alone.distance[0], together.distance[i], rtol=1e-3, atol=0)


def test_what_is_played_louder_hides_more_of_what_hardly_is_heard() -> None:
    """Softly played, most of a change lies below the threshold in quiet: it is as near as it gets."""
    y = decaying(3000)
    victim, label = wide(y, share=0.05)
    soft, loud = (masked(victim, y, Targeted(label), steps=60, level=level) for level in (20.0, 92.0))
    assert (soft.distance < 0.7 * loud.distance).all()


# ---------------------------------------------------------------- files


@pytest.fixture
def passed_on(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the workbench passes on to the attack, each time; few steps, so that it is quick."""
    calls: list[dict[str, Any]] = []
    real: Callable[..., Outcome] = module.masked

    def spy(victim: Any, y: Tensor, criterion: Any, **options: Any) -> Outcome:
        calls.append(options)
        return real(victim, y, criterion, **options)

    monkeypatch.setattr(module, "masked", spy)
    return calls


def stereo(path: Path, *, gain: float = 1.0) -> tuple[Path, Tensor]:
    """A left channel that dies away, and a softer right one that grows; 32-bit floats."""
    y = decaying(4000)
    y[1] = 0.2 * y[1].flip(0)
    soundfile.write(path, np.ascontiguousarray((gain * y).T.numpy()), RATE, subtype="FLOAT")
    return path, read_audio(path).data.float()


def hearing_all(y: Tensor) -> Linear:
    """A linear victim of the mean over channels that hears label 0 in the clip, and 1 not far from it."""
    return wide(y.mean(0, keepdim=True), share=0.05)[0]


def test_of_several_channels_no_more_is_filled_than_each_hides(
    passed_on: list[dict[str, Any]], tmp_path: Path
) -> None:
    path, y = stereo(tmp_path / "a.wav")
    record = attack_file(
        path, victim=hearing_all(y), criterion=Targeted(1), out=tmp_path / "out", steps=60, level=70.0
    )
    (options,) = passed_on
    assert options["level"] == 70.0 and record.audibility["level_db"] == 70.0
    each = room(y, sr=RATE, level=70.0)
    assert torch.equal(options["threshold"], each.amin(0, keepdim=True))
    assert not torch.equal(options["threshold"][0], each[0]) and not torch.equal(
        options["threshold"][0], each[1]
    )
    # The change is the same in both channels, and measured beside the one that hides it least.
    changed = read_audio(record.output).data.float()
    assert record.success and record.attack == "masked"
    torch.testing.assert_close(changed[0] - y[0], changed[1] - y[1], rtol=0, atol=1e-6)
    worst = 10 * math.log10(noise_to_mask(y, changed, sr=RATE, level=70.0).max())
    assert record.audibility["nmr_worst_db"] == pytest.approx(worst, abs=0.01)


def test_a_file_beyond_full_scale_is_played_as_loud_as_it_is(
    passed_on: list[dict[str, Any]], tmp_path: Path
) -> None:
    path, y = stereo(tmp_path / "a.wav", gain=20.0)
    size = float(y.abs().max())
    assert size > 1
    attack_file(path, victim=hearing_all(y), criterion=Targeted(1), out=tmp_path / "out", steps=20)
    (options,) = passed_on
    assert options["level"] == pytest.approx(92 + 20 * math.log10(size))
    # Within [-1, 1], played louder, it is the same sound.
    least = masking_threshold(y, sr=RATE, quiet_at_most=40.0).amin(0, keepdim=True)
    torch.testing.assert_close(options["threshold"] * size**2, least, rtol=1e-3, atol=0)


def test_other_attacks_are_not_told_of_levels(tmp_path: Path) -> None:
    path, y = stereo(tmp_path / "a.wav")
    record = attack_file(
        path,
        victim=hearing_all(y),
        criterion=Targeted(1),
        out=tmp_path,
        attack="minimal",
        steps=20,
        level=60.0,
    )
    assert record.success and record.audibility["level_db"] == 60.0


def test_progress_tells_the_noise_to_mask_ratio(tmp_path: Path) -> None:
    path, y = stereo(tmp_path / "a.wav")
    said: list[str] = []
    attack_file(
        path, victim=hearing_all(y), criterion=Targeted(1), out=tmp_path, steps=30, report=said.append
    )
    told = [text for text in said if "noise-to-mask ratio" in text]
    assert told and all("SNR" not in text for text in said)
    numbers = [float(text.split("ratio ")[1].split()[0]) for text in told]
    assert numbers == sorted(numbers, reverse=True)


def test_wrong_options_are_answered_in_a_sentence() -> None:
    y = clips(1, 192)
    with pytest.raises(SubterfugeError, match="steps: got 1"):
        masked(linear(2, 192), y, Targeted(1), steps=1)
    with pytest.raises(SubterfugeError, match="level: got nan"):
        masked(linear(2, 192), y, Targeted(1), level=math.nan)


def test_ratios_of_the_measure_are_what_distances_tell() -> None:
    """The worst cell decides, down to a quarter; then the mean."""
    y = decaying(2000)
    faint = y + 1e-5 * torch.sin(torch.arange(2000) / 3.0)
    ratio = ratios(y, faint, sr=RATE)
    assert (heard(y, faint, sr=RATE).square() - ratio.mean((1, 2)) >= module._ENOUGH - 1e-6).all()
