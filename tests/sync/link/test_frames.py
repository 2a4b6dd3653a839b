"""Frames: what goes in comes out, and whatever else comes in is a typed error."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.link.chain import MAX_EVENT_BYTES, LogEvent, carried
from sync.link.errors import LinkError, MalformedError, TooLargeError
from sync.link.frames import (
    KNOWN,
    MAX_FRAME_BYTES,
    Events,
    Frame,
    Ping,
    Ready,
    Unknown,
    decode,
    encode,
    pack,
    seal,
    unpack,
)

numbers = st.integers(0, 2**62)
KINDS = [kind for kind in Frame.__args__ if kind.__name__ not in ("Ready",)]
frames: st.SearchStrategy[Frame] = st.one_of(
    *(st.from_type(kind).filter(lambda frame: _is_plain(frame)) for kind in KINDS),
    st.builds(Ready, st.integers(0, 9), st.lists(st.text())).filter(lambda frame: _is_plain(frame)),
)


def _is_plain(frame: Frame) -> bool:
    """Whether MessagePack can carry it: its integers have 64 bits."""
    try:
        encode(frame)
    except (OverflowError, UnicodeEncodeError):
        return False
    return True


log_events = st.lists(st.builds(LogEvent, numbers, st.none() | st.text(), st.text(), numbers), min_size=1, max_size=30)


@given(frames)
def test_a_frame_comes_out_as_it_went_in(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


@given(log_events)
def test_events_come_out_as_they_went_in(events: list[LogEvent]) -> None:
    assert unpack(pack(0, 1, 0, events, b"")) == events


@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_a_typed_error(data: bytes, sealed_well: bool) -> None:
    try:
        decode(seal(data) if sealed_well else data)
    except MalformedError:
        return


@given(frames, st.data())
def test_a_cut_or_flipped_frame_is_no_frame(frame: Frame, data: st.DataObject) -> None:
    whole = encode(frame)
    at = data.draw(st.integers(0, len(whole) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    with pytest.raises(MalformedError):
        decode(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
    with pytest.raises(MalformedError):
        decode(whole[:at])


@given(frames, st.data())
def test_a_frame_that_is_wrong_and_sealed_well_is_a_frame_or_a_typed_error(frame: Frame, data: st.DataObject) -> None:
    whole = msgspec.msgpack.encode(frame)
    at = data.draw(st.integers(0, len(whole) - 1))
    for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]):
        try:
            found = decode(seal(damaged))
            if isinstance(found, Events):
                unpack(found)
        except LinkError:
            continue


def sealed(message: object) -> bytes:
    return seal(msgspec.msgpack.encode(message))


def test_text_is_no_frame() -> None:
    with pytest.raises(MalformedError, match="text"):
        decode("hello")


def test_compression_is_used_where_it_helps() -> None:
    small = pack(0, 1, 0, [LogEvent(1, None, "x", 0)], b"")
    large = pack(0, 1, 0, [LogEvent(1, None, "x" * 100_000, 0)], b"")
    assert not small.compressed
    assert large.compressed
    assert len(large.body) < 1_000


def bomb(claimed: int, real: int) -> Events:
    return Events(0, 1, 0, 1, b"", True, claimed, pack(0, 1, 0, [LogEvent(1, None, "\0" * real, 0)], b"").body)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(TooLargeError):
        unpack(bomb(MAX_FRAME_BYTES + 1, 10))
    with pytest.raises(MalformedError, match="announced"):
        unpack(bomb(1_000, 3 * 1024 * 1024))


@pytest.mark.parametrize("claimed", [0, -1])
def test_a_size_that_is_none_is_refused(claimed: int) -> None:
    with pytest.raises(TooLargeError):
        unpack(bomb(claimed, 10))


def test_a_wrong_count_is_refused() -> None:
    good = pack(0, 1, 0, [LogEvent(1, None, "x", 0)], b"")
    with pytest.raises(MalformedError, match="2 were announced"):
        unpack(msgspec.structs.replace(good, count=2))


def test_events_that_no_frame_can_carry_are_named() -> None:
    with pytest.raises(TooLargeError, match="behind 6"):
        pack(0, 1, 6, [LogEvent(7, None, "x" * MAX_FRAME_BYTES, 0)], b"")


def test_a_frame_of_a_newer_version_is_left_and_one_with_more_fields_is_read() -> None:
    assert decode(sealed([KNOWN + 1, {"new": 1}])) == Unknown(KNOWN + 1)
    assert decode(sealed([15, 7, "a field that this version does not know"])) == Ping(7)
    with pytest.raises(MalformedError):
        decode(sealed([3, "not", "a", "welcome"]))


def test_deep_nesting_is_a_typed_error() -> None:
    with pytest.raises(MalformedError):
        decode(seal(b"\x91" * 100_000))


# -- what cannot be carried travels as a stub -------------------------------------------------------------------------


@given(
    st.one_of(st.none(), st.text(max_size=5), st.binary(max_size=5), st.integers(), st.floats()),
    st.one_of(st.none(), st.text(max_size=50), st.binary(max_size=50), st.integers(), st.floats()),
    st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=3)),
)
def test_whatever_lies_in_a_row_can_be_carried(key: object, payload: object, created_at: object) -> None:
    event = carried(1, key, payload, created_at)
    assert unpack(pack(0, 1, 0, [event], b"")) == [event]
    assert carried(1, *event[1:]) == event  # so that a log that was healed has the same chain


def test_a_payload_that_is_too_long_travels_as_a_stub() -> None:
    longest = "x" * MAX_EVENT_BYTES
    assert carried(1, None, longest, 0).payload == longest
    for payload in (longest + "x", "\u20ac" * (MAX_EVENT_BYTES // 3 + 1)):
        stub = carried(1, None, payload, 0)
        assert '"code":"TOO_LARGE"' in stub.payload
        assert msgspec.json.decode(stub.payload)["spoke.stub"]["bytes"] == len(payload.encode())
