"""Frames: what goes in comes out, and whatever else comes in is a typed error."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.link.chain import LogEvent
from sync.link.errors import LinkError, MalformedError, TooLargeError
from sync.link.frames import (
    MAX_FRAME_BYTES,
    Ack,
    Events,
    Failure,
    Hello,
    StreamOffer,
    StreamPosition,
    Welcome,
    decode,
    encode,
    pack,
    unpack,
)

names = st.text(max_size=20)
numbers = st.integers(0, 2**62)
frames = st.one_of(
    st.builds(
        Hello,
        st.lists(st.integers(0, 9), max_size=3),
        names,
        names,
        names,
        st.lists(st.builds(StreamOffer, names, numbers, st.binary(max_size=16)), max_size=3),
    ),
    st.builds(Welcome, numbers, names, st.lists(st.builds(StreamPosition, names, numbers, st.binary())), numbers),
    st.builds(Events, numbers, numbers, numbers, st.binary(), st.booleans(), numbers, st.binary()),
    st.builds(Ack, numbers, numbers),
    st.builds(Failure, names, names, st.none() | numbers),
)
log_events = st.lists(st.builds(LogEvent, numbers, st.none() | st.text(), st.text(), numbers), min_size=1, max_size=30)


@given(frames)
def test_a_frame_comes_out_as_it_went_in(frame: Hello | Welcome | Events | Ack | Failure) -> None:
    assert decode(encode(frame)) == frame


@given(log_events)
def test_events_come_out_as_they_went_in(events: list[LogEvent]) -> None:
    assert unpack(pack(0, 0, events, b"")) == events


@given(st.binary(max_size=200))
def test_garbage_is_a_typed_error(data: bytes) -> None:
    try:
        decode(data)
    except MalformedError:
        return


@given(frames, st.data())
def test_a_cut_or_flipped_frame_is_a_frame_or_a_typed_error(
    frame: Hello | Welcome | Events | Ack | Failure, data: st.DataObject
) -> None:
    whole = encode(frame)
    at = data.draw(st.integers(0, len(whole) - 1))
    for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]):
        try:
            found = decode(damaged)
            if isinstance(found, Events):
                unpack(found)
        except LinkError:
            continue


def test_text_is_no_frame() -> None:
    with pytest.raises(MalformedError, match="text"):
        decode("hello")


def test_compression_is_used_where_it_helps() -> None:
    small = pack(0, 0, [LogEvent(1, None, "x", 0)], b"")
    large = pack(0, 0, [LogEvent(1, None, "x" * 100_000, 0)], b"")
    assert not small.compressed
    assert large.compressed
    assert len(large.body) < 1_000


def bomb(claimed: int, real: int) -> Events:
    return Events(0, 0, 1, b"", True, claimed, pack(0, 0, [LogEvent(1, None, "\0" * real, 0)], b"").body)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(TooLargeError):
        unpack(bomb(MAX_FRAME_BYTES + 1, 10))
    with pytest.raises(MalformedError, match="announced"):
        unpack(bomb(1_000, 15 * 1024 * 1024))


@pytest.mark.parametrize("claimed", [0, -1])
def test_a_size_that_is_none_is_refused(claimed: int) -> None:
    with pytest.raises(TooLargeError):
        unpack(bomb(claimed, 10))


def test_a_wrong_count_is_refused() -> None:
    good = pack(0, 0, [LogEvent(1, None, "x", 0)], b"")
    with pytest.raises(MalformedError, match="2 were announced"):
        unpack(msgspec.structs.replace(good, count=2))


def test_an_event_that_no_frame_can_carry_is_named() -> None:
    with pytest.raises(TooLargeError, match="event 7"):
        pack(0, 0, [LogEvent(7, None, "x" * MAX_FRAME_BYTES, 0)], b"")
