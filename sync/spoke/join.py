"""The machine's side of joining: learn the hub's CA, hold it against the token's pin, then prove and enrol.

Two connections: TLS cannot verify a CA that it does not know yet. Over the first one, which is not verified, nothing is
sent but the request for a WebSocket; what the hub says there is its CA. Over the second one the hub's certificate and
name are verified with that CA, before the proof is sent.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from sync.link.device import DeviceKey
from sync.link.enrolment import (
    MAX_FRAME_BYTES,
    SUBPROTOCOL,
    Challenge,
    Enrolled,
    Message,
    Refused,
    decode,
    encode,
    request,
)
from sync.link.errors import MalformedError, from_code
from sync.link.token import Token
from sync.spoke.address import check_url
from sync.spoke.proxy import proxy_for
from sync.spoke.reasons import HubRefusedError, reason_of
from sync.spoke.trust import Trust, client_context, fits_pin, unverified_context

TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Joined:
    """What the hub gave: the first ratchet is for the node's database, the rest for its file of the hub."""

    url: str
    hub_id: str
    tenant: str
    node_id: str
    ratchet: bytes
    key_not_after: int
    ca_pem: str | None
    """The only CA to trust from now on; None: those of the system."""


async def join(
    url: str,
    token: Token,
    key: DeviceKey,
    node_id: str,
    name: str,
    *,
    allow_plain: bool = False,
    proxy: str | None = None,
    trust: Trust | None = None,
) -> Joined:
    """Enrol this machine; on the hub's disk when this returns.

    Joining again, with the same key and token, gives the answer again: a machine that broke down in between just joins
    once more.

    Args:
        url: `wss://`; `ws://` only to this machine, or where that is allowed. Then no pin can be checked.
        token: from the hub's operator.
        key: on this machine's disk already.
        node_id: of this machine's database.
        name: how it is called in the hub's lists.
        allow_plain: accept `ws://` to another machine.
        proxy: as `proxy_for` takes it.
        trust: who may vouch for a hub that the token does not pin.

    Raises:
        JoinRefusedError: the hub does not take the token.
        TrustError: the other end is not the token's hub; the proof was not sent.
        LinkError: the address or the proxy's is none, the hub cannot be reached or does not speak this.
    """
    check_url(url, allow_plain=allow_plain)
    proxy = proxy_for(url, proxy)
    ca_pem: str | None = None
    if url.startswith("wss:") and token.pin is not None:
        answer = await _converse(url, proxy, unverified_context(), None)
        assert isinstance(answer, Challenge), "nothing was asked"
        ca_pem = fits_pin(answer.ca or "", token.pin)
    tls = None
    if url.startswith("wss:"):
        tls = client_context(ca_pem) if ca_pem is not None else (trust or Trust()).context()
    asked = _Asking(token, key, node_id, name)
    answer = await _converse(url, proxy, tls, asked)
    if not isinstance(answer, Enrolled) or answer.node_id != node_id or answer.hub_id != asked.hub_id:
        raise MalformedError("the hub's answer is not one to what was asked")
    return Joined(url, answer.hub_id, answer.tenant, node_id, answer.ratchet, answer.key_not_after, ca_pem)


@dataclass(slots=True)
class _Asking:
    token: Token
    key: DeviceKey
    node_id: str
    name: str
    hub_id: str = ""


async def _converse(url: str, proxy: str | None, tls: ssl.SSLContext | None, asking: _Asking | None) -> Message:
    """One connection: the hub's first word, or its answer when something is asked."""
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            connect(
                url,
                ssl=tls,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
                max_size=MAX_FRAME_BYTES,
                open_timeout=TIMEOUT_S,
                proxy=proxy,
                user_agent_header=None,
            ) as socket,
        ):
            if socket.subprotocol != SUBPROTOCOL:
                raise HubRefusedError("this hub enrols no nodes")
            challenge = await _receive(socket)
            if not isinstance(challenge, Challenge):
                raise MalformedError(f"{type(challenge).__name__} may not come now")
            if asking is None:
                return challenge
            asking.hub_id = challenge.hub_id
            await socket.send(encode(request(challenge, asking.token, asking.key, asking.node_id, asking.name)))
            return await _receive(socket)
    except (WebSocketException, OSError, TimeoutError) as error:
        raise reason_of(error, url, proxy) from error


async def _receive(socket: ClientConnection) -> Message:
    message = decode(await socket.recv())
    if isinstance(message, Refused):
        raise from_code(message.code, message.message)
    return message
