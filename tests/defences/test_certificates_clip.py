"""Certificates of clips: no attack on the waveform lands inside one, on toy machines and on the seed's."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from subterfuge.attacks.whitebox.ddn import ddn
from subterfuge.attacks.whitebox.minimal import minimal
from subterfuge.criteria import Targeted, Untargeted
from subterfuge.defences.certificates.bracket import Bracket, bracket, certify_clip
from subterfuge.defences.certificates.duelling import duels_of
from subterfuge.errors import SubterfugeError
from subterfuge.victims.plain import librosa25_plain
from subterfuge.victims.svm import SvmVictim

SR, SAMPLES = 16000, 4000
LABELS = ("dark", "bright", "plucked")


def sound(label: int, rng: np.random.Generator) -> np.ndarray:
    """A short clip of one of three sorts."""
    t = np.arange(SAMPLES) / SR
    y = sum(
        rng.uniform(0.5, 1) / (k if label != 1 else k**0.3) * np.sin(2 * np.pi * k * pitch * t)
        for pitch in [rng.uniform(150, 500)]
        for k in range(1, 9)
    )
    y = y * (np.exp(-12 * t) if label == 2 else 1.0) + 0.02 * rng.normal(size=SAMPLES)
    return (0.1 * y).astype(np.float32)


@lru_cache(maxsize=1)
def toy() -> tuple[SvmVictim, torch.Tensor]:
    """A machine on the 25 features of such clips, and four that it has not met."""
    rng = np.random.default_rng(0)
    y = [n % 3 for n in range(60)]
    x = np.stack([librosa25_plain(sound(label, rng), SR) for label in y])
    model = make_pipeline(StandardScaler(), SVC(C=10, gamma=0.02)).fit(x, y)
    victim = SvmVictim(model, labels=LABELS, sample_rate=SR, name="toy")
    return victim, torch.from_numpy(np.stack([sound(n % 3, rng) for n in range(4)]))


def test_no_attack_lands_inside() -> None:
    """minimal and ddn, away and towards each label; the plain path judges."""
    victim, y = toy()
    found = bracket(victim, y)
    assert sum(np.isfinite(one.certified_db) for one in found) >= 3
    heard = victim.verdict(y).predicted
    assert [one.certificate.label for one in found] == heard.tolist()
    generator = torch.Generator().manual_seed(0)
    for attack, criterion in ((minimal, Untargeted()), (ddn, Untargeted())):
        outcome = attack(victim, y, criterion, steps=40, generator=generator)
        turned = victim.verdict(outcome.audio).predicted != heard
        for row, one in enumerate(found):
            size = float((outcome.audio[row].double() - y[row].double()).norm())
            assert not (turned[row] and size <= one.certificate.epsilon)
        assert turned.any()
    both = bracket(victim, y, distance=torch.where(outcome.success, outcome.distance, torch.inf))
    gaps = [one.gap_db for one in both if one.gap_db is not None]
    assert gaps and min(gaps) > 0


def test_targets_are_certified_farther_than_any_change() -> None:
    victim, y = toy()
    duels = duels_of(victim)
    for row in y[:2]:
        away = certify_clip(victim, row, duels=duels)
        for target in range(3):
            towards = certify_clip(victim, row, duels=duels, target=target)
            if target == away.label:
                assert towards.epsilon == 0
                continue
            assert towards.epsilon >= away.epsilon
            outcome = ddn(victim, row[None], Targeted(target), steps=40)
            if bool(outcome.success):
                assert float(outcome.distance) > towards.epsilon


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_random_search_stays_outside(norm: str) -> None:
    """Perturbations at the rim, of many sorts, leave the label as it is."""
    victim, y = toy()
    rng = np.random.default_rng(0)
    for row in y[: 2 if norm == "l2" else 1]:
        one = certify_clip(victim, row, norm=norm)  # type: ignore[arg-type]
        assert one.epsilon > 0
        t = np.arange(SAMPLES)
        trials = [rng.normal(size=SAMPLES) for _ in range(20)]
        trials += [np.sin(2 * np.pi * f * t) for f in rng.uniform(0.001, 0.5, 20)]
        quiet = [np.abs(row.numpy()) <= np.quantile(np.abs(row.numpy()), q) for q in (1e-3, 0.01, 0.1)]
        trials += [np.where(some, -np.sign(row.numpy()), 0) for some in quiet]
        size = one.epsilon * (1 - 1e-6)
        changed = []
        for d in trials:
            d = size * d / np.linalg.norm(d) if norm == "l2" else size * np.sign(d)
            changed.append((row.numpy().astype(float) + d).astype(np.float32))
        assert (victim.verdict(torch.from_numpy(np.stack(changed))).predicted == one.label).all()
        if norm == "linf":
            # A ball of the largest sample holds the smaller one of the same number in L2.
            assert one.epsilon <= certify_clip(victim, row).epsilon


def test_the_bracket_says_what_is_missing() -> None:
    victim, y = toy()
    level = float(y[0].double().norm())
    failed, known = bracket(victim, y[[0, 0]], distance=np.array([np.inf, level / 10]))
    none = bracket(victim, y[:1])[0]
    assert failed.attacked_db == float("-inf") and failed.gap_db is None
    assert none.attacked_db is None and none.gap_db is None
    assert isinstance(none, Bracket)
    assert known.attacked_db == pytest.approx(20, abs=1e-6)


def test_silence_is_never_certified() -> None:
    """Any change, however small, gives silence any rate of crossings and any centroid."""
    victim, _ = toy()
    assert certify_clip(victim, np.zeros(SAMPLES)).epsilon == 0
    assert certify_clip(victim, np.zeros(1)).snr_db == float("inf")


def test_bad_input_is_refused_in_plain_words() -> None:
    victim, y = toy()
    with pytest.raises(SubterfugeError, match="finite"):
        certify_clip(victim, np.full(100, np.nan))
    with pytest.raises(SubterfugeError, match="shape"):
        certify_clip(victim, np.zeros((2, 100)))
    with pytest.raises(SubterfugeError, match="norm: got 'l1'"):
        certify_clip(victim, y[0], norm="l1")  # type: ignore[arg-type]
    with pytest.raises(SubterfugeError, match="target: got 7"):
        certify_clip(victim, y[0], target=7)
    with pytest.raises(SubterfugeError, match="distance: got 2"):
        bracket(victim, y[:1], distance=np.ones(2))
    with pytest.raises(SubterfugeError, match=r"\(batch, samples\)"):
        bracket(victim, y[0])
    with pytest.raises(SubterfugeError, match="RBF SVC"):
        certify_clip(object(), y[0])


def test_the_seeds_machine_on_its_own_clip(seed) -> None:  # type: ignore[no-untyped-def]
    """A third of a second of a clip of the seed: certified at a finite SNR, and attacks stay below it."""
    import librosa
    import skops.io

    model = skops.io.load(seed / "svc_irmas.skops", trusted=[])
    labels = ("cel", "cla", "flu", "gac", "gel", "org", "pia", "sax", "tru", "vio", "voi")
    victim = SvmVictim(model, labels=labels, sample_rate=44100, name="seed")
    y, _ = librosa.load(sorted((seed / "clips").glob("*.wav"))[1], sr=44100)
    row = torch.from_numpy(y[44100 : 44100 + 16384])[None]
    outcome = minimal(victim, row, Untargeted(), steps=30, generator=torch.Generator().manual_seed(0))
    distance = torch.where(outcome.success, outcome.distance, torch.inf)
    (one,) = bracket(victim, row, distance=distance)
    assert 40 < one.certified_db < 90
    assert one.gap_db is None or 0 < one.gap_db < 40
    noise = torch.randn(24, row.shape[1], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    noise *= one.certificate.epsilon * (1 - 1e-6) / noise.norm(dim=1, keepdim=True)
    assert (victim.predict((row + noise).float()) == one.certificate.label).all()
