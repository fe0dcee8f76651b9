"""What counts as success: a target, a target with a confidence, or anything but what it was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.labels import index_of
from subterfuge.victims.victim import Hearing, Victim


@dataclass(frozen=True)
class Goal:
    """A criterion bound to a victim and a batch: one label a row, to be reached or to be left.

    Attributes
    ----------
    label : Tensor of int64, shape (batch,)
        The label to reach (``away`` false) or to leave (``away`` true).
    away : bool
        Whether the goal is any other label.
    confidence : float or None
        The least probability of the label that counts, in (0, 1); only with ``away`` false.
    """

    label: Tensor
    away: bool = False
    confidence: float | None = None

    @property
    def needs_probabilities(self) -> bool:
        """Whether hearings must carry probabilities."""
        return self.confidence is not None

    def rows(self, index: Tensor) -> Goal:
        """The same goal for some rows of the batch."""
        return Goal(self.label[index], self.away, self.confidence)

    def margin(self, hearing: Hearing) -> Tensor:
        """How far inside the goal each row is, shape (batch,); positive means reached, differentiable.

        The label's score less the best other's (negated when away); where several labels may be heard at
        once, how far the label's score is above its own threshold. With a confidence, the smaller of that
        and the log-odds by which the probability exceeds it. Of several hearings, the least or the mean. Of a
        guarded victim, no more than how far the clip is from being noticed.
        """
        if hearing.allowance is not None:
            margin = self.margin(replace(hearing, allowance=None))
            return torch.minimum(margin, hearing.allowance.to(margin.dtype))
        if hearing.each:
            return hearing.pooled([self.margin(one) for one in hearing.each])
        margin = self._above(hearing) if hearing.multilabel else self.score_margin(hearing.scores)
        if self.confidence is None:
            return margin
        return torch.minimum(margin, self.surplus(hearing).to(margin.dtype))

    def probability(self, hearing: Hearing) -> Tensor:
        """The label's probability, shape (batch,); refuses a hearing of a victim that gives none."""
        if hearing.probabilities is None:
            raise SubterfugeError(
                f"confidence: got {self.confidence} for a victim that gives no probabilities, expected none"
            )
        label = self.label.to(hearing.probabilities.device)[:, None]
        return hearing.probabilities.gather(1, label)[:, 0]

    def surplus(self, hearing: Hearing) -> Tensor:
        """Log-odds by which the label's probability exceeds the confidence, float64, shape (batch,)."""
        assert self.confidence is not None
        # In float64, since a float32 probability of exactly 1 has an infinite slope, which times the zero
        # that the smaller of two margins passes back would be NaN.
        odds = torch.logit(self.probability(hearing).double(), eps=1e-12)
        return odds - math.log(self.confidence / (1 - self.confidence))

    def duels(self, hearing: Hearing) -> Tensor:
        """One margin a rival label, shape (batch, labels - 1), differentiable.

        Towards a label all must be positive, away from one any will do. With a confidence, its surplus of
        log-odds is one more column. Where several labels may be heard at once there is one column for them
        all, the label's own threshold being its only rival. Of several hearings, the columns of all; away
        from a label, for each rival the least. Of a guarded victim, not to be noticed is one more column;
        away from a label, no column is more than it.
        """
        if hearing.allowance is not None:
            duels = self.duels(replace(hearing, allowance=None))
            allowance = hearing.allowance.to(duels.dtype)[:, None]
            return torch.minimum(duels, allowance) if self.away else torch.cat([duels, allowance], 1)
        if hearing.each:
            parts = [self.duels(one) for one in hearing.each]
            return torch.stack(parts).amin(0) if self.away else torch.cat(parts, 1)
        if hearing.multilabel:
            above = self._above(hearing)[:, None]
            if self.confidence is None:
                return above
            return torch.cat([above, self.surplus(hearing).to(above.dtype)[:, None]], 1)
        label = self.label.to(hearing.scores.device)[:, None]
        rivals = torch.arange(hearing.scores.shape[1] - 1, device=label.device)[None]
        other = hearing.scores.gather(1, rivals + (rivals >= label))
        own = hearing.scores.gather(1, label)
        if self.away:
            return other - own
        if self.confidence is None:
            return own - other
        surplus = self.surplus(hearing).to(own.dtype)
        return torch.cat([own - other, surplus[:, None]], 1)

    def nearness(self, hearing: Hearing) -> Tensor:
        """How near each row is to the label by the victim's guide, shape (batch,); differentiable.

        The guide is a log density: its value at the label draws from afar, its lead over the other labels
        tells them apart near by. The lead counts double, and only up to where the label is clear anyway.
        Of several hearings, the mean.
        """
        if hearing.each:
            guided = [one for one in hearing.each if one.each or one.guide is not None]
            return torch.stack([self.nearness(one) for one in guided]).mean(0)
        assert hearing.guide is not None, "only a guided victim's hearing holds a guide"
        lead = self.score_margin(hearing.guide)
        if self.away:
            return lead
        own = hearing.guide.gather(1, self.label.to(lead.device)[:, None])[:, 0]
        return own + 2 * lead.clamp(max=3.0)

    def soft_margin(self, hearing: Hearing, softness: float) -> Tensor:
        """A smooth lower bound of the margin that heeds every condition near the least; shape (batch,).

        ``-t log(sum(exp(-c / t)))`` over the label's clearances ``c`` (its lead over each rival where the
        victim gives none), with ``t`` the ``softness`` times their mean height above the least. Where several
        boundaries meet, its gradient is the mixture of theirs, and so leads along the edge instead of from
        side to side. Away from a label, any rival will do, and it is the margin itself.
        """
        if self.away or (hearing.each and hearing.mean):
            return self.margin(hearing)
        conditions = self._conditions(hearing)
        least = conditions.detach().amin(1, keepdim=True)
        above = torch.where(conditions.isfinite(), conditions - least, 0.0)
        count = conditions.isfinite().sum(1, keepdim=True).clamp(min=1)
        tiny = torch.finfo(conditions.dtype).tiny ** 0.5
        scale = softness * above.detach().sum(1, keepdim=True) / count + tiny + 1e-9 * least.abs()
        high = torch.where(conditions.isfinite(), above / scale, 1e4)
        softened: Tensor = least - scale * torch.logsumexp(-high, 1, keepdim=True)
        return softened[:, 0]

    def _conditions(self, hearing: Hearing) -> Tensor:
        """What must all be positive for the label to be heard, shape (batch, conditions)."""
        if hearing.allowance is not None:
            conditions = self._conditions(replace(hearing, allowance=None))
            return torch.cat([conditions, hearing.allowance.to(conditions.dtype)[:, None]], 1)
        if hearing.each:
            return torch.cat([self._conditions(one) for one in hearing.each], 1)
        if hearing.clearances is None:
            return self.duels(hearing)
        label = self.label.to(hearing.scores.device)
        conditions = hearing.clearances[torch.arange(len(label), device=label.device), label]
        if self.confidence is not None:
            surplus = self.surplus(hearing).to(conditions.dtype)
            conditions = torch.cat([conditions, surplus[:, None]], 1)
        return conditions

    def score_margin(self, scores: Tensor) -> Tensor:
        """The label's score less the best other's, shape (batch,), negated when away."""
        label = self.label.to(scores.device)[:, None]
        own = scores.gather(1, label)[:, 0]
        other = scores.scatter(1, label, -torch.inf).amax(1)
        return other - own if self.away else own - other

    def _above(self, hearing: Hearing) -> Tensor:
        """How far the label is above its threshold, of a multi-label victim; below it, when away."""
        own = hearing.scores.gather(1, self.label.to(hearing.scores.device)[:, None])[:, 0]
        return -own if self.away else own

    def reached(self, hearing: Hearing) -> Tensor:
        """Whether each row satisfies the goal by the victim's own prediction, bool, shape (batch,).

        Where several labels may be heard at once: whether the label is among them, or when away is not. Of
        several hearings, whether each does. Of a guarded victim, only what is not noticed.
        """
        if hearing.allowance is not None:
            return self.reached(replace(hearing, allowance=None)) & (hearing.allowance.detach() >= 0)
        if hearing.each:
            return torch.stack([self.reached(one) for one in hearing.each]).all(0)
        label = self.label.to(hearing.predicted.device)
        same = hearing.predicted == label
        if hearing.multilabel:
            same = hearing.tags.gather(1, label[:, None])[:, 0]
        if self.away:
            return ~same
        if self.confidence is None:
            return same
        return same & (self.probability(hearing) >= self.confidence)


@dataclass(frozen=True)
class Targeted:
    """Success is being heard as ``label``, with at least ``confidence`` where one is given.

    Parameters
    ----------
    label : str, int, or a sequence or Tensor of int
        A label by code, full name or unique prefix, an index, or one index a row.
    confidence : float, optional
        Least probability of the label, strictly between 0 and 1.

    Examples
    --------
    >>> Targeted("tru").confidence is None
    True
    """

    label: str | int | Sequence[int] | Tensor
    confidence: float | None = None

    def __post_init__(self) -> None:
        """Check the confidence as soon as it is named."""
        if self.confidence is not None and not 0 < self.confidence < 1:
            raise SubterfugeError(f"confidence: got {self.confidence}, expected a number between 0 and 1")

    def bind(self, victim: Victim, y: Tensor) -> Goal:
        """The goal for a batch ``y``, shape (batch, samples).

        Raises
        ------
        SubterfugeError
            If the label is unknown. (A confidence asked of a victim without probabilities is refused at
            the first hearing.)
        """
        if isinstance(self.label, str):
            label = torch.full((len(y),), index_of(self.label, victim.labels))
        else:
            label = torch.as_tensor(self.label)
            if label.is_floating_point() or label.is_complex() or label.dtype == torch.bool:
                raise SubterfugeError(
                    f"label: got {self.label}, expected a name, an index, or one index a row"
                )
            if label.ndim > 1 or label.numel() not in (1, len(y)):
                raise SubterfugeError(
                    f"label: got {label.numel()} labels for {len(y)} clips, expected one a clip"
                )
            label = label.to(torch.int64).expand(len(y)).clone()
            if bool(((label < 0) | (label >= len(victim.labels))).any()):
                raise SubterfugeError(f"label: got {label.tolist()}, expected 0 to {len(victim.labels) - 1}")
        return Goal(label.to(y.device), confidence=self.confidence)


@dataclass(frozen=True)
class Untargeted:
    """Success is being heard as anything but what the clean clip is heard as (or but ``label``).

    Examples
    --------
    >>> Untargeted("cello").label
    'cello'
    """

    label: str | int | Sequence[int] | Tensor | None = None

    def bind(self, victim: Victim, y: Tensor) -> Goal:
        """The goal for a batch ``y``, shape (batch, samples); asks the victim once if no label is given."""
        label = victim.predict(y) if self.label is None else Targeted(self.label).bind(victim, y).label
        return Goal(label.to(y.device), away=True)


Criterion = Targeted | Untargeted
