"""Several victims that hear the same clip and vote: one victim, that whoever attacks it must outvote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from subterfuge.defences.defended import voted
from subterfuge.errors import SubterfugeError
from subterfuge.resampling import resample
from subterfuge.victims.card import INNERS
from subterfuge.victims.victim import Hearing, TorchVictim, Victim


class Voting(TorchVictim):
    """Hears what most of several victims hear (Strauss et al. 2017): an attack needs most of them, not all.

    The labels are the first one's; the others may have them in another order. Each hears at its own sample
    rate what is resampled from the highest of them. The label is the majority's; of equally many votes, the
    one with the best mean score. So that an SVC's margins and a network's logits count alike in that mean,
    scores are made comparable first: the logarithms of the probabilities where every victim gives some
    (their mean is the logarithmic opinion pool), else the scores, each victim's in units of its own
    ``scales``. Where a guard is among them, what it notices is noticed.

    Parameters
    ----------
    victims : sequence of Victim
        2 to 9, of the same labels.
    scales : sequence of float, optional
        One a victim; None for probabilities. See :func:`scales_of`.

    Raises
    ------
    SubterfugeError
        If there are too few or too many, their labels differ, or a scale is not positive.

    References
    ----------
    Strauss, Hanselmann, Junginger and Ulmer, "Ensemble methods as a defense to adversarial perturbations
    against deep neural networks", 2017.

    Examples
    --------
    >>> both = Voting([victim, victim])
    >>> torch.equal(both.predict(y), victim.predict(y))
    True
    """

    kind = "ensemble"
    name: str

    def __init__(self, victims: Sequence[Victim], *, scales: Sequence[float] | None = None) -> None:
        super().__init__()
        if not 2 <= len(victims) <= len(INNERS):
            raise SubterfugeError(
                f"others: got {len(victims) - 1} victims beside the first, expected 1 to {len(INNERS) - 1}"
            )
        self.labels = tuple(victims[0].labels)
        for one in victims[1:]:
            if sorted(one.labels) != sorted(self.labels):
                raise SubterfugeError(
                    f"others: got the labels {', '.join(one.labels)} beside {', '.join(self.labels)}, "
                    "expected the same ones, in any order"
                )
        if scales is not None and (len(scales) != len(victims) or not all(0 < one < 1e30 for one in scales)):
            raise SubterfugeError(f"scales: got {scales}, expected {len(victims)} positive numbers")
        self.name = self.kind
        self.victims = list(victims)
        self.scales = None if scales is None else tuple(float(one) for one in scales)
        self._modules_too = torch.nn.ModuleList(one for one in victims if isinstance(one, torch.nn.Module))
        self._order = [[tuple(one.labels).index(label) for label in self.labels] for one in victims]
        self.sample_rate = max(one.sample_rate for one in victims)
        self.differentiable = all(one.differentiable for one in victims)
        self.guided = any(getattr(one, "guided", False) for one in victims)

    @property
    def inner(self) -> Victim:
        """The first."""
        return self.victims[0]

    @property
    def behind(self) -> tuple[Victim, ...]:
        """All of them, in the order of the folders that they are kept in."""
        return tuple(self.victims)

    @property
    def options(self) -> dict[str, Any]:
        """What a victim's card says of it."""
        return {"voters": len(self.victims), "scales": None if self.scales is None else list(self.scales)}

    def hear(self, y: Tensor, *, probabilities: bool = False, **asked: bool) -> Hearing:
        """Everything from one pass of ``y``, shape (batch, samples), through each of the victims."""
        hears: list[Callable[..., Hearing]] = []
        for one in self.victims:
            guided = getattr(one, "guided", False)
            more = {key: value for key, value in asked.items() if guided or key != "guide"}
            wanted = probabilities or self.scales is None
            hear: Callable[..., Hearing] = one.hear
            hears.append(partial(hear, probabilities=wanted, **more))
        heard = self._heard(y, hears, guide=asked.get("guide", False))
        return heard if probabilities else replace(heard, probabilities=None)

    @torch.no_grad()
    def verdict(self, y: Tensor) -> Hearing:
        """The same with each victim's plain path."""
        return self._heard(y, [one.verdict for one in self.victims])

    def _heard(self, y: Tensor, hears: Sequence[Callable[..., Hearing]], *, guide: bool = False) -> Hearing:
        each = []
        for number, (one, hear) in enumerate(zip(self.victims, hears, strict=True)):
            heard = hear(resample(y, orig_sr=self.sample_rate, target_sr=one.sample_rate))
            each.append(self._counted(heard, number, guide))
        if len({one.multilabel for one in each}) > 1:
            raise SubterfugeError(
                "others: got victims that hear one label and ones that may hear several, expected one kind"
            )
        # Whoever guards one of them stands before the vote, and does not only have a voice in it.
        allowed = [one.allowance for one in each if one.allowance is not None]
        allowance = torch.stack(allowed).amin(0) if allowed else None
        return replace(voted(each), allowance=allowance)

    def _counted(self, heard: Hearing, number: int, guide: bool) -> Hearing:
        """What one victim hears, as it counts: labels in the vote's order, scores in the vote's units."""
        order = torch.tensor(self._order[number], device=heard.scores.device)
        p = heard.probabilities
        if self.scales is not None:
            scores = heard.scores / self.scales[number]
        elif p is None or heard.multilabel:
            raise SubterfugeError(f"others: victim {number + 1} gave no probabilities, expected scales")
        else:
            scores = p.clamp(min=torch.finfo(p.dtype).tiny).log()
        scores = scores[:, order].double()  # as some of them compute
        guiding = (scores if heard.guide is None else heard.guide[:, order].double()) if guide else None
        place = order.argsort()  # from the victim's own number of a label to the vote's
        return Hearing(
            scores,
            place[heard.predicted],
            None if p is None else p[:, order].double(),
            guide=guiding,
            multilabel=heard.multilabel,
            allowance=None if heard.allowance is None else heard.allowance.double(),
        )


def ensemble(victim: Victim, *, others: str | Sequence[str | Path | Victim] = "") -> Voting:
    """A victim and others as one that votes.

    Parameters
    ----------
    victim : Victim
    others : str or sequence
        Names or folders, also as one text with commas, or victims.

    Raises
    ------
    SubterfugeError
        If there are none, one cannot be loaded, or their labels differ.

    Examples
    --------
    >>> ensemble(victim, others=[victim, victim]).options
    {'voters': 3, 'scales': None}
    """
    from subterfuge.victims.store import load_victim

    named = [one.strip() for one in others.split(",") if one.strip()] if isinstance(others, str) else others
    if not named:
        raise SubterfugeError(
            "--option others: got none, expected names or folders of victims, such as others=orchestra-cnn"
        )
    loaded = [load_victim(one) if isinstance(one, (str, Path)) else one for one in named]
    victims = [victim, *loaded]
    Voting(victims)  # what cannot vote together is said before any of them is asked
    return Voting(victims, scales=scales_of(victims))


@torch.no_grad()
def scales_of(victims: Sequence[Victim]) -> list[float] | None:
    """What each victim's scores are divided by: their spread over the labels, on the clips that ship with us.

    None where all give probabilities, which need none.
    """
    from subterfuge.audio import load_plain
    from subterfuge.corpora import embedded

    paths = [clip.path for clip in embedded.clips()[::2]]
    first = [one.hear(load_plain(paths[0], one.sample_rate), probabilities=True) for one in victims]
    if all(one.probabilities is not None and not one.multilabel for one in first):
        return None
    spreads = []
    for one in victims:
        heard = [one.hear(load_plain(path, one.sample_rate)) for path in paths]
        scores = torch.cat([told.scores for told in heard]).double()
        # Where several labels may be heard at once, nought is each one's own threshold.
        centre = 0.0 if heard[0].multilabel else scores.mean(1, keepdim=True)
        spread = float((scores - centre).square().mean().sqrt())
        spreads.append(spread if spread > 0 else 1.0)
    return spreads
