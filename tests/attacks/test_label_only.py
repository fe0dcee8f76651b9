"""Attacks that see labels alone: near known optima, deaf to scores, from where the caller says."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import pytest
import torch
from closed_form import Ball, Counting, Linear, Radial, clips, linear, optimum
from torch import Tensor

from subterfuge.attacks.blackbox import starts
from subterfuge.attacks.blackbox.asking import Answer
from subterfuge.attacks.blackbox.boundary import boundary
from subterfuge.attacks.blackbox.directions import Directions, perpendicular
from subterfuge.attacks.blackbox.hopskipjump import _normal, hopskipjump
from subterfuge.attacks.blackbox.starts import halve
from subterfuge.attacks.blackbox.surfree import _on_circle, surfree
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.registry import ATTACKS, get_attack
from subterfuge.corpora import embedded
from subterfuge.criteria import Criterion, Targeted, Untargeted
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Hearing, TorchVictim

PUBLISHED = [one + where for one in ("boundary", "hopskipjump", "surfree") for where in ("", "-subspace")]
SAMPLES, STEPS, ROWS = 16, 300, 2


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """One thread, and no embedded clips: these victims hear nothing in them."""
    monkeypatch.setattr(embedded, "clips", list)
    starts.embedded_clips.cache_clear()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    starts.embedded_clips.cache_clear()


# ------------------------------------------------------------ near the optimum


@dataclass(frozen=True)
class Problem:
    victim: TorchVictim
    y: Tensor
    criterion: Criterion
    best: Callable[[Tensor], Tensor]
    start: Tensor | None = None


def _linear(labels: int, *, away: bool = False, dtype: torch.dtype = torch.float64) -> Problem:
    victim, y = linear(labels, SAMPLES), clips(ROWS, SAMPLES, dtype=dtype)
    label = (victim.predict(y) + 1) % labels
    return Problem(victim, y, Untargeted() if away else Targeted(label), partial(_least, victim, y))


def _least(victim: Linear, y: Tensor, label: Tensor) -> Tensor:
    """To the nearest point where that label is heard: which one an attack ends at is a matter of chance."""
    pairs = zip(y, label, strict=True)
    return torch.tensor([optimum(victim, row, int(one), away=False) for row, one in pairs])


def _radial() -> Problem:
    centres, y = clips(2, SAMPLES, seed=7), clips(ROWS, SAMPLES)
    victim, y = Radial(centres, 0.5), 0.5 * y + 0.5 * centres[0]
    apart = (y - centres[1]).square().sum(1) - (y - centres[0]).square().sum(1)
    return Problem(victim, y, Targeted(1), lambda _: apart / 2 / (centres[1] - centres[0]).norm())


def _ball(*, inwards: bool) -> Problem:
    y = clips(ROWS, SAMPLES)
    centre = 0.5 * clips(1, SAMPLES, seed=9)[0]
    far = (y - centre).norm(dim=1)
    radius = 0.6 * float(far.min()) if inwards else 1.2 * float(far.max())
    victim, start = Ball(centre, radius, 1.0), centre.expand(ROWS, -1) if inwards else None
    # Inwards from a start off the shortest way.
    start = None if start is None else start + 0.2 * radius * torch.ones(SAMPLES, dtype=torch.float64) / 4
    return Problem(victim, y, Targeted(int(inwards)), lambda _: (far - radius).abs(), start)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "towards one of two": lambda: _linear(2),
    "towards one of five": lambda: _linear(5),
    "away from one of five, float32": lambda: _linear(5, away=True, dtype=torch.float32),
    "radial": _radial,
    "into a ball": lambda: _ball(inwards=True),
    "out of a ball": lambda: _ball(inwards=False),
}
# How many times the least distance each may need: circles are exact where boundaries are flat, and few
# numbers leave out some directions of such small clips.
WITHIN = {"boundary": 1.3, "hopskipjump": 1.3, "surfree": 1.1}
FEW_NUMBERS = 1.8


@cache
def problem(case: str) -> Problem:
    return PROBLEMS[case]()


@pytest.mark.parametrize("case", PROBLEMS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_distance_is_near_the_closed_form_optimum(name: str, case: str) -> None:
    p = problem(case)
    outcome = get_attack(name)(p.victim, p.y, p.criterion, steps=STEPS, start=p.start)
    assert outcome.success.all()
    ratio = outcome.distance.double() / p.best(p.victim.predict(outcome.audio))
    assert (ratio >= 1 - 1e-4).all(), f"less than the optimum: {ratio}"
    assert (ratio <= WITHIN.get(name, FEW_NUMBERS)).all(), ratio


@pytest.mark.parametrize("name", PUBLISHED)
def test_more_queries_lead_nearer(name: str) -> None:
    p = problem("towards one of two")
    trace = get_attack(name)(p.victim, p.y, p.criterion, steps=STEPS).trace
    least = p.best(1 - p.victim.predict(p.y))
    excess = trace[:, [49, STEPS - 1]] / least[:, None] - 1
    assert (excess[:, 1] < 0.5 * excess[:, 0]).all()


# ------------------------------------------------------------ nothing but labels


class Liar(TorchVictim):
    """Hears what another hears, and tells scores and probabilities that have nothing to do with it."""

    def __init__(self, other: TorchVictim) -> None:
        super().__init__()
        self.other, self.labels, self.sample_rate = other, other.labels, other.sample_rate
        self.differentiable = False

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        predicted = self.other.predict(y)
        scores = torch.sin(1e5 * y[:, : len(self.labels)]).to(torch.float64)
        return Hearing(scores, predicted, scores.softmax(1) if probabilities else None)


@pytest.mark.parametrize("criterion", [Targeted([1, 0]), Untargeted()], ids=str)
@pytest.mark.parametrize("name", [*PUBLISHED, "decide"])
def test_scores_that_lie_change_nothing(name: str, criterion: Criterion) -> None:
    victim, y = linear(3, 64), clips(2, 64)
    truthful, lying = Counting(victim), Counting(Liar(victim))
    outcome = get_attack(name)(truthful, y, criterion, steps=60)
    lied_to = get_attack(name)(lying, y, criterion, steps=60)
    assert outcome.success.any() or name not in PUBLISHED
    assert torch.equal(torch.cat(truthful.heard), torch.cat(lying.heard))
    assert torch.equal(outcome.audio, lied_to.audio)


# ------------------------------------------------------------ where it begins


@pytest.mark.parametrize("name", [*PUBLISHED, "decide"])
def test_the_start_of_the_caller_is_used(name: str) -> None:
    """A small ball far off, which nothing else would lead to."""
    y = clips(2, 64, dtype=torch.float32)
    centre = torch.full((64,), 0.5)
    inner = Ball(centre, 0.5, 1.0)
    start = centre + 0.03 * clips(2, 64, seed=4, dtype=torch.float32)
    assert inner.predict(start).tolist() == [1, 1]
    victim = Counting(inner)
    found = get_attack(name)(victim, y, Targeted(1), steps=60, start=start)
    heard = torch.cat(victim.heard)
    # At once, one a row, and without loss; and then nearer.
    torch.testing.assert_close(heard[2:4], start)
    assert found.success.all()
    assert (found.distance <= (start - y).norm(dim=1)).all()
    assert name not in PUBLISHED or (found.distance < 0.95 * (start - y).norm(dim=1)).all()
    assert not get_attack(name)(inner, y, Targeted(1), steps=60).success.any()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_start_that_is_not_heard_as_wanted_is_no_end(name: str) -> None:
    victim, y = linear(2, 64), clips(2, 64)
    assert get_attack(name)(victim, y, Targeted(1 - victim.predict(y)), steps=100, start=y).success.all()


@pytest.mark.parametrize("name", [*PUBLISHED, "decide"])
def test_a_start_that_is_none_is_refused(name: str) -> None:
    victim, y = linear(2, 64), clips(2, 64)
    for start, message in ((y[:1], r"start: got audio of shape \(1, 64\)"), (y * math.nan, "start: .* NaN")):
        with pytest.raises(SubterfugeError, match=message):
            get_attack(name)(victim, y, Targeted(1), start=start)


@pytest.mark.parametrize(
    ("attack", "option", "value"),
    [
        (hopskipjump, "probes", 0),
        (hopskipjump, "radius", 0),
        (hopskipjump, "radius", 1),
        (surfree, "memory", 0),
    ],
)
def test_options_that_make_no_sense_are_refused(
    attack: Callable[..., Outcome], option: str, value: float
) -> None:
    with pytest.raises(SubterfugeError, match=f"{option}: got {value}"):
        attack(linear(2, 64), clips(1, 64), Targeted(1), **{option: value})


# ------------------------------------------------------------ their parts


def ask(reached: Callable[[Tensor], Tensor], part: Generator[Tensor, Answer, Any]) -> tuple[Any, int]:
    """What a part of a talk comes back with, and after how many queries."""
    asked, x = 0, next(part)
    while True:
        asked += len(x)
        there = reached(x)
        told = torch.where(there, 1.0, -1.0)
        try:
            x = part.send(Answer(told[:, None], told, there, x.norm(dim=1)))
        except StopIteration as end:
            return end.value, asked


@pytest.mark.parametrize("tolerance", [0.1, 1e-3])
@pytest.mark.parametrize("bound", [0.9, 0.25, 0.004])
def test_halving_ends_within_the_tolerance_and_little_over_the_fewest_queries(
    bound: float, tolerance: float
) -> None:
    delta = clips(1, 64)[0]
    enough = bound * delta.norm()
    found, asked = ask(lambda x: x.norm(dim=1) >= enough, halve(delta, tolerance=tolerance))
    assert enough <= found.norm() <= (1 + tolerance) * enough
    assert asked <= math.ceil(math.log2(math.log(1e3) / math.log1p(tolerance))) + 4


def test_the_normal_of_a_plane_is_estimated_as_well_as_so_many_answers_can() -> None:
    samples, number = 64, 400
    y, chance = torch.zeros(samples, dtype=torch.float64), torch.Generator().manual_seed(3)
    normal = torch.randn(samples, generator=chance, dtype=torch.float64)
    normal = normal / normal.norm()
    aside = torch.randn(samples, generator=chance, dtype=torch.float64)
    # Next to the boundary, off its foot; a little within it, so that signs are out of balance.
    delta = 0.3 * normal + 0.2 * perpendicular(aside / aside.norm(), normal[None])
    bound = 0.3 - 0.002
    around = Directions(y, sr=8000, shaped=False, seed=1)
    (found, share), asked = ask(
        lambda x: x @ normal > bound, _normal(y, delta, around, number=number, radius=0.02)
    )
    assert asked == number and 0.55 < share < 0.95
    # Signs are worth 2/pi of what slopes would be: 1 / sqrt(1 + (pi / 2) samples / number) on the average.
    assert float(found @ normal) == pytest.approx((1 + math.pi / 2 * samples / number) ** -0.5, abs=0.06)
    assert float(found.norm()) == pytest.approx(1)


def test_noise_that_is_heard_on_one_side_alone_is_not_asked_about_any_further() -> None:
    y, delta = torch.zeros(64, dtype=torch.float64), clips(1, 64)[0]
    around = Directions(y, sr=8000, shaped=False, seed=1)
    for side in (True, False):
        (_, share), asked = ask(
            lambda x, side=side: torch.full((len(x),), side),
            _normal(y, delta, around, number=400, radius=0.02),
        )
        assert asked == 16 and share == side


def test_the_circle_meets_a_plane_at_its_foot() -> None:
    """Maho et al., proposition 1: in the plane of the normal, the best angle is that of the normal."""
    y = torch.zeros(3, dtype=torch.float64)
    delta, across = torch.tensor([0.4, 0.3, 0.0]).double(), torch.tensor([-0.6, 0.8, 0.0]).double()
    # A plane through delta at right angles to the first axis: its foot is (0.4, 0, 0).
    foot = _on_circle(y, delta, across, -math.atan2(0.3, 0.4))
    torch.testing.assert_close(foot, torch.tensor([0.4, 0.0, 0.0]).double())
    for angle in (-1.0, -0.2, 0.3, 1.2):
        point = _on_circle(y, delta, across, angle)
        assert float((point - delta / 2).norm()) == pytest.approx(0.25)
        assert float(point.norm()) == pytest.approx(0.5 * math.cos(angle))


@pytest.mark.parametrize("shaped", [False, True])
def test_directions_are_of_unit_length_and_of_the_dimension_that_is_said(shaped: bool) -> None:
    y = clips(1, 1024)[0]
    around = Directions(y, sr=8000, shaped=shaped, seed=2)
    drawn = around.draw(300)
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(300, dtype=torch.float64))
    assert int(torch.linalg.matrix_rank(drawn, rtol=1e-9)) == min(300, around.size)
    assert around.size == 1024 or around.size < 200
    assert torch.equal(drawn, Directions(y, sr=8000, shaped=shaped, seed=2).draw(300))
    assert abs(float(drawn.mean(0).norm())) < 0.15


def test_shaped_directions_fill_bands_and_moments_apart() -> None:
    """Between two of them lies next to nothing in common: sound here, then there, low and high."""
    sr = 8000
    t = torch.arange(sr, dtype=torch.float64) / sr
    y = 0.1 * torch.sin(2 * math.pi * 300 * t) * (t < 0.5) + 1e-3 * clips(1, sr)[0]
    drawn = Directions(y, sr=sr, shaped=True, seed=0).draw(200)
    power = torch.fft.rfft(drawn).abs().square()
    parts = torch.stack([one.sum(1) for one in power.chunk(8, dim=1)], 1)
    assert (parts.mean(0) / parts.sum(1).mean() > 0.01).all(), "some band is never touched"
    early = drawn[:, : sr // 2].square().sum(1)
    assert 0.2 < float(early.mean()) < 0.8 and float(early.std()) > 0.05


def test_what_is_perpendicular_to_everything_is_nothing() -> None:
    one = torch.tensor([1.0])
    assert perpendicular(one, one[None]).tolist() == [0.0]
    a = torch.tensor([0.6, 0.8, 0.0])
    out = perpendicular(a, torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    torch.testing.assert_close(out, torch.tensor([0.0, 1.0, 0.0]))


def test_each_name_stands_for_where_directions_are_drawn() -> None:
    p = problem("towards one of two")
    for attack in (boundary, hopskipjump, surfree):
        name = attack.__name__
        assert ATTACKS[name].access == ATTACKS[f"{name}-subspace"].access == "label"
        runs: list[Outcome] = [get_attack(f"{name}-subspace")(p.victim, p.y, p.criterion, steps=40)]
        runs += [attack(p.victim, p.y, p.criterion, steps=40, subspace=where) for where in (True, False)]
        assert torch.equal(runs[0].audio, runs[1].audio) and not torch.equal(runs[0].audio, runs[2].audio)
