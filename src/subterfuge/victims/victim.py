"""What a victim is: a classifier under attack, waveform in, one score per label out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

if TYPE_CHECKING:
    from subterfuge.victims.card import VictimInfo


@dataclass(frozen=True)
class Hearing:
    """What a victim makes of a batch of waveforms, all of it from one forward pass.

    Attributes
    ----------
    scores : Tensor, shape (batch, labels)
        What an attack climbs; differentiable where the victim is.
    predicted : Tensor of int64, shape (batch,)
        **The truth**: the index of the label that the victim's own ``predict`` gives. It need not be
        the argmax of the scores, still less of the probabilities (an SVC votes).
    probabilities : Tensor, shape (batch, labels), or None
        Only where they were asked for and the victim has them; differentiable where the victim is.
    guide : Tensor, shape (batch, labels), or None
        Only where it was asked for and the victim is ``guided``: a stand-in for the scores with a useful
        gradient everywhere, to find the way to a label's region from where the scores are flat (far from
        every support vector an RBF kernel underflows).
    clearances : Tensor, shape (batch, labels, conditions), or None
        May come with the guide: for each label, what must all be positive for it to be predicted, in the
        units of the scores and padded with ``inf``. Their least is the label's score; but the least alone
        hides how close the next ones are, and where several meet an attack must heed them all.
    multilabel : bool
        Whether several labels (tags) may be heard at once, or none. A score is then how far its tag is above
        the tag's own threshold, and **the truth** is in the signs: a tag is heard where its score is not
        negative. ``predicted`` is the tag that is furthest above.
    each : tuple of Hearing
        Where there are several, of variants of the waveform or of several victims: **all of them** must reach
        the goal, and the rest of this hearing is only what there is to say of them in one word.
    mean : bool
        Whether the margin is the mean of theirs, not the least.
    allowance : Tensor, shape (batch,), or None
        Of a victim that is guarded (:mod:`subterfuge.defences.detection`): how far below the guard's
        threshold each row is. Where it is negative the clip is noticed, and **no goal is reached**.
    """

    scores: Tensor
    predicted: Tensor
    probabilities: Tensor | None = None
    guide: Tensor | None = None
    clearances: Tensor | None = None
    multilabel: bool = False
    each: tuple[Hearing, ...] = ()
    mean: bool = False
    allowance: Tensor | None = None

    @property
    def noticed(self) -> Tensor | None:
        """Which rows a guard notices, bool, shape (batch,); None of a victim without one."""
        return None if self.allowance is None else self.allowance.detach() < 0

    def pooled(self, values: list[Tensor]) -> Tensor:
        """The least of one value for each, or their mean; shape of one of them."""
        stacked = torch.stack([one.to(values[0].dtype) for one in values])
        return stacked.mean(0) if self.mean else stacked.amin(0)

    @property
    def tags(self) -> Tensor:
        """Which labels are heard, bool, shape (batch, labels): the one predicted, or all above threshold."""
        if self.multilabel:
            return self.scores.detach() >= 0
        return torch.nn.functional.one_hot(self.predicted, self.scores.shape[1]).bool()


@runtime_checkable
class Victim(Protocol):
    """A classifier under attack. Waveforms are mono float32 in [-1, 1] at ``sample_rate``.

    Rows of a batch never influence each other. ``scores`` has the zero-sum meaning that the
    predicted label's score is the largest wherever the victim can say so exactly.
    """

    labels: tuple[str, ...]
    sample_rate: int
    differentiable: bool

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        """Everything from one forward pass of ``y``, shape (batch, samples)."""
        ...

    def scores(self, y: Tensor) -> Tensor:
        """One score per label, shape (batch, labels)."""
        ...

    def predict(self, y: Tensor) -> Tensor:
        """Index of the label heard, int64, shape (batch,)."""
        ...

    def probabilities(self, y: Tensor) -> Tensor | None:
        """Reported probabilities, shape (batch, labels), or None where the victim has none."""
        ...

    def verdict(self, y: Tensor) -> Hearing:
        """The plain path, with the reported probabilities: what a published result is judged by.

        ``y`` is what ``librosa.load(path, sr=victim.sample_rate)`` gives, shape (batch, samples). Where
        the victim was converted from another library (scikit-learn on librosa features), this runs
        that library's own code, not ours.
        """
        ...


class TorchVictim(torch.nn.Module):
    """What differentiable victims share: every view derives from :meth:`hear`; ``forward`` is ``scores``."""

    labels: tuple[str, ...]
    sample_rate: int
    differentiable: bool = True
    # Whether ``hear`` takes ``guide=True`` and then fills :attr:`Hearing.guide` (and may fill clearances).
    guided: bool = False
    # What its folder says of it, where it was loaded from one.
    info: VictimInfo | None = None

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        """Everything from one forward pass of ``y``, shape (batch, samples); subclasses define it."""
        raise NotImplementedError

    def forward(self, y: Tensor) -> Tensor:
        """Same as :meth:`scores`, so that any library that drives torch modules can drive a victim."""
        return self.hear(y).scores

    def scores(self, y: Tensor) -> Tensor:
        """One score per label, shape (batch, labels)."""
        return self.hear(y).scores

    @torch.no_grad()
    def predict(self, y: Tensor) -> Tensor:
        """Index of the label heard, int64, shape (batch,)."""
        return self.hear(y).predicted

    @torch.no_grad()
    def probabilities(self, y: Tensor) -> Tensor | None:
        """Reported probabilities, shape (batch, labels), or None where the victim has none."""
        return self.hear(y, probabilities=True).probabilities

    @torch.no_grad()
    def verdict(self, y: Tensor) -> Hearing:
        """The plain path; the forward pass itself unless another library's code is the truth."""
        return self.hear(y, probabilities=True)
