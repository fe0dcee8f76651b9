"""``subterfuge audit`` from end to end: figures, page, going on, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
from small_band import LABELS, RATE, Command, sound

from subterfuge.audit import run as audit_run

SMALL = ("--steps", 12, "--masked-steps", 12, "--queries", 40, "--workers", 1)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """One clip each of two labels."""
    for label in LABELS[:2]:
        (tmp_path / "corpus" / label).mkdir(parents=True)
        path = tmp_path / "corpus" / label / f"{label}.wav"
        soundfile.write(path, sound(label, seed=50), RATE, subtype="PCM_16")
    return tmp_path / "corpus"


def test_an_audit_is_kept_gone_on_with_and_shown(
    command: Command, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = command("audit", "band", "--corpus", corpus, "--out", "examined", "--json", *SMALL)
    assert answer.code in (0, 1), answer.err
    told = json.loads(answer.out)
    assert told["clips"] == 2 and told["clean_accuracy"] == 1.0
    assert set(told["attacks"]) == {"minimal", "masked", "scores", "label"}
    assert told["attacks"]["minimal"]["attacked"] == 2
    assert all(len(one["robust_snr"]) == len(told["grids"]["snr_db"]) for one in told["attacks"].values())
    assert {one["passed"] for one in told["sanity"]} <= {True, False, None}
    assert told == json.loads((tmp_path / "examined" / "audit.json").read_text())
    page = (tmp_path / "examined" / "index.html").read_text()
    assert "Audit of band" in page and "http" not in page.split("</style>")[1].split("<script>")[0]
    # Certified below, attacked above.
    certified = told["certified_snr_db"]
    if certified is not None:
        assert certified["median"] > told["attacks"]["minimal"]["median_snr_db"]

    def never(*_: object, **__: object) -> None:
        raise AssertionError("done already")

    monkeypatch.setattr(audit_run, "attempt", never)
    again = command("audit", "band", "--corpus", corpus, "--out", "examined", *SMALL)
    assert again.code == answer.code and "Page:" in again.out


def test_ctrl_c_keeps_what_is_done(
    command: Command, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tasks = audit_run.attempt, []

    def stopped(victim, y, task, *rest, **more):  # type: ignore[no-untyped-def]
        tasks.append(task)
        if len(tasks) == 6:  # within the second clip
            raise KeyboardInterrupt
        return real(victim, y, task, *rest, **more)

    monkeypatch.setattr(audit_run, "attempt", stopped)
    few = ("--attacks", "minimal", *SMALL)
    answer = command("audit", "band", "--corpus", corpus, "--out", "examined", *few)
    assert answer.code == 1 and "interrupted" in answer.err
    assert json.loads((tmp_path / "examined" / "audit.json").read_text())["clips"] == 1
    tasks.clear()
    monkeypatch.setattr(audit_run, "attempt", lambda *a, **k: tasks.append(a[2]) or real(*a, **k))
    command("audit", "band", "--corpus", corpus, "--out", "examined", *few)
    assert tasks == ["fewer-steps", "one-step", "noise"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("nobody",), "nobody"),
        (("band", "--corpus", "nowhere"), "nowhere"),
        (("band", "--attacks", "pgd"), "pgd"),
        (("band", "--steps", 0), "steps"),
        (("band", "--to", "theremin"), "theremin"),
        (("band", "--clips", 0), "--clips"),
    ],
)
def test_bad_input_is_one_sentence(command: Command, arguments: tuple[object, ...], named: str) -> None:
    answer = command("audit", *arguments)
    assert answer.code == 2 and named in answer.err and answer.err.count("\n") == 1
    assert not Path("subterfuge-audit").exists()
