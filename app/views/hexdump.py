"""Bytes that are no text, as lines to read: offset, hex, ASCII. Pure."""

from __future__ import annotations

from collections.abc import Iterator

PER_LINE = 16
"""A line is 78 cells: what a terminal of 80 has for text."""


def hexdump(data: bytes) -> Iterator[str]:
    """Yield a line for each 16 bytes; they are made as they are asked for, so the beginning of megabytes costs little.

    >>> list(hexdump(b"spoke\\x1b[31m\\xff"))
    ['00000000  73 70 6f 6b 65 1b 5b 33  31 6d ff                 |spoke.[31m.|']
    """
    for offset in range(0, len(data), PER_LINE):
        piece = data[offset : offset + PER_LINE]
        letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in piece)
        yield f"{offset:08x}  {piece[:8].hex(' '):23}  {piece[8:].hex(' '):23}  |{letters}|"
