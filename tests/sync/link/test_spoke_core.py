"""The sender's state machine, case by case; `tests/sim` meets the rest."""

from __future__ import annotations

import pytest

from sync.link.chain import Cursor, LogEvent, extend
from sync.link.errors import DivergedError, LinkError, MalformedError, UnauthorizedError, VersionError
from sync.link.frames import Ack, Events, Failure, Frame, StreamOffer, StreamPosition, Welcome, pack
from sync.link.spoke_core import (
    GiveUp,
    LogRead,
    Opened,
    Output,
    ReadLog,
    Received,
    SaveAck,
    Send,
    SpokeCore,
    Verified,
    Verify,
    Woken,
)

GEN = b"g" * 16
WELCOME = Welcome(1, "hub", [StreamPosition("s", 0, GEN)], window=4)


def frame(*offsets: int, after: int = 0) -> Events:
    events = [LogEvent(offset, None, "{}", 0) for offset in offsets]
    return pack(0, after, events, extend(GEN, events))


@pytest.fixture
def core() -> SpokeCore:
    made = SpokeCore("n", "name", "agent", [StreamOffer("s", 1, GEN)])
    (hello,) = made.on_input(Opened())
    assert isinstance(hello, Send)
    return made


def ready(core: SpokeCore) -> list[Output]:
    assert core.on_input(Received(WELCOME)) == [Verify("s", GEN, Cursor(0, GEN))]
    return core.on_input(Verified("s", None))


def test_it_reads_where_the_hub_is(core: SpokeCore) -> None:
    assert ready(core) == [SaveAck("s", GEN, Cursor(0, GEN)), ReadLog("s", 0, Cursor(0, GEN))]


def test_a_wake_up_while_the_log_is_read_is_not_forgotten(core: SpokeCore) -> None:
    ready(core)
    assert core.on_input(Woken()) == []
    assert core.on_input(LogRead("s", None)) == [ReadLog("s", 0, Cursor(0, GEN))]
    assert core.on_input(LogRead("s", None)) == []
    assert core.live
    assert core.on_input(Woken()) == [ReadLog("s", 0, Cursor(0, GEN))]


def test_the_window_holds_it_back_until_an_ack(core: SpokeCore) -> None:
    ready(core)
    first, second = frame(1, 2), frame(3, 4, after=2)
    sent = core.on_input(LogRead("s", first, 2))
    assert sent == [Send(first), ReadLog("s", 0, Cursor(2, first.hash))]
    assert core.on_input(LogRead("s", second, 4)) == [Send(second)]
    assert core.on_input(Woken()) == []
    assert not core.live
    assert core.on_input(Received(Ack(0, 2))) == [
        SaveAck("s", GEN, Cursor(2, first.hash)),
        ReadLog("s", 0, Cursor(4, second.hash)),
    ]
    core.on_input(LogRead("s", None))
    assert core.on_input(Received(Ack(0, 4))) == [SaveAck("s", GEN, Cursor(4, second.hash))]
    assert core.live


def test_a_stream_that_diverged_is_given_up_and_says_why(core: SpokeCore) -> None:
    core.on_input(Received(WELCOME))
    error = DivergedError("x")
    assert core.on_input(Verified("s", error)) == [GiveUp("s", error)]
    assert core.on_input(Woken()) == []
    assert not core.live


@pytest.mark.parametrize(
    ("received", "error"),
    [
        (Welcome(2, "hub", WELCOME.streams, 4), VersionError),
        (Welcome(1, "hub", [], 4), MalformedError),
        (Welcome(1, "hub", WELCOME.streams, 0), MalformedError),
        (Failure("UNAUTHORIZED", "no"), UnauthorizedError),
        (Failure("NEW_CODE", "?"), LinkError),
        (Ack(7, 1), MalformedError),
        (frame(1), MalformedError),
    ],
)
def test_what_a_hub_may_not_say(core: SpokeCore, received: Frame, error: type[LinkError]) -> None:
    with pytest.raises(error):
        core.on_input(Received(received))


def test_an_ack_where_no_frame_ended_is_refused(core: SpokeCore) -> None:
    ready(core)
    core.on_input(LogRead("s", frame(1, 2), 2))
    with pytest.raises(MalformedError, match="no frame ended"):
        core.on_input(Received(Ack(0, 1)))
