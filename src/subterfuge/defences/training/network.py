"""Adversarial training of a convolutional network on its waveforms: PGD (Madry) or TRADES (Zhang)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from subterfuge.audio import load_plain
from subterfuge.corpora.open import open_corpus
from subterfuge.defences.training.ball import Ball, sphere, veil
from subterfuge.defences.training.worst import worst
from subterfuge.errors import SubterfugeError
from subterfuge.training.selection import check_clips, chosen
from subterfuge.training.spectrograms import loudest
from subterfuge.training.splits import hold_out
from subterfuge.victims.cnn import CnnVictim
from subterfuge.victims.store import save_victim
from subterfuge.victims.victim import TorchVictim
from subterfuge.workers import Progress

BATCH = 16
LOSSES = ("pgd", "trades")
NORMS = ("l2", "masked")


def adversarial_training(
    victim: TorchVictim,
    corpus: str | Path,
    *,
    out: str | Path,
    loss: str = "pgd",
    norm: str = "l2",
    snr_db: float = 30.0,
    nmr_db: float = 3.0,
    steps: int = 5,
    epochs: int = 5,
    weight: float = 4.0,
    rate: float = 3e-4,
    clips: int = 0,
    seed: int = 0,
    name: str | None = None,
    force: bool = False,
    report: Progress | None = None,
) -> Path:
    """A network taught on, from where it is, by clips at their worst within a ball about each.

    ``pgd``: the cross-entropy at the worst clip. ``trades``: that at the clip itself, and ``weight``
    times the divergence of what is said of the worst clip from what is said of the clip. AdamW with a rate
    that falls to nothing. An epoch costs ``steps + 1`` passes forward and back through every clip: hours on
    one core for thousands of clips.

    Parameters
    ----------
    victim : CnnVictim
        Whose weights are the first ones.
    corpus : str or Path
    out : str or Path
    loss : str
        ``pgd`` or ``trades``.
    norm : str
        ``l2``: feared are changes of up to ``snr_db``. ``masked``: of up to ``nmr_db`` in every critical
        band at every moment, which are far louder where the clip is loud and nothing where it is not.
    snr_db : float
        Signal-to-noise ratio of the change that is feared.
    nmr_db : float
        Worst noise-to-mask ratio of it; 0 is the masking threshold.
    steps : int
        Gradients to find each worst clip.
    epochs : int
    weight : float
        Of the divergence in ``trades``.
    rate : float
        Of learning.
    clips : int
        Training clips to an epoch, drawn anew for each; 0 for all.
    seed, name, force, report
        As for :func:`subterfuge.defences.defend.defend`.

    Raises
    ------
    SubterfugeError
        If the victim is no network of ours, an option is out of range, or the corpus is of no use.

    References
    ----------
    Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018.
    Zhang et al., "Theoretically principled trade-off between robustness and accuracy", ICML 2019.
    """
    if not isinstance(victim, CnnVictim):
        kind = type(victim).__name__.removesuffix("Victim").lower()
        raise SubterfugeError(f"victim: got one of kind {kind}, expected a cnn")
    if loss not in LOSSES:
        raise SubterfugeError(f"loss: got {loss!r}, expected {' or '.join(LOSSES)}")
    if steps < 1 or epochs < 1 or clips < 0 or not 0 < rate < 1 or not 0 <= weight < math.inf:
        raise SubterfugeError(
            f"steps, epochs, rate, weight: got {steps}, {epochs}, {rate}, {weight}, expected positive numbers"
        )
    if norm not in NORMS:
        raise SubterfugeError(f"norm: got {norm!r}, expected {' or '.join(NORMS)}")
    feared_size = {"l2": f"{snr_db:g} dB SNR", "masked": f"{nmr_db:g} dB over the masking threshold"}[norm]

    def ball(y: Tensor) -> Ball:
        if norm == "l2":
            return sphere(y, snr_db=snr_db)
        return veil(y, sr=victim.sample_rate, nmr_db=nmr_db)

    ball(torch.ones(1, victim.sample_rate // 4))  # says at once what cannot be
    opened = open_corpus(corpus)
    usable = chosen(opened, [label for label in opened.labels if label in victim.labels])
    check_clips(usable, split="grouped", seed=seed)
    side = hold_out([one.label for one in usable], [one.recording for one in usable], seed=seed)
    truth = torch.tensor([victim.labels.index(one.label) for one in usable])

    def audio(numbers: Tensor) -> Tensor:
        rows = [load_plain(usable[i].path, victim.sample_rate)[0] for i in numbers.tolist()]
        return torch.stack([loudest(row, victim.length) for row in rows])

    train = torch.from_numpy(side.train)
    taught = _teach(victim, audio, truth, train, loss, ball, steps, epochs, weight, rate, clips, seed, report)
    right = 0
    with torch.no_grad():
        for part in torch.split(torch.from_numpy(side.test), BATCH):
            right += int((taught.scores(audio(part)).argmax(1) == truth[part]).sum())
    about = f"{loss}, {steps} steps at {feared_size}, {epochs} epochs"
    return save_victim(
        taught,
        out=out,
        name=name,
        trained=f"{victim.name} taught on adversarially ({about}) on {len(train)} clips of {opened.name}.",
        accuracy={"held_out_grouped": right / len(side.test)},
        source={"corpus": opened.name, "victim": victim.name},
        notes="Its probabilities are not calibrated anew.",
        force=force,
    )


def _teach(
    victim: CnnVictim,
    audio: Callable[[Tensor], Tensor],
    truth: Tensor,
    train: Tensor,
    loss: str,
    ball: Callable[[Tensor], Ball],
    steps: int,
    epochs: int,
    weight: float,
    rate: float,
    clips: int,
    seed: int,
    report: Progress | None,
) -> CnnVictim:
    """The network after so many epochs; the one that was given stays as it is."""
    weights = {key: one.clone() for key, one in victim.weights().items()}
    taught = CnnVictim(
        victim.network, weights, labels=victim.labels, sample_rate=victim.sample_rate, name=victim.name
    )
    learnt = list(taught.body.parameters())
    optimizer = torch.optim.AdamW(learnt, rate, weight_decay=1e-4)
    size = min(clips, len(train)) if clips else len(train)
    batches = max(1, math.ceil(size / BATCH))
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        order = train[torch.randperm(len(train), generator=generator)][:size]
        for number, part in enumerate(torch.split(order, BATCH)):
            y, labels = audio(part), truth[part]
            done = epoch * batches + number
            for group in optimizer.param_groups:
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * done / (epochs * batches)))
            for one in learnt:
                one.requires_grad_(False)
            x = worst(
                feared(taught, y, labels, loss),
                y,
                within=ball(y),
                steps=steps,
                seed=seed + done,
                begin=0.1 if loss == "trades" else 0.0,
            )
            for one in learnt:
                one.requires_grad_(True)
            optimizer.zero_grad()
            value = objective(taught, y, x, labels, loss, weight)
            if not bool(value.isfinite()):
                raise SubterfugeError(
                    f"epoch {epoch + 1}: the loss is no number, expected one (a lower rate?)"
                )
            value.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(learnt, 2.0)
            optimizer.step()
            if report is not None:
                report("batches", done + 1, epochs * batches)
    taught.requires_grad_(False)
    return taught


def feared(victim: TorchVictim, y: Tensor, labels: Tensor, loss: str) -> Callable[[Tensor], Tensor]:
    """What the attacker within the training makes great, one number a clip."""
    if loss == "pgd":
        return lambda x: functional.cross_entropy(victim.scores(x), labels, reduction="none")
    with torch.no_grad():
        said = victim.scores(y).log_softmax(1)
    return lambda x: divergence(said, victim.scores(x))


def divergence(said: Tensor, scores: Tensor) -> Tensor:
    """Kullback-Leibler divergence of what is said now from what was said, shape (batch,)."""
    return (said.exp() * (said - scores.log_softmax(1))).sum(1)


def objective(victim: TorchVictim, y: Tensor, x: Tensor, labels: Tensor, loss: str, weight: float) -> Tensor:
    """What the training makes small."""
    if loss == "pgd":
        return functional.cross_entropy(victim.scores(x), labels)
    clean = victim.scores(y)
    apart = divergence(clean.log_softmax(1), victim.scores(x)).mean()
    return functional.cross_entropy(clean, labels) + weight * apart
