"""Which addresses of a hub are accepted."""

from __future__ import annotations

from urllib.parse import urlsplit

from sync.link.errors import LOOPBACK, LinkError, PlainTextError


class BadAddressError(LinkError):
    """The address of the hub is none."""

    code = "BAD_ADDRESS"
    permanent = True
    hint = "join again: spoke join wss://HOST[:PORT]"


def check_url(url: str, *, allow_plain: bool) -> None:
    """Accept `wss://`, and `ws://` to this machine.

    Raises:
        PlainTextError: `ws://` to another machine, without the explicit word that this is wanted.
    """
    parts = urlsplit(url)
    if parts.scheme == "wss" or (parts.scheme == "ws" and (allow_plain or parts.hostname in LOOPBACK)):
        return
    if parts.scheme != "ws":
        raise BadAddressError(f"{url}: not an address of the form wss://HOST[:PORT]")
    raise PlainTextError(f"{url} is not encrypted")
