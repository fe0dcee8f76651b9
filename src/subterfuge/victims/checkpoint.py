"""TensorFlow's checkpoints (version 2) read without TensorFlow: an index of names, and one file of numbers.

The index is a sorted table as LevelDB writes them: blocks of entries whose keys share prefixes, found through
a block of blocks, found through the last 48 bytes. Each entry is a protocol buffer that says which numbers
of the data file belong to a name, of which type and shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subterfuge.errors import SubterfugeError

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER = 48
# TensorFlow's numbers for types of numbers; others are not met in a model's weights.
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}


@dataclass(frozen=True)
class _Place:
    """Where a variable's numbers lie in the data file."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int


def read_checkpoint(
    index: bytes, data: bytes, *, wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, NDArray[np.generic]]:
    """The variables in a checkpoint, by name.

    Parameters
    ----------
    index : bytes
        Of the file that ends in ``.index``.
    data : bytes
        Of the one that ends in ``.data-00000-of-00001``; a checkpoint in several pieces is refused.
    wanted : callable
        Whether a variable of that name is to be read.

    Returns
    -------
    dict of str to array
        In the order of the names.

    Raises
    ------
    SubterfugeError
        If either is not what it should be, or is cut short.
    """
    try:
        places = {name: place for name, place in _entries(index) if wanted(name)}
    except (IndexError, ValueError, UnicodeDecodeError) as error:
        raise SubterfugeError(f"the checkpoint's index cannot be read ({error})") from error
    variables: dict[str, NDArray[np.generic]] = {}
    for name, place in places.items():
        one = np.dtype(place.dtype).itemsize
        if place.size != one * math.prod(place.shape) or place.offset + place.size > len(data):
            raise SubterfugeError(f"the checkpoint's data does not hold all of {name!r}")
        numbers = np.frombuffer(data, place.dtype, math.prod(place.shape), place.offset)
        variables[name] = numbers.reshape(place.shape)
    return variables


def _entries(index: bytes) -> Iterator[tuple[str, _Place]]:
    if len(index) < _FOOTER or index[-8:] != _MAGIC:
        raise ValueError("it does not end as one does")
    footer = index[-_FOOTER:]
    _, at = _varint(footer, 0)  # the first block is of statistics, and empty
    _, at = _varint(footer, at)
    start, at = _varint(footer, at)
    size, _ = _varint(footer, at)
    for _, block in _block(index, start, size):
        inner, at = _varint(block, 0)
        length, _ = _varint(block, at)
        for key, value in _block(index, inner, length):
            if key:
                yield key.decode(), _place(value)
            elif _fields(value).get(1, [1]) != [1]:
                raise ValueError("it is of a checkpoint in several pieces")


def _block(index: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block; each key is told by how much of the last one it shares."""
    if start + size + 5 > len(index) or size < 4:
        raise ValueError("it is cut short")
    if index[start + size] != 0:
        raise ValueError("it is compressed")
    block = index[start : start + size]
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _place(value: bytes) -> _Place:
    """A BundleEntryProto: type 1, shape 2, piece 3, offset 4, size 5 (and a check sum, 6)."""
    said = _fields(value)
    number = said.get(1, [0])[0]
    if number not in _TYPES:
        raise ValueError(f"it holds numbers of an unknown type, {number!r}")
    if said.get(3, [0])[0] or 7 in said:
        raise ValueError("it is of a checkpoint in several pieces")
    shape = []
    for dim in _fields(_as_bytes(said.get(2, [b""])[0])).get(2, []):
        shape.append(_as_int(_fields(_as_bytes(dim)).get(1, [0])[0]))
    offset, size = (_as_int(said.get(field, [0])[0]) for field in (4, 5))
    return _Place(_TYPES[_as_int(number)], tuple(shape), offset, size)


def _fields(message: bytes) -> dict[int, list[int | bytes]]:
    """Fields of a protocol buffer by number: whole numbers, or bytes to be taken apart in turn."""
    fields: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        value: int | bytes
        match key & 7:
            case 0:
                value, at = _varint(message, at)
            case 1 | 5 as wire:
                width = 8 if wire == 1 else 4
                value, at = message[at : at + width], at + width
            case 2:
                length, at = _varint(message, at)
                value, at = message[at : at + length], at + length
            case wire:
                raise ValueError(f"it holds a field of unknown wire type {wire}")
        if at > len(message):
            raise ValueError("it is cut short")
        fields.setdefault(key >> 3, []).append(value)
    return fields


def _as_bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("it holds a number where a message was expected")
    return value


def _as_int(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("it holds a message where a number was expected")
    return value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A whole number in base 128, least digit first, and where it ends."""
    value, shift = 0, 0
    while True:
        digit = data[at]
        value |= (digit & 127) << shift
        at, shift = at + 1, shift + 7
        if digit < 128:
            return value, at
        if shift > 63:
            raise ValueError("it holds a number that is too long")
