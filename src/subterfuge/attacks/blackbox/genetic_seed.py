"""The genetic algorithm that this project began with, fault by fault: to be understood rather than used.

A course project of 2023 searched a clip's short-time spectrum cell by cell with DEAP's ``eaMuPlusLambda``,
for about 2,300 queries a clip. What came of it, and what each of its faults cost, is in
``docs/why-the-seed-failed.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import QUIET, seed_from
from subterfuge.criteria import Criterion, Goal
from subterfuge.errors import SubterfugeError
from subterfuge.features.stft import fft_frequencies, stft, window_of
from subterfuge.victims.victim import Victim

N_FFT, HOP = 2048, 512  # librosa's defaults
POPULATION, OFFSPRING, TOURNAMENT = 25, 50, 3
CROSSED, MUTATED = 0.7, 0.2  # shares of the offspring; what is left is taken over as it is
SIGMA = 0.05
# Of "banded" noise: how many bands, and between which levels theirs are drawn, in dB re SIGMA.
BANDS, LEVELS = 32, (-40.0, 10.0)
# Each switch: as published, repaired, and what else there is to learn from.
SWITCHES = {
    "phase": ("lost", "kept"),
    "crossover": ("aliased", "copied"),
    "fitness": ("resynthesis", "clip"),
    "distortion": ("faint", "weighed"),
    "mutation": ("flat", "shaped", "banded"),
}
# Candidates of a row that are asked about together: bounds what is held in memory.
TOGETHER = 8


@dataclass(frozen=True)
class Generation:
    """How one row's population stands after a generation (number 0: before the first).

    Attributes
    ----------
    row, number, queries : int
    fitness, probability : float
        Of the fittest of the population.
    audio : Tensor, shape (samples,)
        The fittest: what the original would end with here.
    """

    row: int
    number: int
    queries: int
    fitness: float
    probability: float
    audio: Tensor


def genetic_seed(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 2300,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    phase: str = "lost",
    crossover: str = "aliased",
    fitness: str = "resynthesis",
    distortion: str = "faint",
    mutation: str = "flat",
    told: Callable[[Generation], None] | None = None,
) -> Outcome:
    """Evolve a clip's spectrum, cell by cell, so that the victim gives the label a high probability.

    By default this is the algorithm as published: 25 copies of the real part of the clip's spectrum; in each
    generation 50 offspring, of which seven in ten are given a band of frequencies of another, two in ten
    noise in every cell, and one in ten is taken over as it is; of parents and offspring 25 survive by
    tournaments of three. Fitness is the label's probability less the distortion. Each of the five
    switches repairs one fault and leaves the others.

    Parameters
    ----------
    victim : Victim
        Its scores are taken for logarithms of probabilities, which is what an ``Oracle`` shows.
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
        Fitness rests on the probability of the label, or untargeted on that of all others.
    steps : int
        Forward queries a row. 2,300 are the original's 50 generations; as there, the first 25 go to the
        25 equal copies that it begins with.
    generator : torch.Generator, optional
    watch : Watch, optional
    phase : str
        ``lost``: a gene is the real part of a cell and the imaginary part is dropped, so that every frame is
        mixed with its own reversal: an SNR of 4 dB before the search has begun. ``kept``: genes are complex
        numbers, and the search begins with the clip itself. Noise is as loud in either.
    crossover : str
        ``aliased``: the band is exchanged through views of the arrays that are being written to, so that the
        second child is given its own band again. ``copied``: each is given the other's. Only the first child
        is kept, as in the original, and that one is right either way: the search is the same.
    fitness : str
        What distortion is measured from. ``resynthesis``: from what is left of the clip after its phase was
        lost, which hides that loss. ``clip``: from the clip.
    distortion : str
        ``faint``: the change's root mean square in units of full scale, a thousandth or so, set against a
        probability. ``weighed``: in units of the clip's own, so that a change 20 dB below the clip costs
        as much as a tenth in probability.
    mutation : str
        ``flat``: noise of a deviation of 0.05 in every cell, whatever it holds, so that silent bands are
        filled. ``shaped``: in proportion to what the clip holds there, and as loud in all. ``banded``, which
        is no repair of that but another search: as flat, but each of 32 bands, alike on the mel scale, is
        given a level of its own, drawn anew for each mutation: 32 numbers that matter instead of all cells.
    told : callable, optional
        Called with the :class:`Generation` of each row after each generation.

    Returns
    -------
    Outcome
        Distances in L2; of all that reached the goal on the way, the nearest. (The original ended with the
        fittest of its last population, which ``told`` is given.)

    Raises
    ------
    SubterfugeError
        If a switch has no such setting or ``steps`` is under 2.

    Notes
    -----
    The original's files end with the last whole hop; here a clip keeps its length.

    References
    ----------
    Fortin et al., "DEAP: evolutionary algorithms made easy", JMLR 13, 2012.

    Examples
    --------
    With any ``victim`` and two clips ``y`` that it hears as its label 0:

    >>> outcome = genetic_seed(victim, y, Targeted(1), steps=60, phase="kept")
    >>> outcome.queries.forward
    tensor([60, 60])
    """
    switches = {"phase": phase, "crossover": crossover, "fitness": fitness}
    switches |= {"distortion": distortion, "mutation": mutation}
    for name, value in switches.items():
        if value not in SWITCHES[name]:
            raise SubterfugeError(f"{name}: got {value!r}, expected {' or '.join(SWITCHES[name])}")
    if steps < 2:
        raise SubterfugeError(f"steps: got {steps}, expected at least 2")
    with Search(victim, y, criterion, watch=watch, gradients=False) as search:
        seed = seed_from(generator)
        lines = [_Line(clip, seed, sr=victim.sample_rate, **switches) for clip in search.y]
        for line, spent in zip(lines, search.forward_queries.tolist(), strict=True):
            line.asked = spent // search.cost  # binding the criterion may have taken one
        number = 0
        while alive := [row for row, line in enumerate(lines) if line.asked < steps]:
            broods = {row: lines[row].brood() for row in alive}
            _ask(search, lines, broods, steps)
            for row in alive:
                # A generation that its queries did not suffice for is no generation.
                if all(one.known for one in broods[row]):
                    lines[row].select(broods[row])
                    if told is not None:
                        told(lines[row].stand(row, number))
            number += 1
    return search.outcome()


def spectrum(y: Tensor, phase: str = "kept") -> Tensor:
    """The genes of a clip (samples,): its short-time spectrum as librosa takes it, shape (frames, bins).

    Complex, or with ``phase="lost"`` the real part alone.
    """
    cells = stft(y, n_fft=N_FFT, hop_length=HOP).transpose(-1, -2)
    return cells.real.contiguous() if phase == "lost" else cells.contiguous()


def waveform(genes: Tensor, samples: int) -> Tensor:
    """What genes sound like, shape (samples,): librosa's inverse transform, kept within [-1, 1]."""
    real = genes.real.dtype if genes.is_complex() else genes.dtype
    window = window_of("hann", N_FFT, N_FFT, real, genes.device)
    frames = torch.fft.irfft(genes + 0j, N_FFT, dim=1) * window
    whole = _overlapped(frames) / _overlapped(window.square().expand_as(frames)).clamp(min=1e-11)
    return whole[N_FFT // 2 : N_FFT // 2 + samples].clamp(-1, 1)


def _overlapped(frames: Tensor) -> Tensor:
    """Frames added up a hop apart, shape (frames, N_FFT) to (samples,)."""
    hops = N_FFT // HOP
    out = frames.new_zeros(len(frames) + hops - 1, HOP)
    for k, part in enumerate(frames.reshape(len(frames), hops, HOP).unbind(1)):
        out[k : k + len(frames)] += part
    return out.flatten()


def crossed(a: Tensor, b: Tensor, low: int, high: int, crossover: str = "copied") -> tuple[Tensor, Tensor]:
    """Two children that exchange the bins from ``low`` to before ``high``; the parents are left alone.

    With ``crossover="aliased"`` the second is given back its own, as NumPy does when two views of arrays
    are exchanged in one assignment: by the time the second is written, the first already is.
    """
    first, second = a.clone(), b.clone()
    first[:, low:high] = b[:, low:high]
    second[:, low:high] = (first if crossover == "aliased" else a)[:, low:high]
    return first, second


def deviation(clip: Tensor, mutation: str = "shaped") -> Tensor:
    """Standard deviation of a mutation in each cell of a clip's complex spectrum, of the same shape.

    The mean of its squares is the same, whatever the shape (silence is given the flat one).
    """
    size = clip.abs()
    rms = size.square().mean().sqrt()
    if mutation == "shaped" and bool(rms > 0):
        return SIGMA * size / rms
    return torch.full_like(size, SIGMA)


def mel_bands(sr: float) -> Tensor:
    """Which of ``BANDS`` equal parts of the mel scale each bin lies in, int64, shape (bins,)."""
    mel = torch.log1p(fft_frequencies(sr=sr, n_fft=N_FFT) / 700)
    return (mel / mel[-1] * BANDS).long().clamp(max=BANDS - 1)


def likelihood(duels: Tensor, goal: Goal) -> Tensor:
    """Probability of the label (untargeted: of all others) from leads in log-probability, shape (rows,)."""
    leads = duels if goal.confidence is None else duels[:, :-1]
    if goal.away:
        return torch.sigmoid(torch.logsumexp(leads, 1))
    return torch.sigmoid(-torch.logsumexp(-leads, 1))


@dataclass(eq=False)
class _Individual:
    genes: Tensor
    probability: float = math.nan
    fitness: float = math.nan

    @property
    def known(self) -> bool:
        return not math.isnan(self.fitness)


class _Line:
    """One row's population, with chance of its own: what it is given does not depend on its neighbours."""

    def __init__(
        self,
        clip: Tensor,
        seed: int,
        *,
        sr: float,
        phase: str,
        crossover: str,
        fitness: str,
        distortion: str,
        mutation: str,
    ) -> None:
        self.chance = torch.Generator().manual_seed(seed)
        self.crossover, self.samples, self.asked = crossover, len(clip), 0
        self.first = spectrum(clip, phase)
        self.deviation = deviation(spectrum(clip), mutation)
        self.bands = mel_bands(sr).to(clip.device) if mutation == "banded" else None
        self.reference = clip if fitness == "clip" else waveform(self.first, len(clip))
        self.weight = 1 / max(QUIET, float(clip.square().mean().sqrt())) if distortion == "weighed" else 1.0
        self.population: list[_Individual] = []

    def brood(self) -> list[_Individual]:
        """The next generation's offspring, those taken over among them; at first the first population."""
        if not self.population:
            return [_Individual(self.first) for _ in range(POPULATION)]
        return [self._child(float(u)) for u in torch.rand(OFFSPRING, generator=self.chance)]

    def _child(self, lot: float) -> _Individual:
        if lot < CROSSED:
            a, b = torch.randperm(POPULATION, generator=self.chance)[:2].tolist()
            parents = self.population[a].genes, self.population[b].genes
            # Two different points; the lowest bin is never among what is exchanged.
            bins = self.first.shape[1]
            low, high = sorted((torch.randperm(bins, generator=self.chance)[:2] + 1).tolist())
            return _Individual(crossed(*parents, low, high, self.crossover)[0])
        parent = self.population[self._draw(POPULATION)]
        return _Individual(self._mutated(parent.genes)) if lot < CROSSED + MUTATED else parent

    def _mutated(self, genes: Tensor) -> Tensor:
        """With noise in every cell; complex noise has the same power in all as real noise."""
        noise = torch.randn(genes.shape, generator=self.chance, dtype=genes.dtype).to(genes.device)
        if self.bands is not None:
            low, high = LEVELS
            level = low + (high - low) * torch.rand(BANDS, generator=self.chance, dtype=genes.real.dtype)
            noise = noise * (10 ** (level / 20)).to(genes.device)[self.bands]
        return genes + self.deviation * noise

    def _draw(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self.chance))

    def heard(self, x: Tensor, one: _Individual, probability: float) -> None:
        """Take in the answer to a candidate ``x``, shape (samples,)."""
        change = float((x - self.reference).square().mean().sqrt())
        one.probability, one.fitness = probability, probability - self.weight * change
        self.asked += 1

    def select(self, brood: Sequence[_Individual]) -> None:
        """Survivors by tournament; one may win several, and the fittest may never be drawn."""
        everyone = [*self.population, *brood]
        if not self.population:
            self.population = everyone
            return
        lots = torch.randint(len(everyone), (POPULATION, TOURNAMENT), generator=self.chance).tolist()
        self.population = [max((everyone[i] for i in lot), key=lambda one: one.fitness) for lot in lots]

    def stand(self, row: int, number: int) -> Generation:
        best = max(self.population, key=lambda one: one.fitness)
        audio = waveform(best.genes, self.samples)
        return Generation(row, number, self.asked, best.fitness, best.probability, audio)


def _ask(search: Search, lines: Sequence[_Line], broods: dict[int, list[_Individual]], steps: int) -> None:
    """Ask about all that are not known yet, of all rows together; a row's first, where its steps run out."""
    waiting = {
        row: [one for one in brood if not one.known][: steps - lines[row].asked]
        for row, brood in broods.items()
    }
    while any(waiting.values()):
        now = [(row, one) for row, ones in waiting.items() for one in ones[:TOGETHER]]
        waiting = {row: ones[TOGETHER:] for row, ones in waiting.items()}
        x = torch.stack([waveform(one.genes, lines[row].samples) for row, one in now])
        rows = torch.tensor([row for row, _ in now], device=x.device)
        duels, _ = search.look_each(x, rows)
        told = likelihood(duels, search.goal.rows(rows)).tolist()
        for (row, one), candidate, probability in zip(now, x, told, strict=True):
            lines[row].heard(candidate, one, probability)
