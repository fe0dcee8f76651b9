"""The white-box page: failures counted, the bar on our lead kept, attacks that cannot run said so."""

from __future__ import annotations

from typing import Any

from common import Pair
from contestants import EVERYONE
from whitebox_page import Row, page

NAMED = {one.name: one for one in EVERYONE}
PAIRS = [Pair("[cel]a", "a.wav", target) for target in (1, 2, 3)]


def row(name: str, snrs: list[float | None], error: str | None = None) -> Row:
    results: list[dict[str, Any]] = [
        {
            "success": snr is not None,
            "snr_db": snr,
            "norm": None if snr is None else 10 ** (-snr / 20),
            "seconds": 2.0,
            "forward": 100,
            "backward": 90,
            "error": error,
            "library": "library 1.0",
        }
        for snr in snrs
    ]
    return Row(NAMED[name], results)


def made(*rows: Row, budget: int = 1000) -> tuple[str, str, list[str]]:
    return page({budget: list(rows)}, {}, PAIRS, "command")


def test_names_are_unique() -> None:
    assert len(NAMED) == len(EVERYONE)


def test_a_lead_of_a_decibel_is_kept_and_told() -> None:
    text, svg, missed = made(row("minimal", [50.0, 48.0, 40.0]), row("foolbox-ddn", [46.0, 47.0, None]))
    assert missed == []
    assert "`minimal` is 2.0 dB of median SNR ahead of the best peer, Foolbox DDN." in text
    assert "| Foolbox DDN | 2 of 3 | 46.0 | 67% | 67% | 67% | 0% |" in text
    assert svg.count("<polyline") == 2


def test_a_lead_of_half_a_decibel_is_missed_at_the_largest_budget() -> None:
    rows = row("minimal", [50.0, 46.5, 40.0]), row("foolbox-ddn", [46.0, 47.0, None])
    assert len(made(*rows)[2]) == 1
    text, _, missed = page({100: list(rows), 1000: [row("minimal", [60.0] * 3)]}, {}, PAIRS, "command")
    assert missed == [] and "0.5 dB of median SNR ahead" in text


def test_being_behind_is_missed_at_any_budget() -> None:
    rows = row("minimal", [40.0, 40.0, 40.0]), row("adv-lib-ddn", [41.0, 41.0, 41.0])
    text, _, missed = page({100: list(rows), 1000: [row("minimal", [60.0] * 3)]}, {}, PAIRS, "command")
    assert len(missed) == 1 and "1.0 dB of median SNR behind the best peer" in text


def test_our_own_other_attacks_are_not_peers_to_be_ahead_of() -> None:
    text, _, missed = made(
        row("minimal", [40.0] * 3), row("ours-ddn", [45.0] * 3), row("foolbox-ddn", [30.0] * 3)
    )
    assert missed == [] and "10.0 dB" in text


def test_what_cannot_run_is_one_line_and_no_curve() -> None:
    error = "ImportError: no such thing"
    text, svg, missed = made(row("minimal", [50.0] * 3), row("art-cw", [None] * 3, error))
    assert f"| ART C&W | cannot run: {error} |" in text
    assert svg.count("<polyline") == 1 and missed == []


def test_a_median_that_is_a_failure_is_minus_infinity() -> None:
    text, _, _ = made(row("minimal", [50.0, 50.0, 50.0]), row("foolbox-ddn", [90.0, None, None]))
    assert "| Foolbox DDN | 1 of 3 | −∞ |" in text
    assert "No peer fools half of the pairs." in text


def test_of_each_peer_the_figure_has_the_better_row() -> None:
    rows = (
        row("minimal", [50.0] * 3),
        row("foolbox-cw", [None, None, 20.0]),
        row("foolbox-cw-suited", [45.0, 45.0, 40.0]),
        row("ours-fmn", [44.0] * 3),
    )
    _, svg, _ = made(*rows)
    assert svg.count("<polyline") == 2 and "Foolbox C&amp;W, suited" in svg and "ours: FMN" not in svg
