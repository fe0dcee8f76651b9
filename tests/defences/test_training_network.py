"""Adversarial training of networks: its objectives by hand, and that what is taught on resists more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.nn import functional
from training_tones import SR, corpus_of_tones

from subterfuge import load_victim
from subterfuge.audibility.masking import noise_to_mask
from subterfuge.defences.defend import defend
from subterfuge.defences.training.ball import sphere, veil
from subterfuge.defences.training.network import divergence, feared, objective
from subterfuge.defences.training.worst import worst
from subterfuge.errors import SubterfugeError
from subterfuge.victims.cnn import CnnVictim
from subterfuge.victims.network import Network
from subterfuge.victims.store import save_victim

FRONT_END = {"n_fft": 512, "hop_length": 256, "n_mels": 24, "fmin": 50.0, "fmax": 7000.0, "floor_db": -40.0}


def small_victim() -> CnnVictim:
    """A network that has learnt nothing."""
    torch.manual_seed(0)
    built = {"front_end": FRONT_END, "widths": [4, 8], "temperature": 1.0, "seconds": 0.5}
    weights = Network((4, 8), 3).state_dict()
    return CnnVictim(built, weights, labels=("cla", "flu", "tru"), sample_rate=SR)


def test_the_divergence_is_zero_where_nothing_changed_and_by_hand_elsewhere() -> None:
    said = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log()
    now = torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log()
    by_hand = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    torch.testing.assert_close(divergence(said, now + 3), torch.tensor([0.0, by_hand], dtype=torch.float32))


def test_objectives_are_those_of_the_papers() -> None:
    victim, labels = small_victim(), torch.tensor([0, 2])
    y = 0.1 * torch.randn(2, SR // 2, generator=torch.Generator().manual_seed(0))
    x = y + 0.01
    assert objective(victim, y, x, labels, "pgd", 9.0) == functional.cross_entropy(victim.scores(x), labels)
    clean, moved = victim.scores(y), victim.scores(x)
    kl = functional.kl_div(moved.log_softmax(1), clean.softmax(1), reduction="batchmean")
    torch.testing.assert_close(
        objective(victim, y, x, labels, "trades", 9.0), functional.cross_entropy(clean, labels) + 9 * kl
    )
    assert feared(victim, y, labels, "trades")(y).abs().max() < 1e-6


@pytest.mark.parametrize("loss", ["pgd", "trades"])
def test_taught_on_it_hears_more_of_what_is_attacked(tmp_path: Path, loss: str) -> None:
    corpus_of_tones(tmp_path / "corpus", clips=10)
    save_victim(small_victim(), out=tmp_path / "raw")
    out = defend(
        tmp_path / "raw",
        train="adversarial-training",
        corpus=tmp_path / "corpus",
        out=tmp_path / "taught",
        options={"loss": loss, "snr_db": 25.0, "steps": 2, "epochs": 25, "rate": 0.02, "weight": 2.0},
    )
    taught = load_victim(out)
    assert taught.info is not None and 0 <= taught.info.accuracy["held_out_grouped"] <= 1
    assert all(not one.requires_grad for one in taught.parameters())
    rows = [
        (k, soundfile.read(tmp_path / f"corpus/{label}/{label}{n}.wav")[0])
        for k, label in enumerate(taught.labels)
        for n in range(4)
    ]
    labels = torch.tensor([k for k, _ in rows])
    y = torch.stack([torch.from_numpy(one).float() for _, one in rows])
    feared_most = []
    for victim in (load_victim(tmp_path / "raw"), taught):
        losses = feared(victim, y, labels, "pgd")
        feared_most.append(float(losses(worst(losses, y, within=sphere(y, snr_db=25.0), steps=10)).mean()))
    assert feared_most[0] > 1.05 and feared_most[1] < 0.75 * feared_most[0]


def test_what_is_feared_behind_the_veil_is_as_audible_as_allowed_and_worse_than_noise() -> None:
    victim = small_victim()
    seconds = torch.arange(SR // 2) / SR
    y = torch.stack([0.3 * torch.sin(2 * torch.pi * hz * seconds) for hz in (440.0, 1500.0)])
    y = y + 0.01 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    labels = victim.scores(y).argmax(1)
    losses = feared(victim, y, labels, "pgd")
    within = veil(y, sr=SR, nmr_db=6.0)
    found = worst(losses, y, within=within, steps=6)
    ratios = noise_to_mask(y, found, sr=SR).amax((1, 2))
    # Not the same threshold to the last digit: what may be filled is held down at the ends of hearing.
    assert bool((10 * ratios.log10() <= 6.05).all()) and bool((10 * ratios.log10() > 0).all())
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    control = y + within.held(1e3 * noise)
    assert bool((within.norm.ratio(control - y).amax((1, 2)).log10() * 10 - 6).abs().max() < 1e-3)
    assert bool((losses(found) - losses(y) > 3 * (losses(control) - losses(y)).abs()).all())
    still = within.held(1e-6 * noise)
    torch.testing.assert_close(still, 1e-6 * noise)


def test_a_network_is_taught_under_the_masking_threshold(tmp_path: Path) -> None:
    corpus_of_tones(tmp_path / "corpus", clips=10)
    save_victim(small_victim(), out=tmp_path / "raw")
    given = {"norm": "masked", "nmr_db": 3.0, "steps": 1, "epochs": 2}
    told = {"train": "adversarial-training", "corpus": tmp_path / "corpus"}
    out = defend(tmp_path / "raw", **told, out=tmp_path / "taught", options=given)  # type: ignore[arg-type]
    info = load_victim(out).info
    assert info is not None and "3 dB over the masking threshold" in info.trained
    for wrong in ({"norm": "linf"}, {"norm": "masked", "nmr_db": 99.0}):
        with pytest.raises(SubterfugeError, match=r"norm: got 'linf'|nmr_db: got 99"):
            defend(tmp_path / "raw", **told, out=tmp_path / "not", options=wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "not").exists()
