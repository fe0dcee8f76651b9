"""The seed's faults: what is compared and counted on the page, a figure that is well-formed, one real job."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from seed_faults import CHECK, STEPS, VARIANTS, Job, Task, fits, run, variant, work
from seed_faults_page import cell, drawing, matrix, middle, page, same, summary
from subterfuge.attacks.blackbox.genetic_seed import SWITCHES

TASK = Task("seed", "victim", "out", STEPS)
OLD = [
    {
        "row": row,
        "wanted": wanted,
        "reported": "14 %",
        "heard": "flu",
        "verified": False,
        "probability": 0.138,
        "mono_snr_db": 4.2,
        "kernel": 0.02,
    }
    for row, wanted in ((1, "tru"), (2, "pia"))
]
NOWHERE = {"tru": 0.135, "pia": 0.034}


def result(
    name: str, row: int, *, seed: int = 0, won: bool = False, p: float = 0.2, snr: float = 4.0
) -> dict[str, Any]:
    job = Job(name, row, seed)
    curve = [{"queries": 25 + 45 * n, "probability": p, "fitness": p, "digest": f"{p}{n}"} for n in range(51)]
    told = {**vars(job), "settings": TASK.settings(job), "core_seconds": 10.0, "curve": curve}
    if variant(name).twin:
        return {**told, "curve": curve[:7]}
    file = {"heard": "tru", "verified": won, "probability": p, "mono_snr_db": snr, "kernel": 0.5}
    return {**told, "fittest": file, "nearest": {**file, "mono_snr_db": snr + 5} if won else None}


def test_each_repair_is_tried_alone_and_the_last_of_the_sequence_has_them_all() -> None:
    alone = [one.switches for one in VARIANTS if len(one.switches) == 1]
    assert alone == [{name: repaired} for name, (_, repaired, *_) in SWITCHES.items()]
    assert variant("five").switches == {name: repaired for name, (_, repaired, *_) in SWITCHES.items()}
    assert not variant("published").switches
    for name in ("two", "three", "four", "five"):
        one = variant(name)
        assert [key for key in SWITCHES if key in one.switches] == list(SWITCHES)[: len(one.switches)]


def test_a_result_counts_for_its_own_settings_only() -> None:
    told = result("phase", 2)
    assert fits(told, TASK)
    assert not fits(told, Task("seed", "victim", "out", 100))
    assert TASK.settings(Job("crossover", 1, 0))["steps"] == CHECK


def test_runs_are_the_same_where_every_generation_is() -> None:
    long = [result("published", row, p=0.1 * row) for row in (1, 2)]
    short = [result("crossover", row, p=0.1 * row) for row in (1, 2)]
    assert same(short, long) is True
    assert same([short[0], result("crossover", 2, p=0.9)], long) is False
    assert same(short, []) is None


def test_the_summary_counts_files_and_takes_a_twins_figures_only_if_it_is_one() -> None:
    found = {one.name: [] for one in VARIANTS} | {
        "published": [result("published", 1), result("published", 2, won=True, p=0.4, snr=4.4)],
        "crossover": [result("crossover", row, p=p) for row, p in ((1, 0.2), (2, 0.4))],
        "phase": [result("phase", 1, won=True, snr=30.0)],
        "two": [result("two", 1, p=0.9)],
    }
    lines = summary(VARIANTS, found).splitlines()
    assert lines[2] == "| as published | 1 of 2 | 4.2 (4.0 to 4.4) | 30.0% | 1 of 2, 9.4 dB | 10 |"
    assert lines[4] == lines[2].replace(
        "as published", "crossover that copies (*the same search as: as published*)"
    )
    (two,) = [line for line in lines if line.startswith("| phase, crossover (")]
    assert "not the same search" in two
    assert "30.0" not in two


def test_of_several_runs_the_middle_one_is_shown() -> None:
    runs = [result("phase", 1, seed=n, p=p, won=p > 0.25) for n, p in enumerate((0.5, 0.1, 0.3))]
    assert middle(runs)["seed"] == 2
    assert cell(runs) == "**30.0%**, 4.0 dB (2 of 3)"
    assert cell([]) == "not run"
    table = matrix(VARIANTS, {one.name: [] for one in VARIANTS} | {"phase": runs}, OLD).splitlines()
    assert table[2] == "| the seed's files | 13.8%, 4.2 dB | 13.8%, 4.2 dB |"
    assert table[3].endswith("| not run |")


def test_the_page_tells_of_everything_and_the_figure_is_well_formed() -> None:
    results = [result(one.name, row) for one in VARIANTS for row in (1, 2)]
    mutations = [{"mutation": "flat", "louder": 1.0, "snr_db": 30.0, "alike": 3.4, "apart": 0.06}]
    sounds = [{"file": "1-clip.flac", "heard": "cel", "probability": 0.01, "snr_db": None}]
    text = page(
        "# Title\n",
        VARIANTS,
        results,
        published=OLD,
        nowhere=NOWHERE,
        mutations=mutations,
        sounds=sounds,
    )
    assert all(one.title in text for one in VARIANTS)
    assert f"for {CHECK} queries" in text
    assert "{" not in text
    figure = drawing(VARIANTS, results, published=OLD, nowhere=NOWHERE)
    tree = ElementTree.fromstring(figure)
    lines = [e for e in tree.iter() if e.tag.endswith("polyline")]
    assert len(lines) == 2 * 7
    assert "prefers-color-scheme: dark" in figure
    heights = {float(p.split(",")[1]) for e in lines for p in e.attrib["points"].split()}
    assert len(heights) == 1  # one probability on one line of panels


def test_a_row_is_evolved_written_and_judged_from_disk_and_not_done_again(seed: Path, tmp_path: Path) -> None:
    import soundfile

    import common

    victim = common.import_seed(seed, tmp_path / "victim")
    task = Task(str(seed), str(victim), str(tmp_path), 80)
    job = Job("published", 3, 0)
    told = work(job, task)
    info = soundfile.info(str(tmp_path / "files" / f"{job.name}.wav"))
    assert (info.channels, info.subtype, info.samplerate) == (1, "PCM_16", 44100)
    assert told["fittest"]["mono_snr_db"] == pytest.approx(4.1, abs=0.1)
    assert told["curve"][0]["queries"] == 25
    assert told["curve"][0]["probability"] == pytest.approx(0.0031, abs=1e-4)  # the seed's 0.3 %
    common.write_json(tmp_path / "results" / f"{job.name}.json", told)
    run([job], task, 1, resume=True)  # nothing is left to do: no worker is started
