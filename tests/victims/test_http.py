"""Services over HTTP as victims, against a real one that is slow, fails, talks nonsense and hangs up."""

from __future__ import annotations

import email.utils
import gzip
import json
import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hearing_server import Act, Service, serve_hearing
from subterfuge.attacks.search import Search, Watch
from subterfuge.criteria import Targeted
from subterfuge.errors import SubterfugeError
from subterfuge.victims.http import HttpVictim
from subterfuge.victims.store import import_victim, load_victim, victim_info
from subterfuge.victims.victim import Victim

LABELS = ("down", "up")
RATE = 8000
Y = torch.stack([torch.full((100,), -0.5), torch.full((100,), 0.25), torch.full((100,), 0.125)])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("SUBTERFUGE_TOKEN"):
            monkeypatch.delenv(name)


def level(y: np.ndarray, sr: int) -> Any:
    return {"scores": {"down": -float(y.mean()), "up": float(y.mean())}}


def victim_of(service: Service, **said: Any) -> HttpVictim:
    return HttpVictim(service.url, **{"labels": LABELS, "sample_rate": RATE, "wait": 0.01, **said})


ANSWERS: dict[str, Callable[[float], Any]] = {
    "scores": lambda m: {"scores": {"up": m, "down": -m}},
    "label": lambda m: {"label": LABELS[int(m > 0)]},
    "both": lambda m: {"label": LABELS[int(m > 0)], "scores": {"up": m, "down": -m}},
    "lists": lambda m: {"labels": ["up", "down"], "scores": [m, -m]},
    "list": lambda m: {"scores": [-m, m]},
    "pairs": lambda m: [{"label": "up", "score": m}, {"label": "down", "score": -m}],
    "probabilities": lambda m: {"probabilities": {"up": (1 + m) / 2, "down": (1 - m) / 2}},
    "the best alone": lambda m: {"probabilities": {LABELS[int(m > 0)]: (1 + abs(m)) / 2}},
    "more besides": lambda m: {"label": LABELS[int(m > 0)], "model": "v3", "took": 0.1},
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_form_of_answer_hears_the_same(answer: str) -> None:
    with serve_hearing(lambda y, sr: ANSWERS[answer](float(y.mean()))) as service:
        victim = victim_of(service)
        assert isinstance(victim, Victim) and not victim.differentiable
        heard = victim.hear(Y, probabilities=True)
        assert heard.predicted.tolist() == [0, 1, 1] and heard.scores.argmax(1).tolist() == [0, 1, 1]
        if "prob" in answer or answer == "the best alone":
            m = Y.mean(1).double()
            wanted = torch.stack([(1 - m) / 2, (1 + m) / 2], 1)
            torch.testing.assert_close(heard.probabilities, wanted, atol=1e-4, rtol=0)
        else:
            assert heard.probabilities is None
        assert victim.verdict(Y[:1]).predicted.tolist() == [0]
        assert service.requests == service.answered == victim.attempts == victim.answered == 4


def test_the_label_that_it_tells_is_the_truth_not_the_largest_score() -> None:
    with serve_hearing(lambda y, sr: {"label": "down", "scores": {"up": 1.0, "down": 0.0}}) as service:
        assert victim_of(service).hear(Y[:1]).predicted.tolist() == [0]


@pytest.mark.parametrize("sends", ["wav", "wav-float", "floats"])
def test_it_hears_the_very_samples(sends: str) -> None:
    lattice = torch.arange(-32768, 32768, 97) / 32768
    fine = torch.tensor([0.1, -1.0, 0.9, 1.5e-5, 0.3])
    with serve_hearing(level) as service:
        victim = victim_of(service, sends=sends)
        victim.hear(lattice[None])
        victim.hear(fine[None])
        assert service.rates == [RATE, RATE]
        assert np.array_equal(service.clips[0], lattice.double().numpy())
        error = np.abs(service.clips[1] - fine.double().numpy()).max()
        assert error <= (0.5001 / 32768 if sends == "wav" else 0)


PASSING = {
    "500": Act(500, body=b"oops"),
    "503": Act(503),
    "429": Act(429, {"Retry-After": "0"}),
    "garbage": Act(body=b"<html>busy</html>"),
    "half an answer": Act(drop_after=7),
    "hung up": Act(drop_at_once=True),
    "too slow": Act(pause=1.0),
    "drips": Act(drip=0.2),
    "cut JSON": Act(body=b'{"scores": {"up"'),
    "empty": Act(body=b""),
    "binary": Act(body=bytes(range(256))),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_is_asked_again_and_counted_apart(fault: str) -> None:
    act = PASSING[fault]
    timeout = 0.4 if act.pause or act.drip else 10.0
    with serve_hearing(level, act, act) as service:
        victim = victim_of(service, timeout=timeout)
        began = time.monotonic()
        heard = victim.hear(Y)
        assert heard.predicted.tolist() == [0, 1, 1]
        assert victim.attempts == service.requests == 5
        assert victim.answered == 3
        if act.pause or act.drip:
            assert time.monotonic() - began < 5
        # The same clip is asked about again, and no other.
        for one in service.clips[:3]:
            assert np.array_equal(one, service.clips[0])


def test_it_gives_up_after_so_many_attempts_and_says_why() -> None:
    with serve_hearing(level, *[Act(503, body=b"  down for\nmaintenance ")] * 9) as service:
        victim = victim_of(service, retries=2)
        with pytest.raises(SubterfugeError) as told:
            victim.hear(Y)
        assert str(told.value) == f"{service.url}: answered 503 (down for maintenance) (asked 3 times)"
        assert victim.attempts == service.requests == 3 and victim.answered == 0
        assert service.answered == 0
    gone = service.url
    victim = HttpVictim(gone, labels=LABELS, sample_rate=RATE, retries=1, wait=0.0)
    with pytest.raises(SubterfugeError, match=r"cannot be reached \(connection refused\) \(asked 2 times\)"):
        victim.hear(Y)


def test_waits_double_and_a_service_may_ask_for_more() -> None:
    date = email.utils.formatdate(time.time() + 2.0, usegmt=True)
    acts = [Act(500), Act(500), Act(429, {"Retry-After": "0.5"}), Act(503, {"Retry-After": date})]
    with serve_hearing(level, *acts) as service:
        victim_of(service, wait=0.1).hear(Y[:1])
        gaps = np.diff(service.times)
    assert gaps[0] >= 0.1 and gaps[1] >= 0.2 and gaps[2] >= 0.5 and gaps[3] >= 0.8
    with serve_hearing(level, Act(429, {"Retry-After": "86400"})) as service:
        with pytest.raises(SubterfugeError, match=r"answered 429.*, and asks to wait 86400 s"):
            victim_of(service).hear(Y[:1])
        assert service.requests == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 301, 307])
def test_a_refusal_is_final(status: int) -> None:
    with serve_hearing(level, Act(status, {"Location": "/elsewhere"}, body=b"no")) as service:
        victim = victim_of(service)
        with pytest.raises(SubterfugeError, match=f"answered {status}"):
            victim.hear(Y)
        assert service.requests == victim.attempts == 1 and victim.answered == 0


STRANGE: dict[str, tuple[Any, str]] = {
    "a number": (3, "the answer is a int"),
    "nothing": ({}, "an object of nothing, expected 'label', 'scores' or both"),
    "an error": ({"error": "bad"}, "an object of error"),
    "another label": ({"label": "left"}, "gave the label 'left', expected one of down, up"),
    "another score": ({"scores": {"left": 1}}, "gave the label 'left'"),
    "too few": ({"scores": [1.0]}, "holds 1 scores"),
    "twice": ([{"label": "up", "score": 1}, {"label": "up", "score": 2}], "names a label twice"),
    "words": ({"scores": {"up": "high"}}, "expected a number"),
    "NaN": ({"scores": {"up": float("nan"), "down": 0.0}}, "gave NaN"),
    "a label by number": ({"label": 1}, "an object of label"),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_an_answer_that_makes_no_sense_is_told(strange: str) -> None:
    answer, wrong = STRANGE[strange]
    with serve_hearing(lambda y, sr: answer) as service:
        with pytest.raises(SubterfugeError, match=wrong):
            victim_of(service).hear(Y[:1])
        assert service.requests == 1


def test_an_endless_answer_is_refused() -> None:
    bomb = gzip.compress(b" " * (64 << 20))
    acts = [Act(headers={"Content-Encoding": "gzip"}, body=bomb), Act(body=b" " * (5 << 20))]
    with serve_hearing(level, *acts) as service:
        with pytest.raises(SubterfugeError, match="answered with more than 4 MiB"):
            victim_of(service, retries=1).hear(Y[:1])
        assert service.requests == 2


def test_the_rate_is_kept_retries_included() -> None:
    with serve_hearing(level, Act(500), Act(500)) as service:
        victim_of(service, rate=10, wait=0.0).hear(Y)
        assert len(service.times) == 5
        assert np.diff(service.times).min() > 0.05 and service.times[-1] - service.times[0] >= 0.38


SECRET = "s3cr3t-of-mine"


def test_the_token_goes_to_the_service_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SUBTERFUGE_TOKEN", SECRET)
    echo = f"you sent Bearer {SECRET}".encode()
    with serve_hearing(level, Act(), Act(403, body=echo), Act(500, body=echo)) as service:
        victim = victim_of(service, retries=0)
        victim.hear(Y[:1])
        assert service.headers[0]["Authorization"] == f"Bearer {SECRET}"
        texts = [repr(victim), str(victim.options), str(vars(victim.asker))]
        for _ in range(2):
            with pytest.raises(SubterfugeError, match=r"you sent Bearer \[token\]") as told:
                victim.hear(Y[:1])
            texts.append("".join(traceback.format_exception(told.value)))
        assert len(service.headers) == 3
        folder = import_victim(
            service.url, labels=LABELS, sample_rate=RATE, out="victims/s", options={"retries": 0}
        )
        texts += [(folder / "victim.json").read_text(), str(victim_info("s").as_json())]
    with pytest.raises(SubterfugeError) as told:  # nobody is there any more
        load_victim("s").hear(Y[:1])
    texts += ["".join(traceback.format_exception(told.value)), caplog.text, *capfd.readouterr()]
    assert not any(SECRET in text for text in texts)


def test_a_token_of_another_name_must_be_there_and_be_meant_for_us(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_hearing(level) as service:
        victim_of(service).hear(Y[:1])
        assert "Authorization" not in service.headers[0]
        named = victim_of(service, token="SUBTERFUGE_TOKEN_ACME")
        with pytest.raises(SubterfugeError, match="variable SUBTERFUGE_TOKEN_ACME is not set"):
            named.hear(Y[:1])
        monkeypatch.setenv("SUBTERFUGE_TOKEN_ACME", SECRET)
        monkeypatch.setenv("SUBTERFUGE_TOKEN", "another")
        named.hear(Y[:1])
        assert service.headers[-1]["Authorization"] == f"Bearer {SECRET}"
        victim_of(service, token="").hear(Y[:1])
        assert "Authorization" not in service.headers[-1]
        for wrong in ("HOME", "AWS_SECRET_ACCESS_KEY", "subterfuge_token"):
            with pytest.raises(SubterfugeError, match="expected SUBTERFUGE_TOKEN or one that begins with it"):
                victim_of(service, token=wrong)
        monkeypatch.setenv("SUBTERFUGE_TOKEN_ACME", "two\nlines")
        with pytest.raises(SubterfugeError, match="holds what no token may") as told:
            named.hear(Y[:1])
        assert "two" not in str(told.value)
        assert service.requests == 3


def test_no_token_is_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBTERFUGE_TOKEN", SECRET)
    victim = HttpVictim("http://example.org/hear", labels=LABELS, sample_rate=RATE)
    with pytest.raises(SubterfugeError, match="would go unencrypted, expected an https address") as told:
        victim.hear(Y[:1])
    assert SECRET not in str(told.value) and victim.attempts == 0


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("ftp://host/hear", "expected one that begins with http"),
        ("https://", "expected one that begins with http"),
        ("http://host:port/", "expected one that begins with http"),
        ("https://me:word@host/hear", "holds a user or password for host, expected none"),
        ("http://a b/", "expected one that begins with http"),
    ],
)
def test_an_address_that_cannot_be_is_refused(url: str, wrong: str) -> None:
    with pytest.raises(SubterfugeError, match=wrong) as told:
        HttpVictim(url, labels=LABELS, sample_rate=RATE)
    assert "word@" not in str(told.value)


@pytest.mark.parametrize(
    "said", [{"timeout": 0.0}, {"retries": -1}, {"rate": 0.0}, {"sends": "mp3"}, {"wait": -2.0}]
)
def test_an_option_that_cannot_be_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(SubterfugeError, match=f"{next(iter(said))}: got"):
        HttpVictim("https://host/hear", labels=LABELS, sample_rate=RATE, **said)


def test_a_folder_says_where_it_is_and_how_it_is_asked() -> None:
    with serve_hearing(level) as service:
        options = {"rate": 50.0, "sends": "floats", "thresholds": [0.0, 0.2], "window": 0.005}
        folder = import_victim(f"{service.url}?v=2", sample_rate=RATE, out="victims/s", options=options)
        assert service.requests == 1  # asked for its labels
        info = victim_info("s")
        assert (info.kind, info.labels, info.sample_rate) == ("http", LABELS, RATE)
        assert info.source == {"url": service.url} and info.options["url"] == f"{service.url}?v=2"
        assert sorted(path.name for path in folder.iterdir()) == ["victim.json"]
        victim = load_victim("s")
        heard = victim.hear(Y)
        assert heard.tags.tolist() == [[True, False], [False, True], [False, False]]
        assert victim.attempts == 9 and service.requests == 10  # three windows a clip
    with pytest.raises(SubterfugeError, match="sample rate: got none for a service"):
        import_victim(service.url, labels=LABELS, out="victims/t")


def test_labels_must_be_said_where_the_service_does_not_name_them() -> None:
    with serve_hearing(lambda y, sr: {"label": "up"}) as service:
        with pytest.raises(SubterfugeError, match="tells no scores by label, expected the labels"):
            import_victim(service.url, sample_rate=RATE, out="victims/s")
        import_victim(service.url, labels=LABELS, sample_rate=RATE, out="victims/s")
        assert service.requests == 1


def test_a_search_over_a_shaky_line_counts_its_queries_to_the_unit() -> None:
    acts = [Act(), Act(500), Act(drop_after=3), Act(), Act(429, {"Retry-After": "0"}), Act(body=b"?")]
    with serve_hearing(level, *acts) as service:
        victim = victim_of(service)
        with Search(victim, Y[:2], Targeted("up"), watch=Watch(budget=6), gradients=False) as search:
            while True:
                search.look(Y[:2] + 0.001)
        assert search.outcome().queries.forward.tolist() == [6, 6]
        assert victim.answered == service.answered == 12
        assert victim.attempts == service.requests == 16


SCRIPT = """
import sys, torch
from subterfuge.victims.http import HttpVictim
victim = HttpVictim(sys.argv[1], labels=("down", "up"), sample_rate=8000, timeout=60)
print("asking", flush=True)
try:
    victim.hear(torch.zeros(1, 100))
except KeyboardInterrupt:
    print("ended", victim.attempts, victim.answered)
"""


@pytest.mark.parametrize("act", [Act(pause=30.0), Act(503, {"Retry-After": "30"}), Act(drip=5.0)])
def test_ctrl_c_ends_it_at_once(act: Act) -> None:
    with serve_hearing(level, act) as service:
        child = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, service.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None and child.stdout.readline() == "asking\n"
        deadline = time.monotonic() + 60
        while not service.requests and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
        assert out == "ended 1 0\n" and "Traceback" not in err, err


def test_a_clip_that_is_no_number_is_not_sent() -> None:
    with serve_hearing(level) as service:
        with pytest.raises(SubterfugeError, match="NaN or infinite samples"):
            victim_of(service).hear(Y * torch.nan)
        assert service.requests == 0


def test_a_folder_that_was_tampered_with_cannot_take_another_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = import_victim("https://host/hear", labels=LABELS, sample_rate=RATE, out="victims/s")
    card = json.loads((folder / "victim.json").read_text())
    card["options"]["token"] = "HOME"
    (folder / "victim.json").write_text(json.dumps(card))
    with pytest.raises(SubterfugeError, match="token: got the variable 'HOME'"):
        load_victim("s")
