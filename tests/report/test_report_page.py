"""The page as a file: complete, self-contained, escaped, written in one step, of bounded size."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from records import record

from subterfuge.errors import SubterfugeError
from subterfuge.report import page as module
from subterfuge.report.page import write_page


def pair(folder: Path, name: str = "clip", *, seconds: float = 0.5, seed: int = 0) -> tuple[str, str]:
    rng = np.random.default_rng(seed)
    y = rng.uniform(-0.5, 0.5, round(8000 * seconds))
    sf.write(folder / f"{name}.wav", y, 8000)
    sf.write(folder / f"{name}-to-tru.wav", y + rng.uniform(-0.002, 0.002, len(y)), 8000)
    return str(folder / f"{name}.wav"), str(folder / f"{name}-to-tru.wav")


def sounds(text: str) -> list[str]:
    return re.findall(r'<script type="application/octet-stream" id="(sound-\d+)"', text)


def test_everything_is_said(tmp_path):
    original, adversarial = pair(tmp_path)
    record_ = record(input=original, output=adversarial, notes=["A <note>."], seed=77)
    path = write_page(
        [record_], tmp_path / "new" / "index.html", command="subterfuge attack 'a b' --to <tru>"
    )
    text = path.read_text("utf-8")
    said = html.unescape(re.sub(r"<(script|style).*?</\1>", "", text, flags=re.S)).replace("\xa0", " ")
    for words in (
        "51.2 dB",
        "1\u202f200",
        "8.3 s",
        "minimal",
        "svc",
        "77",
        "0.1.0",
        "A <note>.",
        "85.0 %",
        "60.0 %",
    ):
        assert words in said
    assert "subterfuge attack 'a b' --to <tru>" in said
    assert '<a href="../clip.wav">' in text and '<a href="../clip-to-tru.wav">' in text
    assert re.search(r"amplified by \d+ dB", said)
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text)
    assert "@import" not in text and str(tmp_path) not in text


def test_each_sound_is_embedded_once(tmp_path):
    original, one = pair(tmp_path)
    y, _ = sf.read(one)
    records = [record(input=original, output=one)]
    for k in range(3):
        sf.write(tmp_path / f"{k}.wav", y * (0.9 - k / 10), 8000)
        records.append(record(input=original, output=str(tmp_path / f"{k}.wav")))
    text = write_page(records, tmp_path / "index.html", command="x").read_text("utf-8")
    assert len(sounds(text)) == 1 + 4
    assert len(set(re.findall(r'data-original="([^"]+)"', text))) == 1
    assert len(set(re.findall(r'data-adversarial="([^"]+)"', text))) == 4


def test_hostile_names_and_labels_are_text(tmp_path):
    bad = "<img src=x onerror=alert(1)>"
    original, adversarial = pair(tmp_path)
    Path(original).rename(tmp_path / f"{bad}.wav")
    hostile = record(
        input=str(tmp_path / f"{bad}.wav"),
        output=adversarial,
        victim=bad,
        attack=bad,
        target=bad,
        predicted_before=f'"{bad}',
        predicted_after=bad,
        probabilities_before={bad: 0.5, f'"{bad}': 0.5},
        probabilities_after={bad: 0.5, f"'{bad}": 0.5},
        audibility={bad: 1.0},
        version=bad,
        notes=[bad, "</script><script>alert(2)</script>"],
    )
    path = write_page([hostile, hostile], tmp_path / "index.html", command=bad, title=f"</title>{bad}")
    text = path.read_text("utf-8")
    assert "<img" not in text and "<script>alert" not in text and "</title>&lt;" not in text
    assert text.count("</title>") == 1
    assert 'href="%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E.wav"' in text


def test_a_name_that_looks_like_a_scheme_stays_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    original, adversarial = pair(tmp_path)
    Path(original).rename(tmp_path / "javascript:alert(1).wav")
    text = write_page(
        [record(input="javascript:alert(1).wav", output=adversarial)], tmp_path / "index.html", command="x"
    ).read_text("utf-8")
    assert 'href="javascript:' not in text and 'href="javascript%3Aalert%281%29.wav"' in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"probabilities_before": None, "probabilities_after": None}, "gives no probabilities, only a label"),
        ({"probabilities_before": None}, "gave no probabilities before the attack"),
        ({"snr_db": float("nan")}, "read back from disk."),
        ({"snr_db": float("-inf"), "success": False}, "itself silent"),
        ({"output": "gone.wav"}, "gone.wav, was not there"),
        ({"input": "gone.wav"}, "gone.wav, was not there"),
        ({"queries": {}}, "Queries forward"),
    ],
)
def test_what_is_missing_is_said(tmp_path, changes, says):
    original, adversarial = pair(tmp_path)
    whole = record(input=original, output=adversarial)
    broken = record(**({"input": original, "output": adversarial} | changes))
    text = write_page([whole, broken], tmp_path / "index.html", command="x").read_text("utf-8")
    assert says in html.unescape(re.sub(r"<[^>]*>", "", text)).replace("\xa0", " ")
    assert "nan" not in re.sub(r"<style.*?</style>|<script.*?</script>", "", text, flags=re.S).casefold()


def test_identical_files_have_no_perturbation(tmp_path):
    original, _ = pair(tmp_path)
    text = write_page(
        [record(input=original, output=original, snr_db=float("inf"))], tmp_path / "index.html", command="x"
    ).read_text("utf-8")
    assert "no perturbation to hear" in text and 'class="row perturbation"' not in text
    assert len(sounds(text)) == 1


def test_many_labels_are_shortened_but_never_the_important_ones(tmp_path):
    original, adversarial = pair(tmp_path)
    before = {f"class {k:03}": 1 / 400 for k in range(400)}
    after = dict(before)
    text = write_page(
        [
            record(
                input=original,
                output=adversarial,
                probabilities_before=before,
                probabilities_after=after,
                predicted_before="class 123",
                predicted_after="class 321",
                target="class 399",
                success=False,
            )
        ],
        tmp_path / "index.html",
        command="x",
    ).read_text("utf-8")
    rows = re.findall(r'<th scope="row">(class \d+)', text)
    assert rows == sorted(rows) and {"class 123", "class 321", "class 399"} <= set(rows) and len(rows) == 14
    assert "386 others together" in text and text.count("96.5") == 2


def test_the_page_stays_within_its_budget(tmp_path, monkeypatch):
    records = []
    for k in range(3):
        original, adversarial = pair(tmp_path, f"clip{k}", seconds=8.0, seed=k)
        records.append(record(input=original, output=adversarial))
    monkeypatch.setattr(module, "BUDGET_BYTES", 3 * 2 * 2 * 8000 * 5)
    text = write_page(records, tmp_path / "index.html", command="x").read_text("utf-8")
    assert re.findall(r'data-duration="([^"]+)"', text) == ["5.0"] * 3
    assert len(sounds(text)) == 6
    monkeypatch.setattr(module, "BUDGET_BYTES", 150_000)
    text = write_page(records, tmp_path / "index.html", command="x").read_text("utf-8")
    assert 0 < len(sounds(text)) < 6 and "play the files themselves" in text
    assert len(text) < 1.5e6


def test_an_old_page_survives_a_failure(tmp_path, monkeypatch):
    original, adversarial = pair(tmp_path)
    path = tmp_path / "index.html"
    path.write_text("the old one")
    monkeypatch.setattr(module.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(SubterfugeError, match=r"index\.html: could not be written: No space left"):
        write_page([record(input=original, output=adversarial)], path, command="x")
    assert path.read_text() == "the old one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip-to-tru.wav", "clip.wav", "index.html"]


def test_no_records_is_an_error(tmp_path):
    with pytest.raises(SubterfugeError, match="got no records"):
        write_page([], tmp_path / "index.html", command="x")


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SubterfugeError, match="could not be written"):
        write_page([record()], tmp_path / "file" / "index.html", command="x")


def test_probabilities_at_odds_with_the_label_are_explained(tmp_path):
    original, adversarial = pair(tmp_path)

    def said(**changes):
        one = record(input=original, output=adversarial, **changes)
        return write_page([one], tmp_path / "index.html", command="x").read_text("utf-8")

    assert "estimated apart" not in said()
    assert "and after the attack" in said(probabilities_after={"flu": 0.5, "tru": 0.4, "org": 0.1})
    both = {"flu": 0.2, "tru": 0.2, "org": 0.6}
    assert "and before and after the attack" in said(probabilities_before=both, probabilities_after=both)
