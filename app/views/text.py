"""Text for terminals: nothing in a payload may move the cursor, hide itself or break a column. Pure."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, tzinfo

from rich.cells import cell_len, set_cell_size

_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "␡"}
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Categories that a terminal would obey, hide or cannot show: controls, formats (bidi, zero width), surrogates."""

MARKS = 4
"""Accents on one letter; scripts need three. Hundreds of them would cover the lines around."""


def safe(text: str, *, ascii_only: bool = False) -> str:
    """Return the text on one line with everything that a terminal would obey shown instead.

    >>> safe("a\\x1b[31mb\\n")
    'a␛[31mb␊'
    >>> safe("user\\u202egnp")
    'user\\\\u202egnp'
    """
    if text.isascii() and text.isprintable():
        return text
    shown, marks = [], 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        shown.append(_escaped(ord(character)) if marks > MARKS else _shown(character, ascii_only))
    return "".join(shown)


def _shown(character: str, ascii_only: bool) -> str:
    code = ord(character)
    if ascii_only and (code > 0x7E or code < 0x20):
        return _escaped(code)
    picture = _PICTURES.get(code)
    if picture is not None:
        return picture
    return _escaped(code) if unicodedata.category(character) in _HIDDEN else character


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def readable(value: str | bytes) -> str:
    """What another program may have stored as a blob where a text belongs: as UTF-8, other bytes as `\\x..`.

    >>> readable("a"), readable(b"a\\xff")
    ('a', 'a\\\\xff')
    """
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")


def visible(text: str, *, ascii_only: bool = False) -> str:
    """Like `safe`, but what stands for a character is as wide as that, for a text in which a cursor moves.

    >>> visible("a\\x1b\\u202eb")
    'a␛�b'
    """
    if text.isascii() and text.isprintable():
        return text
    unknown = "?" if ascii_only else "�"
    return "".join(
        shown if len(shown) == 1 else unknown * max(1, cell_len(character))
        for character, shown in ((one, _shown(one, ascii_only)) for one in text)
    )


def clip(text: str, width: int, *, ellipsis: str = "…") -> str:
    """Return the text in at most `width` cells, with an ellipsis where something is missing."""
    if cell_len(text) <= width:
        return text
    if width <= len(ellipsis):
        return ellipsis[:width]
    return set_cell_size(text, width - len(ellipsis)).rstrip() + ellipsis


def fit(text: str, width: int, *, ellipsis: str = "…", right: bool = False) -> str:
    """Return the text in exactly `width` cells: clipped, or padded; it stands on the left, or on the right."""
    clipped = clip(text, width, ellipsis=ellipsis)
    padding = " " * (width - cell_len(clipped))
    return padding + clipped if right else clipped + padding


def duration(ms: float | None) -> str:
    """A duration for people, at most seven characters; unknown is a dash.

    >>> [duration(x) for x in (None, 0, 0.4, 12.34, 999, 1500, 65_000, 7_300_000, 90_000_000)]
    ['–', '0 ms', '0.4 ms', '12 ms', '999 ms', '1.5 s', '1m05s', '2h01m', '1d01h']
    """
    if ms is None:
        return "–"
    if ms < 10:
        return f"{ms:.1f} ms".replace(".0", "")
    if ms < 999.5:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02}m"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours:02}h"


def ago(then_ms: int | None, now_ms: int) -> str:
    """How long ago something was, one unit; unknown is a dash.

    >>> ago(None, 0), ago(0, 900), ago(0, 61_000), ago(0, 7_200_000), ago(5_000, 0)
    ('–', 'now', '1 min', '2 h', 'now')
    """
    if then_ms is None:
        return "–"
    seconds = max(0, now_ms - then_ms) // 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return "now"


def since(then_ms: int, now_ms: int) -> str:
    """How long ago something was, in words.

    >>> since(0, 900), since(0, 61_000)
    ('just now', '1 min ago')
    """
    text = ago(then_ms, now_ms)
    return "just now" if text == "now" else f"{text} ago"


def of(number: int, thing: str) -> str:
    """A number of things.

    >>> of(1, "call"), of(1200, "call")
    ('1 call', '1 200 calls')
    """
    return f"{count(number)} {thing}{'' if number == 1 else 's'}"


def size(number: int) -> str:
    """A number of bytes, decimal units.

    >>> size(999), size(1_234), size(12_345_678), size(3_200_000_000)
    ('999 B', '1.2 kB', '12.3 MB', '3.2 GB')
    """
    if number < 1_000:
        return f"{number} B"
    for factor, unit in ((1e9, "GB"), (1e6, "MB")):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number / 1e3:.1f} kB"


def clock(at_ms: int, zone: tzinfo = UTC) -> str:
    """A time of day with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, zone).strftime("%H:%M:%S.%f")[:-3]


def date(at_ms: int | None, zone: tzinfo = UTC) -> str:
    """A day and time to the minute, without the year; unknown is a dash."""
    return "–" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, zone).strftime("%m-%d %H:%M")


def count(number: int) -> str:
    """A number with thin groups of three.

    >>> count(1234567)
    '1 234 567'
    """
    return f"{number:,}".replace(",", " ")


def wrap(text: str, width: int) -> list[str]:
    """Break one line of safe text into lines of at most `width` cells, at spaces where there are any.

    >>> wrap("a long line", 6), wrap("宽字符", 4), wrap("", 4)
    (['a long', 'line'], ['宽字', '符'], [''])
    """
    lines: list[str] = []
    start, narrow = 0, text.isascii()
    while True:
        end = min(start + width, len(text)) if narrow else _reach(text, start, width)
        if end == len(text):
            return [*lines, text[start:]]
        space = text.rfind(" ", start + 1, end + 1)
        end = space if space > 0 else max(end, start + 1)
        lines.append(text[start:end].rstrip())
        start = end
        while start < len(text) and text[start] == " ":
            start += 1


def _reach(text: str, start: int, width: int) -> int:
    """How far `width` cells reach from `start`."""
    end = min(start + width, len(text))
    while end > start and cell_len(text[start:end]) > width:
        end -= 1
    return end
