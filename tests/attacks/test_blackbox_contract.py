"""One table for every attack that does without gradients: each is held to what all of them promise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import pytest
import torch
from closed_form import Counting, Deaf, Linear, Opaque, clips, linear
from torch import Tensor

from subterfuge.attacks.blackbox import starts, student, substitute
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.registry import ATTACKS, get_attack
from subterfuge.attacks.search import Watch
from subterfuge.corpora import embedded
from subterfuge.criteria import Criterion, Targeted, Untargeted
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Hearing, TorchVictim

SAMPLES = 80
NAMES = [name for name, entry in ATTACKS.items() if entry.access != "gradients"]
# Odd, so that it ends amid what an attack asks at once.
STEPS = 17
# What is promised holds for any number: one takes long over each, one begins with 25 that are all alike.
OTHERWISE = {"surrogate": 7, "genetic-seed": 41}
# As it was published it never asks about the clip itself, and so cannot know that nothing is to be done.
NEVER_ASKS = {"genetic-seed"}


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """Two embedded clips instead of all, and a quick ear for the substitute: neither is tested here."""

    def front_end(y: Tensor, *, sr: int) -> Tensor:
        pool = torch.nn.functional.adaptive_avg_pool1d
        return torch.cat([(pool(y[:, None] ** 2, 8) + 1e-9).log(), pool(y[:, None], 8)], 1).flatten(1)

    some = embedded.clips()[:2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(substitute, "front_end", front_end)
        patch.setattr(student, "front_end", front_end)
        patch.setattr(embedded, "clips", lambda: some)
        starts.embedded_clips.cache_clear()
        yield
    starts.embedded_clips.cache_clear()


def named(name: str, *, seed: int | None = None, steps: int | None = None) -> Callable[..., Outcome]:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return partial(get_attack(name), steps=steps or OTHERWISE.get(name, STEPS), generator=generator)


def next_label(victim: TorchVictim, y: Tensor) -> Targeted:
    """The label after the one that is heard."""
    return Targeted((victim.predict(y) + 1) % len(victim.labels))


class Blind(Counting):
    """Counts, and gives no gradients; whatever is asked of it beyond the answer is an error."""

    differentiable = False

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        assert not y.requires_grad, "a gradient is wanted"
        with torch.no_grad():
            return super().hear(y, probabilities=probabilities)


class Several(Blind):
    """Hears every clip in three variants, as victims do through which an attack must survive transforms."""

    cost = 3

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        hearing = super().hear(y, probabilities=probabilities)
        self.forward_count += 2 * len(y)
        return hearing


@cache
def problem(rows: int) -> tuple[Linear, Tensor, Targeted]:
    """A victim, clips, and for each the label after the one that is heard."""
    victim, y = linear(3, SAMPLES), clips(rows, SAMPLES)
    return victim, y, next_label(victim, y)


@cache
def whole(name: str, rows: int) -> Outcome:
    """What comes of it if nothing gets in the way."""
    return named(name)(*problem(rows))


def hopeless() -> Linear:
    """Three labels, of which the last is out of reach."""
    inner = linear(3, SAMPLES)
    return Linear(inner.weight, inner.bias - torch.tensor([0.0, 0.0, 1e3], dtype=torch.float64))


@pytest.mark.parametrize(
    ("criterion", "dtype"),
    [
        (Targeted([2, 1, 0]), torch.float64),
        (Targeted("label1", confidence=0.3), torch.float32),
        (Untargeted(), torch.float64),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", NAMES)
def test_every_promise_of_the_outcome(name: str, criterion: Criterion, dtype: torch.dtype) -> None:
    inner, y = linear(4, SAMPLES), clips(3, SAMPLES, dtype=dtype)
    victim, before = Blind(inner), y.clone()
    outcome = named(name)(victim, y, criterion)
    assert torch.equal(y, before), "the input was changed"

    assert outcome.audio.shape == y.shape
    assert outcome.audio.dtype == outcome.distance.dtype == dtype
    assert all(one.dtype == dtype and one.abs().max() <= 1 for one in victim.heard)
    assert outcome.audio.abs().max() <= 1

    goal = criterion.bind(inner, y)
    truth = goal.reached(inner.hear(outcome.audio, probabilities=True))
    assert torch.equal(outcome.success, truth)
    torch.testing.assert_close(outcome.distance, (outcome.audio - y).norm(ATTACKS[name].norm, dim=1))

    forward = outcome.queries.forward
    assert int(forward.sum()) == victim.forward_count
    assert (outcome.queries.backward == 0).all()
    assert (forward <= OTHERWISE.get(name, STEPS)).all()

    trace = outcome.trace
    assert trace.shape == (3, int(forward.max()))
    assert (trace[:, 1:] <= trace[:, :-1]).all()
    assert torch.equal(torch.isfinite(trace[:, -1]), outcome.success)
    torch.testing.assert_close(trace[:, -1][outcome.success], outcome.distance[outcome.success])
    assert not outcome.interrupted


@pytest.mark.parametrize(
    ("inner", "criterion", "steps"),
    [
        (Deaf(None), Targeted([1, 2]), 2),
        (linear(3, SAMPLES), Untargeted(), 2),
        (linear(3, SAMPLES), Untargeted(), 3),
        (hopeless(), Targeted([2, 1]), 53),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_steps_are_a_ceiling_also_where_nothing_is_found(
    name: str, inner: TorchVictim, criterion: Criterion, steps: int
) -> None:
    victim = Blind(inner)
    steps = min(steps, OTHERWISE.get(name, steps))
    outcome = named(name, steps=steps)(victim, clips(2, SAMPLES), criterion)
    assert (outcome.queries.forward <= steps).all()
    assert int(outcome.queries.forward.max()) > 1
    assert int(outcome.queries.forward.sum()) == victim.forward_count


@pytest.mark.parametrize("budget", [1, 2, 7, 15])
@pytest.mark.parametrize("name", NAMES)
def test_budget_is_respected_to_the_unit_and_cuts_the_same_search_short(name: str, budget: int) -> None:
    (inner, y, goal), free = problem(3), whole(name, 3)
    victim, seen = Blind(inner), []
    watch = Watch(budget=budget, report=lambda count, best: seen.append(count))
    outcome = named(name)(victim, y, goal, watch=watch)
    assert torch.equal(outcome.queries.forward, free.queries.forward.clamp(max=budget))
    assert int(outcome.queries.forward.sum()) == victim.forward_count
    torch.testing.assert_close(outcome.trace, free.trace[:, :budget])
    assert not outcome.interrupted
    assert seen == sorted(seen) and len(seen) >= int(outcome.queries.forward.max())
    away = Blind(inner)
    untargeted = named(name)(away, y[:2], Untargeted(), watch=Watch(budget=budget))
    assert (untargeted.queries.forward <= budget).all()
    assert int(untargeted.queries.forward.sum()) == away.forward_count


@pytest.mark.parametrize("criterion", [Targeted([1, 0]), Untargeted()], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_victim_that_hears_variants_is_counted_by_them(name: str, criterion: Criterion) -> None:
    victim, y = Several(hopeless()), clips(2, SAMPLES)
    for budget in (2, 23):
        before = victim.forward_count
        outcome = named(name)(victim, y, criterion, watch=Watch(budget=budget))
        asked = 3 * int(isinstance(criterion, Untargeted))  # binding it is not refused
        assert (outcome.queries.forward <= max(budget, asked)).all()
        assert int(outcome.queries.forward.sum()) == victim.forward_count - before


@pytest.mark.parametrize("kind", ["linear", "flat"])
@pytest.mark.parametrize("name", NAMES)
def test_rows_never_influence_each_other(name: str, kind: str) -> None:
    inner, y = linear(3, SAMPLES), clips(3, SAMPLES)
    y[2] = 0
    label = (inner.predict(y) + torch.tensor([1, 2, 1])) % 3
    victim: TorchVictim = Deaf(None) if kind == "flat" else inner
    together = named(name, seed=5)(victim, y, Targeted(label))
    for i in range(3):
        alone = named(name, seed=5)(victim, y[[i]], Targeted(label[[i]]))
        assert alone.success[0] == together.success[i]
        assert alone.queries.forward[0] == together.queries.forward[i]
        torch.testing.assert_close(alone.audio[0], together.audio[i], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_no_row_suffers_from_one_that_fails_or_is_there_already(name: str) -> None:
    victim, y = hopeless(), clips(3, SAMPLES)
    heard = victim.predict(y)
    label = torch.stack([torch.tensor(2), 1 - heard[1], heard[2]])
    for budget in (None, 11):
        watch = Watch(budget=budget)
        together = named(name)(victim, y, Targeted(label), watch=watch)
        assert not together.success[0]
        assert name in NEVER_ASKS or (together.success[2] and together.queries.forward[2] == 1)
        for i in range(3):
            alone = named(name)(victim, y[[i]], Targeted(label[[i]]), watch=watch)
            assert alone.queries.forward[0] == together.queries.forward[i]
            torch.testing.assert_close(alone.audio[0], together.audio[i], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_chance_comes_from_the_generator_alone(name: str) -> None:
    y, state = clips(2, SAMPLES), torch.get_rng_state()

    def run(seed: int) -> tuple[Tensor, Tensor]:
        victim = Blind(Deaf(None))
        audio = named(name, seed=seed)(victim, y, Targeted(1)).audio
        return audio, torch.cat(victim.heard)

    first, again, other = run(3), run(3), run(4)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])
    assert torch.equal(state, torch.get_rng_state()), "the global generator was used"


@pytest.mark.parametrize(("rows", "stop"), [(1, 0), (1, 1), (1, 7), (3, 2), (3, 16)])
@pytest.mark.parametrize("name", NAMES)
def test_ctrl_c_keeps_the_best_so_far(name: str, rows: int, stop: int) -> None:
    (inner, y, goal), free = problem(rows), whole(name, rows)
    victim = Blind(inner, stop_after=stop)
    cut = named(name)(victim, y, goal)
    assert cut.interrupted == (stop < int(free.queries.forward.sum()))
    assert int(cut.queries.forward.sum()) == victim.forward_count
    for i, asked in enumerate(cut.queries.forward.tolist()):
        reached = float(free.trace[i, asked - 1]) if asked else math.inf
        assert bool(cut.success[i]) == math.isfinite(reached)
        if cut.success[i]:
            assert float(cut.distance[i]) == pytest.approx(reached, rel=1e-9)
            assert int(inner.predict(cut.audio[[i]])[0]) == int(goal.bind(inner, y).label[i])


@pytest.mark.parametrize("name", NAMES)
def test_failure_is_a_status(name: str) -> None:
    for other in (None, linear(3, SAMPLES), linear(3, SAMPLES, scale=1e25)):
        y = clips(2, SAMPLES, dtype=torch.float32)
        outcome = named(name)(Deaf(other), y, Targeted(2))
        assert not outcome.success.any()
        assert torch.isfinite(outcome.audio).all()
        assert ((outcome.audio - y).abs().amax(1) > 0).all(), "the input was returned as if it were an answer"
        assert torch.isinf(outcome.trace).all()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NEVER_ASKS])
def test_a_clip_that_already_satisfies_comes_back_as_it_is(name: str) -> None:
    victim, y = Blind(linear(3, SAMPLES)), clips(2, SAMPLES)
    outcome = named(name)(victim, y, Targeted(victim.predict(y)))
    assert outcome.success.all() and torch.equal(outcome.audio, y)
    assert (outcome.distance == 0).all() and (outcome.trace == 0).all()
    assert (outcome.queries.forward == 1).all()


@pytest.mark.parametrize(
    "y",
    [
        torch.zeros(2, SAMPLES),
        clips(2, SAMPLES, dtype=torch.float32).sign(),
        torch.full((2, 1), 0.1),
        torch.zeros(2, 1),
        clips(2, 2, dtype=torch.float32),
        clips(2, 33, dtype=torch.float32),
        1e-30 * clips(2, SAMPLES, dtype=torch.float32),
    ],
    ids=["silent", "full scale", "one sample", "a silent one", "two", "33", "next to silent"],
)
@pytest.mark.parametrize("name", NAMES)
def test_strange_clips_are_attacked_or_refused_in_a_sentence(name: str, y: Tensor) -> None:
    inner = linear(2, y.shape[1])
    victim = Blind(inner)
    try:
        outcome = named(name)(victim, y, next_label(inner, y))
    except SubterfugeError as error:
        assert "\n" not in str(error)
        return
    assert torch.isfinite(outcome.audio).all() and outcome.audio.abs().max() <= 1
    assert all(torch.isfinite(one).all() for one in victim.heard)
    assert int(outcome.queries.forward.sum()) == victim.forward_count


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_refused_in_a_sentence(name: str) -> None:
    victim, y = linear(3, SAMPLES), clips(2, SAMPLES)
    attack = get_attack(name)
    with pytest.raises(SubterfugeError, match=r"expected \(batch, samples\)"):
        attack(victim, y[0], Targeted(1))
    with pytest.raises(SubterfugeError, match="NaN"):
        attack(victim, y * math.nan, Targeted(1))
    with pytest.raises(SubterfugeError, match="steps: got 1"):
        attack(victim, y, Targeted(1), steps=1)
    with pytest.raises(SubterfugeError, match="unknown label"):
        attack(victim, y, Targeted("trumpet"))
    with pytest.raises(TypeError, match="strength"):
        attack(victim, y, Targeted(1), strength=3)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_is_no_trouble(name: str) -> None:
    for criterion in (Targeted(1), Untargeted()):
        outcome = named(name)(Opaque(linear(3, SAMPLES).weight, torch.zeros(3)), clips(0, SAMPLES), criterion)
        assert outcome.audio.shape == (0, SAMPLES)
        assert outcome.success.shape == (0,)
