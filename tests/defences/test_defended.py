"""Defended victims: a victim like any other, attacked as one, kept on disk, voting where draws differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from subterfuge.attacks.whitebox.minimal import minimal
from subterfuge.criteria import Targeted
from subterfuge.defences.defend import wrap
from subterfuge.defences.defended import Defended, voted
from subterfuge.defences.detection.guarded import Guarded
from subterfuge.defences.input.defence import make
from subterfuge.defences.registry import DEFENCES, find
from subterfuge.defences.smoothing import Smoothed
from subterfuge.defences.voting import Voting, ensemble
from subterfuge.errors import SubterfugeError
from subterfuge.resampling import resample
from subterfuge.victims.cnn import CnnVictim
from subterfuge.victims.network import Network
from subterfuge.victims.store import load_victim, save_victim
from subterfuge.victims.victim import Hearing, TorchVictim, Victim

WRAPS = [name for name, entry in DEFENCES.items() if entry.kind == "wrap"]
RANDOM = [name for name in WRAPS if find(name).adaptive == "expectation"]


# What is more than a name, where one is needed.
MORE: dict[str, Callable[[], dict[str, object]]] = {"ensemble": lambda: {"others": [Shuffled(), Tones()]}}


class Tones(TorchVictim):
    """Hears which of three tones is the loudest, whatever its phase."""

    labels: tuple[str, ...] = ("low", "middle", "high")
    sample_rate = 8000
    hertz = (300.0, 700.0, 1500.0)

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        t = torch.arange(y.shape[1]).to(y) / self.sample_rate
        hertz = torch.tensor(self.hertz).to(y)
        turns = 2 * torch.pi * hertz[:, None] * t
        size = (y @ turns.cos().T) ** 2 + (y @ turns.sin().T) ** 2
        scores = (size + 1e-9).log()
        return Hearing(scores, scores.argmax(1), scores.softmax(1) if probabilities else None)


class Shuffled(Tones):
    """The same at half the rate, in another order."""

    labels = ("high", "low", "middle")
    sample_rate = 4000
    hertz = (1500.0, 300.0, 700.0)


class Mute(Shuffled):
    """Gives no probabilities, and scores that are a hundred times as large."""

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        heard = super().hear(y)
        return Hearing(100 * heard.scores, heard.predicted)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(samples: int = 4000) -> Tensor:
    """A low tone and a high one, each with a little of the others and noise."""
    t = torch.arange(samples) / 8000
    low, middle, high = (torch.sin(2 * torch.pi * hertz * t) for hertz in (300, 700, 1500))
    noise = 0.01 * torch.randn(2, samples, generator=generator(3))
    return torch.stack([0.3 * low + 0.1 * middle, 0.3 * high + 0.1 * middle]) + noise


def network(seed: int = 0, labels: tuple[str, ...] = ("a", "b", "c")) -> CnnVictim:
    front = {"n_fft": 256, "hop_length": 128, "n_mels": 16, "fmin": 30.0, "fmax": 4000.0, "floor_db": -40.0}
    built = {"front_end": front, "widths": [4, 8], "temperature": 1.0, "seconds": 0.25}
    weights = Network((4, 8), 3).state_dict()
    weights = {
        name: torch.randn(one.shape, generator=generator(len(name) + seed)) * 0.3
        if one.is_floating_point()
        else one
        for name, one in weights.items()
    }
    return CnnVictim(built, weights, labels=labels, sample_rate=8000)


@pytest.mark.parametrize("name", [*WRAPS, "ensemble"])
def test_a_defended_victim_keeps_the_contract(name: str) -> None:
    victim, y = wrap(Tones(), [name], **MORE.get(name, dict)()), clips()
    assert isinstance(victim, Victim) and victim.differentiable
    heard, plain = victim.hear(y, probabilities=True), victim.verdict(y)
    assert torch.equal(heard.predicted, victim.predict(y)) and torch.equal(heard.predicted, plain.predicted)
    torch.testing.assert_close(heard.scores, victim.scores(y))
    torch.testing.assert_close(heard.probabilities, victim.probabilities(y))
    # Rows never influence each other.
    torch.testing.assert_close(victim.scores(y[1:])[0], heard.scores[1], rtol=1e-3, atol=1e-3)
    x = y.clone().requires_grad_()
    margin = victim.scores(x)[:, 2] - victim.scores(x)[:, 0]
    (slope,) = torch.autograd.grad(margin.sum(), x)
    assert bool(slope.isfinite().all()) and bool((slope.abs().sum(1) > 0).all())


@pytest.mark.parametrize("name", [*WRAPS, "ensemble"])
def test_an_attack_on_it_knows_the_defence(name: str) -> None:
    """What is found fools the defended victim by its own word, and not by much more than it must."""
    options = {"draws": 3} if name in RANDOM else MORE.get(name, dict)()
    victim, y = wrap(Tones(), [name], **options), clips(2000)[:1]
    assert victim.predict(y).tolist() == [0]
    # Where the clip has nothing, the mask of `denoise` is next to shut, and its slope next to none.
    steps = 100 if name == "denoise" else 30
    outcome = minimal(victim, y, Targeted("middle"), steps=steps, generator=generator())
    assert bool(outcome.success[0])
    assert victim.predict(outcome.audio).tolist() == [1]
    assert victim.verdict(outcome.audio).predicted.tolist() == [1]
    assert float(outcome.distance[0]) < 0.8 * float(y.norm())


@pytest.mark.parametrize("name", [*WRAPS, "smoothing", "ensemble"])
def test_there_and_back_through_a_folder(name: str, tmp_path: Path) -> None:
    y = clips(2000)
    options: dict[str, object] = {"draws": 2} if name in (*RANDOM, "smoothing") else {}
    if name == "ensemble":
        inside = wrap(network(7), ["median"])
        inside = load_victim(save_victim(inside, out=tmp_path / "inside"))
        options["others"] = [inside, network(9, ("c", "a", "b"))]
    victim = wrap(network(), [name], seed=5, **options)
    folder = save_victim(victim, out=tmp_path / "there")
    back = load_victim(folder)
    assert type(back) is type(victim) and back.options == victim.options
    assert torch.equal(back.scores(y), victim.scores(y))
    assert back.name == "there" and back.labels == ("a", "b", "c")
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".json", ".safetensors"}


def test_defences_in_a_row_and_again_from_disk(tmp_path: Path) -> None:
    y = clips(2000)
    victim = wrap(network(), ["median", "bits", "noise"], bits=5, draws=3, seeded="audio")
    assert isinstance(victim, Defended) and victim.defence == make("median")
    by_hand = y
    for one in (make("median"), make("bits", bits=5)):
        by_hand = one.apply(by_hand, sr=8000, drawn={})
    torch.testing.assert_close(victim.scores(y), victim.inner.inner.scores(by_hand))
    back = load_victim(save_victim(victim, out=tmp_path / "one"))
    assert torch.equal(back.scores(y), victim.scores(y))
    # A loaded one is wrapped again, and its folder copied whole.
    more = load_victim(save_victim(wrap(back, ["lowpass"], hertz=2000), out=tmp_path / "two"))
    assert torch.equal(more.scores(y), wrap(victim, ["lowpass"], hertz=2000).scores(y))


def test_what_is_wrong_on_disk_is_said(tmp_path: Path) -> None:
    folder = save_victim(wrap(network(), ["median"]), out=tmp_path / "there")
    card = json.loads((folder / "victim.json").read_text())

    def with_options(**options: object) -> None:
        (folder / "victim.json").write_text(json.dumps({**card, "options": {**card["options"], **options}}))

    for options, message in (
        ({"defence": "medain"}, "did you mean median"),
        ({"with": {"size": 2}}, "odd"),
        ({"with": 3}, "cannot be"),
        ({"loud": 1}, "cannot be"),
        ({"draws": 2}, "draws nothing"),
    ):
        with_options(**options)
        with pytest.raises(SubterfugeError, match=message):
            load_victim(folder)
    with_options()
    weights = folder / "inner" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(SubterfugeError, match="not those"):
        load_victim(folder)
    (folder / "inner" / "victim.json").unlink()
    with pytest.raises(SubterfugeError, match="behind the defence is missing"):
        load_victim(folder)


@pytest.mark.parametrize("name", RANDOM)
def test_scores_are_the_mean_over_the_draws_and_so_is_the_slope(name: str) -> None:
    y = clips(2000)
    many = Defended(Tones(), name, draws=4, seed=2)
    source = generator(2)
    each = []
    for _ in range(4):
        drawn = many.defence.draw(source)
        x = y.clone().requires_grad_()
        scores = Tones().scores(many.defence.apply(x, sr=8000, drawn=drawn))
        each.append((scores.detach(), torch.autograd.grad(scores[:, 0].sum(), x)[0]))
    x = y.clone().requires_grad_()
    scores = many.scores(x)
    torch.testing.assert_close(scores, torch.stack([one for one, _ in each]).mean(0))
    (slope,) = torch.autograd.grad(scores[:, 0].sum(), x)
    torch.testing.assert_close(slope, torch.stack([one for _, one in each]).mean(0))


def test_a_majority_is_heard_and_of_equals_the_better_score() -> None:
    def heard(scores: list[float]) -> Hearing:
        row = torch.tensor([scores])
        return Hearing(row, row.argmax(1))

    # Two of three say 1, though the mean score says 0.
    told = voted([heard([9.0, 0.0, 0.0]), heard([0.0, 1.0, 0.0]), heard([0.0, 1.0, 0.0])])
    assert told.predicted.tolist() == [1] and told.scores.argmax(1).tolist() == [0]
    # One each: 0 has the best mean of those with a vote, label 2 the best of all.
    told = voted([heard([3.0, 0.0, 2.9]), heard([0.0, 2.0, 1.9])])
    assert told.predicted.tolist() == [0] and told.scores.argmax(1).tolist() == [2]


def test_draws_from_the_audio_differ_by_clip_and_never_for_the_same() -> None:
    y = clips(2000)
    victim = Defended(Tones(), make("noise", low=0, high=1), draws=2, seeded="audio")
    assert torch.equal(victim.scores(y), victim.scores(y))
    torch.testing.assert_close(victim.scores(y.flip(0)).flip(0), victim.scores(y))
    near = y.clone()
    near[:, 5] += 2 / 32768
    assert float((victim.scores(near) - victim.scores(y)).abs().max()) > 1e-3
    fixed = Defended(Tones(), make("noise", low=0, high=1), draws=2)
    assert float((fixed.scores(near) - fixed.scores(y)).abs().max()) < 1e-3


def test_what_makes_no_sense_is_refused() -> None:
    for arguments, message in (
        ({"draws": 0}, "1 to 1000"),
        ({"draws": 2}, "draws nothing"),
        ({"seeded": "tea"}, "fixed or audio"),
    ):
        with pytest.raises(SubterfugeError, match=message):
            Defended(Tones(), "median", **arguments)
    for names, options, message in (
        ([], {}, "got none"),
        (["median"], {"hertz": 3}, "expected size"),
        (["median", "noise"], {"median.draws": 3}, "no such option"),
        (["noise"], {"draws": "few"}, "a whole number"),
        (["smoothing"], {"sigma": "x"}, "a number"),
    ):
        with pytest.raises(SubterfugeError, match=message):
            wrap(Tones(), names, **options)
    assert isinstance(wrap(Tones(), ["smoothing"], sigma="0.1"), Smoothed)


def test_a_vote_needs_a_majority_and_counts_every_voter_alike() -> None:
    """Labels by name, each at its own rate; scores are mean log-probabilities, or by their spread."""
    y = clips()
    low, other = Tones(), Shuffled()
    told = Voting([low, other, low]).hear(y, probabilities=True)
    there = resample(y, orig_sr=8000, target_sr=4000)
    p = low.probabilities(y), other.probabilities(there)[:, [1, 2, 0]]
    assert p[0] is not None
    torch.testing.assert_close(told.scores, ((2 * p[0].log() + p[1].log()) / 3).double())
    torch.testing.assert_close(told.probabilities, ((2 * p[0] + p[1]) / 3).double())
    mute = ensemble(low, others=[Mute(), other])
    assert mute.scales is not None and mute.scales[1] == pytest.approx(100 * mute.scales[2], rel=1e-4)
    each = low.scores(y) / mute.scales[0], 2 * other.scores(there)[:, [1, 2, 0]] / mute.scales[2]
    torch.testing.assert_close(mute.scores(y), ((each[0] + each[1]) / 3).double(), rtol=1e-4, atol=1e-4)
    assert mute.probabilities(y) is None

    class Stubborn(Tones):
        def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
            scores = torch.tensor([[0.0, 50.0, 0.0]]).expand(len(y), 3)
            return Hearing(scores, scores.argmax(1), scores.softmax(1) if probabilities else None)

    # One of three has the best mean score, and is outvoted; two of three are not.
    one, two = Voting([low, low, Stubborn()]), Voting([low, Stubborn(), Stubborn()])
    assert one.scores(y).argmax(1).tolist() == [1, 1] and one.predict(y).tolist() == [0, 2]
    assert two.predict(y).tolist() == [1, 1] and one.differentiable
    assert not one.hear(y).each


def test_a_guard_among_the_voters_guards_the_vote() -> None:
    class Strict:
        differentiable = True

        def score(self, y: Tensor) -> Tensor:
            return y[:, 0]

    y = clips()
    y[:, 0] = torch.tensor([0.1, 0.5])
    vote = Voting([Tones(), Guarded(Tones(), Strict(), threshold=0.3)])
    assert (vote.hear(y).allowance < 0).tolist() == [False, True]


def test_who_cannot_vote_together_is_told() -> None:
    class Others(Tones):
        labels = ("low", "middle", "top")

    for others, message in (
        ([], "got none"),
        ([Others()], "any order"),
        (9 * [Tones()], "1 to 8"),
        ("none-such", "unknown victim"),
    ):
        with pytest.raises(SubterfugeError, match=message):
            wrap(Tones(), ["ensemble"], others=others)
    with pytest.raises(SubterfugeError, match="positive"):
        Voting([Tones(), Tones()], scales=[1.0, 0.0])


def test_labels_alone_are_enough_to_ask() -> None:
    class Opaque(Tones):
        differentiable = False

    assert not Defended(Opaque(), "median").differentiable
