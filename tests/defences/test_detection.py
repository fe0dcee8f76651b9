"""Detectors: known distances, curves by hand, and an attack that knows the detector and stays below it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import soundfile
import torch
from torch import Tensor
from training_tones import SR, corpus_of_tones

from subterfuge.attacks.oracle import Oracle
from subterfuge.attacks.registry import get_attack
from subterfuge.attacks.whitebox.minimal import minimal
from subterfuge.corpora.open import open_corpus
from subterfuge.criteria import Targeted, Untargeted
from subterfuge.defences.defend import defend
from subterfuge.defences.detection.detector import roc, threshold_for
from subterfuge.defences.detection.guarded import Guarded
from subterfuge.defences.detection.stability import Stability
from subterfuge.defences.detection.statistics import Forest, Mahalanobis, features_of
from subterfuge.defences.input.defence import make
from subterfuge.errors import SubterfugeError
from subterfuge.features.summary import librosa25
from subterfuge.training.splits import hold_out
from subterfuge.training.train import train
from subterfuge.victims.store import load_victim, save_victim
from subterfuge.victims.victim import Hearing, TorchVictim


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Planes(TorchVictim):
    """The larger of the first two samples is heard, or the third's."""

    labels = ("first", "second", "third")
    sample_rate = 8000

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        scores = y[:, :3]
        return Hearing(scores, scores.argmax(1), scores.softmax(1) if probabilities else None)


class Norm:
    """Notices what is far from a point: known in closed form."""

    differentiable = True

    def __init__(self, centre: Tensor) -> None:
        self.centre = centre

    def score(self, y: Tensor) -> Tensor:
        return (y[:, 3:] - self.centre.to(y)).norm(dim=1) + 3 * y[:, 1]


def test_the_curve_by_hand() -> None:
    told = roc(torch.tensor([0.1, 0.4, 0.3]), torch.tensor([0.35, 0.8]))
    assert told.auc == pytest.approx(5 / 6)
    assert told.found == (0.0, 0.5, 0.5, 1.0, 1.0, 1.0)
    assert told.false_alarms == pytest.approx((0, 0, 1 / 3, 1 / 3, 2 / 3, 1))
    assert told.found_at(0.0) == 0.5 and told.found_at(0.34) == 1.0
    assert roc(torch.zeros(4), torch.zeros(4)).auc == 0.5
    for clean, found in ((torch.zeros(0), torch.zeros(1)), (torch.zeros(1), torch.tensor([math.nan]))):
        with pytest.raises(SubterfugeError, match="detection"):
            roc(clean, found)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.5])
def test_the_threshold_gives_no_more_false_alarms_than_it_says(share: float) -> None:
    clean = torch.randn(37, generator=generator())
    threshold = threshold_for(clean, false_alarms=share)
    assert float((clean > threshold).double().mean()) <= share
    lower = clean[clean < threshold].max()
    assert float((clean > lower).double().mean()) > share


def test_mahalanobis_is_the_distance_in_the_covariance() -> None:
    clean = torch.randn(4000, 3, generator=generator(), dtype=torch.float64)
    clean = clean @ torch.tensor([[2.0, 0, 0], [1.0, 0.5, 0], [0, 0, 100.0]], dtype=torch.float64) + 7
    detector = Mahalanobis(clean, sample_rate=8000)
    some = clean[:5] * 2
    apart = some - clean.mean(0)
    wanted = (apart @ torch.linalg.inv(torch.cov(clean.T)) * apart).sum(1).sqrt()
    torch.testing.assert_close(detector.distance(some), wanted, rtol=0.02, atol=0)
    # With groups, from the nearest mean.
    groups = torch.cat([torch.zeros(100), torch.ones(100)]).long()
    two = torch.randn(200, 3, generator=generator(), dtype=torch.float64) + 50 * groups[:, None]
    near, far = torch.full((1, 3), 50.0), torch.full((1, 3), 25.0)
    grouped = Mahalanobis(two, sample_rate=8000, groups=groups)
    assert float(grouped.distance(near)) < 1 and float(grouped.distance(far)) > 30
    assert float(Mahalanobis(two, sample_rate=8000).distance(far)) < 1


def clean_clips(count: int, samples: int = 4000) -> Tensor:
    t = torch.arange(samples) / 8000
    hertz = 200 + 400 * torch.rand(count, 1, generator=generator(1))
    noise = torch.randn(count, samples, generator=generator(2))
    return 0.2 * torch.sin(2 * torch.pi * hertz * t) + 0.01 * noise


def test_features_of_noise_are_told_from_those_of_tones() -> None:
    clean = clean_clips(40)
    features = features_of(clean[:30], sample_rate=8000)
    torch.testing.assert_close(features, librosa25(clean[:30], sr=8000).double(), rtol=1e-5, atol=1e-5)
    strange = clean[30:] + 0.2 * torch.randn(10, 4000, generator=generator(3))
    detector = Mahalanobis(features, sample_rate=8000)
    assert roc(detector.score(clean[30:]), detector.score(strange)).auc > 0.95
    x = strange[:1].clone().requires_grad_()
    (slope,) = torch.autograd.grad(detector.score(x).sum(), x)
    assert float(detector.score(strange[:1] - 0.5 * slope / slope.norm())) < float(detector.score(x.detach()))
    for wrong in (features[:1], torch.full((3, 25), math.nan)):
        with pytest.raises(SubterfugeError, match="detection"):
            Mahalanobis(wrong, sample_rate=8000)


def test_a_forest_isolates_what_lies_outside_of_a_cloud() -> None:
    cloud = torch.randn(600, 25, generator=generator(), dtype=torch.float64)
    detector = Forest(cloud[:500], sample_rate=8000)
    assert roc(detector.distance(cloud[500:]), detector.distance(3 * cloud[500:])).auc > 0.95
    y = clean_clips(2)
    torch.testing.assert_close(detector.score(y), detector.distance(librosa25(y, sr=8000)))


def test_stability_is_the_largest_change_of_what_is_heard() -> None:
    y = torch.tensor([[0.5, 0.1, -0.2, 0.0], [0.3, 0.29, 0.0, 0.0]])
    detector = Stability(Planes(), [make("bits", bits=2), make("median", size=3)])
    detector.temperature = 0.1
    before = (y[:, :3] / 0.1).softmax(1)
    after = [
        (make(name, **options).apply(y, sr=8000, drawn={})[:, :3] / 0.1).softmax(1)
        for name, options in (("bits", {"bits": 2}), ("median", {"size": 3}))
    ]
    wanted = torch.stack([(one - before).abs().sum(1) for one in after]).amax(0)
    torch.testing.assert_close(detector.score(y), wanted)
    scores = y[:, :3].double()
    spread = (scores - scores.mean(1, keepdim=True)).square().mean().sqrt()
    assert detector.fit(y).temperature == pytest.approx(float(spread))


def clip() -> Tensor:
    return torch.tensor([[0.3, 0.0, -0.5, *([0.1] * 7)]])


def test_an_attack_that_knows_the_detector_pays_for_staying_below_it() -> None:
    """To be heard as the second, its sample must pass the first's; the detector lets it rise to 0.05 only."""
    y, detector = clip(), Norm(torch.full((7,), 0.1))
    plain = minimal(Planes(), y, Targeted("second"), steps=100, generator=generator())
    assert float(plain.distance[0]) == pytest.approx(0.3 / math.sqrt(2), rel=0.05)
    assert float(detector.score(plain.audio)[0]) > 0.3
    guarded = Guarded(Planes(), detector, threshold=0.15)
    assert guarded.noticed(plain.audio).tolist() == [True] and guarded.noticed(y).tolist() == [False]
    known = minimal(guarded, y, Targeted("second"), steps=150, generator=generator())
    assert bool(known.success[0])
    assert guarded.predict(known.audio).tolist() == [1] and guarded.noticed(known.audio).tolist() == [False]
    # The second stays at 0.05 and the first comes down to it: sqrt(0.25² + 0.05²).
    assert float(known.distance[0]) == pytest.approx(math.hypot(0.25, 0.05), rel=0.05)


def test_a_clip_that_is_noticed_reaches_no_goal() -> None:
    y = clip()
    guarded = Guarded(Planes(), Norm(torch.full((7,), 0.1)), threshold=-1.0, weight=2.0)
    heard = guarded.hear(y)
    assert heard.allowance.tolist() == pytest.approx([2 * (-1.0 - 0.0)])
    for criterion in (Targeted("first"), Untargeted("second")):
        goal = criterion.bind(guarded, y)
        free = Guarded(Planes(), guarded.detector, threshold=1e6).hear(y)
        assert bool(goal.reached(free)) and float(goal.margin(free)) > 0
        assert not bool(goal.reached(heard)) and float(goal.margin(heard)) == pytest.approx(-2.0)
        assert float(goal.duels(heard).amin()) == pytest.approx(-2.0)
        assert float(goal.duels(heard).amax()) < 0 or not goal.away
        if not goal.away:
            assert float(goal.soft_margin(heard, 0.1)) <= -2.0
    both = Guarded(guarded, Norm(torch.full((7,), 0.1)), threshold=1.0)
    assert both.verdict(y).allowance.tolist() == pytest.approx([-2.0])
    with pytest.raises(SubterfugeError, match="threshold"):
        Guarded(Planes(), guarded.detector, threshold=math.nan)


@pytest.mark.parametrize("access", ["scores", "top-k", "label"])
def test_a_black_box_is_told_of_a_guard_what_it_refuses_and_no_more(access: str, tmp_path: Path) -> None:
    y = clip().repeat(5, 1)
    y[:, 1] = torch.tensor([0.0, 0.04, 0.2, 0.4, 0.6])  # the last three are noticed; the last two are heard
    bare = Oracle(Planes(), access=access, top=2)
    guarded = Guarded(Planes(), Norm(torch.full((7,), 0.1)), threshold=0.15)
    log = tmp_path / "log.jsonl"
    for box in (
        Oracle(guarded, access=access, top=2),
        *(Oracle(guarded, access=access, top=2, log=log),) * 2,
    ):
        for _ in range(2):
            heard, free = box.hear(y), bare.hear(y)
            assert heard.noticed is not None and heard.noticed.tolist() == [False, False, True, True, True]
            torch.testing.assert_close(heard.scores[:2], free.scores[:2].to(heard.scores.dtype))
            # Refusals are all alike, worse than any other answer, and reach nothing.
            for criterion in (Targeted("second"), Untargeted("first")):
                goal = criterion.bind(Planes(), y)
                assert not bool(goal.reached(heard).any())
                margin = goal.margin(heard)
                assert len(set(margin[2:].tolist())) == 1 and float(margin[2]) < float(margin[:2].amin())
                torch.testing.assert_close(margin[:2], goal.margin(free)[:2].to(margin.dtype))
            assert heard.predicted[2:].tolist() == [0, 0, 0] and len(heard.scores[2:].unique(dim=0)) == 1
            # Nor do answers tell how near they are to being noticed.
            assert heard.allowance is not None and len(heard.allowance[:2].unique()) == 1
        with pytest.raises(SubterfugeError, match="refuses the clip"):
            box.predict(y[2:])
    assert Oracle(guarded, access=access, log=log).hear(y).noticed.tolist() == heard.noticed.tolist()
    assert '"refused": true' in log.read_text()


def test_an_attack_on_a_guarded_black_box_ends_with_what_is_let_through() -> None:
    """The nearest is noticed; told by label alone, it is left for what is not."""
    y, guard = clip(), Norm(torch.full((7,), 0.1))
    victims = Planes(), Guarded(Planes(), guard, threshold=0.4)
    found = [
        get_attack("surfree")(
            Oracle(one, access="label"), y, Targeted("second"), steps=300, generator=generator()
        )
        for one in victims
    ]
    assert [bool(one.success[0]) for one in found] == [True, True]
    assert [bool(victims[1].noticed(one.audio)[0]) for one in found] == [True, False]
    assert victims[1].predict(found[1].audio).tolist() == [1]


class Envelope:
    """A guard that cannot be kept."""

    differentiable = False

    def score(self, y: Tensor) -> Tensor:
        return y.abs().amax(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of tones and a plain victim trained on it."""
    folder = tmp_path_factory.mktemp("guarding")
    corpus_of_tones(folder / "corpus", clips=12, seconds=0.3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBTERFUGE_CACHE", str(folder / "cache"))
        train(open_corpus(folder / "corpus"), out=folder / "plain", tune=0, sample_rate=SR)
    return folder


def audio(path: Path) -> Tensor:
    return torch.from_numpy(soundfile.read(path)[0]).float()[None]


@pytest.mark.parametrize(
    "options",
    [{"groups": "true"}, {"kind": "stability", "transforms": "median,noise"}],
    ids=lambda one: str(one),
)
def test_a_guard_is_fitted_kept_and_hears_the_same_again(
    home: Path, tmp_path: Path, options: dict[str, object]
) -> None:
    out = defend(
        home / "plain",
        train="detector",
        corpus=home / "corpus",
        out=tmp_path / "made",
        options={**options, "false_alarms": "0.25"},
    )
    card = json.loads((out / "victim.json").read_text())
    told = card["accuracy"]
    assert card["kind"] == "guarded" and "guard" in card["trained"]
    assert told["held_out_grouped"] <= told["held_out_unguarded"]
    assert told["held_out_unguarded"] - told["held_out_grouped"] <= told["held_out_false_alarms"] + 1e-9
    names = {path.name for path in out.iterdir()}
    assert names == {"victim.json", "model.safetensors", "inner"} and not list(out.rglob("*.pkl"))
    first = load_victim(out)
    assert isinstance(first, Guarded) and first.labels == ("cla", "flu", "tru")
    # Kept anew, and read again: to the bit.
    again = load_victim(save_victim(first, out=tmp_path / "again"))
    y = torch.cat([audio(home / f"corpus/{label}/{label}0.wav") for label in ("cla", "flu", "tru")])
    strange = 0.2 * torch.randn(1, y.shape[1], generator=generator(4))
    y = torch.cat([y, strange])
    for ask in ("hear", "verdict"):
        one, two = getattr(first, ask)(y), getattr(again, ask)(y)
        assert torch.equal(one.scores, two.scores) and torch.equal(one.allowance, two.allowance)
        assert torch.equal(one.noticed, first.noticed(y))
    assert torch.equal(first.noticed(y), again.noticed(y))
    assert torch.equal(first.detector.score(y), again.detector.score(y))
    if "groups" in options:
        assert first.noticed(strange).tolist() == [True]
        bare = load_victim(home / "plain")
        assert torch.equal(first.scores(y), bare.scores(y))


def test_the_threshold_comes_from_clips_that_nothing_was_fitted_on(home: Path, tmp_path: Path) -> None:
    """By hand: the training side's features, then the first half of the others' scores."""
    out = defend(home / "plain", train="detector", corpus=home / "corpus", out=tmp_path / "made", seed=3)
    clips, victim = open_corpus(home / "corpus").clips, load_victim(out)
    assert isinstance(victim, Guarded)
    labels, recordings = [one.label for one in clips], [one.recording for one in clips]
    side = hold_out(labels, recordings, seed=3)
    fitted = torch.cat([librosa25(audio(clips[i].path), sr=SR).double() for i in side.train])
    scores = {i: float(victim.detector.score(audio(clips[i].path))) for i in range(len(clips))}
    by_hand = Mahalanobis(fitted, sample_rate=SR)
    for i, score in scores.items():
        there = by_hand.distance(librosa25(audio(clips[i].path), sr=SR))
        assert score == pytest.approx(float(there), rel=1e-6)
    held = [scores[i] for i in side.test]
    assert min(abs(victim.threshold - score) for score in held) < 1e-9
    # 5 % of so few is none: the largest of one half, which some of the other half may pass.
    assert sum(score <= victim.threshold for score in held) >= len(held) / 2


def test_what_cannot_be_fitted_or_kept_is_told(home: Path, tmp_path: Path) -> None:
    for options, message in (
        ({"kind": "stabilty"}, "did you mean stability"),
        ({"false_alarms": "1.5"}, "false alarms"),
        ({"clips": "1"}, "clips"),
        ({"kind": "stability", "transforms": "medain"}, "did you mean median"),
    ):
        with pytest.raises(SubterfugeError, match=message):
            defend(
                home / "plain", train="detector", corpus=home / "corpus", out=tmp_path / "no", options=options
            )
    with pytest.raises(SubterfugeError, match="expected mahalanobis or stability to keep"):
        save_victim(Guarded(load_victim(home / "plain"), Envelope(), threshold=1.0), out=tmp_path / "no")
    assert not (tmp_path / "no").exists()
    made = defend(home / "plain", train="detector", corpus=home / "corpus", out=tmp_path / "made")
    card = json.loads((made / "victim.json").read_text())
    for options, message in (({"detector": "ear"}, "got 'ear'"), ({"threshold": "x"}, "cannot be")):
        (made / "victim.json").write_text(json.dumps({**card, "options": {**card["options"], **options}}))
        with pytest.raises(SubterfugeError, match=message):
            load_victim(made)


def test_away_too_it_stays_below() -> None:
    y = clip()
    guarded = Guarded(Planes(), Norm(torch.full((7,), 0.1)), threshold=0.15)
    outcome = minimal(guarded, y, Untargeted("first"), steps=150, generator=generator())
    assert bool(outcome.success[0]) and guarded.noticed(outcome.audio).tolist() == [False]
    assert float(outcome.distance[0]) < 1.1 * math.hypot(0.25, 0.05)
