"""Checkpoints as TensorFlow writes them, and a wheel like musicnn's with weights out of a formula."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

MAGIC = 0xDB4775248B80FB57
TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}
LABELS = [f"tag {i}" for i in range(48)] + ["vocal", "vocals"]


def varint(value: int) -> bytes:
    digits = bytearray()
    while True:
        digits.append(value & 127 | (128 if value > 127 else 0))
        value >>= 7
        if not value:
            return bytes(digits)


def message(*fields: tuple[int, int | bytes]) -> bytes:
    """A protocol buffer of whole numbers and messages."""
    out = b""
    for number, value in fields:
        if isinstance(value, bytes):
            out += varint(number << 3 | 2) + varint(len(value)) + value
        else:
            out += varint(number << 3) + varint(value)
    return out


def block(entries: list[tuple[bytes, bytes]], *, restart: int = 4) -> bytes:
    """A block of a table: keys that share prefixes, whole again at every restart."""
    out, restarts, last = b"", [], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % restart == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    restarts = restarts or [0]
    return out + struct.pack(f"<{len(restarts)}I", *restarts) + struct.pack("<I", len(restarts))


def checkpoint(
    variables: Mapping[str, np.ndarray], *, shards: int = 1, compression: int = 0, a_block: int = 7
) -> tuple[bytes, bytes]:
    """The bytes of the two files: index and data."""
    data = b""
    entries = [(b"", message((1, shards), (3, message((1, 1)))))]
    for name in sorted(variables):
        array = np.asarray(variables[name])
        dims = b"".join(message((2, message((1, size)) if size else b"")) for size in array.shape)
        # The check sum is fixed32, wire type 5: to be stepped over.
        value = message((1, TYPES[str(array.dtype)]), (2, dims), (4, len(data)), (5, array.nbytes))
        entries.append((name.encode(), value + varint(6 << 3 | 5) + b"\1\2\3\4"))
        data += array.tobytes()
    table, handles = b"", []
    for i in range(0, len(entries), a_block):
        part = entries[i : i + a_block]
        one = block(part)
        handles.append((part[-1][0] + b"~", varint(len(table)) + varint(len(one))))
        table += one + bytes([compression]) + b"sums"
    meta = varint(len(table)) + varint(len(block([])))
    table += block([]) + b"\0sums"
    index = block(handles, restart=1)
    footer = meta + varint(len(table)) + varint(len(index))
    table += index + b"\0sums"
    return table + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC), data


def weights() -> dict[str, np.ndarray]:
    """Variables of musicnn's names and shapes, from a generator with a seed."""
    draw = np.random.default_rng(7)
    shapes = [(7, 38, 1, 204), (7, 67, 1, 204), (128, 1, 1, 51), (64, 1, 1, 51), (32, 1, 1, 51)]
    shapes += [(7, 561, 1, 64), (7, 64, 1, 64), (7, 64, 1, 64)]
    made: dict[str, np.ndarray] = {}

    def layer(kind: str, i: int, shape: tuple[int, ...]) -> None:
        name = f"{kind}_{i}" if i else kind
        scale = np.sqrt(2 / np.prod(shape[:-1]))
        made[f"{name}/kernel"] = scale * draw.normal(size=shape)
        made[f"{name}/bias"] = 0.1 * draw.normal(size=shape[-1])

    for i, shape in enumerate(shapes):
        layer("conv2d", i, shape)
    for i, inner in enumerate([(1506, 200), (200, 50)]):
        layer("dense", i, inner)
    for i, size in enumerate([1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200]):
        name = f"batch_normalization_{i}" if i else "batch_normalization"
        made[f"{name}/gamma"] = 1 + 0.2 * draw.normal(size=size)
        made[f"{name}/beta"] = 0.2 * draw.normal(size=size)
        made[f"{name}/moving_mean"] = 0.2 * draw.normal(size=size)
        made[f"{name}/moving_variance"] = np.exp(0.3 * draw.normal(size=size))
    return {name: array.astype(np.float32) for name, array in made.items()}


def spectrogram() -> np.ndarray:
    """Two log-mel windows out of a formula, float32, shape (2, frames, bands)."""
    t, f = np.arange(187)[:, None], np.arange(96)[None]
    one = 2 + 1.5 * np.sin(0.31 * t + 0.013 * t * f) + 0.5 * np.cos(0.7 * f)
    return np.stack([one, np.flip(one, 0) * (f / 96)]).astype(np.float32)


def wheel(path: Path, *, leave_out: str = "", labels: list[str] = LABELS) -> Path:
    """A file such as musicnn's wheel; running its code would be told."""
    variables = {**weights(), "conv2d/kernel/Adam": np.zeros(3, np.float32), "beta1_power": np.float32(0.5)}
    index, data = checkpoint(variables)
    code = f"MTT_LABELS = {labels!r}\n\nMSD_LABELS = {labels[::-1]!r}\nraise SystemExit('this was run')\n"
    parts: dict[str, bytes] = {"musicnn/configuration.py": code.encode()}
    for model in ("MTT_musicnn", "MSD_musicnn"):
        parts[f"musicnn/{model}/.index"] = index
        parts[f"musicnn/{model}/.data-00000-of-00001"] = data
    with zipfile.ZipFile(path, "w") as file:
        for name, one in parts.items():
            if not leave_out or leave_out not in name:
                file.writestr(name, one)
    return path
