"""hunt: scores lead in, labels alone are enough, starts come from other victims than the one asked."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from subterfuge.attacks.blackbox.hunt import hunt
from subterfuge.attacks.blackbox.starts import embedded_clips
from subterfuge.attacks.blackbox.subspace import Subspace
from subterfuge.attacks.blackbox.transfer import transferred
from subterfuge.attacks.oracle import Oracle
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
