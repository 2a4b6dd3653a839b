"""Whether the hub can be reached from here: proxy, name, connection, TLS; the hop that fails is named."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from base64 import b64encode
from urllib.parse import unquote, urlsplit

from app.doctor.finding import Finding
from sync.link.errors import LinkError
from sync.spoke.address import check_url
from sync.spoke.proxy import DEFAULT_PORT, ProxyError, proxy_for, refused_by, shown
from sync.spoke.trust import Trust, explain

TIMEOUT_S = 5.0
TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d+)")
"""What `http.client` says when a proxy answers, and not with success; it has no type for it."""


def hub(
    url: str, *, trust: Trust, proxy: str | None, allow_plain: bool = False, timeout_s: float = TIMEOUT_S
) -> Finding:
    """Go as far as the link would before it shows a key: proxy, name, connection, TLS. Nothing is sent but to a proxy.

    Args:
        url: the hub's address.
        trust: who may vouch for it.
        proxy: `hub.proxy`; without it, the environment's counts, as for the link.
        allow_plain: `ws://` to another machine is no problem.
        timeout_s: how long each hop may take.
    """
    parts = urlsplit(url)
    through = ""
    try:
        check_url(url, allow_plain=allow_plain)
        proxy = proxy_for(url, proxy)
        through = f" through the proxy {shown(proxy)}" if proxy else ""
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)
        with _connected(host, port, proxy, timeout_s) as connection:
            if parts.scheme != "wss":
                return Finding("hub", "ok", f"{url} answers{through}, without TLS")
            with trust.context().wrap_socket(connection, server_hostname=host) as tls:
                return Finding("hub", "ok", f"{url} answers{through}, {tls.version()}, {trust}")
    except LinkError as error:
        if not error.permanent:
            return Finding(
                "hub", "warning", str(error), "events wait here", "is the proxy running, and its address right?"
            )
        return Finding("hub", "problem", str(error), "no session can begin", error.hint)
    except ssl.SSLError as error:
        reason = explain(error, url)
        fix = reason.hint if reason is not None and reason.hint else "compare the hub's CA with: spoke config show"
        return Finding("hub", "problem", f"{reason or error}{through}", "no session can begin", fix)
    except socket.gaierror as error:
        fix = "check the name, and the name servers of this machine (/etc/resolv.conf)"
        return Finding("hub", "warning", f"{parts.hostname}: {error.strerror}", "the name is not known here", fix)
    except TimeoutError:
        fix = "is there a firewall, or a proxy to use ([hub] proxy)? Is the hub running?"
        return Finding("hub", "warning", f"{url}{through}: no answer in {timeout_s:g} s", "events wait here", fix)
    except (OSError, ValueError) as error:
        fix = "is the hub running, and the port open?"
        said = getattr(error, "strerror", None) or error
        return Finding("hub", "warning", f"{url}{through}: {said}", "events wait here", fix)


def _connected(host: str, port: int, proxy: str | None, timeout_s: float) -> socket.socket:
    """A connection to the hub.

    Raises:
        ProxyError: the proxy cannot be reached, or cannot reach the hub.
        ProxyRefusedError: it does not let this node through.
    """
    if proxy is None:
        return socket.create_connection((host, port), timeout_s)
    parts = urlsplit(proxy)
    tunnel = http.client.HTTPConnection(parts.hostname or "", parts.port or DEFAULT_PORT, timeout=timeout_s)
    headers = {}
    if parts.username is not None:
        who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {b64encode(who.encode()).decode()}"
    tunnel.set_tunnel(host, port, headers)
    try:
        tunnel.connect()
    except TimeoutError as error:
        tunnel.close()
        raise ProxyError(f"the proxy {shown(proxy)}: no answer in {timeout_s:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        tunnel.close()
        if status := TUNNEL_REFUSED.match(str(error)):
            raise refused_by(proxy, int(status[1])) from error
        said = getattr(error, "strerror", None) or "it does not answer like a proxy"
        raise ProxyError(f"the proxy {shown(proxy)} cannot be used: {said}") from error
    found = tunnel.sock
    assert isinstance(found, socket.socket), "connected"
    return found
