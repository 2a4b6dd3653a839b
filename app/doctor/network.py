"""Whether the hub can be reached from here: name, connection, TLS; through the proxy that the link would use."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.request
from base64 import b64encode
from urllib.parse import unquote, urlsplit

from app.doctor.finding import Finding
from app.redact import redact
from sync.link.errors import LinkError
from sync.spoke.address import check_url
from sync.spoke.trust import client_context, explain

TIMEOUT_S = 5.0


def proxy_of(url: str, configured: str | None) -> str | None:
    """The proxy that the link goes through, if any: the configuration's, else the environment's."""
    if configured is not None:
        return configured
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(f"{parts.hostname}:{parts.port or 443}"):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get("https" if parts.scheme == "wss" else "http") or proxies.get("all")


def hub(url: str, *, ca_pem: str | None, proxy: str | None, allow_plain: bool, timeout_s: float = TIMEOUT_S) -> Finding:
    """Go as far as the link would before it shows a key: resolve, connect, TLS. Nothing is sent but to a proxy."""
    parts = urlsplit(url)
    through = f" through {redact(proxy)}" if proxy else ""
    try:
        check_url(url, allow_plain=allow_plain)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)
        with _connected(host, port, proxy, timeout_s) as connection:
            if proxy is not None and not proxy.startswith("http"):
                return Finding("hub", "ok", f"the proxy {redact(proxy)} answers; not looked through it")
            if parts.scheme != "wss":
                return Finding("hub", "ok", f"{url} answers{through}, without TLS")
            with client_context(ca_pem).wrap_socket(connection, server_hostname=host) as tls:
                trusted = "its own CA, pinned" if ca_pem else "a CA of the system"
                return Finding("hub", "ok", f"{url} answers{through}, {tls.version()}, {trusted}")
    except LinkError as error:
        return Finding("hub", "problem", str(error), "no session can begin", error.hint)
    except ssl.SSLError as error:
        reason = explain(error, url)
        fix = reason.hint if reason is not None and reason.hint else "compare the hub's CA with: spoke config show"
        return Finding("hub", "problem", str(reason or error), "no session can begin", fix)
    except socket.gaierror as error:
        name = urlsplit(proxy).hostname if proxy else parts.hostname
        fix = "check the name, and the name servers of this machine (/etc/resolv.conf)"
        return Finding("hub", "warning", f"{name}: {error.strerror}", "the name is not known here", fix)
    except TimeoutError:
        fix = "is there a firewall, or a proxy to use ([hub] proxy)? Is the hub running?"
        return Finding("hub", "warning", f"{url}{through}: no answer in {timeout_s:g} s", "events wait here", fix)
    except (OSError, ValueError, http.client.HTTPException) as error:
        fix = "is the hub running, and the port open?" if not proxy else "does the proxy let this address through?"
        said = getattr(error, "strerror", None) or error
        return Finding("hub", "warning", f"{url}{through}: {said}", "events wait here", fix)


def _connected(host: str, port: int, proxy: str | None, timeout_s: float) -> socket.socket:
    if proxy is None:
        return socket.create_connection((host, port), timeout_s)
    parts = urlsplit(proxy)
    if not parts.scheme.startswith("http"):
        return socket.create_connection((parts.hostname or "", parts.port or 1080), timeout_s)
    tunnel = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
    headers = {}
    if parts.username:
        who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {b64encode(who.encode()).decode()}"
    tunnel.set_tunnel(host, port, headers)
    tunnel.connect()
    found = tunnel.sock
    assert isinstance(found, socket.socket), "connected"
    return found
