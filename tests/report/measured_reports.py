"""Training reports and evaluations to show: of an SVC, of a network, and with parts missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from subterfuge.corpora.corpus import Skipped
from subterfuge.labels import FULL_NAMES
from subterfuge.training.evaluate import Evaluation
from subterfuge.training.measure import measure
from subterfuge.training.measures import Estimate, Measures
from subterfuge.training.protocol import measure_excerpts
from subterfuge.training.report import Components, Epoch, TrainingReport, Trial

FEATURES = ("rms", "centroid", "bandwidth", "rolloff", "zcr", *(f"mfcc{i}" for i in range(1, 21)))
ELEVEN = tuple(FULL_NAMES)


def measures(
    labels: tuple[str, ...] = ELEVEN, *, right: float = 0.6, clips: int = 900, calibrated: bool = True
) -> Measures:
    """Some clips a label, ``right`` of them heard rightly."""
    rng = np.random.default_rng(7)
    k = len(labels)
    truth = rng.integers(k, size=clips)
    heard = np.where(rng.uniform(size=clips) < right, truth, rng.integers(k, size=clips))
    p = rng.dirichlet(np.full(k, 0.4), clips) * 0.6
    p[np.arange(clips), heard] += 0.4
    return measure(
        labels,
        truth,
        heard,
        probabilities=p if calibrated else None,
        recordings=[f"r{i // 4}" for i in range(clips)],
        resamples=200,
    )


def svc(labels: tuple[str, ...] = ELEVEN, **changes: object) -> TrainingReport:
    """A searched SVC on 25 features, with a leak to be seen."""
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.normal(size=(25, 25)))[0]
    explained = 0.75 ** np.arange(25)
    trials = tuple(
        Trial(
            {
                "C": float(rng.uniform(0.1, 20)),
                "kernel": "rbf",
                "gamma": float(rng.choice([0.01, 0.1, 1, 100])),
            },
            float(0.6 - 0.01 * i),
            0.02,
            float(rng.uniform(2, 90)),
        )
        for i in range(12)
    )
    base = TrainingReport(
        name="mine",
        model="svc",
        corpus="IRMAS",
        labels=labels,
        clips=6705,
        recordings=2200,
        skipped=2,
        parameters=trials[0].parameters,
        split="grouped",
        grouped=measures(labels, right=0.6),
        random=measures(labels, right=0.8),
        cross_validated=Estimate(0.6, 0.58, 0.62),
        trials=trials,
        components=Components(
            FEATURES, tuple((explained / explained.sum()).tolist()), tuple(map(tuple, axes.tolist()))
        ),
        importance={
            name: Estimate(0.01 * i - 0.02, 0.01 * i - 0.035, 0.01 * i) for i, name in enumerate(FEATURES)
        },
        seconds={"features": 92.4, "search": 801.0, "fit": 11.0, "measure": 2.4},
        peak_mb=812.3,
        seed=42,
        command="subterfuge train --corpus IRMAS --model svc --tune 12 --seed 42 --out victims/mine",
        version="0.1.0",
        date="2026-01-02",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def network(**changes: object) -> TrainingReport:
    """A network of six labels: epochs, and none of what belongs to features."""
    epochs = tuple(
        Epoch(i, 2.3 * 0.9**i, 2.4 * 0.93**i + 0.001 * i * i, 0.8 - 0.7 * 0.85**i, 41.0) for i in range(1, 31)
    )
    bare = svc(ELEVEN[:6], name="net", model="cnn", epochs=epochs, parameters={"width": 32, "dropout": None})
    bare = replace(bare, trials=(), components=None, importance={}, cross_validated=None)
    return replace(bare, **changes)  # type: ignore[arg-type]


def heard_singly(**changes: object) -> Evaluation:
    """An evaluation of one label a clip, of six of eleven labels."""
    rng = np.random.default_rng(3)
    truth = rng.integers(6, size=90)
    heard = np.where(rng.uniform(size=90) < 0.5, truth, rng.integers(11, size=90))
    base = Evaluation(
        "orchestra-svc",
        "recordings",
        "folder",
        ELEVEN,
        ELEVEN[:6],
        90,
        90,
        single=measure(ELEVEN, truth, heard, probabilities=rng.dirichlet(np.ones(11), 90), resamples=100),
        restricted=Estimate(0.6, 0.5, 0.7),
        unknown={"tuba": 3},
        skipped=(Skipped(Path("a/broken.wav"), "is cut short"),),
        seconds=12.0,
        command="subterfuge victim evaluate orchestra-svc --corpus recordings --out seen",
        version="0.1.0",
        date="2026-01-02",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def heard_in_windows() -> Evaluation:
    """An evaluation of several labels a clip, cut short."""
    rng = np.random.default_rng(5)
    truth = rng.uniform(size=(200, 11)) < 0.2
    truth[:, 0] |= ~truth.any(1)
    means = rng.dirichlet(np.ones(11), 200) + 0.2 * truth
    return replace(
        heard_singly(),
        corpus="IRMAS",
        kind="irmas-testing",
        clips=200,
        of=2874,
        single=None,
        restricted=None,
        excerpts=measure_excerpts(ELEVEN, truth, means, resamples=100),
        window=3.0,
        hop=1.5,
        partial=True,
    )
