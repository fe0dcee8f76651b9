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
from subterfuge.defences.defend import defend
from subterfuge.defences.training.network import divergence, feared, objective
from subterfuge.defences.training.worst import worst
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
        feared_most.append(float(losses(worst(losses, y, snr_db=25.0, steps=10)).mean()))
    assert feared_most[0] > 1.05 and feared_most[1] < 0.75 * feared_most[0]
