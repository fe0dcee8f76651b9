"""Soundfonts in SF2 format: which are installed, what presets they hold, and just the part that is played."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subterfuge.errors import SubterfugeError
from subterfuge.files import why

# Where Debian and its kin put them; all of these are MIT-licensed.
SOUNDFONTS = (
    Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    Path("/usr/share/sounds/sf2/MuseScore_General_Full.sf2"),
)

DRUMS = 128  # the bank of drum kits

Preset = tuple[int, int]  # bank and program
Table = NDArray[Any]
Zone = list[tuple[int, int]]  # generators: what, and how much

# The records of the "hydra", SoundFont Technical Specification 2.04, section 7.
_NAME = ("name", "S20")
_PRESET = np.dtype(
    [_NAME, ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "<u4", 3)],
)
_BAG = np.dtype([("gen", "<u2"), ("mod", "<u2")])
_GEN = np.dtype([("oper", "<u2"), ("amount", "<u2")])
_INST = np.dtype([_NAME, ("bag", "<u2")])
_SAMPLE = np.dtype(
    [
        _NAME,
        ("start", "<u4"),
        ("end", "<u4"),
        ("loop", "<u4", 2),
        ("rate", "<u4"),
        ("pitch", "u1"),
        ("cents", "i1"),
        ("link", "<u2"),
        ("type", "<u2"),
    ]
)
_RECORDS = {
    "phdr": _PRESET,
    "pbag": _BAG,
    "pgen": _GEN,
    "inst": _INST,
    "ibag": _BAG,
    "igen": _GEN,
    "shdr": _SAMPLE,
}
_MOD_SIZE = 10
_KEYS, _INSTRUMENT, _SAMPLE_ID = 43, 41, 53  # generators
_GAP = 46  # zero samples that the format wants after each sample
_ROM = 0x8000


@dataclass(frozen=True)
class Soundfont:
    """A soundfont on disk: its tables in memory, its samples not.

    Attributes
    ----------
    path : Path
    tables : mapping of str to structured array
        ``phdr``, ``pbag``, ``pgen``, ``inst``, ``ibag``, ``igen`` and ``shdr``, terminal records included.
    samples : (int, int)
        Where in the file the 16-bit samples begin, in bytes, and how many they are.
    """

    path: Path
    tables: Mapping[str, Table]
    samples: tuple[int, int]

    @property
    def presets(self) -> dict[Preset, str]:
        """Names of all presets, by bank and program, in their order."""
        rows = sorted(self.tables["phdr"][:-1].tolist(), key=lambda row: (row[2], row[1]))
        return {(row[2], row[1]): row[0].decode("latin-1") for row in rows}


def installed_soundfonts() -> tuple[Path, ...]:
    """Those of :data:`SOUNDFONTS` that are there."""
    return tuple(path for path in SOUNDFONTS if path.is_file())


def read_soundfont(path: Path) -> Soundfont:
    """Read a soundfont's tables, and check that the file is whole.

    Raises
    ------
    SubterfugeError
        If it cannot be read, is not SF2 (SF3, compressed, is not), is cut short or holds no preset.

    Examples
    --------
    >>> for path in installed_soundfonts():
    ...     assert (0, 40) in read_soundfont(path).presets
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(12)
            if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"sfbk":
                raise SubterfugeError(f"{path}: is not a soundfont, expected one in SF2 format")
            chunks: dict[str, tuple[int, int]] = {}
            _walk(file, 12, size, chunks)
            missing = [name for name in ("smpl", *_RECORDS) if name not in chunks]
            if missing:
                raise SubterfugeError(
                    f"{path}: is cut short or damaged (its part {missing[0]!r} is missing or incomplete), "
                    "expected a whole soundfont in SF2 format"
                )
            tables = {}
            for name, record in _RECORDS.items():
                begin, length = chunks[name]
                file.seek(begin)
                tables[name] = np.frombuffer(file.read(length - length % record.itemsize), dtype=record)
    except OSError as error:
        raise SubterfugeError(f"{path}: cannot be read ({why(error)}), expected a soundfont") from None
    begin, length = chunks["smpl"]
    font = Soundfont(path, tables, (begin, length // 2))
    _check(font)
    return font


def _walk(file: Any, begin: int, end: int, chunks: dict[str, tuple[int, int]]) -> None:
    """Note where each chunk's content lies, lists opened; what reaches beyond the end is left out."""
    at = begin
    while at + 8 <= end:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if at + 8 + length > end:
            if name == b"LIST":
                _walk(file, at + 12, end, chunks)
            return
        if name == b"LIST":
            _walk(file, at + 12, at + 8 + length, chunks)
        else:
            chunks[name.decode("latin-1")] = (at + 8, length)
        at += 8 + length + length % 2


def _check(font: Soundfont) -> None:
    tables = font.tables
    if len(tables["phdr"]) < 2:
        raise SubterfugeError(f"{font.path}: holds no preset, expected a General MIDI soundfont")
    kept = tables["shdr"][:-1]
    kept = kept[(kept["type"] & _ROM) == 0]
    if (kept["type"] & 0x10).any():
        raise SubterfugeError(
            f"{font.path}: its samples are compressed (SF3), expected a soundfont in SF2 format"
        )
    if len(kept) == 0 or int(kept["end"].max()) > font.samples[1]:
        raise SubterfugeError(
            f"{font.path}: its samples are cut short, expected a whole soundfont in SF2 format"
        )
    for head, bag, gen in (("phdr", "pbag", "pgen"), ("inst", "ibag", "igen")):
        if int(tables[head]["bag"].max()) >= len(tables[bag]) or int(tables[bag]["gen"].max()) >= len(
            tables[gen]
        ):
            raise SubterfugeError(f"{font.path}: its tables contradict each other, expected a sound SF2 file")


def excerpt(font: Soundfont, presets: Mapping[Preset, Iterable[int]]) -> bytes:
    """A small soundfont with some of another's presets, and of these only what the keys named need.

    The renderer parses its soundfont at every call and keeps all of it in memory; of half a gigabyte, a
    batch of clips plays a few megabytes.

    Parameters
    ----------
    font : Soundfont
    presets : mapping of (bank, program) to keys
        MIDI keys that will be played; those outside a zone's range need not its samples.

    Raises
    ------
    SubterfugeError
        If the soundfont holds none of that bank and program, or its samples cannot be read.
    """
    tables = font.tables
    heads = {(int(row["bank"]), int(row["program"])): i for i, row in enumerate(tables["phdr"][:-1])}
    needed: dict[Preset, list[tuple[Zone, set[int]]]] = {}
    keys_of: dict[int, set[int]] = {}  # of each instrument
    for preset, keys in sorted(presets.items()):
        if preset not in heads:
            raise SubterfugeError(f"{font.path}: has no preset of bank {preset[0]} and program {preset[1]}")
        needed[preset] = _zones(tables, "phdr", heads[preset], set(keys))
        for zone, sounding in needed[preset]:
            if zone[-1][0] == _INSTRUMENT:
                keys_of.setdefault(zone[-1][1], set()).update(sounding)
    inner = {number: _zones(tables, "inst", number, keys_of[number]) for number in sorted(keys_of)}
    # An instrument without a single sample for these keys would be refused by the renderer.
    inner = {
        number: zones for number, zones in inner.items() if any(z[-1][0] == _SAMPLE_ID for z, _ in zones)
    }
    order = {number: place for place, number in enumerate(inner)}
    samples: dict[int, int] = {}
    out: dict[str, list[Any]] = {name: [] for name in _RECORDS}
    for (bank, program), zones in needed.items():
        heard = [z for z, _ in zones if z[-1][0] != _INSTRUMENT or z[-1][1] in order]
        if not any(zone[-1][0] == _INSTRUMENT for zone in heard):
            continue
        out["phdr"].append((b"", program, bank, len(out["pbag"]), (0, 0, 0)))
        for zone in heard:
            out["pbag"].append((len(out["pgen"]), 0))
            out["pgen"] += [(op, order[value] if op == _INSTRUMENT else value) for op, value in zone]
    for zones in inner.values():
        out["inst"].append((b"", len(out["ibag"])))
        for zone, _ in zones:
            out["ibag"].append((len(out["igen"]), 0))
            out["igen"] += [
                (op, samples.setdefault(value, len(samples)) if op == _SAMPLE_ID else value)
                for op, value in zone
            ]
    if not samples:
        raise SubterfugeError(f"{font.path}: has no sample for the notes of {sorted(presets)}")
    audio = _samples(font, list(samples), out["shdr"])
    for head, bag, gen, end in (
        ("phdr", "pbag", "pgen", (b"EOP", 0, 0)),
        ("inst", "ibag", "igen", (b"EOI",)),
    ):
        rest = ((0, 0, 0),) if head == "phdr" else ()
        out[head].append((*end, len(out[bag]), *rest))
        out[bag].append((len(out[gen]), 0))
        out[gen].append((0, 0))
    out["shdr"].append((b"EOS", 0, 0, (0, 0), 0, 0, 0, 0, 0))
    return _riff(out, audio)


def _zones(
    tables: Mapping[str, Table], head: str, number: int, keys: set[int]
) -> list[tuple[Zone, set[int]]]:
    """The generators of each zone of a preset or instrument that one of the keys sounds, with these keys.

    A global zone, which says what the others start from, comes first, and is empty of a target.
    """
    bag, gen, target = ("pbag", "pgen", _INSTRUMENT) if head == "phdr" else ("ibag", "igen", _SAMPLE_ID)
    found: list[tuple[Zone, set[int]]] = []
    first, last = int(tables[head]["bag"][number]), int(tables[head]["bag"][number + 1])
    bounds = tables[bag]["gen"][first : last + 1].tolist()
    for place, (begin, end) in enumerate(pairwise(bounds)):
        zone: Zone = [(int(op), int(value)) for op, value in tables[gen][begin:end].tolist()]
        if not zone:
            continue
        sounding = set(keys)
        for op, value in zone:
            if op == _KEYS:
                sounding = {key for key in sounding if value & 0xFF <= key <= value >> 8}
        is_global = place == 0 and zone[-1][0] != target
        if is_global or (zone[-1][0] == target and sounding):
            found.append((zone, sounding))
    return found


def _samples(font: Soundfont, numbers: list[int], headers: list[Any]) -> NDArray[np.int16]:
    """Samples one after the other, their headers (with new places) appended to ``headers``."""
    pieces, at = [], 0
    try:
        whole = np.memmap(font.path, dtype="<i2", mode="r", offset=font.samples[0], shape=(font.samples[1],))
        for number in numbers:
            row = font.tables["shdr"][number]
            start, end = int(row["start"]), int(row["end"])
            # Loops may end a little after the sample; and the interpolation looks further still.
            end = max(end, int(row["loop"].max()))
            piece = np.asarray(whole[start : end + 8])
            move = at - start
            loop = tuple(max(0, int(x) + move) for x in row["loop"])
            headers.append((b"", at, at + end - start, loop, row["rate"], row["pitch"], row["cents"], 0, 1))
            pieces += [piece, np.zeros(_GAP, dtype="<i2")]
            at += len(piece) + _GAP
    except (OSError, ValueError) as error:
        raise SubterfugeError(f"{font.path}: its samples cannot be read ({why(error)})") from None
    return np.concatenate(pieces) if pieces else np.zeros(_GAP, dtype="<i2")


def _riff(tables: Mapping[str, list[Any]], audio: NDArray[np.int16]) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    def records(name: str) -> bytes:
        return chunk(name.encode(), np.array(tables[name], dtype=_RECORDS[name]).tobytes())

    info = (
        b"INFO"
        + chunk(b"ifil", struct.pack("<HH", 2, 1))
        + chunk(b"isng", b"EMU8000\0")
        + chunk(b"INAM", b"part")
    )
    hydra = b"pdta" + records("phdr") + records("pbag") + chunk(b"pmod", b"\0" * _MOD_SIZE) + records("pgen")
    hydra += (
        records("inst")
        + records("ibag")
        + chunk(b"imod", b"\0" * _MOD_SIZE)
        + records("igen")
        + records("shdr")
    )
    lists = (
        chunk(b"LIST", info)
        + chunk(b"LIST", b"sdta" + chunk(b"smpl", audio.tobytes()))
        + chunk(b"LIST", hydra)
    )
    return chunk(b"RIFF", b"sfbk" + lists)
