"""The state of the link in words: the same in the TUI, the CLI and the logs."""

from __future__ import annotations

from app.views.text import ago, count, duration, of, safe, size
from app.views.times import When, told
from sync.spoke.status import LinkStatus, State, StreamStatus

GLYPHS: dict[State, str] = {
    "unpaired": "·",
    "offline": "○",
    "connecting": "◌",
    "authenticating": "◍",
    "catching-up": "◐",
    "live": "●",
    "draining": "◑",
    "refused": "✗",
    "paused": "‖",
}
ASCII_GLYPHS: dict[State, str] = {
    "unpaired": ".",
    "offline": "o",
    "connecting": "?",
    "authenticating": "@",
    "catching-up": "~",
    "live": "*",
    "draining": "v",
    "refused": "x",
    "paused": "=",
}
SKEW_MS = 60_000
"""A clock that differs by more from the hub's is worth a line: deadlines and certificates are judged by it."""


def link_line(link: LinkStatus, now_ms: int, *, running: bool, hub: bool = False, ascii_only: bool = False) -> str:
    """One line: glyph, the state as it is called everywhere, and what a person wants to know next.

    `running` says whether some process runs the link; without one its last word is history. `hub`: this machine is one.
    """
    glyphs = ASCII_GLYPHS if ascii_only else GLYPHS
    unsent = f"{count(link.unsent)} unsent"
    if link.state == "unpaired":
        waiting = f" · {count(link.unsent)} events wait" if link.unsent else ""
        return f"{glyphs['unpaired']} UNPAIRED ({'a hub' if hub else 'no hub'}){waiting}"
    if not running:
        return f"{glyphs['offline']} STOPPED{' (paused)' if link.paused_at_ms is not None else ''} · {unsent}"
    word = f"{glyphs[link.state]} {link.state.upper()}"
    match link.state:
        case "live":
            return word + (f" · {unsent}" if link.unsent else "")
        case "refused":
            return f"{word}({safe(link.error_code or '')}){_retry(link, now_ms)} · {unsent}"
        case "offline":
            return f"{word} {ago(link.since_ms, now_ms)}{_retry(link, now_ms)} · {unsent}"
        case "paused":
            return f"{word} {ago(link.since_ms, now_ms)} · {unsent}"
        case _:
            return f"{word} · {unsent}"


def _retry(link: LinkStatus, now_ms: int) -> str:
    if link.retry_at_ms is None or link.retry_at_ms <= now_ms:
        return ""
    return f" · retry in {duration(link.retry_at_ms - now_ms)}"


def link_details(link: LinkStatus, now_ms: int, *, running: bool, when: When | None = None) -> list[str]:
    """Everything about the link, a line each: for `spoke sync status` and the overview. `when` writes moments; without
    it, how long ago they are.
    """
    lines = [link_line(link, now_ms, running=running)]
    if link.state == "unpaired":
        lines.append("Everything works without a hub. To join one: spoke join wss://HOST")
    if link.hub_url:
        lines.append(f"hub        {safe(link.hub_url)}")
    lines += outbox_lines(link, now_ms, when)
    if link.paused_at_ms is not None:
        lines.append(f"paused     {told(link.paused_at_ms, now_ms, when)}; to go on: spoke sync resume")
    elif not running and link.state != "unpaired":
        lines.append("No process runs the link. Start it: spoke run")
    if link.error is not None:
        lines.append(f"problem    {safe(link.error_code or '')}: {safe(link.error)}")
        if link.hint:
            lines.append(f"           {safe(link.hint)}")
    if link.skew_ms is not None and abs(link.skew_ms) > SKEW_MS:
        way = "ahead of" if link.skew_ms > 0 else "behind"
        lines.append(f"clock      this machine's is {duration(abs(link.skew_ms))} {way} the hub's")
    lines += [_stream_line(stream, now_ms, when) for stream in link.streams]
    if link.breaks:
        lines.append(f"the link broke {of(link.breaks, 'time')}")
    if link.duplicates:
        lines.append(f"again      {of(link.duplicates, 'event')} of the hub came more than once; each is here once")
    return lines


def outbox_lines(link: LinkStatus, now_ms: int, when: When | None = None) -> list[str]:
    """What waits for the hub: how much, and since when; nothing when there is no hub, or it has all."""
    if link.state == "unpaired" or link.unsent_since_ms is None:
        return []
    held = f"{of(link.unsent, 'event')}, about {size(link.unsent_bytes)}"
    return [f"outbox     {held}, the oldest {told(link.unsent_since_ms, now_ms, when)}"]


def _stream_line(stream: StreamStatus, now_ms: int, when: When | None) -> str:
    """Never "synced": what the hub said that it has on its disk, and when it said so."""
    acked = "never acked" if stream.acked_at_ms is None else f"acked {told(stream.acked_at_ms, now_ms, when)}"
    parts = [
        f"at {count(stream.last_offset)}, hub has {count(stream.acked_offset)}, {count(stream.unsent)} unsent",
        acked,
    ]
    if stream.generation > 1:
        parts.append(f"generation {stream.generation}")
    if stream.refused:
        parts.append(f"{count(stream.refused)} refused")
    if stream.gaps:
        parts.append(of(stream.gaps, "gap"))
    return f"{safe(stream.topic):<16} {', '.join(parts)}"
