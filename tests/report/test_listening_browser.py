"""The listening test in a real browser, from disk, the network off: who hears, who guesses, keys, reloads."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from in_browser import CONTRAST, OUTSIDE, comes_true

from subterfuge.audibility.listeners import read_session, seal
from subterfuge.audibility.listening import needed, plan, power, score
from subterfuge.audibility.pooling import p_words, pool
from subterfuge.report.listening_material import Files
from subterfuge.report.listening_page import write_listening_page

pytestmark = pytest.mark.browser

RATE = 22050
HOSTILE = "</script><img src=x onerror=alert(1)>.wav"
Open = Callable[..., Any]

# What a perfect listener does: which of A and B is X, by every sample as it goes to the loudspeaker?
COMPARE = """() => {
  const { sounds } = subterfuge.current().deck;
  const apart = (p, q) => {
    let sum = 0;
    for (let c = 0; c < p.buffer.numberOfChannels; c++) {
      const x = p.buffer.getChannelData(c), y = q.buffer.getChannelData(c);
      for (let i = 0; i < x.length; i++) sum += Math.abs(p.level * x[i] - q.level * y[i]);
    }
    return sum;
  };
  return [apart(sounds.X, sounds.A), apart(sounds.X, sounds.B)];
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pairs: a tone with a 3 kHz one 60 dB below, in stereo; 24-bit noise; a clip at 8 kHz."""
    folder = tmp_path_factory.mktemp("listening")
    t = np.arange(RATE) / RATE
    y = np.stack([0.5 * np.sin(2 * np.pi * 440 * t), 0.4 * np.sin(2 * np.pi * 440 * t + 1)], 1)
    sf.write(folder / "tone.wav", y, RATE)
    sf.write(folder / "tone-x.wav", 0.97 * y + 0.02 * np.sin(2 * np.pi * 3000 * t)[:, None], RATE)
    noise = np.random.default_rng(0).uniform(-0.7, 0.7, RATE)
    noise[:2] = [-1.0, 1.0 - 2**-23]
    other = noise.copy()
    other[5000:] += 2**-22
    sf.write(folder / "noise.wav", noise, RATE, subtype="PCM_24")
    sf.write(folder / "noise-x.wav", other, RATE, subtype="PCM_24")
    low = 0.3 * np.sin(2 * np.pi * 300 * np.arange(4000) / 8000)
    sf.write(folder / "low.wav", low, 8000)
    sf.write(folder / "low-x.wav", 0.999 * low, 8000)
    pairs = [
        Files(folder / f"{n}.wav", folder / f"{n}-x.wav", name)
        for n, name in (("tone", "tone.wav → trumpet"), ("noise", "noise.wav → organ"), ("low", HOSTILE))
    ]
    for name, some, trials in (("all", pairs, 16), ("short", pairs[:2], 8), ("tone", pairs[:1], 8)):
        write_listening_page(
            some, folder / f"{name}.html", trials=trials, seed=5, command="subterfuge listen out --abx"
        )
    return folder


@pytest.fixture
def open_page(visit: Open, folder: Path) -> Open:
    """Open a page as a listener of a certain number."""
    return lambda name="all", listener=7, **options: visit(
        folder / f"{name}.html", place=f"#listener={listener}", **options
    )


def ready(page: Any) -> None:
    """All three sounds heard, so that an answer may be given."""
    page.keyboard.press("a")
    page.wait_for_selector("main[data-state=playing]")
    page.keyboard.press("b")
    page.keyboard.press("x")


def sit(page: Any, answer: Callable[[int], str], trials: int | None = None) -> None:
    """Answer so many trials, or all that are left."""
    total = page.evaluate("subterfuge.plan().length")
    first = page.evaluate("subterfuge.session().answers.length")
    for number in range(first, total if trials is None else first + trials):
        assert page.inner_text("#trial-title") == f"Trial {number + 1} of {total}"
        ready(page)
        page.keyboard.press("1" if answer(number) == "A" else "2")
        page.keyboard.press("Enter")


def result(page: Any, path: Path) -> Any:
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(path)
    return read_session(path)


def test_a_perfect_listener(open_page, tmp_path):
    page = open_page()
    page.fill("#name", "Golden Ears")
    page.click("#begin")
    dice = random.Random(0)

    def compare(_: int) -> str:
        to_a, to_b = page.evaluate(COMPARE)
        return dice.choice("AB") if to_a == to_b else "A" if to_a < to_b else "B"

    sit(page, compare)
    assert page.get_attribute("main", "data-right") == "16"
    assert float(page.get_attribute("main", "data-p")) == pytest.approx(2**-16, rel=1e-12)
    assert page.inner_text("#verdict") == "There is evidence that you can tell them apart."
    assert "You were right in 16 of 16 trials. Guessing does as well or better one time in 65,536" in (
        page.inner_text("#said")
    )
    assert not page.locator("#asleep").is_visible()
    one = result(page, tmp_path / "golden.json")
    assert one.score() == score(16, 16) and one.awake and one.name == "Golden Ears"
    assert one.listener == 7 and one.pairs[2][1] == HOSTILE
    assert all(answer.switches == 2 and 0 < answer.milliseconds < 60_000 for answer in one.answers)
    (pooled,) = pool([one])
    assert pooled.score.right == 16
    # And what it says of itself is what Python says of it.
    data = json.loads((tmp_path / "golden.json").read_text())
    assert data["result"] == pytest.approx(score(16, 16).as_json(), rel=1e-9)
    assert page.locator("img").count() == 0 and HOSTILE in page.inner_text("#by-pair")


def test_a_coin_flipper(open_page, tmp_path):
    page = open_page(listener=11)
    page.click("#begin")
    coin = random.Random(1)
    said = [coin.choice("AB") for _ in range(21)]
    sit(page, lambda number: said[number])
    drawn = plan(trials=16, pairs=3, seed=5, listener=11)
    right = sum(one.x == answer for one, answer in zip(drawn, said, strict=True) if one.kind == "pair")
    expected = score(right, 16)
    assert 5 <= right <= 11 and expected.p_value > 0.1
    one = result(page, tmp_path / "coin.json")
    assert one.score() == expected and [answer.trial for answer in one.answers] == drawn
    assert page.inner_text("#verdict") == "There is no evidence that you can tell them apart."
    said_ = page.inner_text("#said").replace("\xa0", " ")
    assert f"right in {right} of 16" in said_ and f"p = {p_words(expected.p_value)})" in said_
    assert f"; {needed(16)} right answers would be needed" in said_
    reach = page.inner_text("#reach").replace("\xa0", " ")
    assert f"is {100 * expected.low:.1f} % to {100 * expected.high:.1f} %." in reach
    assert f"found out with a probability of {100 * power(16, 0.8):.1f} %" in reach
    missed = one.score("audible").total - one.score("audible").right
    assert missed > 0 and f"You missed {missed} of 3 controls" in page.inner_text("#asleep")
    rows = page.locator("#by-pair tbody tr").all_inner_texts()
    assert len(rows) == 3 and sum(int(row.split("\t")[1].split(" of ")[0]) for row in rows) == right


def test_the_page_s_plan_and_statistics_are_python_s(open_page):
    page = open_page()
    dice = random.Random(2)
    orders = []
    for _ in range(60):
        trials = dice.randint(8, 32)
        orders.append(
            {
                "trials": trials,
                "pairs": dice.randint(1, trials),
                "seed": dice.choice([0, 1, 2**32 - 1, dice.getrandbits(32)]),
                "listener": dice.choice([0, 2**32 - 1, dice.getrandbits(32)]),
            }
        )
    for order, got in zip(
        orders, page.evaluate("orders => orders.map(subterfuge.abx.plan)", orders), strict=True
    ):
        assert got == [vars(one) for one in plan(**order)]
    cases = [(k, n) for n in (1, 4, 8, 16, 31, 32) for k in range(n + 1)]
    scores = page.evaluate("cases => cases.map(([k, n]) => subterfuge.abx.score(k, n))", cases)
    for (k, n), got in zip(cases, scores, strict=True):
        assert got == pytest.approx(score(k, n).as_json(), rel=1e-9, abs=1e-12)
    for n in (4, 8, 16, 32):
        assert page.evaluate("n => subterfuge.abx.needed(n)", n) == needed(n)
        for share in (0.5, 0.8, 1.0):
            got = page.evaluate("([n, s]) => subterfuge.abx.power(n, s)", [n, share])
            assert got == pytest.approx(power(n, share), rel=1e-12)
    answers = [{"x": "A", "answer": "B", "milliseconds": 12345, "switches": 6}] * 3
    got = page.evaluate("answers => subterfuge.abx.seal('0123456789abcdef', 4294967295, answers)", answers)
    assert got == seal("0123456789abcdef", 2**32 - 1, [("A", "B", 12345, 6)] * 3)


def test_a_reload_goes_on_where_it_was(open_page, tmp_path):
    page = open_page("short", listener=3)
    page.fill("#name", "Ada")
    page.click("#begin")
    sit(page, lambda _: "A", 5)
    ready(page)  # a trial that is begun and not answered is begun anew
    page.evaluate("location.hash = '#listener=99'")
    page.reload()
    assert page.inner_text("#begin") == "Go on with trial 6 of 13" and page.input_value("#name") == "Ada"
    page.click("#begin")
    assert page.inner_text("#trial-title") == "Trial 6 of 13"
    sit(page, lambda _: "B")
    page.reload()  # the result is kept too
    assert page.locator("#verdict").is_visible()
    one = result(page, tmp_path / "reloaded.json")
    assert one.listener == 3 and one.name == "Ada"
    assert [answer.answer for answer in one.answers] == ["A"] * 5 + ["B"] * 8
    page.click("#again")
    assert page.inner_text("#begin") == "Begin"
    page.click("#begin")
    assert page.evaluate("subterfuge.session().listener") == 99
    assert page.evaluate("subterfuge.session().session") == 2
    sit(page, lambda _: "A", 1)
    page.reload()
    page.click("#anew")  # or one begins anew in the middle
    assert page.inner_text("#trial-title") == "Trial 1 of 13"
    assert page.evaluate("[subterfuge.session().session, subterfuge.session().answers.length]") == [3, 0]


@pytest.mark.parametrize(
    "kept", ["{", "[]", '{"listener": 5}', '{"listener": 5, "answers": [{"answer": "C"}]}']
)
def test_what_is_kept_may_be_spoilt(open_page, kept):
    page = open_page("short")
    page.evaluate("kept => localStorage.setItem(`subterfuge-abx ${subterfuge.test.page}`, kept)", kept)
    page.reload()
    assert page.inner_text("#begin") == "Begin"
    page.click("#begin")
    sit(page, lambda _: "A", 1)


def test_a_browser_that_keeps_nothing(open_page, folder, visit):
    page = open_page("tone")
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException(); }})"
    )
    page.reload()
    assert "finish in one go" in page.inner_text("#unkept")
    page.click("#begin")
    sit(page, lambda _: "A")
    assert page.locator("#verdict").is_visible()


def test_nothing_is_told_before_the_end(open_page):
    page = open_page("short")
    page.click("#begin")
    for number in range(4):
        ready(page)
        page.keyboard.press("1" if number % 2 else "2")
        page.keyboard.press("Enter")
        text = page.inner_text("main") + page.inner_text("#live")
        for word in ("right", "wrong", "correct", "control"):
            assert word not in text.lower()
    assert page.get_attribute("main", "data-right") is None
    assert not page.locator("#about").is_visible()


def test_an_answer_needs_all_three_sounds(open_page):
    page = open_page("short")
    page.click("#begin")
    page.keyboard.press("1")
    assert page.locator("input[name=answer]:checked").count() == 0 and page.is_disabled("#confirm")
    page.keyboard.press("Enter")
    page.keyboard.press("x")
    page.wait_for_selector("main[data-state=playing]")
    assert page.inner_text("#hint") == "Listen to A and B too before you answer."
    page.keyboard.press("a")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    assert page.inner_text("#trial-title") == "Trial 1 of 13"
    page.keyboard.press("b")
    page.keyboard.press("2")
    page.keyboard.press("1")  # until it is settled it may be changed
    page.keyboard.press("Enter")
    assert page.evaluate("subterfuge.session().answers.map(one => [one.answer, one.switches])") == [["A", 2]]


def test_keys_alone(open_page):
    page = open_page("short", listener=1)
    names = []
    for _ in range(6):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate(
                "[document.activeElement.id, getComputedStyle(document.activeElement).outlineStyle]"
            )
        )
    ids = [name for name, _ in names]
    assert ids[1:5] == ["theme", "name", "begin", "volume"] and all(ring != "none" for _, ring in names)
    page.focus("#begin")
    page.keyboard.press("?")
    assert page.evaluate("document.querySelector('#help').open") and page.locator("dialog .keys").is_visible()
    page.keyboard.press("x")  # nothing but the help listens now
    page.keyboard.press("Escape")
    assert not page.evaluate("document.querySelector('#help').open")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "trial-title"
    page.keyboard.press("Space")
    page.wait_for_selector("main[data-state=playing]")
    page.keyboard.press("Space")
    assert page.get_attribute("main", "data-state") == "paused"
    for number in range(13):
        ready(page)
        page.keyboard.press("ArrowLeft" if number % 2 else "ArrowRight")
        if number == 0:
            assert page.evaluate("document.activeElement.value") == "B"
            page.keyboard.press("Space")  # on a chosen answer too, the bar pauses
            assert page.get_attribute("main", "data-state") == "paused"
            page.keyboard.press("ArrowUp")  # a radio button's own keys work as ever
            assert page.evaluate("document.querySelector('input[name=answer]:checked').value") == "A"
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "verdict"
    assert page.evaluate("subterfuge.session().answers.map(one => one.answer).join('')") == "BA" * 6 + "B"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "save"


def test_typing_a_name_presses_no_keys(open_page):
    page = open_page("short")
    page.focus("#name")
    page.keyboard.type("Bax 1? s")
    assert page.input_value("#name") == "Bax 1? s" and not page.evaluate(
        "document.querySelector('#help').open"
    )
    page.click("#volume")
    page.wait_for_selector("main[data-state=playing]")
    assert page.inner_text("#volume") == "Stop"
    page.click("#volume")
    assert page.get_attribute("main", "data-state") == "paused"


def test_three_sources_start_together_and_a_switch_starts_nothing(open_page):
    page = open_page("tone")
    page.evaluate(
        """() => { window.starts = [];
           const start = AudioBufferSourceNode.prototype.start;
           AudioBufferSourceNode.prototype.start = function (...where) {
             starts.push([...where, this.buffer.length, this.loop, this.context.sampleRate]);
             return start.apply(this, where);
           }; }"""
    )
    page.click("#begin")
    ready(page)
    starts = page.evaluate("starts")
    # Where a busy machine lets the appointed time pass they are started anew: the last ones count.
    begun = len(starts)
    assert begun % 3 == 0 and starts[-3] == starts[-2] == starts[-1] and starts[-1][3:] == [True, RATE]
    page.evaluate("() => { window.nodes = Object.values(subterfuge.current().deck.nodes); }")
    before = page.evaluate("subterfuge.current().deck.time()")
    for key in "abxabxbbaax":
        page.keyboard.press(key)
    assert len(page.evaluate("starts")) == begun
    assert page.evaluate("Object.values(subterfuge.current().deck.nodes).every((one, i) => one === nodes[i])")
    comes_true(page, "before => subterfuge.current().deck.time() !== before", before)
    page.keyboard.press("s")  # another loop starts them anew, together again
    starts = page.evaluate("starts")
    assert len(starts) % 3 == 0 and len(starts) > begun and starts[-3] == starts[-2] == starts[-1]


def test_a_context_is_not_put_to_sleep_while_it_wakes(open_page):
    page = open_page("tone")
    page.evaluate(
        """() => { window.slept = [];
           const {resume, suspend} = AudioContext.prototype;
           AudioContext.prototype.resume = async function () {
             await new Promise(done => setTimeout(done, 900));  // longer than an idle context is kept
             return resume.call(this);
           };
           AudioContext.prototype.suspend = function () {
             slept.push(Boolean(subterfuge.current()?.wanted));
             return suspend.call(this);
           }; }"""
    )
    page.click("#begin")
    sit(page, lambda _: "A", 2)
    ready(page)
    page.keyboard.press("Space")
    comes_true(page, "() => slept.length > 0")  # it does let go in the end
    assert page.evaluate("slept") == [False]


# Renders a deck offline: A, B and X are made by hand, switched at given times; gives what would be heard.
OFFLINE = """async ({ rate, sounds, switches, seconds, offset }) => {
  const context = new OfflineAudioContext(1, seconds * rate, rate);
  const held = Object.entries(sounds).map(([name, [level, y]]) => {
    const buffer = context.createBuffer(1, y.length, rate);
    buffer.copyToChannel(Float32Array.from(y), 0);
    return [name, { buffer, level }];
  });
  const deck = new subterfuge.Deck(context, Object.fromEntries(held), "A");
  deck.start(0.1, offset);
  for (const [name, at] of switches) deck.hear(name, at);
  return [...(await context.startRendering()).getChannelData(0)];
}"""


def test_a_switch_is_gapless_and_sample_on_sample(open_page):
    page = open_page("tone")
    rate, length = 8000, 3000
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-0.5, 0.5, (2, length)).astype(np.float32)
    switches = [("B", 0.3), ("X", 0.55), ("A", 0.8), ("X", 1.0), ("B", 1.303)]
    got = np.array(
        page.evaluate(
            OFFLINE,
            {
                "rate": rate,
                "sounds": {"A": [1.0, a.tolist()], "B": [0.5, b.tolist()], "X": [0.5, b.tolist()]},
                "switches": switches,
                "seconds": 2,
                "offset": 0.125,
            },
        )
    )
    n = np.arange(2 * rate)
    place = (n - 800 + 1000) % length  # started at 0.1 s, 0.125 s into the loop, which comes round again
    sounds = {"A": a[place], "B": 0.5 * b[place], "X": 0.5 * b[place]}
    assert np.abs(got[:800]).max() == 0
    fade = round(0.005 * rate)
    heard = [("A", 0.1), *switches, ("", 2.0)]
    before = np.zeros(2 * rate)
    for (name, at), (_, until) in pairwise(heard):
        first, last = round(at * rate), round(until * rate)
        now = sounds[name]
        mix = np.clip((n - first) / fade, 0, 1)
        expected = (1 - mix) * before + mix * now
        np.testing.assert_allclose(got[first:last], expected[first:last], atol=1e-4)
        # Beyond the cross-fade it is the sound itself, sample for sample; X for B not even a fade is heard.
        np.testing.assert_allclose(got[first + fade + 1 : last], now[first + fade + 1 : last], atol=1e-7)
        before = now
    first = round(1.303 * rate)
    np.testing.assert_allclose(got[first : first + fade], sounds["B"][first : first + fade], atol=1e-6)


def test_switching_within_a_switch_does_not_click(open_page):
    page = open_page("tone")
    rate = 8000
    times = np.cumsum(np.random.default_rng(1).uniform(0.0005, 0.004, 200)) + 0.2
    names = np.random.default_rng(2).choice(["A", "B", "X"], 200)
    got = np.array(
        page.evaluate(
            OFFLINE,
            {
                "rate": rate,
                "sounds": {"A": [1.0, [0.0] * 800], "B": [1.0, [1.0] * 800], "X": [1.0, [0.5] * 800]},
                "switches": [(str(name), float(at)) for name, at in zip(names, times, strict=True)],
                "seconds": 1,
                "offset": 0,
            },
        )
    )
    # A cross-fade from nothing to 1 climbs by 1 in 40 samples; never is there a step beyond that.
    first = round(0.2 * rate)
    assert np.abs(np.diff(got[first:])).max() <= 1 / 40 + 1e-3
    assert got.min() >= -1e-6 and got.max() <= 1 + 1e-6 and np.ptp(got[first:]) > 0.9
    assert got[-1] == pytest.approx({"A": 0.0, "B": 1.0, "X": 0.5}[str(names[-1])], abs=1e-6)


# What the deck of the trial that is on gives: a loop of A, then one of B, then one of X, rendered offline.
THREE_LOOPS = """async () => {
  const { sounds } = subterfuge.current().deck, { length, sampleRate } = sounds.A.buffer;
  const context = new OfflineAudioContext(1, 3 * length, sampleRate);
  const deck = new subterfuge.Deck(context, sounds, "A");
  deck.start(0);
  deck.hear("B", length / sampleRate);
  deck.hear("X", 2 * length / sampleRate);
  return [...(await context.startRendering()).getChannelData(0)];
}"""


@pytest.mark.parametrize("listener", [2, 3])
def test_what_is_heard_is_what_was_chosen(open_page, listener):
    drawn = plan(trials=8, pairs=1, seed=5, listener=listener)
    number = next(i for i, one in enumerate(drawn) if one.kind == "pair")
    page = open_page("tone", listener=listener)
    page.click("#begin")
    sit(page, lambda _: "A", number)
    ready(page)
    loops = dict(zip("ABX", np.split(np.array(page.evaluate(THREE_LOOPS)), 3), strict=True))
    inner = slice(200, RATE - 200)  # beyond the cross-fade, before the loop's own end
    kilohertz_3 = {
        name: np.abs(np.mean(y[inner] * np.exp(-2j * np.pi * 3000 / RATE * np.arange(RATE - 400))))
        for name, y in loops.items()
    }
    assert kilohertz_3["B"] > 100 * kilohertz_3["A"]
    strength = {name: np.sqrt(np.mean(np.square(y[inner]))) for name, y in loops.items()}
    assert strength["A"] == pytest.approx(strength["B"], rel=1e-3)  # matched; as files they differ by 2 %
    own, other = (drawn[number].x, "B" if drawn[number].x == "A" else "A")
    np.testing.assert_array_equal(loops["X"][inner], loops[own][inner])
    assert np.abs(loops["X"] - loops[other])[inner].max() > 0.01
    # And live: of the three gains the one chosen is open.
    levels = page.evaluate("Object.values(subterfuge.current().deck.sounds).map(one => one.level)")
    for place, key in enumerate("abx"):
        page.keyboard.press(key)
        comes_true(
            page,
            """([place, level]) => Object.values(subterfuge.current().deck.lines).every(({ gain }, i) =>
                 Math.abs(gain.value - (i === place ? level : 0)) < 1e-6)""",
            [place, levels[place]],
        )


def test_the_sounds_played_are_the_files_level_matched(open_page, folder):
    page = open_page("all")
    page.click("#begin")
    script = """async (number) => {
        const { sounds, gains, rate } = subterfuge.test.pairs[number];
        const context = new OfflineAudioContext(2, 1, rate);
        const out = [];
        for (const id of sounds) {
          const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), c => c.charCodeAt(0));
          const heard = await context.decodeAudioData(bytes.buffer);
          out.push([...Array(heard.numberOfChannels).keys()].map(c => [...heard.getChannelData(c)]));
        }
        return [out, gains];
    }"""
    for number, (name, bits) in enumerate((("tone", 16), ("noise", 24), ("low", 16))):
        sounds, gains = page.evaluate(script, number)
        strength = []
        for got, gain, tail in zip(sounds, gains, ("", "-x"), strict=True):
            want, _ = sf.read(folder / f"{name}{tail}.wav", dtype="int32", always_2d=True)
            np.testing.assert_array_equal(np.array(got).T * 2 ** (bits - 1), want >> (32 - bits))
            strength.append(gain * np.sqrt(np.mean(np.square(got))))
        assert strength[0] == pytest.approx(strength[1], rel=1e-7) and max(gains) == 1.0


def test_the_audible_control_is_plain_matched_and_never_clips(open_page):
    page = open_page("tone")
    rng = np.random.default_rng(0)
    for y in (
        rng.uniform(-1, 1, 8000),
        0.2 * np.sin(np.arange(8000)),
        0.001 * rng.normal(size=8000),
        np.zeros(8000),
    ):
        a, b, level_a, level_b = page.evaluate(
            """y => { const context = new OfflineAudioContext(1, 1, 8000);
              const buffer = context.createBuffer(1, y.length, 8000);
              buffer.copyToChannel(Float32Array.from(y), 0);
              const { A, B } = subterfuge.withBursts(context, buffer, new subterfuge.abx.Draws(1, 2));
              const samples = ({ buffer }) => [...buffer.getChannelData(0)];
              return [samples(A), samples(B), A.level, B.level]; }""",
            y.tolist(),
        )
        a, b = np.array(a), np.array(b)
        assert max(np.abs(level_a * a).max(), np.abs(level_b * b).max()) <= 1 + 1e-6
        if not np.any(y):
            assert np.abs(b).max() > 0.01
            continue
        assert 20 * np.log10(np.std(y) / np.std(b - a)) == pytest.approx(3.1, abs=0.4)
        rms_a, rms_b = (np.sqrt(np.mean(np.square(s * z))) for s, z in ((level_a, a), (level_b, b)))
        assert rms_a == pytest.approx(rms_b, rel=1e-5)
        bursts = np.square(b - a).reshape(-1, 1000).mean(1)  # an eighth of a second each: on, off, ...
        assert bursts[1::2].max() < 1e-9 < bursts[::2].min()


def test_a_loop_by_keys_mouse_and_back(open_page):
    page = open_page("tone")
    page.click("#begin")
    comes_true(page, "() => subterfuge.current().sounds")
    box = page.locator(".strip").bounding_box()

    def at(share: float) -> tuple[float, float]:
        return box["x"] + share * box["width"], box["y"] + 20

    page.mouse.move(*at(0.25))
    page.mouse.down()
    page.mouse.move(*at(0.75), steps=4)
    page.mouse.up()
    assert page.evaluate("subterfuge.current().region") == pytest.approx([0.25, 0.75], abs=0.01)
    assert page.locator("#whole").is_visible()
    ready(page)
    assert page.evaluate("subterfuge.current().deck.duration") == pytest.approx(0.65, abs=0.02)
    page.mouse.click(*at(0.5))
    assert page.evaluate("subterfuge.current().region[0]") > 0
    page.keyboard.press("w")
    assert page.evaluate("subterfuge.current().region") == [0, 1] and not page.locator("#whole").is_visible()
    page.keyboard.press("Space")
    page.mouse.click(*at(0.4))
    assert float(page.input_value(".seek")) == pytest.approx(0.4, abs=0.02)
    page.keyboard.press("s")
    page.mouse.click(*at(0.9))
    page.keyboard.press("e")
    assert page.evaluate("subterfuge.current().region") == pytest.approx([0.4, 0.9], abs=0.02)
    page.mouse.click(*at(0.1))  # outside of it: all of it again
    assert page.evaluate("subterfuge.current().region") == [0, 1]
    # The stretch is the file's own but for its faded ends.
    inner = page.evaluate(
        """() => { const { sounds } = subterfuge.current(), y = sounds.A.buffer.getChannelData(0);
          const cut = subterfuge.stretch(sounds.context, sounds.A.buffer, 0.2, 0.6).getChannelData(0);
          const [first, n, fade] = [0.2, 0.4, 0.005].map(seconds => Math.round(seconds * 22050));
          return [cut.length - n, cut.subarray(fade, n - fade).every((v, i) => v === y[first + fade + i]),
                  Math.max(...cut.subarray(n)), Math.abs(cut[0]) < 0.01]; }"""
    )
    assert inner == [round(0.15 * RATE), True, 0, True]


def test_a_click_leaves_the_space_bar_to_pause(open_page):
    page = open_page("short")
    page.click("#begin")
    page.click(".sound-b")
    page.wait_for_selector("main[data-state=playing]")
    assert page.get_attribute(".sound-b", "aria-pressed") == "true"
    page.keyboard.press("Space")
    assert page.get_attribute("main", "data-state") == "paused"


def test_a_sound_that_cannot_be_decoded(open_page, folder):
    text = (folder / "tone.html").read_text("utf-8")
    start = text.index('id="sound-1">') + len('id="sound-1">')
    (folder / "broken.html").write_text(
        text[:start] + "AAAA" + text[text.index("</script>", start) :], "utf-8"
    )
    page = open_page("broken")
    page.click("#begin")
    page.wait_for_selector("main[data-state=failed]")
    assert "could not play the sounds" in page.inner_text("#trouble")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_on_every_stage(open_page, scheme):
    page = open_page("short", color_scheme=scheme, reduced_motion="reduce")

    def legible() -> None:
        found = page.evaluate(CONTRAST)
        assert found["seen"] > 10
        # What cannot be pressed yet may be fainter (WCAG 2.2, 1.4.3), and is not; marks are no text.
        assert found["poor"] == []
        paper = [int(n) for n in found["paper"][4:-1].split(",")]
        assert (min(paper) > 230) if scheme == "light" else (max(paper) < 40)

    legible()
    page.click("#about summary")
    legible()
    page.click("#begin")
    legible()
    ready(page)
    legible()
    page.keyboard.press("?")
    legible()
    page.keyboard.press("Escape")
    sit(page, lambda _: "A")
    page.click("#result summary")
    legible()


def test_nothing_sticks_out_on_any_stage(open_page):
    page = open_page("all", has_touch=True, is_mobile=True)

    def fits() -> None:
        for width in (320, 360, 768):
            page.set_viewport_size({"width": width, "height": 740})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            outside = page.evaluate(f"{OUTSIDE}.filter(one => !/^T|SMALL/.test(one))")
            assert outside == []  # but for tables, which scroll in a box of their own
            small = page.evaluate(
                """[...document.querySelectorAll('button, .answer')].filter(e => e.checkVisibility())
                   .map(e => [e.id || e.className, e.getBoundingClientRect().height])
                   .filter(([, height]) => height < 39)"""
            )
            assert small == []

    fits()
    page.click("#about summary")
    fits()
    page.click("#begin")
    ready(page)
    page.keyboard.press("s")
    fits()
    sit(page, lambda _: "B")
    page.click("#result summary")
    fits()


def test_named_landmarks_and_controls(open_page):
    page = open_page()
    assert page.locator("main").count() == page.locator("header").count() == page.locator("h1").count() == 1
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, input, progress, [role=group], [role=region], dialog')]
           .map(e => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim()
             || e.labels?.[0]?.textContent)
           .filter(name => !name?.trim()).length"""
    )
    assert nameless == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    dangling = page.evaluate(
        """[...document.querySelectorAll('[aria-labelledby], a[href^="#"]')].filter(e =>
           !document.getElementById(e.getAttribute('aria-labelledby') ?? e.getAttribute('href').slice(1)))
           .map(e => e.outerHTML)"""
    )
    assert dangling == []


def test_without_scripts_it_says_so(open_page):
    page = open_page("short", java_script_enabled=False)
    assert "needs scripts" in page.inner_text("main") and not page.locator("#begin").is_visible()
