"""Training defences of SVMs: what is drawn, what is attacked, what is kept, and that it really resists."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from training_tones import SR, corpus_of_tones

from subterfuge import load_victim
from subterfuge.corpora.open import open_corpus
from subterfuge.defences.defend import defend
from subterfuge.defences.defended import Defended
from subterfuge.defences.input.defence import make
from subterfuge.defences.training.adversarial import shortfall
from subterfuge.defences.training.ball import sphere
from subterfuge.defences.training.lessons import hear, svc_victim
from subterfuge.defences.training.noise import noisy
from subterfuge.defences.training.worst import worst
from subterfuge.errors import SubterfugeError
from subterfuge.training.train import train


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus and a plain victim trained on it."""
    folder = tmp_path_factory.mktemp("training")
    corpus_of_tones(folder / "corpus")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBTERFUGE_CACHE", str(folder / "cache"))
        train(open_corpus(folder / "corpus"), out=folder / "plain", tune=0, sample_rate=SR)
    return folder


@pytest.fixture(autouse=True)
def cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBTERFUGE_CACHE", str(home / "cache"))


def test_noise_is_drawn_as_the_seed_drew_it() -> None:
    """Three clips in ten; deviations uniform from 0 to 0.1: mean 0.05, variance 0.01 / 12."""
    y = torch.full((1, 20_000), 0.2)
    levels = np.array([float((noisy(y, i, seed=4) - y).std()) for i in range(1500)])
    drawn = levels[levels > 0]
    assert abs(len(drawn) / 1500 - 0.3) < 0.04
    assert abs(drawn.mean() - 0.05) < 0.005 and abs(drawn.var() - 0.01 / 12) < 1.5e-4 and drawn.max() < 0.102
    assert torch.equal(noisy(y, 7, seed=4), noisy(y, 7, seed=4))
    some = next(i for i in range(100) if levels[i] > 0)
    assert not torch.equal(noisy(y, some, seed=4), noisy(y, some, seed=5))


def test_the_worst_of_a_linear_loss_is_known() -> None:
    """Along the gradient, on the sphere, whatever the number of steps; and in the box."""
    generator = torch.Generator().manual_seed(0)
    y = 0.1 * torch.randn(2, 500, generator=generator)
    w = torch.randn(2, 500, generator=generator)
    x = worst(lambda x: (w * x).sum(1), y, within=sphere(y, snr_db=20.0), steps=7)
    best = y + sphere(y, snr_db=20.0).radius[:, None] * w / w.norm(dim=1, keepdim=True)
    torch.testing.assert_close(x, best)
    torch.testing.assert_close(20 * torch.log10(y.norm(dim=1) / (x - y).norm(dim=1)), torch.full((2,), 20.0))
    ones = torch.ones(1, 10)
    assert worst(lambda x: x.sum(1), ones, within=sphere(ones, snr_db=0.0)).max() <= 1


def test_the_victims_own_setting_is_taken_over_and_clips_split_by_recording(home: Path) -> None:
    victim = load_victim(home / "plain")
    lessons = hear(victim, home / "corpus")
    svc = victim.model.steps[-1][1]
    assert lessons.parameters["C"] == svc.C and lessons.parameters["gamma"] == pytest.approx(svc._gamma)
    recordings = [
        {lessons.clips[i].recording for i in part} for part in (lessons.side.train, lessons.side.test)
    ]
    assert not recordings[0] & recordings[1]
    changed = lessons.heard(lessons.side.test, lambda _, y: y)
    np.testing.assert_allclose(changed, lessons.vectors[lessons.side.test])


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("noise-training", {}, "svm"),
        ("denoise-training", {}, "defended"),
        ("hardened-features", {"tune": 2}, "svm"),
        ("adversarial-augmentation", {"rounds": 1, "clips": 5, "steps": 2}, "svm"),
        ("hardened-adversarial", {"rounds": 2, "clips": 5, "steps": 2}, "svm"),
    ],
)
def test_each_makes_a_victim_like_any_other(
    home: Path, tmp_path: Path, name: str, options: dict[str, object], kind: str
) -> None:
    told = []
    out = defend(
        home / "plain",
        train=name,
        corpus=home / "corpus",
        out=tmp_path / "made",
        options=options,
        report=lambda *what: told.append(what),
    )
    card = json.loads((out / "victim.json").read_text())
    assert card["kind"] == kind and card["accuracy"]["held_out_grouped"] >= 0.6 and told
    victim = load_victim(out)
    assert victim.labels == ("cla", "flu", "tru") and victim.differentiable
    y = torch.from_numpy(soundfile.read(home / "corpus/tru/tru0.wav")[0]).float()[None].requires_grad_()
    scores = victim.scores(y)
    (slope,) = torch.autograd.grad(scores[0, 0], y)
    assert victim.labels[int(scores.argmax())] == "tru" and slope.isfinite().all() and slope.any()
    assert int(victim.verdict(y.detach()).predicted) == int(victim.predict(y.detach()))


@pytest.mark.parametrize(("options", "name"), [({}, "denoise"), ({"filter": "Gate"}, "gate")])
def test_denoise_training_keeps_the_filter_that_it_was_fitted_behind(
    home: Path, tmp_path: Path, options: dict[str, object], name: str
) -> None:
    """The same scores as a model fitted by hand on what comes of the filter, asked about what comes of it."""
    victim = load_victim(home / "plain")
    out = tmp_path / "made"
    defend(home / "plain", train="denoise-training", corpus=home / "corpus", out=out, options=options)
    through = make(name)
    lessons = hear(victim, home / "corpus")
    train_ = lessons.side.train
    vectors = lessons.heard(train_, lambda _, y: through.apply(y, sr=SR, drawn={}))
    model = lessons.fitted(vectors, lessons.labels[train_])
    y = torch.from_numpy(soundfile.read(home / "corpus/tru/tru0.wav")[0]).float()[None]
    wanted = svc_victim(lessons, model).scores(through.apply(y, sr=SR, drawn={}))
    made = load_victim(out)
    assert isinstance(made, Defended) and made.defence == through
    torch.testing.assert_close(made.scores(y), wanted, rtol=1e-4, atol=1e-4)
    assert f"clips through {name}." in (out / "victim.json").read_text()


def test_the_same_seed_gives_the_same_victim(home: Path, tmp_path: Path) -> None:
    y = torch.from_numpy(soundfile.read(home / "corpus/cla/cla1.wav")[0]).float()[None]
    scores = []
    for n, seed in enumerate((3, 3, 4)):
        out = defend(
            home / "plain", train="noise-training", corpus=home / "corpus", out=tmp_path / str(n), seed=seed
        )
        scores.append(load_victim(out).scores(y))
    assert torch.equal(scores[0], scores[1]) and not torch.equal(scores[0], scores[2])


def test_hardened_features_cost_the_attacker_more(home: Path, tmp_path: Path) -> None:
    """The same attack on the same clips must spend at least 6 dB more, or finds nothing."""
    from subterfuge.attacks.whitebox.minimal import minimal
    from subterfuge.criteria import Untargeted

    out = defend(home / "plain", train="hardened-features", corpus=home / "corpus", out=tmp_path / "hard")
    paths = [home / f"corpus/{label}/{label}0.wav" for label in ("cla", "flu", "tru")]
    y = torch.stack([torch.from_numpy(soundfile.read(path)[0]).float() for path in paths])
    spent = []
    for folder in (home / "plain", out):
        outcome = minimal(load_victim(folder), y, Untargeted(), steps=60)
        snr = 20 * torch.log10(y.norm(dim=1) / outcome.distance)
        spent.append(float(torch.where(outcome.success, snr, -torch.inf).median()))
    assert spent[0] > 20 and spent[1] < spent[0] - 6


def test_adversarial_clips_join_under_their_own_label(home: Path, tmp_path: Path) -> None:
    """What the first model is most wrong about, the last one is less wrong about."""
    lessons = hear(load_victim(home / "plain"), home / "corpus", features="hardened25")
    common = {"corpus": home / "corpus", "seed": 0}
    before = load_victim(
        defend(home / "plain", train="hardened-features", out=tmp_path / "before", **common)  # type: ignore[arg-type]
    )
    after = load_victim(
        defend(
            home / "plain",
            train="hardened-adversarial",
            out=tmp_path / "after",
            options={"rounds": 3, "clips": 24, "steps": 4, "snr_db": 10.0},
            **common,  # type: ignore[arg-type]
        )
    )
    wrong = []
    for i in lessons.side.train[::4]:
        y, label = lessons.audio(i), before.labels.index(str(lessons.labels[i]))
        x = worst(lambda x, k=label: shortfall(before, k, x), y, within=sphere(y, snr_db=10.0), steps=4)  # type: ignore[misc]
        wrong.append([float(shortfall(victim, label, x)) > 0 for victim in (before, after)])
    share = np.mean(wrong, axis=0)
    assert share[0] > 0 and share[1] < share[0]


def test_what_is_wrong_is_told_and_nothing_made(home: Path, tmp_path: Path) -> None:
    for train_, options, wrong in (
        ("noise-training", {"share": 2.0}, "share"),
        ("denoise-training", {"filter": "median"}, "denoise, gate, gate-nonstationary"),
        ("adversarial-augmentation", {"rounds": 0}, "rounds"),
        ("adversarial-augmentation", {"snr_db": 1000.0}, "snr_db"),
        ("hardened-features", {"features": "mel"}, "features: got"),
        ("adversarial-training", {}, "expected a cnn"),
    ):
        with pytest.raises(SubterfugeError, match=wrong):
            defend(home / "plain", train=train_, corpus=home / "corpus", out=tmp_path / "no", options=options)
        assert not (tmp_path / "no").exists()
    with pytest.raises(SubterfugeError, match="got one of kind cnn, expected an SVM"):
        defend("orchestra-cnn", train="noise-training", corpus=home / "corpus", out=tmp_path / "no")
