"""Why a session broke, or did not begin, in the link's own words."""

from __future__ import annotations

import errno
import os
import re
import socket
from urllib.parse import urlsplit

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
)

from storage.engine.errors import EngineError
from sync.link.errors import LinkError, OverloadedError, StorageFullError, UnauthorizedError
from sync.spoke.address import BadAddressError
from sync.spoke.proxy import ProxyError, refused_by, shown
from sync.spoke.trust import explain

NOBODY_THERE = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT)
"""What only the first hop says: whoever was connected before does not refuse any more."""


class HubRefusedError(LinkError):
    """The other end is there, but it does not take us as a spoke."""

    code = "HANDSHAKE"
    hint = "is this the address of a Spoke hub?"


class UnreachableError(LinkError):
    """The hub cannot be reached."""

    code = "UNREACHABLE"
    hint = "nothing is lost: events wait here and are sent when the hub is back"


def reason_of(error: Exception, url: str, proxy: str | None = None) -> LinkError:
    """The link's own error for whatever broke a session with `url`, through `proxy`; no password of it is in there."""
    if isinstance(error, LinkError):
        return error
    if isinstance(error, EngineError):
        return StorageFullError(f"this node's file: {error}")
    trust = explain(error, url)
    if trust is not None:
        return trust
    if proxy is not None:
        if isinstance(error, InvalidProxyStatus):
            return refused_by(proxy, error.response.status_code)
        if isinstance(error, InvalidProxyMessage):
            return ProxyError(f"{shown(proxy)} does not answer like a proxy")
        if isinstance(error, socket.gaierror) or (isinstance(error, OSError) and error.errno in NOBODY_THERE):
            return ProxyError(f"the proxy {shown(proxy)} cannot be reached: {error.strerror}")
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        if status in (401, 403):
            return UnauthorizedError(f"the hub answered {status}")
        if status == 503:
            busy = OverloadedError("the hub has too much to do")
            after = error.response.headers.get("Retry-After", "")
            busy.retry_after_ms = int(after) * 1000 if after.isdigit() else None
            return busy
        return HubRefusedError(f"the hub answered {status}")
    if isinstance(error, InvalidURI):
        return BadAddressError(str(error))
    if isinstance(error, InvalidHandshake):
        plain = url.startswith("ws:")
        return HubRefusedError(f"{url}: {error}" + (", it may want wss://" if plain else ""))
    through = "" if proxy is None else f" (through the proxy {shown(proxy)})"
    if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.reason:
        return UnreachableError(f"the hub closed the connection: {error.rcvd.reason}{through}")
    return UnreachableError(_unreachable(error, url) + through)


def _unreachable(error: Exception, url: str) -> str:
    """What the system says, of the address that was dialled: asyncio's words are one for each address of a name."""
    code = re.search(r"\[Errno (\d+)\]", str(error))
    if isinstance(error, socket.gaierror):
        return f"{urlsplit(url).hostname}: {error.strerror}"
    if isinstance(error, OSError) and code is not None:
        return f"{urlsplit(url).netloc}: {os.strerror(int(code[1]))}"
    return str(error) or type(error).__name__
