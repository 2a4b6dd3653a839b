"""The messages of joining: there and back, nonsense, and what a request must be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.link.device import ENROLMENT, DeviceKey
from sync.link.enrolment import MAX_FRAME_BYTES, Challenge, Enrolled, Refused, Request, check, decode, encode, request
from sync.link.errors import MalformedError
from sync.link.token import make, proves

KEY = DeviceKey.generate()
CHALLENGE = Challenge(b"n" * 32, "hub", None)
TOKEN = make(None, bytes(42))
GOOD = request(CHALLENGE, TOKEN, KEY, "node-1", "workshop")


@given(
    st.builds(Challenge, st.binary(), st.text(), st.none() | st.text())
    | st.builds(Request, st.text(), st.text(), st.text(), st.binary(), st.binary(), st.binary())
    | st.builds(Enrolled, st.text(), st.text(), st.text(), st.binary(), st.integers(0, 2**40), st.lists(st.text()))
    | st.builds(Refused, st.text(), st.text())
)
def test_messages_are_read_as_they_were_written(message: Challenge | Request | Enrolled | Refused) -> None:
    assert decode(encode(message)) == message


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
)


@given(st.binary(max_size=200) | values.map(msgspec.msgpack.encode) | st.text(max_size=20))
def test_nonsense_is_refused(data: bytes | str) -> None:
    try:
        message = decode(data)
    except MalformedError:
        return
    if isinstance(message, Request):
        with pytest.raises(MalformedError):
            check(CHALLENGE, message)


def test_a_large_message_is_not_read() -> None:
    with pytest.raises(MalformedError, match="16 KiB"):
        decode(encode(Refused("x", "x" * MAX_FRAME_BYTES)))


def test_a_request_shows_that_one_has_secret_and_key() -> None:
    said = check(CHALLENGE, GOOD)
    assert proves(TOKEN.proof_key, said, GOOD.proof)
    assert TOKEN.secret not in encode(GOOD)
    assert TOKEN.proof_key not in encode(GOOD)
    other = Challenge(b"m" * 32, "hub", None)
    with pytest.raises(MalformedError, match="not signed"):
        check(other, GOOD)


def signed(**changes: Any) -> Request:
    """A request whose signature is right for what it says."""
    changed = msgspec.structs.replace(GOOD, **changes)
    said = msgspec.msgpack.encode(
        [CHALLENGE.nonce, CHALLENGE.hub_id, changed.token_id, changed.node_id, changed.name, changed.public]
    )
    return msgspec.structs.replace(changed, signature=KEY.sign(ENROLMENT, said))


@pytest.mark.parametrize(
    "changes",
    [
        {"node_id": ""},
        {"node_id": "a@b"},
        {"node_id": "a>b"},
        {"node_id": "x" * 65},
        {"name": ""},
        {"name": "a\nb"},
        {"name": "x" * 65},
        {"token_id": "x" * 65},
        {"public": b"short"},
        {"proof": b""},
        {"public": DeviceKey.generate().public},
    ],
)
def test_what_a_request_may_not_say(changes: dict[str, Any]) -> None:
    assert check(CHALLENGE, signed())
    with pytest.raises(MalformedError):
        check(CHALLENGE, signed(**changes))
    for name in ("name", "node_id", "token_id"):
        with pytest.raises(MalformedError, match="not signed"):
            check(CHALLENGE, msgspec.structs.replace(GOOD, **{name: "other"}))
