"""The last step: samples that a file can hold, judged, and hardly dearer than what was found."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from closed_form import Deaf, Linear, Opaque, clips, linear
from torch import Tensor

from subterfuge.attacks.file_domain import at_rate
from subterfuge.attacks.lattice import SCALES, Judge, rounded, settle
from subterfuge.audio import AudioFile, lattice_bounds, lattice_step, to_lattice
from subterfuge.criteria import Targeted, Untargeted
from subterfuge.victims.victim import Hearing, TorchVictim

SAMPLES = 4000
INTEGERS = ["PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32"]


class Logged(Linear):
    """Counts what is asked of it, the plain path and the forward pass apart."""

    verdicts = passes = slopes = 0

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        self.passes += len(y)
        if y.requires_grad:
            y.register_hook(self._back)
        return super().hear(y, probabilities=probabilities)

    def verdict(self, y: Tensor) -> Hearing:
        self.verdicts += len(y)
        return Linear.hear(self, y, probabilities=True)

    def _back(self, gradient: Tensor) -> None:
        self.slopes += len(gradient)


def file_of(data: Tensor, subtype: str) -> AudioFile:
    container = "AIFF" if subtype == "PCM_S8" else "WAV"
    return AudioFile(Path("a.wav"), to_lattice(data.double(), subtype), 8000, container, subtype)


def victim_and(
    subtype: str, *, seed: int, channels: int = 1, snr: float = 45.0, scale: float = 1.0
) -> tuple[Logged, AudioFile, int, Tensor]:
    """A victim of two labels, a file, the label that it is not heard as, and the shortest way there.

    ``snr`` is the boundary's distance, in dB below the channels' mean: 45 dB are 18 steps of 16 bits.
    """
    plain = linear(2, SAMPLES, seed=seed)
    file = file_of(clips(channels, SAMPLES, seed=seed + 50), subtype)
    heard = file.data.double().mean(0)
    normal = plain.weight[1] - plain.weight[0]
    step = normal / normal.norm() * heard.norm() * 10 ** (-snr / 20)
    bias = torch.stack([normal @ (heard + step), torch.zeros((), dtype=torch.float64)])
    victim = Logged(plain.weight, bias, scale=scale)
    assert int(Linear.hear(victim, heard[None]).predicted) == 0
    return victim, file, 1, step


def judge_of(victim: TorchVictim, label: int | None, file: AudioFile, **how: float) -> Judge:
    gain = max(1.0, float(file.data.abs().max()))
    goal = (Untargeted() if label is None else Targeted(label, **how)).bind(
        victim, file.data.float().mean(0)[None] / gain
    )
    return Judge(at_rate(victim, file.sr, gain=gain), goal)


def dearer(file: AudioFile, data: Tensor, step: Tensor) -> float:
    """How many dB the change is above the best one, over all channels."""
    change = (data.double() - file.data.double()).norm()
    return 20 * math.log10(float(change / (step.norm() * math.sqrt(file.channels))))


def on_lattice(file: AudioFile, data: Tensor) -> bool:
    step = lattice_step(file.subtype)
    low, high = lattice_bounds(file.subtype)
    assert step is not None
    integers = data.double() / step
    return (
        data.shape == file.data.shape
        and data.dtype == file.data.dtype
        and bool((integers == integers.round()).all())
        and low <= float(data.min())
        and float(data.max()) <= high
    )


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32"])
def test_hardly_dearer_than_the_continuous_optimum(subtype: str, channels: int) -> None:
    for seed in range(8):
        snr = (30.0, 40.0, 50.0, 57.0)[seed % 4]
        victim, file, label, step = victim_and(subtype, seed=seed, channels=channels, snr=snr)
        judge = judge_of(victim, label, file)
        data, reached = settle(file, 1.0001 * step, judge)
        assert reached and on_lattice(file, data)
        # Judged here by other means: the mean of the channels, in double precision.
        duel = victim.planes(data.double().mean(0), label)[0][0]
        assert duel > -1e-6
        assert -0.01 <= dearer(file, data, step) <= 0.5


def test_where_plain_rounding_fails_samples_are_moved() -> None:
    failed = 0
    for seed in range(30):
        victim, file, label, step = victim_and("PCM_16", seed=seed)
        judge = judge_of(victim, label, file)
        delta = 1.000001 * step
        if judge.reached(rounded(file, delta)):
            continue
        failed += 1
        data, reached = settle(file, delta, judge)
        assert reached and on_lattice(file, data)
        moved = (data.double() - rounded(file, delta).double()) / 2**-15
        assert set(moved.unique().tolist()) <= {-1.0, 0.0, 1.0}
        assert 1 <= int(moved.abs().sum()) <= SAMPLES // 100, "more samples were moved than need be"
        # Each is moved the way that helps.
        normal = victim.planes(file.data.double()[0], label)[1][0]
        assert (moved[0] * normal >= 0).all()
        assert dearer(file, data, step) <= 0.05
    assert failed >= 5, "the case that this test is about never came up"


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_S8"])
def test_eight_bits_too_coarse_for_the_change_itself(subtype: str) -> None:
    """Rounding leaves nothing of it; what is built instead is near the cheapest of whole steps."""
    for seed in range(4):
        victim, file, label, step = victim_and(subtype, seed=seed, snr=50.0)
        assert torch.equal(rounded(file, step), file.data)
        data, reached = settle(file, step, judge_of(victim, label, file))
        assert reached and on_lattice(file, data)
        assert victim.planes(data.double()[0], label)[0][0] > -1e-6
        # The cheapest change of whole steps: those samples alone whose slope is the largest.
        duels, normals = victim.planes(file.data.double()[0], label)
        gains = normals[0].abs().sort(descending=True).values.cumsum(0) / 128
        fewest = int((gains < -duels[0]).sum()) + 1
        spent = ((data.double() - file.data.double()) * 128).square().sum()
        assert fewest <= int(spent) <= 1.5 * fewest + 2


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_floats_are_enlarged_where_they_fall_short(subtype: str) -> None:
    victim, file, label, step = victim_and(subtype, seed=2)
    judge = judge_of(victim, label, file)
    data, reached = settle(file, 1.001 * step, judge)
    assert reached and data.dtype == file.data.dtype
    assert torch.equal(data, rounded(file, 1.001 * step))
    assert (judge.forward_queries, judge.backward_queries) == (1, 0)
    data, reached = settle(file, 0.985 * step, judge)
    assert reached
    assert 0 < dearer(file, data, step) < 0.1  # the first factor that suffices: 1.02
    assert judge.backward_queries == 0


@pytest.mark.parametrize("subtype", [*INTEGERS, "FLOAT", "DOUBLE"])
def test_failure_gives_the_nearest_attempt(subtype: str) -> None:
    _, file, _, step = victim_and(subtype, seed=1, channels=2)
    delta = 30 * step
    judge = judge_of(Deaf(linear(3, SAMPLES)), 2, file)
    data, reached = settle(file, delta, judge)
    assert not reached
    assert torch.equal(data, to_lattice(file.data.double() + delta, subtype))
    assert not torch.equal(data, file.data)


@pytest.mark.parametrize("subtype", [*INTEGERS, "FLOAT"])
def test_no_sample_leaves_its_bounds(subtype: str) -> None:
    victim, _, _, _ = victim_and(subtype, seed=4)
    loud = file_of(clips(2, SAMPLES, seed=9).sign(), subtype)
    label = 1 - int(victim.predict(loud.data.float().mean(0)[None]))
    duels, normals = victim.planes(loud.data.double().mean(0), label)
    delta = -4 * duels[0] * normals[0] / normals[0].square().sum()
    data, reached = settle(loud, delta, judge_of(victim, label, loud))
    assert reached
    low, high = loud.bounds
    assert low <= float(data.min()) and float(data.max()) <= high
    assert subtype == "FLOAT" or on_lattice(loud, data)


def test_a_float_file_beyond_full_scale_keeps_its_own_bounds() -> None:
    victim = Logged(linear(2, SAMPLES).weight, linear(2, SAMPLES).bias)
    file = file_of(20 * clips(1, SAMPLES), "FLOAT")
    peak = float(file.data.abs().max())
    assert peak > 3
    label = 1 - int(victim.predict(file.data))
    duels, normals = victim.planes(file.data.double()[0], label)
    step = -duels[0] * normals[0] / normals[0].square().sum()
    data, reached = settle(file, 1.001 * step, judge_of(victim, label, file))
    assert reached
    assert float(data.abs().max()) <= peak
    # Judged as it is, not as the search scaled it.
    assert int(victim.predict(data)) == label


def test_every_query_is_counted() -> None:
    for seed in range(6):
        for subtype in ("PCM_U8", "PCM_16", "FLOAT"):
            victim, file, label, step = victim_and(subtype, seed=seed)
            judge = judge_of(victim, label, file)
            victim.verdicts = victim.passes = victim.slopes = 0
            settle(file, 0.98 * step, judge)
            assert judge.forward_queries == victim.verdicts + victim.passes
            assert judge.backward_queries == victim.passes == victim.slopes


@pytest.mark.parametrize("repairs", [0, 3])
def test_a_failure_ends_after_a_known_number_of_queries(repairs: int) -> None:
    _, file, _, step = victim_and("PCM_16", seed=1)
    judge = judge_of(Deaf(linear(3, SAMPLES)), 2, file)
    settle(file, step, judge, repairs=repairs)
    slopes = 2 * (len(SCALES) - 1) + repairs
    assert (judge.forward_queries, judge.backward_queries) == (len(SCALES) + 2 * slopes, slopes)


def test_a_victim_without_gradients_is_enlarged_only() -> None:
    victim, file, label, step = victim_and("PCM_16", seed=3)
    judge = judge_of(Opaque(victim.weight, victim.bias), label, file)
    data, reached = settle(file, 0.97 * step, judge)
    assert reached and on_lattice(file, data)
    assert judge.backward_queries == 0
    assert torch.equal(data, rounded(file, 0.97 * step, 1.04))


def test_confidence_holds_for_the_samples_written() -> None:
    victim, file, label, _ = victim_and("PCM_16", seed=5, scale=20.0)
    duels, normals = victim.planes(file.data.double()[0], label)
    far = math.log(9) / 20 - duels[0]
    step = far * normals[0] / normals[0].square().sum()
    data, reached = settle(file, 0.999 * step, judge_of(victim, label, file, confidence=0.9))
    assert reached
    probabilities = victim.probabilities(data.double())
    assert probabilities is not None and float(probabilities[0, label]) >= 0.9 - 1e-6
    assert dearer(file, data, step) <= 0.1


def test_away_from_what_is_heard() -> None:
    victim, file, label, step = victim_and("PCM_16", seed=6)
    data, reached = settle(file, 0.999 * step, judge_of(victim, None, file))
    assert reached
    assert int(victim.predict(data)) == label
