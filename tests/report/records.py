"""A record to vary: a success of the kind that the page is for."""

from __future__ import annotations

from subterfuge.attacks.record import Record


def record(**changes: object) -> Record:
    base: dict[str, object] = {
        "input": "a/clip.wav",
        "output": "b/clip-to-tru.wav",
        "victim": "svc",
        "attack": "minimal",
        "target": "tru",
        "success": True,
        "predicted_before": "flu",
        "predicted_after": "tru",
        "probabilities_before": {"flu": 0.85, "tru": 0.05, "org": 0.1},
        "probabilities_after": {"flu": 0.3, "tru": 0.6, "org": 0.1},
        "snr_db": 51.23,
        "audibility": {"snr_db": 51.23},
        "queries": {"forward": 1200, "backward": 900},
        "seconds": 8.31,
        "seed": 0,
        "version": "0.1.0",
        "notes": [],
    }
    return Record(**(base | changes))  # type: ignore[arg-type]
