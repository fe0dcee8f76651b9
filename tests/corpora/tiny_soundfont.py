"""A soundfont of a few sines, written by hand: what a reader of soundfonts can be tested on anywhere."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

RATE = 22050


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def write(path: Path, presets: dict[tuple[int, int], int], *, compressed: bool = False) -> Path:
    """One preset for each (bank, program); each plays a looped sine whose own pitch is the MIDI key given.

    Each preset's instrument has two zones, of the keys up to 63 and from 64 on, with a sample each.
    """
    audio, headers = b"", b""
    phdr, pbag, pgen, inst, ibag, igen = (b"" for _ in range(6))
    for n, ((bank, program), key) in enumerate(presets.items()):
        phdr += struct.pack("<20sHHHIII", b"P%d" % n, program, bank, n, 0, 0, 0)
        pbag += struct.pack("<HH", n, 0)
        pgen += struct.pack("<HH", 41, n)
        inst += struct.pack("<20sH", b"I%d" % n, 2 * n)
        for half, (low, high) in enumerate(((0, 63), (64, 127))):
            sample = 2 * n + half
            ibag += struct.pack("<HH", 3 * sample, 0)
            # keys, loop for ever, sample
            igen += struct.pack("<HBBHHHH", 43, low, high, 54, 1, 53, sample)
            hertz = 440 * 2 ** ((key - 69) / 12) * (1 + half)
            period = RATE / hertz
            length = round(round(2000 / period) * period)
            wave = 12000 * np.sin(2 * np.pi * hertz * np.arange(length + 8) / RATE)
            start = len(audio) // 2
            audio += wave.astype("<i2").tobytes() + b"\0\0" * 46
            headers += struct.pack(
                "<20sIIIIIBbHH",
                b"S%d" % sample,
                start,
                start + length,
                start,
                start + length,
                RATE,
                key + 12 * half,
                0,
                0,
                17 if compressed else 1,
            )
    count = len(presets)
    phdr += struct.pack("<20sHHHIII", b"EOP", 0, 0, count, 0, 0, 0)
    pbag += struct.pack("<HH", count, 0)
    pgen += struct.pack("<HH", 0, 0)
    inst += struct.pack("<20sH", b"EOI", 2 * count)
    ibag += struct.pack("<HH", 6 * count, 0)
    igen += struct.pack("<HH", 0, 0)
    headers += struct.pack("<20sIIIIIBbHH", b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0)
    info = b"INFO" + chunk(b"ifil", struct.pack("<HH", 2, 1)) + chunk(b"INAM", b"tiny")
    tables = (
        (b"phdr", phdr),
        (b"pbag", pbag),
        (b"pmod", b"\0" * 10),
        (b"pgen", pgen),
        (b"inst", inst),
        (b"ibag", ibag),
        (b"imod", b"\0" * 10),
        (b"igen", igen),
        (b"shdr", headers),
    )
    hydra = b"pdta" + b"".join(chunk(name, content) for name, content in tables)
    lists = (info, b"sdta" + chunk(b"smpl", audio), hydra)
    path.write_bytes(chunk(b"RIFF", b"sfbk" + b"".join(chunk(b"LIST", one) for one in lists)))
    return path
