"""The recipe of the embedded data, in miniature."""

from __future__ import annotations

import pytest

from subterfuge.corpora import orchestra
from subterfuge.errors import SubterfugeError
from subterfuge.training import embedded
from subterfuge.victims.store import load_victim


@pytest.fixture(scope="module")
def font():
    pytest.importorskip("midirenderer", reason="the extra 'orchestra' is not installed")
    pytest.importorskip("mido", reason="the extra 'orchestra' is not installed")
    fonts = orchestra.installed_soundfonts()
    if not fonts:
        pytest.skip("no soundfont is installed (Debian: fluid-soundfont-gm)")
    return fonts[0]


def test_the_second_run_makes_the_same(font, tmp_path):
    made = []
    for name in ("one", "two"):
        info = embedded.make(tmp_path / name, clips=40, labels=("cla", "gac"), soundfonts=[font], seed=1)
        clips = {path.name: path.read_bytes() for path in sorted((tmp_path / name / "clips").iterdir())}
        made.append((info.accuracy, info.trained, info.source, clips))
        victim = load_victim(tmp_path / name / "victims" / "orchestra-svc")
        assert victim.labels == ("cla", "gac")
    assert made[0] == made[1]
    assert list(made[0][3]) == ["cla-1.flac", "cla-2.flac", "gac-1.flac", "gac-2.flac"]
    assert made[0][0]["orchestra_held_out"] >= 0.8
    assert "real_recordings" not in made[0][0]


def test_too_few_clips_are_refused(tmp_path):
    with pytest.raises(SubterfugeError, match="at least 40"):
        embedded.make(tmp_path, clips=12)


def test_the_command_says_what_is_missing_in_one_line(tmp_path, capsys):
    missing = tmp_path / "none.sf2"
    assert embedded.main(["--out", str(tmp_path), "--soundfont", str(missing)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and str(missing) in said and said.count("\n") == 1
