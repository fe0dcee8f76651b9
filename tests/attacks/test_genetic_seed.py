"""The seed's algorithm: each switch does what it says and nothing else; its numbers are the original's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from closed_form import Counting, Linear, Opaque, clips, linear
from torch import Tensor

from subterfuge.attacks.blackbox import genetic_seed as module
from subterfuge.attacks.blackbox.genetic_seed import (
    SIGMA,
    SWITCHES,
    Generation,
    crossed,
    deviation,
    genetic_seed,
    likelihood,
    mel_bands,
    spectrum,
    waveform,
)
from subterfuge.attacks.oracle import Oracle
from subterfuge.attacks.registry import find, get_attack
from subterfuge.attacks.search import Watch
from subterfuge.criteria import Goal, Targeted, Untargeted
from subterfuge.errors import SubterfugeError

SAMPLES = 3000
PUBLISHED = {name: published for name, (published, *_) in SWITCHES.items()}


def problem(rows: int = 2, samples: int = SAMPLES) -> tuple[Linear, Tensor, Targeted]:
    victim, y = linear(3, samples, scale=5.0), clips(rows, samples, dtype=torch.float32)
    return victim, y, Targeted((victim.predict(y) + 1) % 3)


def evolved(steps: int = 400, seed: int = 0, rows: int = 1, **how: str) -> list[Generation]:
    victim, y, goal = problem(rows)
    seen: list[Generation] = []
    generator = torch.Generator().manual_seed(seed)
    genetic_seed(Oracle(victim), y, goal, steps=steps, generator=generator, told=seen.append, **how)
    return seen


# ---------------------------------------------------------------- phase


@pytest.mark.parametrize("samples", [1, 192, 511, 512, 2048, 2049, 20000])
def test_with_the_phase_kept_a_clip_comes_back_as_it_was(samples: int) -> None:
    (y,) = clips(1, samples)
    torch.testing.assert_close(waveform(spectrum(y), samples), y, rtol=0, atol=1e-12)
    torch.testing.assert_close(waveform(spectrum(y.float()), samples), y.float(), rtol=0, atol=3e-7)


def test_with_the_phase_lost_it_is_what_librosa_makes_of_the_real_part() -> None:
    import librosa

    (y,) = clips(1, 20 * 512 + 77, dtype=torch.float32)
    lost = librosa.istft(np.real(librosa.stft(y.numpy())))
    assert len(lost) == 20 * 512
    ours = waveform(spectrum(y, "lost"), len(y))[: len(lost)]
    # librosa's last half frame lacks those that a longer clip would have had.
    np.testing.assert_allclose(ours[:-1024], lost[:-1024], atol=3e-7)
    snr = 10 * torch.log10(y.square().sum() / (ours - y[: len(lost)]).square().sum())
    assert 1 < snr < 6


def test_what_is_left_of_the_seeds_clips_is_what_it_measured(seed: Any) -> None:
    """The four to five decibels of its README, on the clips themselves, with no attack at all."""
    import soundfile

    found = []
    for path in sorted((seed / "clips").glob("*.wav")):
        y = torch.from_numpy(soundfile.read(path, dtype="float32")[0].mean(1))
        change = waveform(spectrum(y, "lost"), len(y)) - y
        found.append(float(10 * torch.log10(y.square().sum() / change.square().sum())))
    assert min(found) == pytest.approx(3.9, abs=0.1)
    assert max(found) == pytest.approx(4.7, abs=0.1)


@pytest.mark.parametrize("phase", ["lost", "kept"])
def test_the_first_population_is_25_copies_of_the_clip_as_the_phase_leaves_it(phase: str) -> None:
    victim, y, goal = problem(1)
    counting = Counting(victim)
    genetic_seed(counting, y, goal, steps=60, phase=phase)
    heard = torch.cat(counting.heard)
    assert all(torch.equal(one, heard[0]) for one in heard[:25])
    assert torch.equal(heard[0], waveform(spectrum(y[0], phase), SAMPLES))
    assert not torch.equal(heard[25:], heard[0].expand(35, -1))


@pytest.mark.parametrize("phase", ["lost", "kept"])
def test_noise_is_as_loud_in_either_phase(phase: str) -> None:
    (y,) = clips(1, 40000, dtype=torch.float32)
    line = module._Line(y, 0, sr=8000, **{**PUBLISHED, "phase": phase})
    change = waveform(line._mutated(line.first), len(y)) - waveform(line.first, len(y))
    # White noise of deviation SIGMA in every cell is one of SIGMA / sqrt(n_fft) in a frame; frames overlap.
    expected = SIGMA / math.sqrt(module.N_FFT) / math.sqrt(1.5)
    assert float(change[1024:-1024].square().mean().sqrt()) == pytest.approx(expected, rel=0.03)


# ---------------------------------------------------------------- crossover


def test_children_that_are_copied_exchange_a_band_and_parents_stay_as_they_are() -> None:
    a, b = torch.zeros(4, 10), torch.ones(4, 10)
    first, second = crossed(a, b, 3, 7)
    assert first[0].tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]
    assert second[0].tolist() == [1, 1, 1, 0, 0, 0, 0, 1, 1, 1]
    assert not a.any()
    assert b.all()


def test_children_that_are_aliased_are_what_numpy_makes_of_two_views() -> None:
    a, b = torch.rand(4, 10), torch.rand(4, 10)
    x, z = a.numpy().copy(), b.numpy().copy()
    x[:, 3:7], z[:, 3:7] = z[:, 3:7], x[:, 3:7]
    first, second = crossed(a, b, 3, 7, "aliased")
    assert np.array_equal(first, x)
    assert np.array_equal(second, z)
    assert torch.equal(second, b), "the second child got its own band back"
    assert torch.equal(first, crossed(a, b, 3, 7, "copied")[0])


def test_the_search_is_the_same_whether_children_are_copied_or_aliased() -> None:
    for one, other in zip(evolved(crossover="aliased"), evolved(crossover="copied"), strict=True):
        assert one.fitness == other.fitness
        assert torch.equal(one.audio, other.audio)


# ---------------------------------------------------------------- fitness and distortion


@pytest.mark.parametrize("phase", SWITCHES["phase"])
@pytest.mark.parametrize("fitness", SWITCHES["fitness"])
@pytest.mark.parametrize("distortion", SWITCHES["distortion"])
def test_fitness_is_the_probability_less_the_distortion(phase: str, fitness: str, distortion: str) -> None:
    victim, y, goal = problem(1)
    bound = goal.bind(victim, y)
    start = waveform(spectrum(y[0], phase), SAMPLES)
    reference = y[0] if fitness == "clip" else start
    weight = 1 / float(y[0].square().mean().sqrt()) if distortion == "weighed" else 1.0
    for one in evolved(phase=phase, fitness=fitness, distortion=distortion):
        probability = float(victim.probabilities(one.audio[None])[0, bound.label[0]])
        change = float((one.audio - reference).square().mean().sqrt())
        assert one.probability == pytest.approx(probability, abs=1e-5)
        assert one.fitness == pytest.approx(probability - weight * change, abs=1e-5)


def test_likelihood_is_the_softmaxs() -> None:
    scores = torch.tensor([[1.0, 3.0, 0.5], [0.0, -2.0, 1.0]], dtype=torch.float64)
    p = scores.softmax(1)
    label = torch.tensor([1, 2])
    from subterfuge.victims.victim import Hearing

    hearing = Hearing(scores, scores.argmax(1), p)
    own = p[[0, 1], label]
    for goal, expected in (
        (Goal(label), own),
        (Goal(label, away=True), 1 - own),
        (Goal(label, confidence=0.7), own),
    ):
        torch.testing.assert_close(likelihood(goal.duels(hearing), goal), expected)


# ---------------------------------------------------------------- mutation


def low_tone(samples: int = SAMPLES) -> Tensor:
    n = torch.arange(samples, dtype=torch.float32)
    return 0.3 * torch.sin(2 * math.pi * 20 / 2048 * n) * torch.hann_window(samples)


def test_shaped_noise_is_in_proportion_to_the_clip_and_as_loud_as_flat_noise() -> None:
    cells = spectrum(low_tone())
    flat, shaped = deviation(cells, "flat"), deviation(cells, "shaped")
    assert (flat == SIGMA).all()
    assert float(shaped.square().mean()) == pytest.approx(SIGMA**2, rel=1e-4)
    torch.testing.assert_close(shaped / shaped.max(), cells.abs() / cells.abs().max())
    assert (deviation(torch.zeros(3, 1025), "shaped") == SIGMA).all()


def first_noise(mutation: str) -> Tensor:
    """Power of the first mutation's noise in each bin, mean over time."""
    y = low_tone()[None]
    victim = Counting(linear(3, SAMPLES))
    genetic_seed(victim, y, Targeted(1), steps=120, phase="kept", mutation=mutation)
    heard = torch.cat(victim.heard)
    change = heard[25:75] - heard[0]
    one = change[change.square().mean(1) > 1e-9][0]
    return spectrum(one).abs().square().mean(0)


def test_shaped_noise_leaves_silent_bands_silent_and_flat_noise_fills_them() -> None:
    flat, shaped, banded = (first_noise(mutation) for mutation in SWITCHES["mutation"])
    assert flat[200:].mean() == pytest.approx(float(flat[10:40].mean()), rel=0.5)
    assert shaped[200:].mean() < 1e-4 * shaped[10:40].mean()
    level = torch.stack([banded[mel_bands(8000) == b].mean() for b in range(module.BANDS)])
    assert level.max() / level.min() > 100


def test_bands_are_alike_on_the_mel_scale() -> None:
    bands = mel_bands(44100)
    assert bands[0] == 0
    assert bands[-1] == module.BANDS - 1
    assert (bands.diff() >= 0).all()
    assert len(bands.unique()) == module.BANDS
    counts = torch.bincount(bands)
    assert counts[-1] > 10 * counts[0]


# ---------------------------------------------------------------- selection and counting


def test_a_tournament_of_three_takes_the_fittest_of_three_draws() -> None:
    line = module._Line(low_tone(), 0, sr=8000, **PUBLISHED)
    everyone = [module._Individual(line.first, 0.0, float(i)) for i in range(75)]
    won = np.zeros(75)
    turns = 400
    for _ in range(turns):
        line.population = everyone[:25]
        line.select(everyone[25:])
        assert len(line.population) == 25
        for one in line.population:
            won[int(one.fitness)] += 1
    share = won / won.sum()
    rank = np.arange(1, 76)
    expected = (rank / 75) ** 3 - ((rank - 1) / 75) ** 3  # drawn with replacement
    assert share[-1] == pytest.approx(expected[-1], rel=0.15)
    assert np.abs(share - expected).max() < 0.01


def test_generations_spend_what_the_original_spent() -> None:
    """25 queries, then nine tenths of 50 a generation: 2,275 after 50 of them, give or take 40."""
    seen = evolved(steps=2400)
    assert [one.number for one in seen] == list(range(len(seen)))
    assert seen[0].queries == 25
    spent = np.diff([one.queries for one in seen])
    assert ((spent >= 30) & (spent <= 50)).all()
    assert seen[50].queries == pytest.approx(2275, abs=60)
    assert seen[-1].fitness > seen[0].fitness


# ---------------------------------------------------------------- the contract


@pytest.mark.parametrize("switch", [(name, value) for name, values in SWITCHES.items() for value in values])
@pytest.mark.parametrize("criterion", [Targeted([2, 1, 0]), Targeted([2, 1, 0], 0.5), Untargeted()], ids=str)
def test_every_promise_of_the_outcome(criterion: Any, switch: tuple[str, str]) -> None:
    inner, y = linear(3, 700, scale=5.0), clips(3, 700)
    victim, before = Counting(Oracle(inner)), y.clone()  # type: ignore[arg-type]
    outcome = genetic_seed(victim, y, criterion, steps=90, **dict([switch]))
    assert torch.equal(y, before), "the input was changed"
    goal = criterion.bind(inner, y)
    assert outcome.audio.shape == y.shape
    assert outcome.audio.dtype == y.dtype
    assert outcome.audio.abs().max() <= 1
    hearing = inner.hear(outcome.audio, probabilities=True)
    assert torch.equal(outcome.success, goal.reached(hearing))
    torch.testing.assert_close(outcome.distance, (outcome.audio - y).norm(dim=1))
    assert int(outcome.queries.forward.sum()) == victim.forward_count
    assert (outcome.queries.forward == 90).all()
    assert not outcome.queries.backward.any()
    assert outcome.trace.shape == (3, int(outcome.queries.forward.max()))
    assert torch.equal(torch.isfinite(outcome.trace[:, -1]), outcome.success)
    torch.testing.assert_close(outcome.trace[:, -1][outcome.success], outcome.distance[outcome.success])


@pytest.mark.parametrize("budget", [1, 7, 25, 26, 120])
def test_budget_is_respected_to_the_unit_and_changes_nothing_before(budget: int) -> None:
    inner, y, goal = problem(2)
    free = genetic_seed(inner, y, goal, steps=130)
    victim = Counting(inner)
    outcome = genetic_seed(victim, y, goal, steps=130, watch=Watch(budget=budget))
    assert victim.forward_count == 2 * budget
    assert (outcome.queries.forward == budget).all()
    torch.testing.assert_close(outcome.trace, free.trace[:, :budget])
    assert not outcome.interrupted


def test_chance_comes_from_the_generator_alone_and_rows_do_not_heed_each_other() -> None:
    victim, y, goal = problem(3)
    state = torch.get_rng_state()

    def run(seed: int, rows: list[int]) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        wanted = Targeted(goal.label[rows])  # type: ignore[index]
        return genetic_seed(victim, y[rows], wanted, steps=150, generator=generator).audio

    together = run(3, [0, 1, 2])
    assert torch.equal(together, run(3, [0, 1, 2]))
    assert not torch.equal(together, run(4, [0, 1, 2]))
    for row in range(3):
        assert torch.equal(together[row], run(3, [row])[0])
    assert torch.equal(state, torch.get_rng_state()), "the global generator was used"


def test_ctrl_c_keeps_the_best_so_far() -> None:
    inner, y, goal = problem(1)
    outcome = genetic_seed(Counting(inner, stop_after=100), y, goal, steps=300)
    assert outcome.interrupted
    assert int(outcome.queries.forward[0]) <= 100
    assert not torch.equal(outcome.audio, y)


def test_bad_input_is_refused_in_a_sentence() -> None:
    victim, y, goal = problem(1)
    for name in SWITCHES:
        with pytest.raises(SubterfugeError, match=f"{name}: got 'best', expected {SWITCHES[name][0]} or"):
            genetic_seed(victim, y, goal, **{name: "best"})
    with pytest.raises(SubterfugeError, match="steps: got 1"):
        genetic_seed(victim, y, goal, steps=1)
    with pytest.raises(SubterfugeError, match="NaN"):
        genetic_seed(victim, y * math.nan, goal)
    with pytest.raises(SubterfugeError, match=r"expected \(batch, samples\)"):
        genetic_seed(victim, y[0], goal)
    outcome = genetic_seed(victim, y[:0], Targeted(1))
    assert outcome.audio.shape == (0, SAMPLES)


def test_it_is_in_the_registry_and_needs_scores_but_no_gradients() -> None:
    assert find("genetic_seed").access == "scores"
    assert get_attack("genetic-seed") is genetic_seed
    inner, y, goal = problem(1)
    victim = Opaque(inner.weight, inner.bias, scale=inner.scale)
    same = genetic_seed(inner, y, goal, steps=60)
    torch.testing.assert_close(genetic_seed(victim, y, goal, steps=60).audio, same.audio)
