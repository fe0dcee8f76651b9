"""Results of listening tests, made up: what a page would have saved for a listener of some kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from subterfuge.audibility.listeners import seal
from subterfuge.audibility.listening import Trial, material_id, page_id, plan, score

PAIRS = (("aaaaaaaaaaaaaaaa", "flute.wav → trumpet"), ("bbbbbbbbbbbbbbbb", "cello.wav → organ"))
OTHER = {"A": "B", "B": "A"}

Answering = Callable[[int, Trial], str]


def knowing(right: int, *, audible: int = 99, identical: int = 99) -> Answering:
    """Right in so many of each kind of trial, from the first on, and wrong in the rest."""
    left = {"pair": right, "audible": audible, "identical": identical}

    def answer(_: int, trial: Trial) -> str:
        left[trial.kind] -= 1
        return trial.x if left[trial.kind] >= 0 else OTHER[trial.x]

    return answer


def result(
    answering: Answering,
    *,
    listener: int = 1,
    name: str = "",
    trials: int = 16,
    seed: int = 0,
    pairs: tuple[tuple[str, str], ...] = PAIRS,
) -> dict[str, Any]:
    ids = [one for one, _ in pairs]
    drawn = plan(trials=trials, pairs=len(pairs), seed=seed, listener=listener)
    answers = [answering(i, trial) for i, trial in enumerate(drawn)]
    right = [trial.x == answer for trial, answer in zip(drawn, answers, strict=True)]
    counted = [ok for ok, trial in zip(right, drawn, strict=True) if trial.kind == "pair"]
    page = page_id(ids, trials=trials, seed=seed)
    given = [(t.x, a, 1000 + i, 3) for i, (t, a) in enumerate(zip(drawn, answers, strict=True))]
    return {
        "kind": "subterfuge-abx",
        "schema": 1,
        "version": "0.1.0",
        "title": "Listening test",
        "page": page,
        "material": material_id(ids),
        "seed": seed,
        "planned": trials,
        "pairs": [{"id": one, "name": name} for one, name in pairs],
        "listener": {"number": listener, "name": name},
        "session": 1,
        "began": "2026-01-01T10:00:00.000Z",
        "ended": "2026-01-01T10:09:00.000Z",
        "trials": [
            {
                "kind": trial.kind,
                "pair": trial.pair,
                "x": trial.x,
                "answer": answer,
                "right": ok,
                "milliseconds": 1000 + i,
                "switches": 3,
            }
            for i, (trial, answer, ok) in enumerate(zip(drawn, answers, right, strict=True))
        ],
        "result": score(sum(counted), len(counted)).as_json(),
        "check": seal(page, listener, given),
    }


def saved(folder: Path, file: str, data: object) -> Path:
    path = folder / file
    path.write_text(json.dumps(data), "utf-8")
    return path
