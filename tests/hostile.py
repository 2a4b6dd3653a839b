"""A tenant file with something hostile in every place that a screen or a command shows.

Rows go in by SQL as another program could write them, events as JSON text: what the API would refuse must be survived
too.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

from app.services.projector import catch_up
from storage.engine import Database
from storage.graphs.writing import create_graph
from storage.keyring import open_keyring
from storage.secrets import set_secret
from tests.app.views.recorded import began, ended

COMMANDS = {
    "clear": "\x1b[2J\x1b[H\x1b[31mred",
    "clipboard": "\x1b]52;c;b3duZWQ=\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\x\x1b]8;;\x1b\\",
    "title": "\x1b]0;owned\x07",
    "c1": "\x9b31m\x90q\x9c\x85",
    "bidi": "\u202efdp.exe\u2066\u2069\u200f",
    "zero-width": "a\u200b\u200d\u2060\ufeff\u00adb\u180e",
    "controls": "\x01\x07\x08\x7f\r\n\t\x0b\x0c",
    "lines": "a\u2028b\u2029c",
    "tags": "\U000e0041\U000e007f",
}
WIDE = "宽字符👩\u200d🔧👍🏽 e" + "\u0301" * 300 + "ก\u0e33"
EVIL = "".join(COMMANDS.values()) + WIDE
SURROGATE = "\\ud800\\udc00\\udfff\\u0000"
"""As JSON escapes: a pair, a half, and NUL."""
DEEP = "[" * 100_000 + "]" * 100_000
BIG = "x" * 10_000_000
SESSION = "5e55" + EVIL
HIDDEN = ("Cc", "Cf", "Cs")


def hidden(text: str) -> set[str]:
    """The characters of a text that a terminal would obey or hide."""
    return {f"U+{ord(one):04X}" for one in set(text) if unicodedata.category(one) in HIDDEN}


def crowded(text: str) -> bool:
    """Whether more marks stand on one letter than any script needs: they would hide the lines around it."""
    marks = 0
    for one in text:
        marks = marks + 1 if unicodedata.combining(one) else 0
        if marks > 8:
            return True
    return False


def fill(db: Database, key_file: Path, *, big: bool = True) -> None:
    """Put it everywhere. `big` adds a value of 10 MB and one that is nested 100 000 deep."""
    ring = open_keyring(key_file)
    events = [
        {"type": "session.started", "sessionId": SESSION, "title": EVIL, "source": EVIL, "slug": EVIL},
        {
            "type": "session.message",
            "sessionId": SESSION,
            "messageId": "m1",
            "role": EVIL,
            "agent": EVIL,
            "parts": [
                {"partId": "p1", "type": "text", "data": {"text": EVIL}},
                {"partId": "p2", "type": "reasoning", "data": {"text": EVIL}},
                {"partId": "p3", "type": "tool", "data": {EVIL: EVIL}},
                {"partId": "p4", "type": "file", "data": {"url": EVIL, "mime": EVIL, "filename": EVIL}},
                {"partId": "p5", "type": EVIL, "data": EVIL},
            ],
        },
    ]
    metadata = {"metadata": {"sessionId": SESSION}}
    calls = [
        {**began("c1" + EVIL, 0, EVIL, input={EVIL: [EVIL]}), **metadata},
        {**began("c2", 1, "team." + EVIL, "c1" + EVIL, input=EVIL), **metadata},
        ended("c2", 2, EVIL),
        {**ended("c1" + EVIL, 3, "E"), "message": EVIL, "details": {EVIL: EVIL}},
        {**began("c3", 4, "fs.read", "c1" + EVIL), **metadata},
    ]
    if big:
        calls.append({**began("c4", 5, "fs.read", "c1" + EVIL, input={"text": BIG}), **metadata})
    texts = [("session-events", json.dumps(event)) for event in events]
    texts += [("call-protocol", json.dumps(call)) for call in calls]
    texts += [
        ("call-protocol", json.dumps(began("c5", 6, "raw")).replace('"raw"', f'"raw{SURROGATE}"')),
        (EVIL, json.dumps({"type": EVIL, EVIL: EVIL})),
        (EVIL, f'{{"type": "{SURROGATE}"}}'),
        (EVIL, "no json " + EVIL),
        ("call-protocol", "no json " + EVIL),
    ]
    if big:
        texts += [("call-protocol", f'{{"type": "deep", "x": {DEEP}}}'), (EVIL, f'{{"type": "x", "x": {DEEP}}}')]
    blob = bytes(range(256))
    with db.transaction() as tx:
        for topic, payload in texts:
            tx.execute("INSERT INTO _honker_stream (topic, key, payload) VALUES (?, ?, ?)", (topic, EVIL, payload))
        tx.execute("INSERT INTO _honker_stream (topic, key, payload) VALUES ('blob', ?1, ?1)", (blob,))
        tx.execute("INSERT INTO _honker_stream_consumers VALUES (?1, ?1, 1)", (EVIL,))
        tx.execute("INSERT INTO _honker_live (queue, payload, worker_id) VALUES (?1, ?2, ?1)", (EVIL, json.dumps(EVIL)))
        tx.execute("INSERT INTO _honker_live (queue, payload) VALUES (?, ?)", (EVIL, blob))
        payloads: list[str | bytes] = [EVIL, f'"{SURROGATE}"', blob, *([DEEP] if big else [])]
        for number, stored in enumerate(payloads):
            row = (1000 + number, EVIL, stored, EVIL)
            tx.execute("INSERT INTO _honker_dead (id, queue, payload, last_error) VALUES (?, ?, ?, ?)", row)
        tx.execute(
            "INSERT INTO _honker_scheduler_tasks (name, queue, cron_expr, payload, next_fire_at)"
            " VALUES (?1, ?1, ?1, ?1, unixepoch() + 3600)",
            (EVIL,),
        )
        tx.execute("INSERT INTO _honker_locks VALUES (?1, ?1, unixepoch() + 3600)", (EVIL,))
        graph = create_graph(tx, "task-dependencies", EVIL, graph_id="9" + EVIL)
        attributes = json.dumps({"type": "task", EVIL: EVIL, "name": EVIL, "status": EVIL})
        add = "INSERT INTO nodes (id, graph_id, key, attributes) VALUES (?, ?, ?, ?)"
        for number, key in enumerate(("n1" + EVIL, "n2", "n3")):
            tx.execute(add, (f"{number}", graph, key, attributes if number < 2 else f'{{"name": "{SURROGATE}"}}'))
        tx.execute(
            "INSERT INTO edges (id, graph_id, key, source_node_key, target_node_key, attributes)"
            " VALUES ('e', ?1, ?2, ?3, 'n2', ?4)",
            (graph, EVIL, "n1" + EVIL, json.dumps({"type": EVIL, EVIL: EVIL})),
        )
        set_secret(tx, ring, "evil", EVIL, description=EVIL)
        set_secret(tx, ring, "broken", EVIL)
        tx.execute("UPDATE nodes SET key = ? WHERE key = 'evil'", (EVIL,))
        tx.execute(
            "UPDATE nodes SET attributes = json_set(attributes, '$.expiresAt', ?1, '$.description', ?1)"
            " WHERE key = 'broken'",
            (EVIL,),
        )
        tx.execute(
            "INSERT INTO link_status (id, state, since, hub_url, hub_id, error_code, error, hint)"
            " VALUES (1, 'refused', 1, ?1, ?1, ?1, ?1, ?1)",
            (EVIL,),
        )
        tx.execute("INSERT INTO link_refusals VALUES ('call-protocol', x'0a', 3, ?1, ?1, 1)", (EVIL,))
        tx.execute(
            "INSERT INTO link_spokes (node_id, account_id, name, agent, connected, sessions, connected_at, seen_at)"
            " VALUES (?1, ?1, ?1, ?1, 1, 4, 1, 1)",
            (EVIL,),
        )
        tx.execute("INSERT INTO link_gaps VALUES (?1, ?1, x'0a', 1, 2, 1)", (EVIL,))
        tx.execute("INSERT INTO link_quarantine VALUES (?1, ?1, x'0a', 1, ?1, ?1, 1, ?1, ?1, 1)", (EVIL,))
        spec = {"operationId": EVIL, "type": "query", "description": EVIL, "inputSchema": {"title": EVIL}}
        tx.execute("INSERT INTO link_operations VALUES (?1, ?1, ?2)", (EVIL, json.dumps(spec)))
    catch_up(db)


def write_log(path: Path) -> None:
    """A log as this program writes it, with lines that it did not write."""
    line = f"2026-11-24 08:00:00,250 ERROR spoke.{EVIL}: {EVIL}\n"
    path.write_bytes((line * 3).encode("utf-8", "surrogatepass") + b"\xff\xfe\x00 binary\n" + DEEP.encode() + b"\n")
