"""A run of several files: what is kept when one fails, or when Ctrl-C comes; tried with a false engine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import soundfile
import torch

from subterfuge import runs
from subterfuge.attacks.record import Record
from subterfuge.cli.main import run
from subterfuge.criteria import Targeted, Untargeted
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Hearing, TorchVictim


class Deaf(TorchVictim):
    """Always hears the first of its labels."""

    labels = ("flu", "tru")
    sample_rate = 8000

    def hear(self, y: torch.Tensor, *, probabilities: bool = False) -> Hearing:
        scores = torch.tensor([[1.0, 0.0]]).expand(len(y), 2)
        return Hearing(scores, scores.argmax(1), scores if probabilities else None)


def record(path: Path, out: Path, **changes: Any) -> Record:
    base = {
        "input": str(path),
        "output": str(out / f"{Path(path).stem}-to-tru.wav"),
        "victim": "deaf",
        "attack": "minimal",
        "target": "tru",
        "success": True,
        "predicted_before": "flu",
        "predicted_after": "tru",
        "probabilities_before": None,
        "probabilities_after": None,
        "snr_db": 51.23,
        "audibility": {},
        "queries": {"forward": 1840, "backward": 900},
        "seconds": 31.4,
        "seed": 0,
        "version": "0",
        "notes": [],
    }
    return Record(**(base | changes))


Engine = Callable[[Callable[..., Record]], list[dict[str, Any]]]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    """Put a function in the place of ``attack_file``, and a deaf victim in that of any other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "load_on", lambda victim, device: Deaf())
    for name in ("a", "b", "c"):
        soundfile.write(tmp_path / f"{name}.wav", torch.zeros(80).numpy(), 8000)

    def install(attack_file: Callable[..., Record]) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []

        def called(path: Path, **options: Any) -> Record:
            calls.append({"path": path, **options})
            return attack_file(path, options["out"])

        def write_page(records: Any, path: Path, *, command: str, title: str = "") -> Path:
            path.write_text(json.dumps({"files": [r.input for r in records], "command": command}))
            return path

        for module, function in (("attacks.workbench", called), ("report.page", write_page)):
            fake = ModuleType(module)
            setattr(fake, "attack_file" if function is called else "write_page", function)
            monkeypatch.setitem(sys.modules, f"subterfuge.{module}", fake)
        return calls

    return install


def page() -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(Path("subterfuge-out/index.html").read_text())
    return shown


ATTACK = ("attack", "a.wav", "b.wav", "c.wav", "--to", "trumpet")


def test_options_reach_the_engine(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    calls = engine(record)
    options = ("--steps", "7", "--budget", "99", "--seed", "3", "--attack", "ddn", "--confidence", "0.9")
    options += ("--level", "75")
    assert run([*ATTACK, *options, "--victim", "deaf", "--out", "my out"]) == 0
    assert [str(call["path"]) for call in calls] == ["a.wav", "b.wav", "c.wav"]
    for call in calls:
        assert call["criterion"] == Targeted("trumpet", 0.9)
        wanted = {
            "steps": 7,
            "budget": 99,
            "seed": 3,
            "attack": "ddn",
            "victim_name": "deaf",
            "level": 75.0,
            "visqol": False,
        }
        assert {key: call[key] for key in wanted} == wanted
        assert (call["out"], call["device"]) == (Path("my out"), "cpu")
    shown = json.loads(Path("my out/index.html").read_text())
    assert shown["command"].startswith("subterfuge attack a.wav b.wav c.wav --to trumpet --steps 7")
    assert shown["command"].endswith("--out 'my out'")
    out, err = capfd.readouterr()
    assert out.splitlines() == [
        f"{name}.wav: heard as flute, now trumpet (verified from disk), SNR 51.2 dB, 1,840 queries, 31 s "
        f"-> my out/{name}-to-tru.wav"
        for name in "abc"
    ] + ["Listen: my out/index.html"]
    assert [line.split()[0] for line in err.splitlines()] == ["[1/3]", "[2/3]", "[3/3]"]


def test_the_verdict_on_audibility_is_a_line_of_its_own(
    engine: Engine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subterfuge.audibility.visqol.check_visqol", lambda: None)
    calls = engine(lambda path, out: record(path, out, audibility={"verdict": "below all"}, notes=["Note."]))
    assert run(["attack", "a.wav", "--to", "tru", "--visqol"]) == 0
    assert calls[0]["visqol"] is True
    assert capfd.readouterr().out.splitlines()[1:3] == ["  audibility: below all", "  Note."]


def test_away_reaches_the_engine(engine: Engine) -> None:
    calls = engine(record)
    assert run(["attack", "a.wav", "--away"]) == 0
    assert calls[0]["criterion"] == Untargeted()


def test_json_is_strict_and_alone_on_standard_output(
    engine: Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    engine(lambda path, out: record(path, out, snr_db=float("inf"), audibility={"x": float("nan")}))
    assert run([*ATTACK, "--json"]) == 0
    out = capfd.readouterr().out
    shown = json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert [one["input"] for one in shown] == ["a.wav", "b.wav", "c.wav"]
    assert shown[0]["snr_db"] is None and shown[0]["audibility"] == {"x": None}


def test_one_failure_makes_the_exit_code_1(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    def one_fails(path: Path, out: Path) -> Record:
        if path.name != "b.wav":
            return record(path, out)
        return record(path, out, success=False, predicted_after="flu", notes=["why it failed"])

    engine(one_fails)
    assert run(ATTACK) == 1
    lines = capfd.readouterr().out.splitlines()
    assert "FAILED, heard as flute, still flute, wanted trumpet" in lines[1]
    assert lines[2] == "  why it failed"
    assert page()["files"] == ["a.wav", "b.wav", "c.wav"]


@pytest.mark.parametrize("where", ["inside the attack", "between"])
def test_ctrl_c_keeps_what_there_is(engine: Engine, capfd: pytest.CaptureFixture[str], where: str) -> None:
    """Within an attack the engine returns its best attempt with a note; elsewhere it is an exception."""

    def interrupted(path: Path, out: Path) -> Record:
        if path.name == "a.wav":
            return record(path, out)
        if where == "between":
            raise KeyboardInterrupt
        return record(path, out, success=False, notes=["interrupted: best attempt so far"])

    calls = engine(interrupted)
    assert run(ATTACK) == 130
    assert [call["path"].name for call in calls] == ["a.wav", "b.wav"]
    kept = ["a.wav"] if where == "between" else ["a.wav", "b.wav"]
    assert page()["files"] == kept
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("subterfuge: interrupted") and f"{len(kept)} of 3" in last


def test_an_error_midway_keeps_the_page_of_what_is_done(
    engine: Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    def disk_full(path: Path, out: Path) -> Record:
        if path.name == "b.wav":
            raise SubterfugeError("b: cannot be written (no space left on device)")
        return record(path, out)

    engine(disk_full)
    assert run(ATTACK) == 2
    assert page()["files"] == ["a.wav"]
    assert capfd.readouterr().err.splitlines()[-1] == (
        "subterfuge: b: cannot be written (no space left on device)"
    )


def test_a_defect_of_ours_is_not_mistaken_for_a_failed_attack(
    engine: Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(path: Path, out: Path) -> Record:
        raise ZeroDivisionError

    engine(broken)
    assert run(ATTACK) == 70
    assert "Traceback" in capfd.readouterr().err


def test_a_reader_that_goes_away_is_no_error(engine: Engine) -> None:
    def gone(path: Path, out: Path) -> Record:
        raise BrokenPipeError

    engine(gone)
    saved = os.dup(1)
    try:
        assert run(ATTACK) == 0
    finally:
        os.dup2(saved, 1)


def test_a_swallowed_ctrl_c_is_raised_at_the_next_report() -> None:
    """As when it falls into a destructor, which may raise nothing."""
    import os
    import signal
    import time

    from subterfuge.runs import _lasting_interrupt

    said: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with _lasting_interrupt(said.append) as report:
        report("one")
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt:
            pass
        with pytest.raises(KeyboardInterrupt):
            report("two")
    assert said == ["one"]
    assert signal.getsignal(signal.SIGINT) is before
