"""Downloads from a local server that drops connections, ignores ranges, hangs, answers 503 and lies."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from shaky_server import Act, Server, serve
from subterfuge.corpora import download as module
from subterfuge.corpora import unpack
from subterfuge.corpora.download import download
from subterfuge.errors import SubterfugeError

CONTENT = random.Random(0).randbytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a.zip").write_bytes(CONTENT)
    return folder


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "here" / "a.zip"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds waited between attempts, which no test waits for."""
    waited: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    return waited


def get(server: Server, to: Path, **options: object) -> bool:
    return download(f"{server.url}/a.zip", to, md5=MD5, **options)  # type: ignore[arg-type]


def whole(to: Path) -> bool:
    """The file is there, the right one, and nothing else."""
    return to.read_bytes() == CONTENT and [path.name for path in to.parent.iterdir()] == [to.name]


def part(to: Path, content: bytes) -> Path:
    to.parent.mkdir(exist_ok=True)
    path = to.with_name(f"{to.name}.part")
    path.write_bytes(content)
    return path


def test_a_file_and_its_progress(files: Path, to: Path) -> None:
    told: list[tuple[str, int, int]] = []
    with serve(files) as server:
        assert get(server, to, report=lambda *news: told.append(news))
        assert whole(to)
        assert len(server.log) == 1
        # The second time nothing is asked of the server.
        assert not get(server, to)
        assert len(server.log) == 1
    for what in ("downloading", "checking"):
        done = [news[1] for news in told if news[0] == what]
        assert done == sorted(done) and done[-1] == len(CONTENT)
        assert {news[2] for news in told if news[0] == what} == {len(CONTENT)}


def test_dropped_connections_are_gone_on_from(files: Path, to: Path, pauses: list[float]) -> None:
    with serve(files, Act(drop_after=100_000), Act(drop_after=150_000), Act(drop_after=0)) as server:
        assert get(server, to, wait=1.0)
        assert whole(to)
        assert server.ranges == [None, "bytes=100000-", "bytes=250000-", "bytes=250000-"]
        assert server.log[1]["if"] == f'"{MD5}"'
    assert pauses == [1.0, 1.0, 2.0]


def test_what_another_run_left_is_gone_on_from(files: Path, to: Path) -> None:
    part(to, CONTENT[:123_456])
    with serve(files) as server:
        assert get(server, to)
        assert whole(to)
        assert server.ranges == ["bytes=123456-"]


def test_a_killed_process_is_gone_on_from(files: Path, to: Path) -> None:
    """SIGKILL in the middle of a slow transfer; the next process asks for the rest alone."""
    code = "import sys; from subterfuge.corpora.download import download; from pathlib import Path\n"
    code += f"download(sys.argv[1], Path(sys.argv[2]), md5={MD5!r})"
    with serve(files, Act(pause=0.02)) as server:
        child = subprocess.Popen([sys.executable, "-c", code, f"{server.url}/a.zip", str(to)])
        left = to.with_name("a.zip.part")
        until = time.monotonic() + 20
        while not (left.is_file() and left.stat().st_size > 50_000):
            assert time.monotonic() < until and child.poll() is None
            time.sleep(0.02)
        with pytest.raises(SubterfugeError, match="is being downloaded already"):
            get(server, to)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        size = left.stat().st_size
        assert not to.exists() and CONTENT.startswith(left.read_bytes())
        assert get(server, to)
        assert whole(to)
        assert server.ranges == [None, f"bytes={size}-"]


@pytest.mark.parametrize("etag", [True, False])
def test_a_server_that_knows_no_ranges(files: Path, to: Path, pauses: list[float], etag: bool) -> None:
    plain = Act(ranges=False, etag=etag)
    with serve(files, Act(ranges=False, drop_after=200_000, etag=etag), plain) as server:
        assert get(server, to)
        assert whole(to)
        assert server.ranges == [None, "bytes=200000-"]


def test_a_server_whose_file_has_changed(files: Path, to: Path, pauses: list[float]) -> None:
    """The first answer was of another version: its tag no longer fits, and the new one comes whole."""
    other = random.Random(1).randbytes(len(CONTENT))
    with serve(files, Act(body=other, drop_after=100_000)) as server:
        assert get(server, to)
        assert whole(to)
        assert len(server.log) == 2


def test_a_server_whose_file_has_changed_and_has_no_tags(files: Path, to: Path, pauses: list[float]) -> None:
    """Another file's beginning cannot be told from this one's, but the sum can; then it begins anew, once."""
    part(to, bytes(100_000))
    with serve(files, *[Act(etag=False)] * 3) as server:
        assert get(server, to)
        assert whole(to)
        assert server.ranges == ["bytes=100000-", None]


def test_wrong_bytes_are_thrown_away(files: Path, to: Path) -> None:
    wrong = CONTENT[:-1] + b"x"
    with (
        serve(files, Act(body=wrong)) as server,
        pytest.raises(SubterfugeError, match=f"md5 {hashlib.md5(wrong).hexdigest()}, expected {MD5}"),
    ):
        get(server, to)
    assert list(to.parent.iterdir()) == []


def test_a_wrong_file_that_is_there_is_replaced(files: Path, to: Path) -> None:
    to.parent.mkdir()
    to.write_bytes(b"something else")
    with serve(files) as server:
        assert get(server, to)
    assert whole(to)


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) + 5])
def test_a_part_that_is_as_long_as_the_file_or_longer(
    files: Path, to: Path, pauses: list[float], size: int
) -> None:
    part(to, (CONTENT + b"more!")[:size])
    with serve(files) as server:
        assert get(server, to)
        assert server.ranges[0] == f"bytes={size}-"
        assert len(server.log) == (1 if size == len(CONTENT) else 2)
    assert whole(to)


def test_another_range_than_asked_for(files: Path, to: Path, pauses: list[float]) -> None:
    part(to, CONTENT[:1000])
    with serve(files, Act(shift=7)) as server:
        assert get(server, to)
        assert server.ranges == ["bytes=1000-", None]
    assert whole(to)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_server_is_asked_again(files: Path, to: Path, pauses: list[float], status: int) -> None:
    with serve(files, Act(status), Act(status, {"Retry-After": "7"}), Act(status)) as server:
        assert get(server, to, wait=0.5)
        assert len(server.log) == 4
    assert whole(to)
    assert pauses == [0.5, 7.0, 2.0]


def test_a_server_that_stays_busy_is_given_up(files: Path, to: Path, pauses: list[float]) -> None:
    with (
        serve(files, *[Act(503)] * 99) as server,
        pytest.raises(SubterfugeError, match=r"cannot be downloaded \(the server answered 503; 4 attempts"),
    ):
        get(server, to, retries=3)
    assert pauses == [1.0, 2.0, 4.0]
    assert list(to.parent.iterdir()) == []


def test_a_server_that_gives_less_each_time_is_given_up(files: Path, to: Path, pauses: list[float]) -> None:
    """It knows no ranges and always breaks off at the same place, so nothing is ever gained."""
    with (
        serve(files, *[Act(ranges=False, drop_after=50_000)] * 99) as server,
        pytest.raises(SubterfugeError, match="the connection broke off"),
    ):
        get(server, to, retries=4)
    assert len(server.log) == 5  # the first, which gained, and four more


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_that_is_not_there(files: Path, to: Path, pauses: list[float], status: int) -> None:
    with serve(files, Act(status)) as server, pytest.raises(SubterfugeError, match=f"answered {status}"):
        get(server, to)
    assert pauses == [] and list(to.parent.iterdir()) == []


def test_a_connection_that_hangs(files: Path, to: Path, pauses: list[float]) -> None:
    with serve(files, Act(hang_after=100_000)) as server:
        assert get(server, to, timeout=0.3)
        assert server.ranges == [None, "bytes=100000-"]
    assert whole(to)


@pytest.mark.parametrize("act", [Act(chunked=True), Act(length=False)])
def test_a_length_that_is_not_said(files: Path, to: Path, act: Act) -> None:
    with serve(files, act) as server:
        assert get(server, to)
    assert whole(to)


def test_a_chunked_answer_that_breaks_off(files: Path, to: Path, pauses: list[float]) -> None:
    with serve(files, Act(chunked=True, drop_after=40_960)) as server:
        assert get(server, to)
        assert server.ranges == [None, "bytes=40960-"]
    assert whole(to)


def test_nobody_there(to: Path, pauses: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a.zip"
    with pytest.raises(SubterfugeError, match="connection refused; 3 attempts"):
        download(url, to, md5=MD5, retries=2)
    assert pauses == [1.0, 2.0]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b", "a.zip", ""])
def test_other_schemes_are_refused(to: Path, url: str) -> None:
    with pytest.raises(SubterfugeError, match=re.escape(f"got {url!r}, expected one that begins with http")):
        download(url, to, md5=MD5)
    assert not to.parent.exists()


def test_a_disk_that_is_full_before_it_begins(files: Path, to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(unpack.shutil, "disk_usage", lambda _: usage((16 << 20) + 500_000))
    with serve(files) as server:
        with pytest.raises(SubterfugeError, match=r"17.3 MB are free, expected 0.72 MB for a.zip"):
            get(server, to, room=2.4)
        assert list(to.parent.iterdir()) == []
        assert get(server, to, room=1.5)


def test_a_disk_that_fills_up_is_no_broken_connection(
    files: Path, to: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    part(to, CONTENT[:1000])

    def full(*_: object) -> object:
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setattr(module, "_blocks", full)
    with serve(files) as server:
        with pytest.raises(SubterfugeError, match=r"a\.zip: cannot be written \(no space left on device\)"):
            get(server, to)
        assert len(server.log) == 1 and pauses == []
    assert to.with_name("a.zip.part").stat().st_size == 1000


def test_a_folder_that_is_a_file(files: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with serve(files) as server, pytest.raises(SubterfugeError, match="is a file, expected a folder"):
        get(server, tmp_path / "file" / "a.zip")


def test_interrupted_and_gone_on_from(files: Path, to: Path) -> None:
    def press(what: str, done: int, total: int) -> None:
        if done > 100_000:
            raise KeyboardInterrupt

    with serve(files) as server:
        with pytest.raises(KeyboardInterrupt):
            get(server, to, report=press)
        size = to.with_name("a.zip.part").stat().st_size
        assert size > 100_000
        assert get(server, to)
        assert server.ranges == [None, f"bytes={size}-"]
    assert whole(to)
