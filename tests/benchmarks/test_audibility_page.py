"""The page of audibility: failures above every limit, bars kept and missed, stale results left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import audibility
import common
from audibility import Job, Task, network_jobs, of_pair, run
from audibility_page import INF, bars, figures, middle, number, page

PAIRS = [("a", "cel"), ("a", "flu"), ("b", "cel"), ("b", "flu"), ("c", "cel")]


def result(attack: str, pair: tuple[str, str], *, verified: bool = True, **changes: Any) -> dict[str, Any]:
    audible = {"snr_db": 40.0, "nmr_worst_db": -3.0, "nmr_mean_db": -15.0, "nmr_share": 0.0}
    audible |= {"zimtohrli": 0.001, "visqol": 4.65, "notes": {}}
    return {
        "setting": "svc",
        "clip": pair[0],
        "target": pair[1],
        "attack": attack,
        "verified": verified,
        "claimed": verified,
        "same_format": True,
        "record_agrees": True,
        "core_seconds": 20.0,
        "metric_seconds": 0.2,
        "visqol_seconds": 0.9,
        "audibility": {**audible, **changes},
    }


def everything(**changes: Any) -> list[dict[str, Any]]:
    """Both attacks on all the pairs; ``masked`` with these measures on the last."""
    found = [result(attack, pair) for attack in ("minimal", "masked") for pair in PAIRS]
    found[-1] = result("masked", PAIRS[-1], **changes)
    return found


def test_all_bars_are_kept_by_what_keeps_them() -> None:
    text, missed = page("# Title\n", everything(), {"svc": PAIRS})
    assert missed == [] and "Bars missed: none." in text
    assert "| `masked` | 5 | 5 (100%) | 40.0 | −3.0 | 5 (100%) | −15.0 | 0.00% | 0.0010 |" in text
    assert "| `a` | cel −3.0 → −3.0 | flu −3.0 → −3.0 |" in text
    assert "| all but ViSQOL | 0.20 | 0.20 |" in text
    assert "carlini" not in text.partition("## The seed's classifier")[2], "what was not run has no row"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"nmr_worst_db": 0.1}, None),  # four of five are 80 %
        ({"visqol": 4.5}, None),
        ({"zimtohrli": 0.006}, "distance of at most 0.005 on 4 of 5 pairs, not on 90%"),
        ({"verified": False}, "4 of 5 files of `masked` are heard as wanted"),
    ],
)
def test_a_bar_is_missed_by_what_misses_it(changes: dict[str, Any], said: str | None) -> None:
    missed = bars(everything(**changes), "svc", PAIRS)
    assert (missed == []) if said is None else any(said in line for line in missed), missed


def test_medians_shares_and_claims_are_judged() -> None:
    two = [
        result("masked", pair, nmr_worst_db=1.0, zimtohrli=0.003, visqol=4.0) for pair in PAIRS[:3]
    ] + everything()[8:]
    missed = bars(two + everything()[:5], "svc", PAIRS)
    assert [line.partition(": ")[2] for line in missed] == [
        "`masked` has a worst NMR of at most 0 dB on 2 of 5 pairs, not on 80%",
        "`masked` has a ViSQOL score of 4.6 on 2 of 5 pairs, not on 80%",
        "the median Zimtohrli distance of `masked` is 0.0030, not 0.002",
    ]
    for broken, said in (("claimed", "claims"), ("record_agrees", "audibility"), ("same_format", "format")):
        found = everything()
        found[0][broken] = False
        assert any(said in line or "subtype" in line for line in bars(found, "svc", PAIRS)), broken
    found = everything()
    for one in found:
        one["metric_seconds"] = 1.5
    assert page("", found, {"svc": PAIRS})[1] == ["the measures take 1.50 s a pair, not 1 s"]


def test_without_visqol_its_bar_is_missed_and_says_why() -> None:
    found = [result(attack, pair, visqol=None) for attack in ("minimal", "masked") for pair in PAIRS]
    assert [line.partition(": ")[2] for line in bars(found, "svc", PAIRS)] == ["ViSQOL was not asked"]


def test_what_was_not_run_misses_every_bar() -> None:
    text, missed = page("", [], {"cnn": [("a", "cel")]})
    assert len(missed) == 6 and "cel not run → not run" in text


def test_failures_are_above_every_limit_and_are_told() -> None:
    found = [result("masked", PAIRS[0]), result("masked", PAIRS[1], verified=False)]
    shown = figures(found, attempts=True)
    assert shown[:5] == ["2", "1 (50%)", "−∞", "∞", "1 (50%)"]
    assert "**failed**" in page("", found, {"svc": PAIRS[:2]})[0]
    # Of what is no attempt (white noise) what is heard does not matter.
    assert figures(found, attempts=False)[2:4] == ["40.0", "−3.0"]
    assert middle([1.0, INF]) == middle([]) == INF and middle([4.7, -INF], -1) == -INF
    assert middle([1.0, 2.0, INF]) == 2.0 and middle([4.0, 4.5], -1) == 4.25


def test_white_noise_has_a_row_of_its_own() -> None:
    found = everything()
    found[5]["at_same_snr"] = {
        key: result("x", PAIRS[0], nmr_worst_db=20.0)[key]
        for key in ("verified", "audibility", "metric_seconds", "visqol_seconds", "same_format")
    } | {"verified": False}
    text, missed = page("", found, {"svc": PAIRS})
    assert "| white noise, as loud as `masked` | 1 | 0 (0%) | 40.0 | 20.0 |" in text and not missed


def test_infinities_and_what_was_not_measured_are_told_apart() -> None:
    unchanged = result(
        "masked", PAIRS[0], nmr_worst_db=None, notes={"nmr_worst_db": "infinite, since nothing was changed"}
    )
    assert number(unchanged, "nmr_worst_db") == -INF
    assert number(result("masked", PAIRS[0], zimtohrli=None), "zimtohrli") == INF
    assert number(result("masked", PAIRS[0], visqol=None), "visqol", -1) == -INF


def test_results_of_other_settings_are_not_taken(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "weights").write_bytes(b"one")
    task = Task("seed", (("svc", str(victim)),), str(tmp_path), None, 0, True)
    job = Job("svc", "[a] b", "a.wav", "cel", "masked")
    told = {**result("masked", ("a", "cel")), "settings": task.settings(job)}
    common.write_json(tmp_path / "results" / f"{job.name}.json", told)
    assert run([job], task, 1, (), resume=True) == [told]
    assert run([job], Task(*list(vars(task).values())[:3], 10, 0, True), 1, (), resume=True) == []
    # The same size, other bytes: another victim.
    (victim / "weights").write_bytes(b"two")
    audibility.content.cache_clear()
    assert run([job], task, 1, (), resume=True) == []


def test_the_network_s_pairs_are_fixed_and_never_what_it_hears() -> None:
    from subterfuge.corpora.embedded import clips, victim_folder

    folder = victim_folder(audibility.NETWORK)
    jobs = [job for job in network_jobs(folder, None) if job.attack == "masked"]
    pairs = {(job.clip, job.target) for job in jobs}
    assert len(jobs) == len(pairs) == 3 * len(clips())
    assert sum(job.noise for job in jobs) == audibility.BESIDE
    victim = audibility._victim(str(folder))
    heard = {clip.path.stem: audibility.plainly(victim, clip.path) for clip in clips()[:3]}
    assert all(job.target != heard.get(job.clip) for job in jobs)
    few = {(job.clip, job.target) for job in network_jobs(folder, 5) if job.attack == "masked"}
    assert len(few) == 5 and few < pairs
    assert len({clip for clip, _ in few}) == 5, "a trial goes through the clips"


def test_c_and_w_is_shown_on_the_subset_alone() -> None:
    assert [job.attack for job in of_pair("svc", "a", "a.wav", "cel", True)] == [
        "minimal",
        "masked",
        "carlini-wagner",
    ]
    assert [job.attack for job in of_pair("svc", "a", "a.wav", "cel", False)] == ["minimal", "masked"]
