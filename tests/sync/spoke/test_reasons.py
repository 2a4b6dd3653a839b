"""What a person reads when a hub cannot be reached: names of hosts and the system's words, no Python."""

from __future__ import annotations

import errno
import socket

import pytest
from websockets.exceptions import InvalidMessage

from sync.spoke.reasons import HubRefusedError, UnreachableError, reason_of


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 7)"),
            "hub:7: Connection refused",
        ),
        (
            OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 7, 0, 0), [Errno 111] …"),
            "hub:7: Connection refused",
        ),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "hub: Name or service not known"),
        (TimeoutError("timed out during opening handshake"), "timed out during opening handshake"),
        (EOFError(), "EOFError"),
    ],
)
def test_the_words_of_what_cannot_be_reached(error: Exception, said: str) -> None:
    found = reason_of(error, "wss://hub:7")
    assert (type(found), str(found)) == (UnreachableError, said)


def test_without_tls_where_there_is_tls() -> None:
    error = InvalidMessage("did not receive a valid HTTP response")
    assert str(reason_of(error, "ws://localhost:7")).endswith("may want wss://")
    found = reason_of(error, "wss://localhost:7")
    assert isinstance(found, HubRefusedError)
    assert str(found) == "wss://localhost:7: did not receive a valid HTTP response"
