"""hunt: scores lead in, labels alone are enough, starts come from other victims than the one asked."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer, Talk
from subterfuge.attacks.blackbox.hunt import hunt
from subterfuge.attacks.blackbox.runs import Run
from subterfuge.attacks.blackbox.starts import embedded_clips
from subterfuge.attacks.blackbox.subspace import Subspace
from subterfuge.attacks.blackbox.transfer import transferred
from subterfuge.attacks.oracle import Oracle
from subterfuge.attacks.registry import get_attack
from subterfuge.criteria import Targeted
from subterfuge.victims.store import load_victim
from subterfuge.victims.victim import Hearing, TorchVictim

SR, SAMPLES = 16000, 6000


class Tilt(TorchVictim):
    """Hears "bright" where low bands are quieter than in the clip and high ones louder, each by so much.

    All of it must come together, which hardly any draw at random does; the score tells how far it is.
    """

    labels = ("dull", "bright")
    sample_rate = SR

    def __init__(self, y: Tensor, by: float) -> None:
        super().__init__()
        self.space, self.by = Subspace(y, sr=SR, bands=8), by
        self.clean = self._levels(y)

    def _levels(self, y: Tensor) -> Tensor:
        spectra = self.space._spectra(y)
        return self.space._means((spectra.abs().square() + 1e-12).log() / 2)

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        """About the least of eight differences decides."""
        up = self._levels(y) - self.clean
        wanted = torch.tensor([-1.0, -1, -1, -1, 1, 1, 1, 1])
        margin = (-(-20 * up * wanted).logsumexp(1) / 20 - self.by)[:, None]
        scores = torch.cat([-margin, margin], 1) / 2
        return Hearing(scores, (margin[:, 0] > 0).long(), scores.softmax(1) if probabilities else None)


def clip() -> Tensor:
    chance = torch.Generator().manual_seed(0)
    return 0.05 * torch.randn(1, SAMPLES, generator=chance).cumsum(1).diff(prepend=torch.zeros(1, 1))


def test_scores_lead_in_and_more_queries_make_it_smaller() -> None:
    y = clip()
    victim = Oracle(Tilt(y, 0.12), access="scores")
    outcome = hunt(victim, y, Targeted("bright"), steps=400, generator=torch.Generator().manual_seed(0))
    assert outcome.success.all() and victim.queries == 400
    first = outcome.trace[0][outcome.trace[0].isfinite()][0]
    assert outcome.distance[0] < 0.95 * first
    assert Tilt(y, 0.12).predict(outcome.audio).tolist() == [1]


def test_labels_alone_are_all_that_is_used_where_no_more_is_granted() -> None:
    """A victim whose scores are noise, but whose labels are right, is attacked in the same way."""
    y = clip()

    class Lying(Tilt):
        def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
            told = super().hear(y)
            noise = torch.randn(told.scores.shape, generator=torch.Generator().manual_seed(len(y)))
            return Hearing(noise, told.predicted, noise.softmax(1) if probabilities else None)

    found = [
        hunt(Oracle(kind(y, 0.05), access="label"), y, Targeted("bright"), steps=150).audio
        for kind in (Tilt, Lying)
    ]
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


def test_a_start_is_carried_over_from_another_victim_but_never_from_the_same() -> None:
    y = embedded_clips("cel", 44100)[0][None, 44100:66150]
    svc = load_victim("orchestra-svc")
    assert list(transferred(y, "vio", Oracle(svc, access="label"))) == []
    other = copy.deepcopy(svc)
    other.head.machine.bias += 1e-3
    deltas = list(transferred(y, "vio", other))
    assert len(deltas) == 4
    assert svc.predict(y).item() != svc.labels.index("vio")
    assert svc.predict((y + deltas[0]).clamp(-1, 1)).item() == svc.labels.index("vio")
    assert list(transferred(y, "theremin", other)) == []


@pytest.mark.parametrize("access", ["scores", "label"])
def test_a_start_of_the_callers_is_where_it_begins(access: str) -> None:
    y = clip()
    victim = Tilt(y, 0.1)
    tilt = torch.tensor([[-1.0, -1, -1, -1, 1, 1, 1, 1]])
    start = (y + victim.space.render(0.6 * tilt)).clamp(-1, 1)
    assert victim.predict(start).tolist() == [1]
    outcome = hunt(
        Oracle(victim, access=access), y, Targeted("bright"), steps=120, start=start, transfer=False
    )
    assert outcome.success.all()


class Ratio(TorchVictim):
    """Hears "bright" where bands have become louder in the first half, and softer in the second.

    The same gain at all times changes nothing of it, so that averaged bands lead nowhere.
    """

    labels = ("dull", "bright")
    sample_rate = SR

    def __init__(self, y: Tensor, by: float) -> None:
        super().__init__()
        self.space, self.by = Subspace(y, sr=SR, bands=8, times=2), by
        self.clean = self._levels(y)

    def _levels(self, y: Tensor) -> Tensor:
        power = self.space._means(self.space._spectra(y).abs().square() + 1e-12).log() / 2
        return (power[:, ::2] - power[:, 1::2])[:, 2:6]

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        """The mean difference of four bands decides."""
        margin = ((self._levels(y) - self.clean).mean(1) - self.by)[:, None]
        scores = torch.cat([-margin, margin], 1) / 2
        return Hearing(scores, (margin[:, 0] > 0).long(), scores.softmax(1) if probabilities else None)


PARTS = {"hunt": {}, "subspace": {}, "simba": {}, "square": {"long": 0.5, "snr_db": 10.0}}


def test_on_a_victim_of_either_kind_it_is_not_worse_than_the_best_of_its_parts() -> None:
    """Within 1 dB of it; and that is the gains on the one, where they lead nowhere on the other."""
    y = clip()
    for victim, gains_lead in ((Tilt(y, 0.08), True), (Ratio(y, 0.15), False)):
        found = {}
        # Patches as they are sent out: squares, in a ball of 10 dB.
        for name, options in PARTS.items():
            chance = torch.Generator().manual_seed(0)
            outcome = get_attack(name)(
                Oracle(victim), y, Targeted("bright"), steps=600, generator=chance, **options
            )
            found[name] = float(outcome.distance[0]) if outcome.success[0] else math.inf
        hunted = found.pop("hunt")
        assert (min(found, key=lambda name: found[name]) == "subspace") == gains_lead, found
        assert math.isfinite(found["subspace"]) == gains_lead
        assert hunted <= 10 ** (1 / 20) * min(found.values()), (hunted, found)


def test_labels_alone_with_few_queries_are_all_for_one_descent_as_long_as_it_gets_on() -> None:
    y = clip()
    victim = Tilt(y, 0.1)
    tilt = torch.tensor([[-1.0, -1, -1, -1, 1, 1, 1, 1]])
    start = (y + victim.space.render(0.6 * tilt)).clamp(-1, 1)
    chances = [torch.Generator().manual_seed(0) for _ in range(2)]
    hunted, decided = (
        get_attack(name)(
            Oracle(victim, access="label"), y, Targeted("bright"), steps=120, generator=chance, start=start
        )
        for name, chance in zip(("hunt", "decide"), chances, strict=True)
    )
    assert decided.success.all()
    torch.testing.assert_close(hunted.trace, decided.trace, rtol=0, atol=0)


def told(lengths: list[float]) -> Talk:
    """A search that finds changes of such lengths; none where they are infinite."""
    for length in lengths:
        yield torch.full((1, 1), length)


def answered(run: Run, queries: float = math.inf) -> int:
    """Let it go on, each change being of its own length; how many queries that took."""
    going, count = run.go(queries), 0
    asked = next(going, None)
    while asked is not None:
        count += 1
        length = asked[0].double()
        answer = Answer(length[:, None], length, length.isfinite(), length)
        try:
            asked = going.send(answer)
        except StopIteration:
            break
    return count


def test_a_search_that_is_left_goes_on_where_it_was() -> None:
    run = Run(told([math.inf, 8.0, 4.0, 4.0, 2.0, 2.0]))
    assert answered(run, 0) == 0
    assert answered(run, 2) == 2 and run.ages == [math.inf, 8.0]
    assert answered(run, 3) == 3 and run.ages == [math.inf, 8.0, 8 / 2, 4.0, 2.0]
    assert run.at(3) == 4.0 and run.at(99) == 2.0
    assert run.fell(2) == pytest.approx(math.log(2)) and run.fell(3) == pytest.approx(math.log(4))
    # 0.5 for having found anything, then log(4) in the second turn, of which 0.6 counts.
    assert run.pace == pytest.approx(0.4 * 0.5 + 0.6 * math.log(4))
    # A search three times as long that halves each turn overtakes the best; one that stands still does not.
    assert run.promise(2.0) == pytest.approx(3 * run.pace)
    assert run.promise(1.0) == pytest.approx(3 * run.pace - math.log(2))
    assert answered(run) == 1 and run.over and run.promise(2.0) == -math.inf


def test_a_search_without_end_is_left_when_it_is_stuck() -> None:
    assert answered(Run(told([math.inf] * 500))) == 120
    assert answered(Run(told([5.0, 4.0] + [3.999] * 500))) == 92
