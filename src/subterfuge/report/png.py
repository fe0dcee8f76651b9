"""Palette images as PNG bytes, with nothing but zlib."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def encode(index: NDArray[np.uint8], colours: NDArray[np.uint8]) -> bytes:
    """A PNG of 8-bit palette indices.

    Parameters
    ----------
    index : ndarray of uint8, shape (height, width)
        Which colour each pixel has; row 0 is the top.
    colours : ndarray of uint8, shape (n, 3)
        At most 256 of them, red, green and blue.

    Returns
    -------
    bytes
        A file by the PNG specification (ISO/IEC 15948), the smaller of two row filters.
    """
    height, width = index.shape
    plain = np.zeros((height, width + 1), np.uint8)
    plain[:, 1:] = index
    leftward = np.full((height, width + 1), 1, np.uint8)  # filter 1: less the pixel to the left, modulo 256
    leftward[:, 1], leftward[:, 2:] = index[:, 0], index[:, 1:] - index[:, :-1]
    body = min((zlib.compress(rows.tobytes(), 6) for rows in (plain, leftward)), key=len)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", colours.tobytes()), (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
