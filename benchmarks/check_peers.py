"""Every contestant on a small linear victim: its norm over the optimum's, and its exact passes.

A quick look that the peers run, find what they should and are counted, before hours are spent on them::

    .venv-bench/bin/python benchmarks/check_peers.py
"""

from __future__ import annotations

import os

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

import common
from contestants import EVERYONE, attempt
from metering import Meter
from subterfuge.victims.victim import Hearing, TorchVictim

BUDGETS = (100, 300, 1000)


class Linear(TorchVictim):
    """Five labels, scores linear in 400 samples."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.labels, self.sample_rate = tuple("abcde"), 400
        self.weights = torch.randn(5, 400, generator=generator) / 20
        self.bias = torch.tensor([1.0, 0, 0, 0, 0])

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        scores = y @ self.weights.T + self.bias
        return Hearing(scores, scores.argmax(1))


def optimum(victim: Linear, y: Tensor, target: int) -> float:
    """Smallest norm that makes ``target`` the largest score: a small quadratic program, by its dual."""
    scores = victim.weights.double().numpy(), victim.bias.double().numpy()
    rows = scores[0][target] - np.delete(scores[0], target, 0)
    offset = scores[1][target] - np.delete(scores[1], target) + rows @ y.double().numpy()
    gram = rows @ rows.T
    found = minimize(
        lambda m: 0.5 * m @ gram @ m + m @ offset,
        np.ones(len(rows)),
        jac=lambda m: gram @ m + offset,
        bounds=[(0, None)] * len(rows),
        options={"ftol": 1e-14, "gtol": 1e-10},
    )
    return float(np.linalg.norm(rows.T @ found.x))


def main() -> None:
    """Print one table."""
    common.one_thread()
    victim = Linear()
    y = (0.2 * torch.randn(400, generator=torch.Generator().manual_seed(1))).clamp(-1, 1)
    target = 2
    best = optimum(victim, y, target)
    rows = []
    for one in EVERYONE:
        cells = []
        for budget in BUDGETS:
            meter = Meter(y, target, budget)
            try:
                attempt(one, victim, meter, seed=0)
            except Exception as problem:  # a peer that cannot run is what this table is for
                cells.append(f"{type(problem).__name__}: {problem}"[:60])
                continue
            cells.append(f"{meter.best_norm / best:.3f} ({meter.forward}+{meter.backward})")
        rows.append([one.name, *cells])
    print(f"Norm over the optimum's ({best:.4f}), and forward + backward passes, by budget.\n")
    print(common.table(["contestant", *map(str, BUDGETS)], rows))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
