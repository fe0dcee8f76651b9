"""Our SVM head against scikit-learn's own: time a clip at three batch sizes, and how far they differ.

    .venv/bin/python benchmarks/svm.py [SEED]

``SEED`` is the folder of the seed's data, whose classifier is then measured; without it a machine of the
same size (about 5,000 support vectors, 25 features, 11 classes) is fitted on made-up vectors. Exits 1 and
says so where a bar is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import common

BATCHES = (1, 32, 1024)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """One thing that both can do, each on a batch that is ready in memory."""

    name: str
    peer: str
    ours: Callable[[torch.Tensor], object]
    theirs: Callable[[Array], object]
    values_alone: Callable[[Array], object] | None = None


def made_up() -> tuple[Any, Array]:
    """A pipeline of the seed's size, and the vectors that it was fitted on."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    rng = np.random.default_rng(0)
    y = rng.integers(0, 11, 5364)
    x = rng.normal(size=(len(y), 25)) + rng.normal(size=(11, 25))[y] * 0.5
    return make_pipeline(StandardScaler(), SVC(C=10.78, gamma=0.1, probability=True)).fit(x, y), x


def vectors(model: Any, x: Array, n: int) -> Array:
    """Half of them mixtures of the data's vectors, half close to the model's boundaries, by bisection."""
    rng = np.random.default_rng(1)
    pair, share = x[rng.integers(0, len(x), (2, 2 * n))], rng.uniform(size=(2 * n, 1))
    mixed = pair[0] * share + pair[1] * (1 - share) + rng.normal(size=(2 * n, x.shape[1])) * x.std(0) * 0.2
    heard = model.predict(mixed)
    a, b = rng.integers(0, 2 * n, (2, 2 * n))
    unlike = np.flatnonzero(heard[a] != heard[b])[: n // 4]
    low, high, label = mixed[a[unlike]], mixed[b[unlike]], heard[a[unlike]]
    for _ in range(23):
        middle = (low + high) / 2
        same = (model.predict(middle) == label)[:, None]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    near = np.concatenate([low, high])
    return np.concatenate([mixed[: n - len(near)], near])


def seconds(task: Task, x: Array, budget: float) -> list[float]:
    """Median CPU seconds of one call of ours, theirs and theirs without gradient, taken turn about."""
    z = torch.from_numpy(x)
    calls: list[tuple[Callable[[Any], object], object]] = [(task.ours, z), (task.theirs, x)]
    if task.values_alone is not None:
        calls.append((task.values_alone, x))
    taken: list[list[float]] = [[] for _ in calls]
    task.ours(z)
    end = time.perf_counter() + budget
    while time.perf_counter() < end or len(taken[0]) < 5:
        for (call, argument), times in zip(calls, taken, strict=True):
            if sum(times) > budget:
                continue
            start = time.process_time()
            call(argument)
            times.append(time.process_time() - start)
    return [float(np.median(times)) for times in taken]


def tasks(head: Any, model: Any) -> list[Task]:
    """Scoring, with and without its gradient, and probabilities likewise."""

    def no_grad(call: Callable[[torch.Tensor], object]) -> Callable[[torch.Tensor], object]:
        return torch.no_grad()(call)

    def with_gradient(read: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], object]:
        def call(z: torch.Tensor) -> object:
            z = z.detach().requires_grad_()
            return torch.autograd.grad(read(z).sum(), z)

        return call

    def margin(z: torch.Tensor) -> torch.Tensor:
        scores = head(z)
        return scores[:, 0] - scores[:, 1:].amax(1)

    def differences(call: Callable[[Array], Array]) -> Callable[[Array], object]:
        """The only gradient that scikit-learn offers: one-sided differences, all in one call."""

        def gradient(x: Array) -> object:
            step = 1e-5 * model[0].scale_
            moved = np.concatenate([x[:, None], x[:, None] + np.diag(step)], 1)
            values = call(moved.reshape(-1, x.shape[1])).reshape(len(x), x.shape[1] + 1, -1)
            return (values[:, 1:] - values[:, :1]) / step[:, None]

        return gradient

    return [
        Task(
            "decision values", "`decision_function`", no_grad(head.decision_function), model.decision_function
        ),
        Task("scores and prediction", "`predict`", no_grad(head.hear), model.predict),
        Task("probabilities", "`predict_proba`", no_grad(head.probabilities), model.predict_proba),
        Task(
            "scores, and the gradient of a margin",
            "`decision_function`",
            with_gradient(margin),
            differences(model.decision_function),
            model.decision_function,
        ),
        Task(
            "probabilities, and the gradient of one",
            "`predict_proba`",
            with_gradient(lambda z: head.probabilities(z)[:, 0]),
            differences(model.predict_proba),
            model.predict_proba,
        ),
    ]


def parity(head: Any, model: Any, x: Array) -> list[tuple[str, str]]:
    """How far ours is from scikit-learn on every vector."""
    svc = model[-1]
    shape, svc.decision_function_shape = svc.decision_function_shape, "ovo"
    decision = model.decision_function(x)
    svc.decision_function_shape = shape
    with torch.no_grad():
        z = torch.from_numpy(x)
        heard, duels = head.hear(z, probabilities=True), head.duel_list(z).numpy()
    clear = (np.abs(duels) > 1e-9).all(1)
    near = np.abs(duels).min(1) < 1e-5
    predicted = model.predict(x)
    same = model.classes_[heard.predicted.numpy()] == predicted
    top = model.classes_[heard.scores.argmax(1).numpy()] == predicted
    exact = head_exact(head, z)
    reported = model.predict_proba(x)
    return [
        ("vectors", f"{len(x):,}, {int(near.sum()):,} of them with a duel within 1e-5 of a tie"),
        (
            "predicted otherwise",
            f"{int((~same & clear).sum())} of {int(clear.sum()):,} (no duel within 1e-9 of a tie)",
        ),
        ("largest score is another label's", f"{int((~top & clear).sum())} of {int(clear.sum()):,}"),
        ("decision values, largest difference", f"{np.abs(duels - decision).max():.1e}"),
        ("probabilities, largest difference", f"{np.abs(heard.probabilities.numpy() - reported).max():.1e}"),
        ("probabilities by the exact solve, largest difference", f"{np.abs(exact - reported).max():.1e}"),
        (
            "largest probability is another label's than predicted",
            f"{(reported.argmax(1) != heard.predicted.numpy()).mean():.1%}",
        ),
    ]


def head_exact(head: Any, z: torch.Tensor) -> Array:
    """Probabilities by the exact coupling, whose gradient is used."""
    from subterfuge.victims import libsvm

    with torch.no_grad():
        r = libsvm.pairwise_probabilities(head.duel_list(z), head.platt_a, head.platt_b, head.classes)
        return libsvm.coupled(r).numpy()


def main() -> int:
    """Measure, write the page, and hold it against the bars."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seed", nargs="?", type=Path, metavar="SEED")
    parser.add_argument("--vectors", type=int, default=10_000, help="how many to compare on")
    parser.add_argument("--budget", type=float, default=4.0, help="seconds of timing per figure")
    options = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        # Libraries read it when they are loaded, and they are.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_NUM_THREADS": "1"})
    common.one_thread()
    warnings.simplefilter("ignore")

    from subterfuge.victims.svm import svm_head

    if options.seed is None:
        model, x = made_up()
        what = "a machine fitted on made-up vectors"
    else:
        model = common.plain_pipeline(options.seed)
        x = model[0].inverse_transform(model[-1].support_vectors_)
        what = "the seed's classifier"
    head = svm_head(model)
    judged = vectors(model, x, options.vectors)
    found = parity(head, model, judged)
    rows, missed = [], []
    for task in tasks(head, model):
        for batch in BATCHES:
            ours, theirs, *alone = seconds(task, judged[:batch], options.budget)
            ratio = theirs / ours
            shown = [micro(ours / batch), micro(theirs / batch), f"{ratio:.1f}×"]
            rows.append(
                [task.name, task.peer, batch, *shown, *(f"{x / ours:.1f}×" for x in alone or [theirs])]
            )
            if ratio < (3 if batch == 32 else 1):
                missed.append(f"{task.name} at a batch of {batch}: {ratio:.2f} times as fast")
    vectors_in = len(model[-1].support_vectors_)
    text = common.header(
        "SVM head against scikit-learn",
        packages=("skops",),
        command="OMP_NUM_THREADS=1 .venv/bin/python benchmarks/svm.py" + (" SEED" if options.seed else ""),
    )
    text += (
        f"\nThe model is {what}: {vectors_in:,} support vectors, {x.shape[1]} features, {head.classes} "
        "classes, RBF, `probability=True`, float64, from feature vectors. Microseconds of one core **a "
        f"clip**, CPU time of one thread: medians of calls taken turn about for {options.budget:g} s a row. "
        f"scikit-learn has no gradients but finite differences ({x.shape[1] + 1} vectors a clip, all in one "
        "call); the last column sets ours, gradient included, against its values alone.\n\n"
    )
    head_row = [
        "what",
        "scikit-learn's",
        "batch",
        "ours, µs",
        "scikit-learn, µs",
        "faster by",
        "than values alone",
    ]
    text += common.table(head_row, rows)
    text += "\nThe same numbers? Random vectors and vectors bisected onto the decision boundaries:\n\n"
    text += common.table(["", "found"], found)
    text += "\nBars (like against like): faster at each batch, at least 3× at 32. "
    text += "All met.\n" if not missed else "Missed: " + "; ".join(missed) + ".\n"
    common.write_page("svm", text)
    return 1 if missed else 0


def micro(value: float) -> str:
    """Seconds as microseconds for the table."""
    return f"{value * 1e6:,.0f}" if value >= 1e-5 else f"{value * 1e6:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
