"""The state of the link in words: the same in the TUI, the CLI and the logs."""

from __future__ import annotations

from app.views.text import ago, count, duration, of, safe, since
from sync.spoke.status import LinkStatus

GLYPHS = {"live": "●", "catching-up": "◐", "connecting": "◌", "offline": "○", "refused": "✗", "unpaired": "·"}
ASCII_GLYPHS = {"live": "*", "catching-up": "~", "connecting": "?", "offline": "o", "refused": "x", "unpaired": "."}


def link_line(link: LinkStatus, now_ms: int, *, running: bool, ascii_only: bool = False) -> str:
    """One line: glyph, word, and what a person wants to know next.

    `running` says whether some process runs the link; without one its last word is history.
    """
    glyphs = ASCII_GLYPHS if ascii_only else GLYPHS
    unsent = f"{count(link.unsent)} unsent"
    if link.state == "unpaired":
        return (
            f"{glyphs['unpaired']} NO HUB · {count(link.unsent)} events wait"
            if link.unsent
            else f"{glyphs['unpaired']} NO HUB"
        )
    if not running:
        return f"{glyphs['offline']} STOPPED · {unsent}"
    glyph = glyphs[link.state]
    match link.state:
        case "live":
            return f"{glyph} ONLINE" + (f" · {unsent}" if link.unsent else "")
        case "catching-up":
            return f"{glyph} SYNCING · {unsent}"
        case "connecting":
            return f"{glyph} CONNECTING · {unsent}"
        case "refused":
            return f"{glyph} REFUSED {link.error_code} · {unsent}"
        case _:
            wait = ""
            if link.retry_at_ms is not None and link.retry_at_ms > now_ms:
                wait = f" · retry in {duration(link.retry_at_ms - now_ms)}"
            return f"{glyph} OFFLINE {ago(link.since_ms, now_ms)}{wait} · {unsent}"


def link_details(link: LinkStatus, now_ms: int, *, running: bool) -> list[str]:
    """Everything about the link, a line each: for `spoke sync status` and the overview."""
    lines = [link_line(link, now_ms, running=running)]
    if link.state == "unpaired":
        lines.append("Everything works without a hub. To join one: spoke join wss://HOST")
    if link.hub_url:
        lines.append(f"hub        {safe(link.hub_url)}")
    if not running and link.state != "unpaired":
        lines.append("No process runs the link. Start it: spoke run")
    if link.error is not None:
        lines.append(f"problem    {link.error_code}: {safe(link.error)}")
        if link.hint:
            lines.append(f"           {link.hint}")
    for stream in link.streams:
        acked = "never acked" if stream.acked_at_ms is None else f"acked {since(stream.acked_at_ms, now_ms)}"
        lines.append(
            f"{stream.topic:<16} at {count(stream.last_offset)}, hub has {count(stream.acked_offset)},"
            f" {count(stream.unsent)} unsent, {acked}"
        )
    if link.breaks:
        lines.append(f"the link broke {of(link.breaks, 'time')}")
    return lines
