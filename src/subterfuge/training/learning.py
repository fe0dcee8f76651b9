"""Teaching a network from log-mel spectrograms: augmented, averaged, stopped early, taken up again."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from subterfuge.errors import SubterfugeError
from subterfuge.files import replacing
from subterfuge.training.augment import apply, draw
from subterfuge.training.report import Epoch
from subterfuge.victims.network import Network, blank

_BATCH = 32
_LEARNING_RATE = 3e-3
_WARM_UP = 0.15  # share of the steps over which the rate rises
_DECAY = 0.02
_SMOOTHING = 0.1  # of the labels (Szegedy et al. 2016)
_DROPOUT = 0.3
_AVERAGE = 300  # steps over which the weights are averaged
_CLIP = 2.0  # norm of the gradient


@dataclass(frozen=True, eq=False)
class Lessons:
    """Spectrograms with the index of each one's label, to learn from and to be examined on.

    ``x``, float16, shape (clips, bands, frames), over a floor far below ``floor``; ``y``, int64, (clips,).
    ``floor`` is the logarithm of the energy that the network's front end adds.
    """

    x: Tensor
    y: Tensor
    validation_x: Tensor
    validation_y: Tensor
    floor: float


@dataclass(frozen=True, eq=False)
class Taught:
    """A network with its best averaged weights, in evaluation, and the epochs it took."""

    network: Network
    epochs: tuple[Epoch, ...]
    best: int


def teach(
    lessons: Lessons,
    *,
    widths: tuple[int, ...],
    classes: int,
    epochs: int = 40,
    patience: int = 12,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
    key: Mapping[str, Any] | None = None,
    report: Callable[[Epoch], None] | None = None,
) -> Taught:
    """Teach a network until ``epochs`` are over or ``patience`` of them brought nothing.

    AdamW (Loshchilov & Hutter 2019) with one rise and fall of the learning rate; every batch augmented anew
    (:mod:`subterfuge.training.augment`). What is examined and kept is the running average of the
    weights, which carries over better to sounds of another origin than any single one (Izmailov et al. 2018;
    Cha et al. 2021). Each epoch draws from a generator of its own, so that a run taken up again from its
    checkpoint is the run that was never broken off.

    Parameters
    ----------
    lessons : Lessons
    widths, classes
        As for :class:`subterfuge.victims.network.Network`.
    epochs, patience : int
    seed : int
        Of the first weights, the order and the augmentation. The same seed, device, number of threads and
        versions give the same network.
    device : str
        Where the network is; the lessons stay where they are.
    checkpoint : Path, optional
        File that the state is written to after each epoch.
    resume : bool
        Whether to go on from ``checkpoint``, if it is there.
    key : mapping, optional
        What a checkpoint must have been made with to be gone on from.
    report : callable, optional
        Given each epoch when it is over.

    Raises
    ------
    SubterfugeError
        If the checkpoint cannot be read, is of another run or cannot be written, or the loss is no longer
        a number.
    KeyboardInterrupt
        At Ctrl-C; the checkpoint holds the last whole epoch.

    References
    ----------
    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
    Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016 (smoothed labels).
    Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018.
    Cha et al., "SWAD: domain generalization by seeking flat minima", NeurIPS 2021.
    """
    told = dict(key or {}) | {"widths": list(widths), "classes": classes, "epochs": epochs, "seed": seed}
    where = torch.device(device)
    with _seeded(seed, torch.device("cpu")):
        network = Network(widths, classes, norm=True, dropout=_DROPOUT).to(where)
    examined = blank(widths, classes, norm=True).to(where)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = _copy(network)
    optimizer = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=_DECAY)
    steps = max(1, len(lessons.y) // _BATCH)
    done: list[Epoch] = []
    best: dict[str, Tensor] = _copy(network)
    first_best = 0
    if checkpoint is not None and resume and checkpoint.is_file():
        state = _read(checkpoint, told)
        try:
            network.load_state_dict(state["network"])
            optimizer.load_state_dict(state["optimizer"])
            average, best = ({n: v.to(where) for n, v in state[of].items()} for of in ("average", "best"))
            done, first_best = [Epoch(**one) for one in state["epochs"]], int(state["at"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise _unreadable(checkpoint) from error

    for number in range(len(done) + 1, epochs + 1):
        if done and number - 1 - first_best >= patience:
            break
        began = time.monotonic()
        loss = _epoch(network, average, optimizer, lessons, number, steps, epochs, seed)
        if not math.isfinite(loss):
            raise SubterfugeError(f"epoch {number}: the loss is {loss}, expected a number (try another seed)")
        examined.load_state_dict(average)
        validation_loss, accuracy = examine(examined, lessons)
        told_epoch = Epoch(number, loss, validation_loss, accuracy, round(time.monotonic() - began, 3))
        if not done or validation_loss < min(one.validation_loss for one in done):
            best, first_best = {name: one.clone() for name, one in average.items()}, number
        done.append(told_epoch)
        if checkpoint is not None:
            _write(checkpoint, told, network, optimizer, average, best, first_best, done)
        if report is not None:
            report(told_epoch)
    examined.load_state_dict(best)
    return Taught(examined.cpu(), tuple(done), first_best)


def _epoch(
    network: Network,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    lessons: Lessons,
    number: int,
    steps: int,
    epochs: int,
    seed: int,
) -> float:
    """One pass over the lessons; the mean loss."""
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(seed * 100_003 + number)
    order = torch.randperm(len(lessons.y), generator=generator)
    total = 0.0
    network.train()
    with _seeded(seed * 100_003 + number, device):  # of the dropout, which takes no generator
        for step in range(steps):
            rows = order[step * _BATCH : (step + 1) * _BATCH]
            x = lessons.x[rows].float()
            drawn = draw(*x.shape, generator=generator)
            x = torch.logaddexp(apply(x, drawn), torch.tensor(lessons.floor))
            for group in optimizer.param_groups:
                group["lr"] = _LEARNING_RATE * _rate((number - 1) * steps + step, epochs * steps)
            loss = functional.cross_entropy(
                network(x.to(device)), lessons.y[rows].to(device), label_smoothing=_SMOOTHING
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
            optimizer.step()
            _follow(average, network, (number - 1) * steps + step)
            total += float(loss.detach())
    return total / steps


def _rate(step: int, steps: int) -> float:
    """Share of the full learning rate: up in a straight line, down along a cosine."""
    up = _WARM_UP * steps
    if step < up:
        return (step + 1) / (up + 1)
    return 0.5 + 0.5 * math.cos(math.pi * (step - up) / max(1.0, steps - up))


def _follow(average: dict[str, Tensor], network: Network, step: int) -> None:
    """The running average of weights and of the norms' own statistics; at first a plain mean."""
    share = max(1 / (step + 1), 1 / _AVERAGE)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, share)
            else:
                average[name].copy_(value)


@torch.no_grad()
def examine(network: Network, lessons: Lessons) -> tuple[float, float]:
    """Mean loss and accuracy on the validation part."""
    logits = logits_of(network, lessons.validation_x, lessons.floor)
    loss = functional.cross_entropy(logits, lessons.validation_y, label_smoothing=_SMOOTHING)
    return float(loss), float((logits.argmax(1) == lessons.validation_y).float().mean())


@torch.no_grad()
def logits_of(network: Network, x: Tensor, floor: float) -> Tensor:
    """What a network says of spectrograms, shape (clips, classes), with its front end's floor added."""
    device = next(network.parameters()).device
    level = torch.tensor(floor)
    parts = [network(torch.logaddexp(part.float(), level).to(device)).cpu() for part in torch.split(x, 64)]
    return torch.cat(parts)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """What draws from torch's global generators draws from ``seed``; after the block they are as before."""
    if device.type != "cuda":
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            yield
        return
    index = torch.cuda.current_device() if device.index is None else device.index
    with (
        torch.random.fork_rng(devices=[index], device_type="cuda"),
        torch.backends.cudnn.flags(enabled=True, deterministic=True),
    ):
        torch.default_generator.manual_seed(seed)
        torch.cuda.default_generators[index].manual_seed(seed)
        yield


def _copy(network: Network) -> dict[str, Tensor]:
    return {name: one.detach().clone() for name, one in network.state_dict().items()}


def _write(
    path: Path,
    key: Mapping[str, Any],
    network: Network,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    best: dict[str, Tensor],
    at: int,
    epochs: list[Epoch],
) -> None:
    state = {
        "key": dict(key),
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": average,
        "best": best,
        "at": at,
        "epochs": [asdict(one) for one in epochs],
    }
    # By way of memory: a full disk is then told by the system, and not by torch in words of its own.
    written = io.BytesIO()
    torch.save(state, written)
    with replacing(path) as part:
        part.write_bytes(written.getbuffer())


def _read(path: Path, key: Mapping[str, Any]) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        made_with = dict(state["key"])
    except Exception as error:  # torch has many words for what is none
        raise _unreadable(path) from error
    for name, value in key.items():
        if made_with.get(name) != value:
            raise SubterfugeError(
                f"{path}: the checkpoint is of a run with {name} {made_with.get(name)!r}, expected {value!r} "
                "(or no --resume)"
            )
    found: dict[str, Any] = state
    return found


def _unreadable(path: Path) -> SubterfugeError:
    return SubterfugeError(
        f"{path}: cannot be read as a checkpoint, expected one of an earlier run (or no --resume)"
    )
