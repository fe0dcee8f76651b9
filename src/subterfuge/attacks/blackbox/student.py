"""How ``surrogate`` learns: what to ask of a victim, and what a substitute makes of the answers."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.attacks.blackbox.substitute import Substitute, front_end
from subterfuge.attacks.search import Search
from subterfuge.attacks.whitebox.minimal import Start, approach, shrink
from subterfuge.attacks.whitebox.quiet_bands import hold_back
from subterfuge.attacks.whitebox.steps import heading, loudness, place
from subterfuge.criteria import Targeted

# Shares of the steps: for the clips that may sound like the label, and for shaped variations of the clip.
_OTHERS, _VARIED = 0.15, 0.15
# Steps along the substitute's boundary for each query; nearer than this share of the clip it is followed.
_STRIDES, _NEAR = 12, 0.5


class Student:
    """One row's lessons: what was asked, what was answered, and the substitute that it made of that."""

    def __init__(self, search: Search, row: int, others: Tensor, steps: int, seed: int) -> None:
        self.search, self.others, self.steps = search, others, steps
        self.rows = torch.tensor([row], device=search.y.device)
        self.clean = search.y[self.rows]
        self.size = float(loudness(self.clean)[0])
        self.generator = torch.Generator().manual_seed(seed)
        self.asked: list[Tensor] = []
        self.features: list[Tensor] = []
        self.duels: list[Tensor] = []
        self.count = int(search.forward_queries[row]) // search.cost  # binding may have taken one
        self.substitute: Substitute | None = None
        # Which others are asked about first; how many of them, and of the clip's variations, have been.
        self.order = torch.zeros(0, dtype=torch.int64)
        self.heard = self.heard_varied = 0

    @property
    def left(self) -> int:
        """Steps that are not spent yet."""
        return self.steps - self.count

    def ask(self, x: Tensor) -> Tensor:
        """Ask about each of those, as many as there are steps left for; whether each reached the goal."""
        x = x[: self.left].clamp(-1, 1)
        if not len(x):
            return torch.zeros(0, dtype=torch.bool)
        duels, reached = self.search.look_each(x, self.rows.expand(len(x)))
        told = duels.isfinite().all(1)
        self.count += int(told.sum())
        with torch.no_grad():
            self.features.append(front_end(x[told], sr=self.search.victim.sample_rate))
        self.duels.append(duels[told].to(x.dtype))
        self.asked.append(x[told])
        return reached

    def begin(self) -> None:
        """What so many steps begin with: other clips, variations of the clip, the way back from a success.

        With more steps than before, what those begin with and has not been asked yet.
        """
        if len(self.others):
            if not len(self.order):
                self.order = torch.randperm(len(self.others), generator=self.generator)
            number = max(1, min(len(self.others), int(_OTHERS * self.steps)))
            self.ask(self.others[self.order[self.heard : number]])
            self.heard = number
        number = max(4, int(_VARIED * min(self.steps, 400)))
        if number > self.heard_varied:
            self.ask(self.varied(number - self.heard_varied))
            self.heard_varied = number
        self.halve()

    def study(self, steps: int) -> Substitute | None:
        """Questions alone, no attack, until so many steps are spent; None if there is nothing to learn."""
        self.steps = steps
        if not self.asked and bool(self.ask(self.clean)[0]):
            return None
        self.begin()
        self.fit()
        while self.left > 0:
            self.ask(self.augmented(max(2, self.count // 4)))
            self.fit()
        return self.substitute

    def learn(self) -> None:
        """All of it; ends when the steps are spent, or by BudgetSpent."""
        if bool(self.ask(self.clean)[0]):
            return
        self.begin()
        off = self.fit()
        margin = off
        while self.left > 0:
            x = self.attack(margin)
            if x is None:  # it knows no way: a smaller margin, and more to learn from
                margin = 0.7 * margin
                self.ask(self.augmented(2))
                off = self.fit()
                continue
            if bool(self.ask(x)[:1].any()):
                margin = 0.6 * margin
                self.closer(x)
            else:
                margin = min(1.5 * max(margin, 0.05 * off), 20.0)
                if not bool(self.search.success[self.rows]):
                    self.ask(self.clean + 2 * (x - self.clean))
                    self.halve()
            off = self.fit()

    def closer(self, x: Tensor) -> None:
        """From a success towards the clip, for as long as the substitute expects one and is right."""
        assert self.substitute is not None
        share = 0.9
        while self.left > 0:
            nearer = self.clean + share * (x - self.clean)
            with torch.no_grad():
                features = front_end(nearer, sr=self.search.victim.sample_rate)
                expected = float(self.substitute.margin(features)[0])
            if expected < 0 or not bool(self.ask(nearer)[0]):
                return
            share *= 0.9

    def halve(self, times: int = 6) -> None:
        """From the best that there is towards the clip, by bisection."""
        if not bool(self.search.success[self.rows]):
            return
        delta = self.search.best[self.rows] - self.clean
        low, high = 0.0, 1.0
        for _ in range(times):
            if self.left <= 0:
                return
            middle = (low + high) / 2
            if bool(self.ask(self.clean + middle * delta)[0]):
                high = middle
            else:
                low = middle

    def varied(self, number: int) -> Tensor:
        """The clip with the gains of its bands drawn anew, and shaped noise in it."""
        samples = self.clean.shape[1]
        spectrum = torch.fft.rfft(self.clean)
        bins = spectrum.shape[1]
        # Bands of equal width on a scale that is linear below 500 Hz and logarithmic above.
        hertz = torch.linspace(0, self.search.victim.sample_rate / 2, bins)
        place_ = torch.asinh(hertz / 500)
        place_ = place_ / place_[-1].clamp(min=1e-9) * 15
        out = []
        for _ in range(number):
            strength = 12 * float(torch.rand((), generator=self.generator))
            curve = strength * torch.randn(17, generator=self.generator)
            level = -60 + 50 * float(torch.rand((), generator=self.generator))
            hiss_curve = 15 * torch.randn(17, generator=self.generator) + level
            low = place_.long().clamp(max=15)
            share = place_ - low

            def at(values: Tensor, low: Tensor = low, share: Tensor = share) -> Tensor:
                return 10 ** ((values[low] * (1 - share) + values[low + 1] * share) / 20)

            hiss = torch.fft.rfft(torch.randn(samples, generator=self.generator)).to(spectrum)
            hiss = hiss * self.size / samples**0.5
            made = torch.fft.irfft(
                spectrum[0] * at(curve).to(spectrum) + hiss * at(hiss_curve).to(spectrum), samples
            )
            out.append(made)
        made = torch.stack(out).to(self.clean)
        return made / (made.abs().amax(1, keepdim=True)).clamp(min=1.0)

    def fit(self) -> float:
        """Teach the substitute all that is known; how far off it is."""
        features, duels = torch.cat(self.features), torch.cat(self.duels)
        if self.substitute is None:
            self.substitute = Substitute(self.search.victim.sample_rate, away=self.search.goal.away)
        return self.substitute.fit(features, duels, near=self.near())

    def near(self) -> Tensor:
        """Features of the best so far; of the clip, before there is one."""
        with torch.no_grad():
            where = self.search.best[self.rows]
            return front_end(where, sr=self.search.victim.sample_rate)[0].float()

    def attack(self, margin: float) -> Tensor | None:
        """The nearest that the substitute takes for a success by that margin; None if it knows no way.

        Near a success, along the substitute's boundary from there; before that, from the clip.
        """
        assert self.substitute is not None
        self.substitute.margin_wanted = margin
        inner = Search(self.substitute, self.clean, Targeted(1))
        row = torch.zeros(1, dtype=torch.int64, device=self.clean.device)
        least = float(self.search.best_distance[self.rows])
        if least < _NEAR * self.size:
            for _ in range(3):
                shrink(inner, row, self.search.best[self.rows], _STRIDES, gamma=0.1, last=0.2)
                if bool(inner.success[0]) and float(inner.best_distance[0]) < 0.9995 * least:
                    return inner.best.clone()
                # Nothing nearer is that certain; by less of a margin there may be.
                self.substitute.margin_wanted *= 0.4
            return None
        value, _, slope = inner.climb(self.clean)
        x, found, _ = approach(inner, row, (value, slope), Start(0, -40), torch.full_like(row, 40), 0)
        return x if bool(found[0]) else None

    def augmented(self, number: int) -> Tensor:
        """Some of what was asked, each moved along the substitute's slope there (Papernot et al., eq. 3).

        Before there is a success anything; after that the best, by no more than it has been changed by.
        """
        assert self.substitute is not None
        near = float(self.search.best_distance[self.rows]) < _NEAR * self.size
        if near:
            chosen = self.search.best[self.rows].repeat(number, 1)
        else:
            asked = torch.cat(self.asked)
            chosen = asked[torch.randint(len(asked), (number,), generator=self.generator)]
        with torch.enable_grad():
            x = chosen.clone().requires_grad_()
            features = front_end(x, sr=self.substitute.sample_rate)
            (slope,) = torch.autograd.grad(self.substitute.margin(features).sum(), x)
        slope = heading(torch.nan_to_num(slope), 0, self.count)
        way = heading(hold_back(slope, chosen, chosen.new_full((number,), 1e-4)), 0, self.count)
        length = 10 ** (-1 - torch.rand(number, 1, generator=self.generator).to(x))
        if near:
            scale = float(self.search.best_distance[self.rows])
            inwards = 0.9 * (chosen - self.clean) + self.clean
            return place(inwards, 3 * scale * length * way).detach()
        return place(chosen, self.size * length * way).detach()
