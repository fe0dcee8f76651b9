"""The parts of an audit: curves by hand, sanity checks that pass and fail as they should, attempts judged."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from subterfuge.audit.attempts import attempt, judged
from subterfuge.audit.corruptions import corruptions
from subterfuge.audit.curves import median, median_snr, robust_nmr, robust_snr
from subterfuge.audit.plan import Plan, subset
from subterfuge.audit.sanity import checks
from subterfuge.audit.slopes import slopes
from subterfuge.criteria import Untargeted
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Hearing, TorchVictim

SR, SAMPLES = 8000, 2000


class Plane(TorchVictim):
    """Two labels on either side of a plane; the boundary is at distance ``|w y + b| / |w|``."""

    labels = ("left", "right")
    sample_rate = SR

    def __init__(self, bias: float, *, step: float = 0.0) -> None:
        super().__init__()
        chance = torch.Generator().manual_seed(0)
        self.weight = torch.randn(SAMPLES, generator=chance)
        self.bias, self.step = bias, step

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        value = y @ self.weight + self.bias
        shown = value
        if self.step:  # as a victim that rounds what it tells: no slope is left
            shown = (value.detach() / self.step).round() * self.step + 0 * value
        scores = torch.stack([-shown, shown], 1)
        return Hearing(scores, (value > 0).long(), scores.softmax(1) if probabilities else None)

    def distance(self, y: Tensor) -> float:
        """Of one clip (1, samples) from the boundary."""
        return float((y @ self.weight + self.bias).abs() / self.weight.norm())


def clip(seed: int) -> Tensor:
    return 0.1 * torch.randn(1, SAMPLES, generator=torch.Generator().manual_seed(seed))


def found(snr: float | None, nmr: float = 0.0) -> dict[str, Any]:
    return {"success": snr is not None, "snr_db": snr, "nmr_db": None if snr is None else nmr}


def test_minimal_finds_the_distance_and_the_curve_falls_there() -> None:
    victim, plan = Plane(30.0), Plan(steps=60)
    told, best = [], []
    for seed in (1, 2, 3):
        y = clip(seed)
        told.append(attempt(victim, y, "minimal", plan, heard=int(victim.predict(y)[0])))
        best.append(20 * math.log10(float(y.norm()) / victim.distance(y)))
    assert all(one["success"] for one in told)
    for one, snr in zip(told, best, strict=True):
        assert snr - 0.5 < one["snr_db"] <= snr + 0.01
    right = [True] * 3
    for at in range(0, 60, 5):
        exact = sum(snr < at for snr in best) / 3
        if min(abs(snr - at) for snr in best) > 0.5:
            assert robust_snr(right, told, at) == exact


def test_curves_by_hand() -> None:
    told = [found(40.0, -3.0), found(20.0, 12.0), found(None), found(None)]
    clean = [True, True, True, False]  # the last is heard wrongly: lost at every size
    assert [robust_snr(clean, told, at) for at in (50.0, 40.0, 30.0, 10.0)] == [0.75, 0.5, 0.5, 0.25]
    assert [robust_nmr(clean, told, at) for at in (-10.0, 0.0, 12.0)] == [0.75, 0.5, 0.25]
    assert median([3.0, 1.0]) == 2.0 and median([]) is None
    assert median_snr(told[:3]) == 20.0 and median_snr(told[1:]) is None


GOOD = {
    "minimal": [found(40.0), found(50.0)],
    "scores": [found(35.0), found(None)],
    "fewer-steps": [found(39.0), found(50.2)],
    "one-step": [found(20.0), found(None)],
    "noise": [found(None), found(None)],
}
SLOPES = [{"norm": 1.0, "off": 0.1}, {"norm": 2.0, "off": 0.2}]
WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "unbounded": (
        "Without a bound",
        {"minimal": [found(40.0), found(None)], "fewer-steps": [found(39.0), found(None)]},
    ),
    "black": ("Gradients are never worth less", {"scores": [found(41.5), found(None)]}),
    "fewer": ("More steps", {"fewer-steps": [found(41.5), found(None)]}),
    "one": ("Many steps", {"one-step": [found(42.0), found(None)]}),
    "noise": ("Noise as loud", {"noise": [found(40.0), found(50.0)]}),
}


def verdicts(tables: dict[str, Any], given: list[dict[str, float]]) -> dict[str, bool | None]:
    return {one["name"]: one["passed"] for one in checks([True, True], tables, given)}


def test_a_sound_examination_passes_every_check() -> None:
    assert set(verdicts(GOOD, SLOPES).values()) == {True}


@pytest.mark.parametrize("wrong", WRONG)
def test_each_check_fails_for_its_own_fault_alone(wrong: str) -> None:
    name, tables = WRONG[wrong]
    got = verdicts({**GOOD, **tables}, SLOPES)
    assert [one for one, passed in got.items() if passed is False] == [
        one for one in got if one.startswith(name)
    ]


def test_masked_gradients_are_flagged() -> None:
    y = clip(4)
    honest = slopes(Plane(30.0), y, Untargeted())
    assert honest["norm"] == pytest.approx(2 * float(Plane(30.0).weight.norm()), rel=1e-4)
    assert honest["off"] < 0.01
    masked = slopes(Plane(30.0, step=1.0), y, Untargeted())
    assert masked["norm"] == 0
    assert verdicts(GOOD, [masked])["Gradients are there and are true"] is False
    assert verdicts(GOOD, [])["Gradients are there and are true"] is None


def test_what_rounding_destroys_is_made_a_little_larger() -> None:
    """The boundary is so near that a change just beyond it is lost in 16 bits."""
    y = (clip(5) * 2**15).round() / 2**15
    victim = Plane(0.0)
    victim.bias = -float(y @ victim.weight) + 0.002
    told = attempt(victim, y, "minimal", Plan(steps=30), heard=1)
    assert told["success"] and told["predicted"] == "left"
    assert not judged(victim, y, y, Plan(), 1)["success"]


def test_noise_has_the_size_of_the_change_that_fooled() -> None:
    victim, y = Plane(30.0), clip(6)
    told = attempt(victim, y, "noise", Plan(), heard=1, like=found(30.0))
    assert told["snr_db"] == pytest.approx(30.0, abs=0.1) and told["queries"] == 0
    assert not attempt(victim, y, "noise", Plan(), heard=1, like=found(None))["success"]


def test_a_victim_without_gradients_gets_the_black_box_part_only() -> None:
    assert Plan(differentiable=False).tasks == ("clean", "scores", "label")
    assert Plan(columns=("minimal",)).tasks == ("clean", "minimal", "fewer-steps", "one-step", "noise")


def test_corruptions_keep_the_shape_and_do_what_they_say() -> None:
    y = 0.3 * torch.sin(2 * torch.pi * 440 * torch.arange(8000) / SR)[None]
    battery = corruptions()
    changed = {name: corrupt(y, SR, 0) for name, corrupt in battery.items()}
    assert all(one.shape == y.shape and bool(one.isfinite().all()) for one in changed.values())
    noise = changed["noise 20 dB SNR"] - y
    assert 20 * math.log10(float(y.norm() / noise.norm())) == pytest.approx(20, abs=0.5)
    up = torch.fft.rfft(changed["pitch +1 semitone"][0]).abs()
    assert int(up.argmax()) == pytest.approx(440 * 2 ** (1 / 12), abs=3)
    wet = changed["reverb 1 s"]
    assert float(wet.norm()) == pytest.approx(float(y.norm()), rel=0.05)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"columns": ("pgd",)}, "pgd"), ({"steps": 1}, "steps"), ({"queries": 0}, "queries")],
)
def test_settings_out_of_range_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(SubterfugeError, match=named):
        Plan(**options)


def test_a_subset_is_drawn_once() -> None:
    assert subset(22, 8, 1) == subset(22, 8, 1) != subset(22, 8, 2)
    assert list(subset(5, 9, 0)) == [0, 1, 2, 3, 4]
    with pytest.raises(SubterfugeError, match="clips"):
        subset(5, 0, 0)
