"""Through which proxy the hub is dialled, if any, and what is wrong when that proxy stands in the way."""

from __future__ import annotations

import urllib.request
from urllib.parse import SplitResult, urlsplit

from sync.link.errors import LOOPBACK, LinkError

DEFAULT_PORT = 80
ASKS_WHO = 407
SOON = 500
"""From this status on the proxy has trouble itself, or cannot reach the hub: it is worth trying again."""


class BadProxyError(LinkError):
    """The address of the proxy is none, or of a kind that is not spoken."""

    code = "BAD_PROXY"
    permanent = True
    hint = "hub.proxy, or HTTPS_PROXY, is http://[NAME:PASSWORD@]HOST[:PORT]; NO_PROXY names hubs that need none"


class ProxyError(LinkError):
    """The proxy on the way to the hub cannot be reached, or cannot reach the hub."""

    code = "PROXY"
    hint = "nothing is lost: events wait here; `spoke doctor` says how far it gets"


class ProxyRefusedError(LinkError):
    """The proxy on the way to the hub does not let this node through."""

    code = "PROXY_REFUSED"
    permanent = True
    hint = "name and password belong into hub.proxy: http://NAME:PASSWORD@HOST:PORT; does it allow the hub's address?"


def proxy_for(url: str, configured: str | None) -> str | None:
    """The proxy to dial a hub through: `hub.proxy`, else the environment's; None: directly.

    This machine is never dialled through a proxy: what may go there unencrypted would leave it. The environment is
    `HTTPS_PROXY`, for `ws://` else `HTTP_PROXY`, else `ALL_PROXY`, in small letters too; hosts in `NO_PROXY` are
    dialled directly.

    Raises:
        BadProxyError: the proxy's address is none, or not `http://`; the message holds no password.
    """
    parts = urlsplit(url)
    if parts.hostname in LOOPBACK:
        return None
    if (found := configured or _of_environment(parts)) is None:
        return None
    origin = "hub.proxy" if configured else "the proxy of the environment"
    try:
        proxy = urlsplit(found)
        good = bool(proxy.hostname) and proxy.path in ("", "/") and not proxy.query and not proxy.fragment
        port = proxy.port
    except ValueError:
        raise BadProxyError(f"{origin} is no address") from None  # the cause would quote it, with the password
    if proxy.scheme != "http":
        raise BadProxyError(f"{origin} is not http://, and no other kind is spoken")
    if not good or port == 0:
        raise BadProxyError(f"{origin} is no address")
    if proxy.username is not None and proxy.password is None:
        raise BadProxyError(f"{origin} has a name, and no password")
    return found


def _of_environment(parts: SplitResult) -> str | None:
    if urllib.request.proxy_bypass(f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'wss' else 80)}"):
        return None
    proxies = urllib.request.getproxies()
    names = ("https", "all") if parts.scheme == "wss" else ("https", "http", "all")
    return next((proxies[name] for name in names if name in proxies), None)


def shown(proxy: str) -> str:
    """A proxy for people and logs, without name and password.

    >>> shown("http://ada:secret@proxy.example:3128")
    'proxy.example:3128'
    """
    parts = urlsplit(proxy)
    return f"{parts.hostname}:{parts.port or DEFAULT_PORT}"


def refused_by(proxy: str, status: int) -> LinkError:
    """What it means that the proxy answered so to the request for a way to the hub."""
    if status == ASKS_WHO:
        known = urlsplit(proxy).username is not None
        what = "does not take this name and password" if known else "wants a name and a password"
        return ProxyRefusedError(f"the proxy {shown(proxy)} {what} ({status})")
    if status >= SOON:
        return ProxyError(f"the proxy {shown(proxy)} answered {status}: it cannot reach the hub")
    return ProxyRefusedError(f"the proxy {shown(proxy)} does not let this address through ({status})")
