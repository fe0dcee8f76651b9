"""The substitute alone: as many questions as were named, and what fools it fools the victim."""

from __future__ import annotations

import pytest
import torch
from band_levels import SAMPLES, SR, sound, victim
from closed_form import Counting

from subterfuge.attacks.blackbox.surrogate import substitutes
from subterfuge.attacks.universal import universal
from subterfuge.criteria import Targeted
from subterfuge.errors import SubterfugeError


def test_asks_exactly_as_often_as_it_says() -> None:
    other = Counting(victim())
    counts = []
    for one in substitutes(other, sound(), Targeted(1), after=(10, 25, 60), material=sound(3)):
        counts.append((other.forward_count, other.backward_count, one.labels))
    assert counts == [(n, 0, ("other", "wanted")) for n in (10, 25, 60)]


@pytest.mark.parametrize(("label", "snr_db"), [(1, 15.0), (2, 9.0)])
def test_what_fools_it_fools_the_victim(label: int, snr_db: float) -> None:
    y, other = sound(), victim()
    material = torch.cat([sound(3), sound(4)])
    (taught,) = substitutes(other, y, Targeted(label), after=(120,), material=material)
    found = universal(
        taught, list(y), Targeted(1), seconds=SAMPLES / SR, snr_db=snr_db, steps=30, batch=1, shifts=False
    )
    scale = y.square().mean().sqrt() * 10 ** (-snr_db / 20)
    noise = torch.randn(20, SAMPLES, generator=torch.Generator().manual_seed(0))
    assert other.predict(y + scale * found.perturbation).item() == label
    assert not bool((other.predict(y + scale * noise) == label).any())


def test_nothing_is_learnt_where_the_clip_is_there_already() -> None:
    other = Counting(victim())
    assert list(substitutes(other, sound(), Targeted(0), after=(10, 20), material=sound(3))) == []
    assert other.forward_count == 1


@pytest.mark.parametrize("after", [(), (1,), (20, 20), (20, 10)])
def test_refuses_numbers_that_do_not_rise(after: tuple[int, ...]) -> None:
    with pytest.raises(SubterfugeError, match="that rise, from 2 up"):
        next(substitutes(victim(), sound(), Targeted(1), after=after))
    with pytest.raises(SubterfugeError, match="got 2 clips"):
        next(substitutes(victim(), sound().repeat(2, 1), Targeted(1), after=(5,)))
