"""``defend``: a folder that every command takes for a victim, and plain words for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from small_band import LABELS, RATE, Command, sound

from subterfuge.defences.registry import DEFENCES


def test_list(command: Command) -> None:
    told = command("defend", "--list")
    assert told.code == 0 and all(f"  {name} " in told.out for name in DEFENCES)
    listed = json.loads(command("defend", "--list", "--json").out)
    assert [one["name"] for one in listed] == list(DEFENCES)
    assert next(one for one in listed if one["name"] == "median")["options"] == {"size": 5}


def test_a_defended_victim_is_attacked_like_any_other(command: Command, flute: Path) -> None:
    done = command("defend", "victims/band", "--with", "median,bits", "--option", "size=3", "--out", "made")
    assert done.code == 0 and "subterfuge attack FILE --victim made" in done.out
    seen = json.loads(command("predict", flute, "--victim", "made", "--json").out)
    assert seen[0]["predicted"] == "flu"
    told = command("attack", flute, "--to", "cla", "--victim", "made", "--steps", 30, "--json",
                   "--audibility", "l2")  # fmt: skip
    record = json.loads(told.out)[0]
    assert told.code == 0 and record["success"] and record["predicted_after"] == "cla"
    heard = json.loads(command("predict", record["output"], "--victim", "made", "--json").out)
    assert heard[0]["predicted"] == "cla"


def test_json_and_force(command: Command) -> None:
    told = command("defend", "victims/band", "--with", "noise", "--option", "noise.draws=3", "--out", "made",
                   "--seed", 7, "--json")  # fmt: skip
    info = json.loads(told.out)
    assert told.code == 0 and info["kind"] == "defended"
    assert info["options"] == {
        "defence": "noise",
        "with": {"low": 20.0, "high": 30.0},
        "draws": 3,
        "seeded": "fixed",
        "seed": 7,
    }
    assert command("defend", "victims/band", "--with", "gain", "--out", "made").code == 2
    assert command("defend", "victims/band", "--with", "gain", "--out", "made", "--force").code == 0
    assert json.loads((Path("made") / "victim.json").read_text())["options"]["defence"] == "gain"


def test_a_vote_of_several_is_one_victim(command: Command, flute: Path) -> None:
    """Without probabilities of the second, both count by the spread of their scores."""
    done = command("defend", "victims/band", "--with", "ensemble", "--option", "others=victims/mute",
                   "--out", "made", "--json")  # fmt: skip
    info = json.loads(done.out)
    assert info["kind"] == "ensemble" and info["options"]["voters"] == 2
    assert info["trained"].endswith("before band beside victims/mute")
    assert {one.name for one in Path("made").iterdir()} == {"victim.json", "inner", "inner-2"}
    told = command("attack", flute, "--to", "cla", "--victim", "made", "--steps", 40, "--json",
                   "--audibility", "l2")  # fmt: skip
    record = json.loads(told.out)[0]
    assert told.code == 0 and record["success"] and record["predicted_after"] == "cla"


def test_a_guard_says_what_it_notices_and_an_attack_must_pass_it(command: Command, flute: Path) -> None:
    for label in LABELS:
        (Path("corpus") / label).mkdir(parents=True)
        for n in range(6):
            soundfile.write(f"corpus/{label}/{label}{n}.wav", sound(label, seed=n, seconds=0.25), RATE)
    done = command("defend", "victims/band", "--train", "detector", "--corpus", "corpus", "--option",
                   "clips=20", "--option", "false_alarms=0.2", "--out", "made", "--json")  # fmt: skip
    info = json.loads(done.out)
    assert info["kind"] == "guarded" and info["options"]["detector"] == "mahalanobis"
    assert set(info["accuracy"]) == {"held_out_grouped", "held_out_unguarded", "held_out_false_alarms"}
    soundfile.write("hiss.wav", 0.3 * np.random.default_rng(0).normal(size=11025), RATE)
    told = command("predict", "hiss.wav", "--victim", "made")
    assert "  NOTICED by the guard, and refused\n" in told.out
    (seen,) = json.loads(command("predict", "hiss.wav", "--victim", "made", "--json").out)
    assert seen["noticed"] is True
    (bare,) = json.loads(command("predict", "hiss.wav", "--victim", "victims/band", "--json").out)
    assert bare["noticed"] is None and bare["scores"] == seen["scores"]

    card = json.loads(Path("made/victim.json").read_text())
    quick = ("--to", "cla", "--victim", "made", "--steps", 40, "--json", "--audibility", "l2")

    def attacked(threshold: float) -> tuple[int, dict[str, Any]]:
        card["options"]["threshold"] = threshold
        Path("made/victim.json").write_text(json.dumps(card))
        told = command("attack", flute, *quick, "--out", f"out{threshold}")
        return told.code, json.loads(told.out)[0]

    # All is let through, and then nothing is: the same clip, and the file read back decides.
    code, record = attacked(1e9)
    assert code == 0 and record["success"] and record["noticed"] is False
    code, record = attacked(-1e9)
    assert code == 1 and not record["success"] and record["noticed"] is True
    assert any("false alarm" in note for note in record["notes"])
    told = command("attack", flute, "--to", "flu", "--victim", "made", "--steps", 5, "--out", "same")
    assert told.code == 1 and "heard as flute, now flute, but noticed by the victim's guard" in told.out
    assert "its guard refuses it" in Path("same/index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["victims/band"], "--out"),
        (["--out", "made"], "VICTIM"),
        (["victims/band", "--out", "made"], "one of --with"),
        (["victims/band", "--with", "medain", "--out", "made"], "did you mean median"),
        (["victims/band", "--with", "median", "--option", "size", "--out", "made"], "key=value"),
        (["victims/band", "--with", "median", "--option", "size=4", "--out", "made"], "odd"),
        (["victims/band", "--with", "median", "--option", "hertz=4", "--out", "made"], "expected size"),
        (["victims/band", "--with", "ensemble", "--out", "made"], "--option others: got none"),
        (["victims/band", "--with", "median", "--corpus", ".", "--out", "made"], "--train"),
        (["victims/band", "--train", "median", "--corpus", ".", "--out", "made"], "--with"),
        (["victims/none", "--with", "median", "--out", "made"], "no such folder"),
        (["victims/band", "--with", "median", "--out", "flute.wav/made"], "flute.wav"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    command: Command, flute: Path, arguments: list[str], message: str
) -> None:
    told = command("defend", *arguments)
    assert told.code == 2 and message in told.err and told.err.count("\n") == 1 and not told.out
    assert not Path("made").exists()
