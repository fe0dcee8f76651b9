"""Randomised smoothing: a vote over copies with Gaussian noise, and the radius that it is certified for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from subterfuge.defences.defended import voted
from subterfuge.errors import SubterfugeError
from subterfuge.victims.around import Around
from subterfuge.victims.victim import Hearing, Victim

_TOGETHER = 16  # noisy copies of a clip that the victim hears in one batch; more of a short one
_SAMPLES = 1 << 21


@dataclass(frozen=True)
class Certificate:
    """What is certain, up to a small chance, of one clip.

    Attributes
    ----------
    label : int or None
        What is heard; None where the vote was too close to tell: the smoothed victim abstains.
    probability : float
        Lower confidence bound of the chance that noise is heard as that label.
    radius : float
        No change of a smaller L2 norm alters what is heard; 0 where it abstains.
    snr_db : float
        The same for this clip: no change further below it than this alters what is heard. Infinite where the
        radius is 0, minus infinite where the clip is silent and the radius is not.
    votes : int
        Noisy copies that were heard.
    """

    label: int | None
    probability: float
    radius: float
    snr_db: float
    votes: int

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


class Smoothed(Around):
    """Hears what most noisy copies of a clip are heard as (Cohen, Rosenfeld and Kolter 2019).

    As a victim it hears by ``draws`` copies whose noise is always the same, so that it is deterministic, and
    an attack's gradient is that of the mean score over them. :meth:`certify` speaks of the smoothed
    classifier itself, by fresh noise; with few draws the two may differ on clips near a boundary.

    Parameters
    ----------
    victim : Victim
    sigma : float
        Standard deviation of each sample's noise.
    draws : int
        Copies that a hearing takes, 1 to 100,000.
    seed : int
        What their noise starts from.

    Raises
    ------
    SubterfugeError
        If sigma is not positive and finite, or the draws are out of range.

    References
    ----------
    Cohen, Rosenfeld and Kolter, "Certified adversarial robustness via randomized smoothing", ICML 2019.

    Examples
    --------
    >>> smooth = Smoothed(victim, sigma=0.05, draws=8)
    >>> torch.equal(smooth.predict(y), smooth.predict(y))
    True
    >>> smooth.certify(y[0], votes=1000).radius > 0
    True
    """

    kind = "smoothed"
    name: str

    def __init__(self, victim: Victim, *, sigma: float = 0.01, draws: int = 16, seed: int = 0) -> None:
        if not 0 < sigma < math.inf:
            raise SubterfugeError(f"sigma: got {sigma}, expected a positive number")
        if not 1 <= draws <= 100_000:
            raise SubterfugeError(f"draws: got {draws}, expected 1 to 100000")
        super().__init__(victim)
        self.name = self.kind
        self.sigma, self.draws, self.seed = float(sigma), draws, seed

    @property
    def options(self) -> dict[str, Any]:
        """What a victim's card says of it."""
        return {"sigma": self.sigma, "draws": self.draws, "seed": self.seed}

    def _heard(self, y: Tensor, hear: Callable[[Tensor], Hearing]) -> Hearing:
        """Mean scores and the majority's label over the noisy copies, always the same ones."""
        generator = torch.Generator().manual_seed(self.seed)
        return voted([hear(y + one) for one in self._noise(y.shape[1], self.draws, generator, like=y)])

    def _noise(
        self, samples: int, count: int, generator: torch.Generator, *, like: Tensor
    ) -> Iterator[Tensor]:
        for _ in range(count):
            drawn = torch.randn(samples, generator=generator, dtype=torch.float64)
            yield (self.sigma * drawn).to(like)

    @torch.no_grad()
    def votes(self, y: Tensor, *, votes: int, generator: torch.Generator) -> Tensor:
        """How often each label is heard in so many fresh noisy copies of one clip.

        Parameters
        ----------
        y : Tensor, shape (samples,)
        votes : int
        generator : torch.Generator

        Returns
        -------
        Tensor of int64, shape (labels,)
        """
        counts = torch.zeros(len(self.labels), dtype=torch.int64)
        together = max(_TOGETHER, min(1000, _SAMPLES // max(1, len(y) * 16)))
        for start in range(0, votes, together):
            now = min(together, votes - start)
            noise = torch.randn(now, len(y), generator=generator, dtype=torch.float64)
            heard = self.inner.predict(y + (self.sigma * noise).to(y))
            counts += torch.bincount(heard.cpu(), minlength=len(self.labels))
        return counts

    def decide(
        self, y: Tensor, *, votes: int = 1000, alpha: float = 0.001, generator: torch.Generator | None = None
    ) -> int | None:
        """The label that the smoothed classifier hears in a clip, shape (samples,), or None: it abstains.

        The two most frequent labels are told apart by a two-sided binomial test at the level ``alpha``, so
        that a wrong label is given with no more than that chance.

        Raises
        ------
        SubterfugeError
            If the clip, the votes or alpha cannot be.
        """
        from scipy.stats import binomtest

        _check(y, votes, alpha)
        counts = self.votes(y, votes=votes, generator=generator or torch.Generator().manual_seed(self.seed))
        first, second = counts.topk(2).values.tolist() if len(counts) > 1 else (int(counts[0]), 0)
        if first == second or binomtest(first, first + second, 0.5).pvalue > alpha:
            return None
        return int(counts.argmax())

    def certify(
        self,
        y: Tensor,
        *,
        votes: int = 10_000,
        choosing: int = 100,
        alpha: float = 0.001,
        generator: torch.Generator | None = None,
        report: Callable[[int, int], None] | None = None,
    ) -> Certificate:
        """What is heard in a clip, and how far any change may go without altering it.

        ``choosing`` copies choose the label, ``votes`` others bound its chance p from below (Clopper and
        Pearson's interval, one-sided); where p exceeds one half the radius is sigma times the normal quantile
        of p. The bound is wrong with a chance of at most ``alpha``.

        Parameters
        ----------
        y : Tensor, shape (samples,)
        votes, choosing : int
        alpha : float
        generator : torch.Generator, optional
            By default one of this victim's seed.
        report : callable, optional
            Told how many of how many copies were heard.

        Raises
        ------
        SubterfugeError
            If the clip, the votes or alpha cannot be.
        """
        _check(y, min(votes, choosing), alpha)
        generator = generator or torch.Generator().manual_seed(self.seed)
        label = int(self.votes(y, votes=choosing, generator=generator).argmax())
        hits, done = 0, 0
        while done < votes:
            now = min(50 * _TOGETHER, votes - done)
            hits += int(self.votes(y, votes=now, generator=generator)[label])
            done += now
            if report is not None:
                report(done, votes)
        p = clopper_pearson_below(hits, votes, alpha)
        radius = certified_radius(p, self.sigma)
        sure = label if radius > 0 else None
        return Certificate(sure, p, radius, radius_db(y, radius), votes + choosing)


def clopper_pearson_below(hits: int, votes: int, alpha: float) -> float:
    """Lower end of the one-sided interval of confidence ``1 - alpha`` for a chance; Clopper and Pearson 1934.

    Examples
    --------
    >>> clopper_pearson_below(0, 10, 0.05), round(clopper_pearson_below(10, 10, 0.05), 6)
    (0.0, 0.741134)
    """
    from scipy.stats import beta

    return 0.0 if hits == 0 else float(beta.ppf(alpha, hits, votes - hits + 1))


def certified_radius(p: float, sigma: float) -> float:
    """sigma times the normal quantile of p, 0 where p is no more than one half.

    Examples
    --------
    >>> round(certified_radius(0.8413447, 0.1), 4), certified_radius(0.5, 0.1)
    (0.1, 0.0)
    """
    from scipy.stats import norm

    return 0.0 if p <= 0.5 else sigma * float(norm.ppf(p))


def radius_db(y: Tensor, radius: float) -> float:
    """An L2 radius as a signal-to-noise ratio in dB for the clip ``y``, of any shape.

    Examples
    --------
    >>> radius_db(torch.full((100,), 0.1), 0.1)
    20.0
    """
    size = float(torch.linalg.vector_norm(y.double()))
    if radius <= 0:
        return math.inf
    return round(20 * math.log10(size / radius), 6) if size > 0 else -math.inf


def _check(y: Tensor, votes: int, alpha: float) -> None:
    if y.ndim != 1 or not len(y):
        raise SubterfugeError(f"clip: got the shape {tuple(y.shape)}, expected (samples,)")
    if votes < 1:
        raise SubterfugeError(f"votes: got {votes}, expected at least 1")
    if not 0 < alpha < 1:
        raise SubterfugeError(f"alpha: got {alpha}, expected a number between 0 and 1")
