"""The seed's vectors: read in the features' own units, and a page that says what was done."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seed_vectors import load, page, run
from subterfuge.training.cache import Cache


def test_vectors_are_read_with_their_labels(tmp_path: Path) -> None:
    counts = np.arange(1, 12)
    sv = np.random.default_rng(0).normal(size=(66, 25))
    scale, mean = np.linspace(1, 2, 25), np.linspace(-5, 5, 25)
    np.savez(tmp_path / "v.npz", sv=sv, ns=counts, scale=scale, mean=mean)
    vectors, labels = load(tmp_path / "v.npz")
    np.testing.assert_allclose((vectors - mean) / scale, sv)
    assert labels[:3] == ["cel", "cla", "cla"] and labels.count("voi") == 11


def test_the_page_tells_every_search(tmp_path: Path) -> None:
    labels = ["cel", "cla", "flu", "gac", "gel", "org", "pia", "sax", "tru", "vio", "voi"] * 15
    centres = np.random.default_rng(0).normal(size=(11, 25))
    vectors = np.tile(centres, (15, 1)) + np.random.default_rng(1).normal(size=(165, 25)) * 0.3
    rows = run(vectors, labels, tune=3, workers=1, cache=Cache(tmp_path))
    assert [(row.classes, row.space) for row in rows] == [
        (classes, space) for classes in (6, 11) for space in ("none", "seed", "wide")
    ]
    text = page(rows, vectors=len(vectors), tune=3, workers=1)
    assert "| 6 | none | 90 | 10.8 | 0.1 |  | " in text and "| 11 | wide | 165 | " in text
    settings = [
        line.split(" | ")[3] for line in text.splitlines() if line.startswith(("| 6 | w", "| 11 | w"))
    ]
    assert sum(int(one) for one in settings if one.isdigit()) == 6
    assert "6 classes: " in text.splitlines()[-1] and "11 classes: " in text.splitlines()[-1]
