"""The page on certificates: medians, ratios and gaps from made-up measurements, failures told as such."""

from __future__ import annotations

from certificates import page


def one(
    victim: str, clip: str, *, certified: float, attacked: float | None, tight: float
) -> dict[str, object]:
    return {
        "key": f"{victim}/{clip}",
        "victim": victim,
        "clip": clip,
        "path": clip,
        "waveform": True,
        "largest_sample": 2 / 32768 if victim == "seed" else False,
        "label": "cel",
        "silent": 0.25,
        "radii": {"rkhs": 0.1, "interval": 0.05, "tightened": tight, "attack": 0.8},
        "seconds": {"rkhs": 0.0, "interval": 0.0, "tightened": 0.2, "clip": 2.0},
        "certified": certified,
        "attacked": attacked,
    }


def test_medians_ratios_and_gaps() -> None:
    rows = [
        one("seed", "a", certified=60.0, attacked=50.0, tight=0.4),
        one("seed", "b", certified=70.0, attacked=40.0, tight=0.4),
        one("seed", "c", certified=float("inf"), attacked=None, tight=0.1),
        one("orchestra-svc", "d", certified=80.0, attacked=55.0, tight=0.8),
    ]
    text = page(rows)
    assert "| seed | 3 | 0.1000 | 0.0500 | 0.4000 | 0.8000 | 8.00 | 16.00 | 2.00 | 8.00 | 0.2 |" in text
    assert "| seed | 3 | 70.0 | 40.0 | 30.0 | 2.0 |" in text
    assert "| orchestra-svc | 1 | 80.0 | 55.0 | 25.0 | 2.0 |" in text
    assert "| seed/c | cel | 0.1000 | 0.8000 | none | −∞ | 25.0% |" in text
    assert "a 2.00; b 2.00; c 2.00." in text
