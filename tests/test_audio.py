"""Audio files: every subtype in every container comes back bit for bit, written whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from subterfuge.audio import (
    AudioFile,
    lattice_bounds,
    lattice_step,
    load_plain,
    lossless,
    lossless_note,
    output_for,
    read_audio,
    save_audio,
    to_lattice,
    write_audio,
)
from subterfuge.errors import SubterfugeError

BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
CONTAINERS = {
    "WAV": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "WAVEX": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "RF64": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "W64": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "AIFF": ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "FLAC": ("PCM_S8", "PCM_16", "PCM_24"),
    "CAF": ("PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "AU": ("PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
}
PAIRS = [(container, subtype) for container, subtypes in CONTAINERS.items() for subtype in subtypes]
LOSSY = [("MP3", "MPEG_LAYER_III", ".mp3"), ("OGG", "VORBIS", ".ogg"), ("OGG", "OPUS", ".ogg")]
LOSSY += [("WAV", "ULAW", ".wav"), ("WAV", "ALAW", ".wav"), ("WAV", "IMA_ADPCM", ".wav")]


def tone(*, channels: int = 1, frames: int = 4000, sr: int = 8000) -> torch.Tensor:
    t = torch.arange(frames, dtype=torch.float64) / sr
    return torch.stack([0.5 * torch.sin(2 * torch.pi * (220 + 110 * c) * t) for c in range(channels)])


def integers(subtype: str, *, channels: int, frames: int, seed: int) -> np.ndarray:
    """Random samples of a subtype's whole range, both ends always among them."""
    low, high = -(2 ** (BITS[subtype] - 1)), 2 ** (BITS[subtype] - 1) - 1
    x = np.random.default_rng(seed).integers(low, high, (channels, frames), endpoint=True)
    x.flat[0] = low
    x.flat[-1] = high
    return x


# --- exactness ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("container", "subtype"), PAIRS)
@settings(deadline=None, max_examples=8, derandomize=True)
@given(
    channels=st.integers(1, 8),
    frames=st.integers(1, 700),
    sr=st.sampled_from([1, 8000, 11025, 22050, 44100, 48000, 65537, 96000, 192000]),
    seed=st.integers(0, 2**32 - 1),
)
def test_round_trip_is_exact(
    tmp_path_factory: pytest.TempPathFactory,
    container: str,
    subtype: str,
    channels: int,
    frames: int,
    sr: int,
    seed: int,
) -> None:
    """Integers written by soundfile, read by us, written by us, read by soundfile: the same integers."""
    folder = tmp_path_factory.mktemp("round")
    first, second = folder / "first.x", folder / "second.x"
    if container == "FLAC" and sr > 65535 and sr % 10:
        sr = 65540  # FLAC knows no others above 65,535
    if (container, channels, BITS.get(subtype)) == ("AIFF", 1, 8):
        frames += frames % 2  # soundfile itself writes odd ones one sample too long
    if subtype in BITS:
        stored = integers(subtype, channels=channels, frames=frames, seed=seed)
        values: np.ndarray = (stored << (32 - BITS[subtype])).astype(np.int32)
        expected = stored / 2.0 ** (BITS[subtype] - 1)
        dtype = "int32"
    else:
        dtype = "float32" if subtype == "FLOAT" else "float64"
        values = np.random.default_rng(seed).normal(0, 1, (channels, frames)).astype(dtype)
        expected = values
    soundfile.write(first, values.T, sr, subtype=subtype, format=container)
    file = read_audio(first)
    assert (file.container, file.subtype, file.sr, file.lossy) == (container, subtype, sr, False)
    assert file.data.dtype == (torch.float64 if subtype in ("PCM_32", "DOUBLE") else torch.float32)
    assert np.array_equal(file.data.double().numpy(), expected)
    write_audio(second, file.data, file)
    again, _ = soundfile.read(second, dtype=dtype, always_2d=True)
    assert np.array_equal(again.T, values)
    info = soundfile.info(second)
    assert (info.format, info.subtype, info.samplerate, info.channels, info.frames) == (
        container,
        subtype,
        sr,
        channels,
        frames,
    )
    assert sorted(p.name for p in folder.iterdir()) == ["first.x", "second.x"]


@pytest.mark.parametrize(
    ("container", "subtype", "endian"), [("WAV", "PCM_16", "BIG"), ("AIFF", "PCM_16", "LITTLE")]
)
def test_byte_order_is_kept(tmp_path: Path, container: str, subtype: str, endian: str) -> None:
    x = to_lattice(tone(channels=2), subtype)
    path = save_audio(tmp_path / "a", x, sr=8000, container=container, subtype=subtype, endian=endian)
    file = read_audio(path)
    copy = write_audio(tmp_path / "b", file.data, file)
    assert file.endian == endian
    assert copy.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("subtype", BITS)
@settings(deadline=None, max_examples=50, derandomize=True)
@given(values=st.lists(st.floats(-1.5, 1.5, width=64), min_size=1, max_size=50))
def test_lattice_is_nearest_clipped_and_idempotent(subtype: str, values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float64)
    step = lattice_step(subtype)
    low, high = lattice_bounds(subtype)
    assert step == 2.0 ** -(BITS[subtype] - 1)
    assert (low, high) == (-1, 1 - step)
    y = to_lattice(x, subtype)
    assert bool(((y >= low) & (y <= high)).all())
    assert torch.equal((y.double() / step).round(), y.double() / step)
    assert bool(((y.double() - x.clamp(low, high)).abs() <= step / 2).all())
    assert torch.equal(to_lattice(y, subtype), y)


def test_lattice_of_floats_is_their_own_precision() -> None:
    x = torch.tensor([1 / 3, -4.0], dtype=torch.float64)
    assert lattice_step("FLOAT") is None and lattice_step("VORBIS") is None
    assert torch.equal(to_lattice(x, "DOUBLE"), x)
    assert torch.equal(to_lattice(x, "FLOAT"), x.float())


def test_float32_input_rounds_right_at_24_bits() -> None:
    # The half step between two 24-bit samples near full scale is not a float32; the neighbour must be kept.
    k = torch.tensor([8388606.0, -8388607.0, 4194305.0])
    assert torch.equal(to_lattice(k / 2**23, "PCM_24") * 2**23, k)


def test_samples_off_the_lattice_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(SubterfugeError, match="PCM_16"):
        save_audio(path, torch.tensor([[0.1]]), sr=8000, container="WAV", subtype="PCM_16")
    with pytest.raises(SubterfugeError, match="PCM_16"):
        save_audio(path, torch.tensor([[1.0]]), sr=8000, container="WAV", subtype="PCM_16")
    with pytest.raises(SubterfugeError, match="NaN"):
        save_audio(path, torch.tensor([[float("nan")]]), sr=8000, container="WAV", subtype="FLOAT")
    assert list(tmp_path.iterdir()) == []


def test_floats_beyond_full_scale_are_kept_and_bound_the_attack(tmp_path: Path) -> None:
    x = torch.tensor([[0.0, 2.5, -3.0]])
    path = save_audio(tmp_path / "a.wav", x, sr=8000, container="WAV", subtype="FLOAT")
    file = read_audio(path)
    assert torch.equal(file.data, x)
    assert file.bounds == (-3.0, 3.0)
    quiet = save_audio(tmp_path / "b.wav", x / 10, sr=8000, container="WAV", subtype="FLOAT")
    assert read_audio(quiet).bounds == (-1.0, 1.0)


# --- lossy inputs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("container", "subtype", "suffix"), LOSSY)
def test_lossy_input_gives_a_24_bit_flac_and_a_note(
    tmp_path: Path, container: str, subtype: str, suffix: str
) -> None:
    path = tmp_path / f"flute{suffix}"
    soundfile.write(path, tone(frames=48000, sr=48000).T.numpy(), 48000, format=container, subtype=subtype)
    file = read_audio(path)
    assert file.lossy
    note = lossless_note(file)
    assert note is not None and "FLAC" in note and "\n" not in note
    out = output_for(file, tmp_path, "tru")
    assert out == tmp_path / "flute-to-tru.flac"
    kept = lossless(file)
    clipped = file.data.clamp(-1, 1 - 2.0**-23)
    assert float((kept.data - clipped).abs().max()) <= 2.0**-24
    beyond = int((clipped != file.data).sum())
    assert ("clipped" in note) == (beyond > 0) and (not beyond or f" {beyond:,} samples" in note)
    write_audio(out, kept.data, file)
    again = read_audio(out)
    assert (again.container, again.subtype, again.sr) == ("FLAC", "PCM_24", 48000)
    assert torch.equal(again.data, kept.data)


def test_lossless_input_is_left_alone(tmp_path: Path) -> None:
    file = AudioFile(tmp_path / "a.AIF", torch.zeros(1, 4), 8000, "AIFF", "PCM_16")
    assert lossless(file) is file and lossless_note(file) is None
    assert output_for(file, "out", "gac") == Path("out/a-to-gac.AIF")


@pytest.mark.parametrize(
    ("name", "tag", "expected"),
    [
        ("a.wav", "tru", "a-to-tru.wav"),
        ("a.b.c.wav", "tru", "a.b.c-to-tru.wav"),
        ("a", "tru", "a-to-tru.wav"),
        ("a.mp3", "tru", "a-to-tru.wav"),  # a WAV by the wrong name
        ("[cel][nod]0059.WAV", "../up and/away", "[cel][nod]0059-to-.._up_and_away.WAV"),
    ],
)
def test_output_names(name: str, tag: str, expected: str) -> None:
    file = AudioFile(Path("in") / name, torch.zeros(1, 4), 8000, "WAV", "PCM_16")
    assert output_for(file, Path("out"), tag) == Path("out") / expected


# --- the plain path ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sr", "channels", "to"), [(8000, 1, 44100), (192000, 2, 22050), (44100, 8, 44100)])
def test_plain_path_is_librosa(tmp_path: Path, sr: int, channels: int, to: int) -> None:
    x = to_lattice(tone(channels=channels, frames=sr // 4, sr=sr), "PCM_16")
    path = save_audio(tmp_path / "a.wav", x, sr=sr, container="WAV", subtype="PCM_16")
    y = load_plain(path, to)
    expected, _ = librosa.load(path, sr=to)
    assert y.dtype == torch.float32
    assert np.array_equal(y.numpy(), expected[None])


def test_one_sample_is_read_and_heard(tmp_path: Path) -> None:
    path = save_audio(
        tmp_path / "one.wav", torch.tensor([[0.5]]), sr=44100, container="WAV", subtype="PCM_16"
    )
    assert read_audio(path).frames == 1
    assert load_plain(path, 44100).shape == (1, 1)


# --- bad files ---------------------------------------------------------------------------------------------


def whole(container: str, subtype: str) -> bytes:
    import io

    buffer = io.BytesIO()
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (20000, 2))
    soundfile.write(buffer, x, 48000, format=container, subtype=subtype)
    return buffer.getvalue()


CUT = [*PAIRS, ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
@pytest.mark.parametrize(("container", "subtype"), [p for p in CUT if p[1] not in ("PCM_32", "DOUBLE")])
def test_a_file_cut_short_is_refused(
    tmp_path: Path, container: str, subtype: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    data = whole(container, subtype)
    path = tmp_path / ("a.mp3" if container == "MP3" else "a.bin")
    path.write_bytes(data)
    assert read_audio(path).frames == 20000
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(SubterfugeError) as caught:
        read_audio(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_stream_of_unstated_length_is_read(tmp_path: Path) -> None:
    """What writes to a pipe cannot go back to state the length, and leaves the largest there is."""
    data = bytearray(whole("WAV", "PCM_16"))
    at = data.index(b"data") + 4
    data[at : at + 4] = data[4:8] = b"\xff\xff\xff\xff"
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    assert read_audio(path).frames == 20000


def bad_files(folder: Path) -> dict[str, Path]:
    """A file of every kind that must be refused, by what is wrong with it."""
    nan, inf = np.zeros((100, 1)), np.zeros((100, 2))
    nan[50], inf[50, 1] = np.nan, -np.inf
    files = {"missing": folder / "missing.wav", "folder": folder / "folder.wav", "pipe": folder / "pipe.wav"}
    files["folder"].mkdir()
    os.mkfifo(files["pipe"])
    blobs = {
        "empty.wav": b"",
        "empty.mp3": b"",
        "text.wav": b"hello world " * 1000,
        "text.mp3": b"hello world " * 1000,
        "text.raw": b"hello world " * 1000,
        "zeros.flac": bytes(10000),
        "zeros.mp3": bytes(10000),
        "sync.mp3": b"\xff\xfb" + bytes(10000),
        "id3.mp3": b"ID3" + bytes(10000),
        "riff.wav": b"RIFF\x24\x00\x00\x00WAVE",
        "pickle.wav": b"\x80\x04\x95",
    }
    for name, blob in blobs.items():
        files[name] = folder / name
        files[name].write_bytes(blob)
    for name, x in (("nan", nan), ("inf", inf), ("none", nan[:0])):
        files[name] = folder / f"{name}.wav"
        soundfile.write(files[name], x, 8000, subtype="FLOAT")
    damaged = bytearray(whole("FLAC", "PCM_16"))
    damaged[len(damaged) // 2 : len(damaged) // 2 + 4000] = bytes(4000)
    files["damaged"] = folder / "damaged.flac"
    files["damaged"].write_bytes(damaged)
    files["under a file"] = files["nan"] / "a.wav"
    files["too long"] = folder / ("a" * 300 + ".wav")
    return files


def test_bad_files_are_refused_in_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for what, path in bad_files(tmp_path).items():
        for read in (read_audio, lambda p: load_plain(p, 22050)):
            if read is not read_audio and what in ("nan", "inf"):
                continue  # librosa does not look; our callers read the file first
            with pytest.raises(SubterfugeError) as caught:
                read(path)
            assert str(caught.value).startswith(f"{path}: "), what
            assert "\n" not in str(caught.value), what
    assert capfd.readouterr().err == ""


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(whole("WAV", "PCM_16"))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read any file")
    with pytest.raises(SubterfugeError, match="permission denied"):
        read_audio(path)


# --- writing whole or not at all ---------------------------------------------------------------------------


def test_the_input_is_never_written_over(tmp_path: Path) -> None:
    path = save_audio(
        tmp_path / "a.wav", to_lattice(tone(), "PCM_16"), sr=8000, container="WAV", subtype="PCM_16"
    )
    before = path.read_bytes()
    file = read_audio(path)
    (tmp_path / "soft.wav").symlink_to(path)
    os.link(path, tmp_path / "hard.wav")
    (tmp_path / "sub").mkdir()
    for name in ("a.wav", "soft.wav", "hard.wav", "sub/../a.wav"):
        with pytest.raises(SubterfugeError, match="input itself"):
            write_audio(tmp_path / name, torch.zeros_like(file.data), file)
    assert path.read_bytes() == before


def test_another_shape_is_refused(tmp_path: Path) -> None:
    file = AudioFile(tmp_path / "a.wav", torch.zeros(2, 10), 8000, "WAV", "PCM_16")
    with pytest.raises(SubterfugeError, match=r"\(1, 10\).*\(2, 10\)"):
        write_audio(tmp_path / "b.wav", torch.zeros(1, 10), file)


@pytest.mark.parametrize("below", ["missing", "file", "folder"])
def test_unwritable_places_are_said_plainly(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder" / "a.wav").mkdir(parents=True)
    with pytest.raises(SubterfugeError, match="cannot be written") as caught:
        save_audio(tmp_path / below / "a.wav", torch.zeros(1, 9), sr=8000, container="WAV", subtype="PCM_16")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.rglob("*.part")) == []


def test_containers_that_cannot_hold_it_are_said_plainly(tmp_path: Path) -> None:
    for container, subtype, channels in (("FLAC", "PCM_32", 1), ("FLAC", "PCM_16", 9), ("NOPE", "PCM_16", 1)):
        with pytest.raises(SubterfugeError, match="cannot be written as"):
            save_audio(
                tmp_path / "a", torch.zeros(channels, 9), sr=8000, container=container, subtype=subtype
            )
    assert list(tmp_path.iterdir()) == []


def test_more_than_eight_lossy_channels_go_to_wav(tmp_path: Path) -> None:
    file = AudioFile(tmp_path / "a.ogg", torch.zeros(9, 10), 8000, "OGG", "VORBIS")
    assert output_for(file, tmp_path, "tru").name == "a-to-tru.wav"
    assert read_audio(write_audio(tmp_path / "b.wav", file.data, file)).channels == 9


def in_child(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("before", [None, b"what was there"])
def test_a_writer_killed_midway_leaves_what_was_there(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "a.wav"
    if before is not None:
        path.write_bytes(before)
    child = in_child(
        """
        import sys, time, torch, subterfuge.audio as audio
        def slowly(part, *_):
            part.write_bytes(b"RIFF half a file")
            print("midway", flush=True)
            time.sleep(60)
        audio._write = slowly
        audio.save_audio(sys.argv[1], torch.zeros(1, 9), sr=8000, container="WAV", subtype="PCM_16")
        """,
        path,
    )
    assert child.stdout is not None and child.stdout.readline() == "midway\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert (path.read_bytes() if path.exists() else None) == before


def test_ctrl_c_midway_leaves_nothing_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    child = in_child(
        """
        import sys, time, torch, subterfuge.audio as audio
        def slowly(part, *_):
            print("midway", flush=True)
            time.sleep(60)
        audio._write = slowly
        audio.save_audio(sys.argv[1], torch.zeros(1, 9), sr=8000, container="WAV", subtype="PCM_16")
        """,
        path,
    )
    assert child.stdout is not None and child.stdout.readline() == "midway\n"
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    child.communicate()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: writing fails halfway in just the same way."""
    child = in_child(
        """
        import resource, sys, torch
        from subterfuge.audio import save_audio
        from subterfuge.errors import SubterfugeError
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        x = torch.zeros(1, 100_000) + 0.5
        for container, subtype in (("WAV", "PCM_16"), ("AIFF", "PCM_24"), ("WAV", "FLOAT")):
            try:
                save_audio(sys.argv[1], x, sr=8000, container=container, subtype=subtype)
            except SubterfugeError as error:
                print(error)
        """,
        tmp_path / "a.wav",
    )
    out, err = child.communicate()
    assert err == ""
    assert len(out.splitlines()) == 3 and all("cannot be written" in line for line in out.splitlines())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_U8"])
@pytest.mark.parametrize("frames", [1, 3, 1001])
def test_an_odd_8_bit_aiff_keeps_its_length(tmp_path: Path, subtype: str, frames: int) -> None:
    """libsndfile counts the byte that pads it; a reader of its own kind must still find just the samples."""
    x = torch.from_numpy(integers(subtype, channels=1, frames=frames, seed=1)) / 128.0
    path = save_audio(tmp_path / "a.aiff", x, sr=8000, container="AIFF", subtype=subtype)
    assert torch.equal(read_audio(path).data.double(), x.double())
    data = path.read_bytes()
    assert int.from_bytes(data[4:8], "big") == len(data) - 8 and len(data) % 2 == 0


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    path = save_audio(tmp_path / "a.wav", torch.zeros(1, 9), sr=8000, container="WAV", subtype="PCM_16")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_ten_minutes_are_read_and_written_in_a_few_copies(tmp_path: Path) -> None:
    """600 s at 44.1 kHz, 26 million samples; never more than three copies of them."""
    child = in_child(
        """
        import resource, sys, numpy as np, soundfile, torch
        from pathlib import Path
        from subterfuge.audio import read_audio, write_audio
        folder = Path(sys.argv[1])
        block = np.random.default_rng(0).integers(-30000, 30000, (44100, 1)).astype(np.int16)
        with soundfile.SoundFile(folder / "a.wav", "w", 44100, 1, "PCM_16") as file:
            for _ in range(600):
                file.write(block)
        start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        file = read_audio(folder / "a.wav")
        write_audio(folder / "b.wav", file.data, file)
        copy = 4 * file.data.numel() / 1024
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) / copy)
        """,
        tmp_path,
    )
    out, err = child.communicate()
    assert err == ""
    assert float(out) < 3
    assert (tmp_path / "a.wav").stat().st_size == (tmp_path / "b.wav").stat().st_size
