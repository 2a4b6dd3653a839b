"""Bytes to read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.views.hexdump import hexdump


@given(st.binary(max_size=200))
def test_a_dump_has_every_byte_at_its_offset(data: bytes) -> None:
    found = bytearray()
    for line in hexdump(data):
        assert line.isascii()
        assert line.isprintable()
        assert len(line) <= 78
        offset, digits, letters = line[:8], line[10:58], line[61:-1]
        assert int(offset, 16) == len(found)
        piece = bytes.fromhex(digits)
        assert letters == "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
        found += piece
    assert found == data
