"""The page in a real browser, opened from disk with the network off: what it plays, shows and lets one do."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from in_browser import CONTRAST, LEVEL, SAYINGS, comes_true
from records import record

from subterfuge.report import png
from subterfuge.report.colour import palette
from subterfuge.report.page import write_page

pytestmark = pytest.mark.browser

RATE = 22050
HOSTILE = "<img src=x onerror=alert(1)>.wav"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three attacked files: a 440 Hz tone, made to hold a soft 3 kHz one; 24-bit noise; a hostile name."""
    folder = tmp_path_factory.mktemp("page")
    t = np.arange(2 * RATE) / RATE
    y = np.stack([0.5 * np.sin(2 * np.pi * 440 * t), 0.4 * np.sin(2 * np.pi * 440 * t + 1)], 1)
    z = y + 0.02 * np.sin(2 * np.pi * 3000 * t)[:, None]
    sf.write(folder / "tone.wav", y, RATE)
    sf.write(folder / "tone-to-tru.wav", z, RATE)
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.7, 0.7, RATE)
    noise[:2] = [-1.0, 1.0 - 2**-23]
    sf.write(folder / "noise.wav", noise, RATE, subtype="PCM_24")
    sf.write(folder / "noise-to-org.wav", noise * 0.9999, RATE, subtype="PCM_24")
    name = HOSTILE if sys.platform != "win32" else "hostile.wav"
    shutil.copy(folder / "tone.wav", folder / name)
    records = [
        record(input=str(folder / "tone.wav"), output=str(folder / "tone-to-tru.wav"), snr_db=30.0),
        record(
            input=str(folder / "noise.wav"),
            output=str(folder / "noise-to-org.wav"),
            target="org",
            predicted_after="flu",
            success=False,
            snr_db=80.0,
            probabilities_before=None,
            probabilities_after=None,
        ),
        record(
            input=str(folder / name), output=str(folder / "tone-to-tru.wav"), snr_db=29.0, notes=[HOSTILE]
        ),
    ]
    write_page(records, folder / "index.html", command="subterfuge attack *.wav --to trumpet --out out")
    write_page(records[:1], folder / "one.html", command="subterfuge attack tone.wav --to trumpet")
    return folder


def state(page: Any, number: int = 1) -> tuple[str, str, float]:
    found = page.evaluate("n => ({...document.querySelector('#file-' + n).dataset})", number)
    return found["state"], found["source"], float(found["time"])


def wait_for(page: Any, wanted: str, number: int = 1) -> None:
    page.wait_for_selector(f"#file-{number}[data-state={wanted}]")


def level(page: Any, hz: float) -> float:
    """Level in dB of what leaves the first file's player, at a frequency, over the last 0.37 s."""
    return page.evaluate(f"hz => ({LEVEL})({{node: subterfuge.players[0].master, hz, size: 8192}})", hz)


def test_play_moves_the_clock_and_the_playhead(open_page):
    page = open_page()
    assert page.evaluate(
        "subterfuge.players.every(p => p.buffers === null)"
    )  # nothing decoded before it is asked for
    assert state(page) == ("idle", "original", 0.0)
    page.click("#file-1 .play")
    wait_for(page, "playing")
    for earlier in (0.0, 0.3):
        comes_true(page, "t => Number(document.querySelector('#file-1').dataset.time) > t", earlier)
    left, width, time = page.evaluate(
        """[getComputedStyle(document.querySelector('#file-1 .playhead')).left,
            document.querySelector('#file-1 .plot').clientWidth,
            Number(document.querySelector('#file-1').dataset.time)]"""
    )
    assert float(left[:-2]) / width == pytest.approx(time / 2, abs=0.01)
    assert page.evaluate("subterfuge.players.slice(1).every(p => p.buffers === null)")
    page.click("#file-1 .play")
    assert state(page)[0] == "paused"
    held = state(page)[2]
    page.wait_for_timeout(200)
    assert state(page)[2] == held


def test_the_switch_changes_what_is_heard_and_nothing_else(open_page):
    page = open_page()
    page.click("#file-1 .play")
    wait_for(page, "playing")
    page.evaluate("window.before = subterfuge.players[0].nodes")
    assert level(page, 440) > -40 and level(page, 3000) < -80
    page.keyboard.press("x")
    assert state(page)[1] == "adversarial"
    assert level(page, 440) > -40 and -60 < level(page, 3000) < -30
    page.keyboard.press("3")
    assert state(page)[1] == "perturbation"
    assert level(page, 440) < -80 and level(page, 3000) > -40
    page.keyboard.press("1")
    assert level(page, 3000) < -80
    assert state(page)[0] == "playing"
    # The same three sources run on, started once and together: no gap, no seek.
    assert page.evaluate("subterfuge.players[0].nodes === window.before && window.before.length === 3")
    gains = page.evaluate("Object.values(subterfuge.players[0].gains).map(g => g.gain.value)")
    assert gains == [1, 0, 0]


def test_time_goes_on_across_a_switch(open_page):
    page = open_page()
    page.click("#file-1 .play")
    wait_for(page, "playing")
    comes_true(page, "() => subterfuge.players[0].time() > 0")
    before, after = page.evaluate(
        "(() => { const p = subterfuge.players[0], a = p.time(); p.swap(); return [a, p.time()]; })()"
    )
    assert before > 0 and before <= after < before + 0.05
    comes_true(page, "after => subterfuge.players[0].time() > after", after)


def test_loop_and_end(open_page):
    page = open_page()
    page.evaluate("subterfuge.players[0].seek(1.7)")
    page.click("#file-1 .play")
    wait_for(page, "playing")
    comes_true(  # from the end to the beginning, and on
        page,
        """() => { const {state, time} = document.querySelector('#file-1').dataset;
           return state === 'playing' && time < 1; }""",
    )
    page.keyboard.press("l")
    assert page.get_attribute("#file-1 .loop", "aria-pressed") == "false"
    page.evaluate("subterfuge.players[0].seek(1.8)")
    wait_for(page, "idle")
    assert state(page)[2] == 0.0
    assert page.inner_text("#live") == "The end."


def test_only_one_file_plays(open_page):
    page = open_page()
    page.click("#file-1 .play")
    wait_for(page, "playing", 1)
    page.click("#file-3 .play")
    wait_for(page, "playing", 3)
    assert state(page, 1)[0] == "paused"


def test_few_files_stay_decoded(open_page, folder):
    records = [
        record(input=str(folder / "tone.wav"), output=str(folder / "tone-to-tru.wav"), seed=k)
        for k in range(7)
    ]
    write_page(records, folder / "seven.html", command="x")
    page = open_page("seven.html")
    for number in range(1, 8):
        page.click(f"#file-{number} .play")
        wait_for(page, "playing", number)
    decoded = page.evaluate("subterfuge.players.map(p => p.buffers !== null)")
    assert sum(decoded) == 4 and decoded[6]
    page.click("#file-1 .play")  # and one that was forgotten plays again
    wait_for(page, "playing", 1)


@pytest.mark.parametrize(
    ("number", "original", "adversarial", "bits"),
    [(1, "tone.wav", "tone-to-tru.wav", 16), (2, "noise.wav", "noise-to-org.wav", 24)],
)
def test_the_decoded_sound_is_the_file_sample_for_sample(
    open_page, folder, number, original, adversarial, bits
):
    page = open_page()
    script = """async ({key, number, rate}) => {
        const id = document.querySelector('#file-' + number).dataset[key];
        const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), c => c.charCodeAt(0));
        const heard = await new OfflineAudioContext(2, 1, rate).decodeAudioData(bytes.buffer);
        return [...Array(heard.numberOfChannels).keys()].map(c => [...heard.getChannelData(c)]);
    }"""
    got = {}
    for key, name in (("original", original), ("adversarial", adversarial)):
        got[key] = np.array(page.evaluate(script, {"key": key, "number": number, "rate": RATE}))
        want, _ = sf.read(folder / name, dtype="int32", always_2d=True)
        np.testing.assert_array_equal(got[key].T * 2 ** (bits - 1), want >> (32 - bits))
    page.click(f"#file-{number} .play")
    wait_for(page, "playing", number)
    gain = float(page.get_attribute(f"#file-{number}", "data-gain"))
    alone = np.array(
        page.evaluate("n => [...subterfuge.players[n - 1].buffers.perturbation.getChannelData(0)]", number)
    )
    np.testing.assert_allclose(alone, gain * (got["adversarial"] - got["original"])[0], atol=1e-6 * gain)
    assert 0.05 < np.abs(alone).max() <= 10 ** (-3 / 20)


def test_keyboard_alone(open_page):
    page = open_page("one.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the files"
    seen = []
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                """(() => { const e = document.activeElement, ring = e.closest('.source') ?? e;
                return [e.className || e.type || e.tagName, getComputedStyle(ring).outlineStyle]; })()"""
            )
        )
    names = [name for name, _ in seen]
    for control in (
        "play",
        "swap",
        "loop",
        "needs-script",
        "seek needs-script",
        "own-toggle",
        "copy needs-script",
    ):
        assert control in names
    assert all(ring != "none" for name, ring in seen if name != "BODY")
    page.focus(".play")
    page.keyboard.press("Enter")
    wait_for(page, "playing")
    page.keyboard.press("2")
    assert state(page)[1] == "adversarial"
    page.keyboard.press("Space")  # the button's own press, not the key's as well
    assert state(page)[0] == "paused"
    page.evaluate("document.activeElement.blur()")
    at = state(page)[2]
    page.keyboard.press("ArrowRight")
    assert state(page)[2] == pytest.approx(at + 0.25, abs=0.002)
    page.keyboard.press("Space")
    wait_for(page, "playing")
    page.keyboard.press("Space")
    page.focus(".seek")
    page.keyboard.press("Home")
    assert state(page)[2] == 0.0
    page.focus(".source input[value=original]")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.value") in ("original", "adversarial", "perturbation")
    page.uncheck("#keys-on")
    source = state(page)[1]
    page.keyboard.press("x")
    assert state(page)[1] == source


def test_keys_go_to_the_next_file(open_page):
    page = open_page(reduced_motion="reduce")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.id") == "file-1"
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.id") == "file-2"
    page.keyboard.press("Space")
    wait_for(page, "playing", 2)
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.id") == "file-1"
    assert state(page, 2)[0] == "paused"


def test_a_click_in_a_spectrogram_goes_there(open_page):
    page = open_page()
    box = page.locator("#file-1 .adversarial .plot").bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 20)
    assert state(page)[2] == pytest.approx(1.5, abs=0.01)
    assert float(page.input_value("#file-1 .seek")) == pytest.approx(1.5, abs=0.02)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(open_page, scheme):
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    found = page.evaluate(CONTRAST)
    assert found["seen"] > 100 and found["poor"] == []
    paper = [int(n) for n in found["paper"][4:-1].split(",")]
    assert (min(paper) > 230) if scheme == "light" else (max(paper) < 40)
    page.click("#theme")  # and the reader's own choice beats the system's
    other = page.evaluate(CONTRAST)
    assert other["poor"] == [] and other["paper"] != found["paper"]


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
@pytest.mark.parametrize("name", ["index.html", "one.html"])
def test_nothing_sticks_out(open_page, width, name):
    page = open_page(
        name, viewport={"width": width, "height": 740}, has_touch=width < 500, is_mobile=width < 500
    )
    page.add_style_tag(content=".file { content-visibility: visible !important }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    out = page.evaluate(
        """[...document.querySelectorAll('main *')].filter(e => e.checkVisibility() && !e.closest('.unseen'))
           .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.className)"""
    )
    assert out == []
    if width < 500:
        small = page.evaluate(
            """[...document.querySelectorAll('button:not(.sort), .source')].filter(e => e.checkVisibility())
               .map(e => e.getBoundingClientRect().height).filter(h => h < 39)"""
        )
        assert small == []


def test_hostile_names_are_only_text(open_page):
    page = open_page()
    assert page.locator("img").count() == 0
    assert HOSTILE in page.text_content("#file-3 .eyebrow")
    assert HOSTILE in page.text_content("#file-3 > .note")


def test_sorting_the_overview(open_page):
    page = open_page(reduced_motion="reduce")

    def files() -> list[str]:
        return [row.split("\n")[0] for row in page.locator("#overview tbody .c-number").all_inner_texts()]

    assert files() == ["1", "2", "3"]
    page.click("#overview .c-snr .sort")
    assert files() == ["3", "1", "2"]
    assert page.get_attribute("#overview th.c-snr", "aria-sort") == "ascending"
    page.click("#overview .c-snr .sort")
    assert files() == ["2", "1", "3"]
    assert page.locator("#overview th[aria-sort]").count() == 1
    page.click("#overview tbody a >> nth=0")
    assert page.evaluate("location.hash") == "#file-2"
    comes_true(page, "() => Math.abs(document.querySelector('#file-2').getBoundingClientRect().top) < 60")


def test_the_perturbation_has_a_scale_of_its_own(open_page):
    page = open_page()
    own = page.locator("#file-1 .picture.own")
    assert not own.is_visible()
    page.check("#file-1 .own-toggle")
    assert own.is_visible()


def test_copy(open_page):
    page = open_page("one.html", permissions=["clipboard-read", "clipboard-write"])
    page.evaluate(SAYINGS)
    page.click(".copy")
    comes_true(page, "() => said.includes('Copied')")
    assert page.evaluate("navigator.clipboard.readText()") == "subterfuge attack tone.wav --to trumpet"


def test_named_landmarks_and_controls(open_page):
    page = open_page()
    assert page.locator("main").count() == page.locator("header").count() == page.locator("h1").count() == 1
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, input, [role=img], [role=group], [role=radiogroup]')]
           .map(e => e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.[0]?.textContent)
           .filter(name => !name?.trim()).length"""
    )
    assert nameless == 0
    assert page.locator("#live[aria-live=polite]").count() == 1
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    dangling = page.evaluate(
        """[...document.querySelectorAll('[aria-labelledby]')].filter(e =>
           !document.getElementById(e.getAttribute('aria-labelledby')))"""
    )
    assert dangling == []
    page.keyboard.press("2")
    assert page.inner_text("#live") == "Next: the adversarial file."


def test_reduced_motion_stops_transitions(open_page):
    page = open_page(reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.querySelector('.swap')).transitionDuration") == "0s"
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_print_shows_the_report_and_no_controls(open_page):
    page = open_page(color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for hidden in ("#file-1 .transport", "#theme", ".help", "#file-1 .seek"):
        assert not page.locator(hidden).is_visible()
    for shown in ("#file-1 .verdict", "#file-1 .plot >> nth=2", ".command code", "#file-1 .chances"):
        assert page.locator(shown).is_visible()
    assert page.evaluate(CONTRAST)["poor"] == []


def test_without_scripts_it_is_still_a_report(open_page):
    page = open_page("one.html", java_script_enabled=False)
    assert "it now hears a trumpet" in page.inner_text("h2.verdict")
    assert page.locator("audio").count() == 2
    assert page.get_attribute("audio >> nth=1", "src") == "tone-to-tru.wav"
    assert not page.locator(".play").is_visible()


def test_a_sound_that_cannot_be_decoded_falls_back(open_page, folder):
    text = (folder / "one.html").read_text("utf-8")
    start = text.index('id="sound-2">') + len('id="sound-2">')
    (folder / "broken.html").write_text(
        text[:start] + "AAAA" + text[text.index("</script>", start) :], "utf-8"
    )
    page = open_page("broken.html")
    page.click(".play")
    wait_for(page, "failed")
    assert page.locator(".fallback audio").count() == 2
    assert "could not decode" in page.inner_text(".fallback")


def test_the_browser_sees_the_image_that_was_meant(open_page):
    page = open_page("one.html")
    index = np.random.default_rng(0).integers(0, 61, (7, 13)).astype(np.uint8)
    index[3] = np.arange(13)
    data = list(png.encode(index, palette(61)))
    pixels = page.evaluate(
        """async bytes => {
             const bitmap = await createImageBitmap(new Blob([new Uint8Array(bytes)], {type: 'image/png'}));
             const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
             canvas.drawImage(bitmap, 0, 0);
             return [...canvas.getImageData(0, 0, bitmap.width, bitmap.height).data];
           }""",
        data,
    )
    np.testing.assert_array_equal(np.array(pixels).reshape(7, 13, 4)[..., :3], palette(61)[index])
