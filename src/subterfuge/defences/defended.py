"""A victim behind a defence at its input: a victim like any other, so that every attack on it is adaptive."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from subterfuge.defences.input.defence import Defence, make
from subterfuge.errors import SubterfugeError
from subterfuge.transforms.transform import Frozen, freeze
from subterfuge.victims.around import Around
from subterfuge.victims.victim import Hearing, Victim

SEEDED = ("fixed", "audio")


class Defended(Around):
    """Hears through a defence; of a random one, several draws, which vote.

    The gradient goes through the defence as that says (``defence.adaptive``), and over its draws by their
    mean, so that whoever attacks this victim attacks it knowing the defence.

    Parameters
    ----------
    victim : Victim
        Another ``Defended`` too: the outer defence comes first.
    defence : Defence or str
        One of :mod:`subterfuge.defences.input`, or its name.
    draws : int
        Of a random defence: scores and probabilities are the means over so many draws, the label is what
        most of them hear (of equally many, the one with the best mean score).
    seeded : str
        ``fixed``: the draws are the same for every clip, and known to the attacker. ``audio``: they come from
        the clip's own samples, rounded to 16 bits, so that each question of an attack meets others, and an
        attack averages over them as it goes; the same clip is still always heard alike.
    seed : int
        What the draws start from.

    Raises
    ------
    SubterfugeError
        If the draws are not 1 to 1000, there is more than one of a defence that draws nothing, or there is no
        such way to seed.

    Examples
    --------
    >>> steady = Defended(victim, "median")
    >>> quantised = Defended(steady, make("bits", bits=6))
    >>> quantised.predict(y).shape
    torch.Size([2])
    """

    kind = "defended"
    name: str

    def __init__(
        self,
        victim: Victim,
        defence: Defence | str,
        *,
        draws: int = 1,
        seeded: str = "fixed",
        seed: int = 0,
    ) -> None:
        defence = make(defence) if isinstance(defence, str) else defence
        if not 1 <= draws <= 1000:
            raise SubterfugeError(f"draws: got {draws}, expected 1 to 1000")
        if draws > 1 and not defence.random:
            raise SubterfugeError(f"draws: got {draws} of {defence.name}, which draws nothing; expected 1")
        if seeded not in SEEDED:
            raise SubterfugeError(f"seeded: got {seeded!r}, expected {' or '.join(SEEDED)}")
        super().__init__(victim)
        self.name, self.defence = self.kind, defence
        self.draws, self.seeded, self.seed = draws, seeded, seed
        self.fixed = self._drawn(torch.Generator().manual_seed(seed))

    @property
    def options(self) -> dict[str, Any]:
        """What a victim's card says of it."""
        said: dict[str, Any] = {"defence": self.defence.name, "with": asdict(self.defence)}  # type: ignore[call-overload]
        return {**said, "draws": self.draws, "seeded": self.seeded, "seed": self.seed}

    def _heard(self, y: Tensor, hear: Callable[[Tensor], Hearing]) -> Hearing:
        """What the draws hear together, one pass each."""
        if self.seeded == "fixed" or not self.defence.random:
            return self._over(y, self.fixed, hear)
        return _stacked([self._over(row, self._drawn(self._source(row)), hear) for row in torch.split(y, 1)])

    def _over(self, y: Tensor, drawn: Sequence[Frozen], hear: Callable[[Tensor], Hearing]) -> Hearing:
        return voted([hear(one(y, sr=self.sample_rate)) for one in drawn])

    def _drawn(self, generator: torch.Generator) -> tuple[Frozen, ...]:
        return tuple(freeze(self.defence, generator) for _ in range(self.draws))

    def _source(self, row: Tensor) -> torch.Generator:
        samples = (row.detach().cpu().double() * 32768).round().clamp(-32768, 32767).to(torch.int16)
        told = hashlib.sha256(samples.numpy().tobytes() + str(self.seed).encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(told[:7], "big"))


def voted(hearings: Sequence[Hearing]) -> Hearing:
    """One hearing of several of the same clips: mean scores, mean probabilities, the most frequent label.

    Where several labels may be heard at once, a label is heard where its mean score says so.

    Raises
    ------
    SubterfugeError
        If there are none.

    Examples
    --------
    >>> low, high = (Hearing(torch.tensor([[s, 0.0]]), torch.tensor([s < 0]).long()) for s in (-9.0, 1.0))
    >>> told = voted([high, low, high])
    >>> told.predicted, told.scores.argmax(1)
    (tensor([0]), tensor([1]))
    """
    if not hearings:
        raise SubterfugeError("draws: got none, expected at least one")
    first = hearings[0]
    if len(hearings) == 1:
        return first
    scores = torch.stack([one.scores for one in hearings]).mean(0)
    if first.multilabel:
        predicted = scores.detach().argmax(1)
    else:
        votes = sum(torch.nn.functional.one_hot(one.predicted, scores.shape[1]) for one in hearings)
        assert isinstance(votes, Tensor)
        most = votes == votes.amax(1, keepdim=True)
        predicted = scores.detach().masked_fill(~most, -torch.inf).argmax(1)
    # Of several draws there are no conditions that must all hold: a majority will do.
    return replace(
        first,
        scores=scores,
        predicted=predicted,
        probabilities=_mean([one.probabilities for one in hearings]),
        guide=_mean([one.guide for one in hearings]),
        clearances=None,
        allowance=_mean([one.allowance for one in hearings]),
    )


def _mean(values: Sequence[Tensor | None]) -> Tensor | None:
    there = [one for one in values if one is not None]
    return torch.stack(there).mean(0) if len(there) == len(values) else None


def _stacked(hearings: Sequence[Hearing]) -> Hearing:
    """One hearing of a batch, of those of its rows."""
    if len(hearings) == 1:
        return hearings[0]
    parts: dict[str, Any] = {}
    for key in ("scores", "predicted", "probabilities", "guide", "clearances", "allowance"):
        each = [getattr(one, key) for one in hearings]
        parts[key] = None if each[0] is None else torch.cat(each)
    return replace(hearings[0], **parts)
