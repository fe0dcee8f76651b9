"""Results of listeners: read and doubted, pooled, and put into one statement."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from listeners_made import PAIRS, knowing, result, saved
from subterfuge.audibility.listeners import read_session
from subterfuge.audibility.listening import score
from subterfuge.audibility.pooling import findable, p_words, pool, statement
from subterfuge.errors import SubterfugeError


def session(folder, right, *, number=1, name="", **more):
    audible, identical = more.pop("audible", 99), more.pop("identical", 1)
    data = result(knowing(right, audible=audible, identical=identical), listener=number, name=name, **more)
    return read_session(saved(folder, f"{name or 'listener'}-{number}.json", data))


def test_a_result_is_read_as_it_was_given(tmp_path):
    one = session(tmp_path, 11, number=77, name=" Ada \n L. ", audible=2)
    assert one.name == "Ada L." and one.listener == 77 and one.pairs == PAIRS
    assert one.score() == score(11, 16)
    assert (one.score("audible").right, one.score("audible").total) == (2, 3) and not one.awake
    assert (one.score("identical").right, one.score("identical").total) == (1, 2)
    assert one.seconds == pytest.approx(1.010)  # the middle of 1.000 to 1.020
    assert session(tmp_path, 3, number=5).name == "listener-5"


def put(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        *way, last = path.split(".")
        for key in way:
            data = data[int(key)] if key.isdigit() else data[key]
        data[int(last) if last.isdigit() else last] = value  # type: ignore[index]

    return change


def drop(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for key in path[:-1]:
            data = data[key]
        del data[path[-1]]

    return change


def other_answer(data: dict[str, Any]) -> None:
    """One wrong answer made right, and all that is said of it too; only the checksum knows."""
    i = next(i for i, one in enumerate(data["trials"]) if one["kind"] == "pair" and not one["right"])
    data["trials"][i] |= {"answer": data["trials"][i]["x"], "right": True}
    data["result"] = score(12, 16).as_json()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("kind", "something"), "is not a listener's result"),
        (put("schema", 2), "is of schema 2, expected 1"),
        (drop("page"), "is not a whole result .'page' is missing."),
        (drop("listener", "number"), "'number' is missing"),
        (put("trials", 5), "is not a whole result"),
        (put("pairs", []), "are not those of the page"),
        (put("pairs.0.id", "c" * 16), "are not those of the page"),
        (put("seed", 1), "are not those of the page"),
        (put("planned", 99), "are not those of the page"),
        (put("listener.number", 2), "its trials are not those that its seed and listener's number give"),
        (put("listener.number", -1), "-1 is no whole number"),
        (put("listener.number", True), "True is no whole number"),
        (put("trials.0.x", "C"), "its trials are not those"),
        (put("trials.3.milliseconds", 10), "its checksum does not fit its answers"),
        (put("trials.3.milliseconds", 1.5), "1.5 is no whole number"),
        (put("trials.3.right", "yes"), "called right that is wrong"),
        (other_answer, "its checksum does not fit its answers"),
        (lambda data: data["trials"].pop(), "is not whole .20 of 21 trials answered."),
        (put("result.right", 16), "its result's right is not what its answers come to"),
        (put("result.p_value", 0.001), "its result's p_value is not"),
        (put("result.low", None), "is not a whole result"),
    ],
)
def test_what_contradicts_itself_is_refused_in_a_sentence(tmp_path, change, words):
    data = result(knowing(11))
    change(data)
    with pytest.raises(SubterfugeError, match=words) as error:
        read_session(saved(tmp_path, "r.json", data))
    assert str(error.value).startswith(str(tmp_path / "r.json")) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is not a listener's result"),
        (b" " * 4_000_001, "is too large"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_result_at_all(tmp_path, content, words):
    if content is not None:
        (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(SubterfugeError, match=words):
        read_session(tmp_path / "r.json")


def test_all_are_pooled_and_pair_by_pair(tmp_path):
    (one,) = pool([session(tmp_path, k, number=k) for k in (4, 9, 11)])
    assert one.score == score(24, 48) and len(one.counted) == 3
    assert one.identical == score(3, 6)
    assert [pair.name for pair in one.pairs] == ["cello.wav → organ", "flute.wav → trumpet"]
    assert sum(pair.score.right for pair in one.pairs) == 24
    assert [pair.score.total for pair in one.pairs] == [24, 24]
    text = statement(one)
    assert text.startswith("3 listeners, 48 trials, 24 right (50.0 %). That is no evidence")
    assert "guessing does as well 55.7 % of the time (exact binomial, one-sided p = 0.56)" in text
    assert "35.2 % to 64.8 %, which leaves room for a difference heard in 0.0 % to 29.5 %" in text
    assert "The best of them, listener-11 (11 of 16), is no exception: p = 0.32" in text


def test_who_hears_it_is_believed(tmp_path):
    (one,) = pool([session(tmp_path, k, number=k) for k in (13, 14, 8)])
    text = statement(one)
    assert "That is evidence that a difference is heard: guessing does as well one time in " in text
    assert "nine times in ten" not in text and "listener-14 (14 of 16), tells them apart" in text
    best = next(each for each in one.listeners if each.session.listener == 14)
    assert best.adjusted == pytest.approx(3 * score(14, 16).p_value)


def test_who_missed_an_audible_control_is_left_out_unless_all_are_kept(tmp_path):
    some = [
        session(tmp_path, 8, number=1, name="Ada"),
        session(tmp_path, 16, number=2, name="Bob", audible=2),
    ]
    (one,) = pool(some)
    assert one.score == score(8, 16) and [each.left_out for each in one.listeners] == [
        "",
        "1 of 3 plainly audible controls were missed",
    ]
    assert "Bob is left out: 1 of 3 plainly audible controls were missed." in statement(one)
    (kept,) = pool(some, keep_all=True)
    assert kept.score == score(24, 32) and len(kept.counted) == 2
    assert "Bob counts, although 1 of 3 plainly audible controls were missed." in statement(kept)
    (nobody,) = pool(some[1:])
    assert nobody.score == score(0, 0) and nobody.pairs == ()
    assert statement(nobody).startswith("No listener is left to say anything by. Bob is left out")
    json.dumps(nobody.as_json(), allow_nan=False)


def test_one_session_counts_once_and_two_tales_of_it_not_at_all(tmp_path):
    first = session(tmp_path, 9, number=4)
    copy = read_session(saved(tmp_path, "copy.json", json.loads(first.path.read_text())))
    (one,) = pool([first, copy])
    assert one.score == score(9, 16) and len(one.listeners) == 1
    assert f"{copy.path} is the same session as {first.path}, and is counted once." in one.notes
    with pytest.raises(SubterfugeError, match="tell different answers of one session"):
        pool([first, session(tmp_path, 10, number=4, name="other")])


def test_other_sounds_are_another_pool_and_other_seeds_are_not(tmp_path):
    mine = session(tmp_path, 9, number=1)
    seeded = session(tmp_path, 5, number=1, name="s", seed=3, trials=8, pairs=PAIRS[::-1])
    elsewhere = session(tmp_path, 12, number=1, name="e", pairs=PAIRS[:1])
    pools = pool([mine, elsewhere, seeded])
    assert [one.score for one in pools] == [score(14, 24), score(12, 16)]
    # The same pair has another number on the other page, and is known again.
    assert [pair.score.total for pair in pools[0].pairs] == [12, 12]
    assert {pair.name for pair in pools[0].pairs} == {name for _, name in PAIRS}


def test_answers_that_nobody_can_hear_are_a_warning(tmp_path):
    honest = [session(tmp_path, 16, number=k, identical=k % 3) for k in range(8)]
    assert "nothing is proved here" not in statement(pool(honest)[0])
    peeking = [session(tmp_path, 16, number=k, identical=2) for k in range(10, 18)]
    text = statement(pool(peeking)[0])
    assert "Where A and B are the same, 16 of 16 answers agree with the key" in text
    assert "nothing is proved here" in text


def test_the_statement_in_json(tmp_path):
    (one,) = pool([session(tmp_path, 9, number=1, name="Ada"), session(tmp_path, 7, number=2, audible=0)])
    data = json.loads(json.dumps(one.as_json(), allow_nan=False))
    assert data["pooled"] == {**score(9, 16).as_json(), "listeners": 1}
    assert data["listeners"][0]["name"] == "Ada" and data["listeners"][0]["left_out"] is None
    assert data["listeners"][1]["audible"] == {"right": 0, "total": 3} and data["listeners"][1]["left_out"]
    assert data["statement"] == statement(one)


def test_words():
    assert [p_words(p) for p in (1.0, 0.1, 0.0996, 0.05, 0.0123, 2**-16, 2**-32)] == [
        "1.00",
        "0.10",
        "0.10",
        "0.050",
        "0.012",
        "0.000015",
        "0.00000000023",
    ]
    assert findable(8) == pytest.approx(0.94)
