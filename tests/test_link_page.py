"""`docs/link.md` names the errors, states and limits that the code has."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import sync
from storage.identity import devices, join_tokens
from sync.durable import caller
from sync.hub import enrol, server, session, streams
from sync.link import backoff, chain, frames, lineage, ratchet, sender
from sync.link.errors import LinkError
from sync.logs import chains
from sync.peer import conversation
from sync.spoke import introduction, uplink
from sync.spoke.status import STATES

PAGE = (Path(__file__).parents[1] / "docs" / "link.md").read_text()
MIB, KIB = 1024 * 1024, 1024


def kinds(base: type[LinkError] = LinkError) -> Iterator[type[LinkError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def row(kind: type[LinkError]) -> str:
    meaning = re.sub(r"\s+", " ", (kind.__doc__ or "").split("\n\n")[0]).rstrip(".")
    if kind is LinkError:
        meaning = "A defect, or something that this version does not know"
    return f"| `{kind.code}` | {'rarely' if kind.permanent else 'soon'} | {meaning} | {kind.hint} |"


def test_every_error_is_in_the_table_and_no_other() -> None:
    for module in pkgutil.walk_packages(sync.__path__, "sync."):
        importlib.import_module(module.name)
    expected = sorted({row(kind) for kind in kinds() if kind.__module__.startswith("sync.")})
    found = [line for line in PAGE.splitlines() if re.match(r"\| `[A-Z_]+` \|", line)]
    assert found == expected, "\n".join(expected)


def test_every_state_is_explained_in_its_order() -> None:
    assert re.findall(r"^\* `([a-z-]+)", PAGE.split("## States\n")[1].split("\n## ")[0], re.MULTILINE) == list(STATES)


def test_the_limits_are_those_of_the_code() -> None:
    limits = dict(re.findall(r"^\| ([^`|]+) \| ([^|]+) \|$", PAGE.split("## Limits\n")[1], re.MULTILINE))
    assert limits == {
        "what": "limit",
        "---": "---",
        "a frame, packed and unpacked": f"{frames.MAX_FRAME_BYTES // MIB} MiB",
        "a frame before the other end is known": f"{frames.MAX_FIRST_FRAME_BYTES // KIB} KiB",
        "an event's payload (a larger one travels as a stub, into quarantine)": f"{chain.MAX_EVENT_BYTES // MIB} MiB",
        "events in a frame; bytes aimed at": f"{frames.MAX_BATCH_EVENTS}; {frames.TARGET_BATCH_BYTES // MIB} MiB",
        "unacknowledged of a stream": f"{frames.Window().events} events, {frames.Window().bytes // MIB} MiB",
        "frames that wait for the disk, then TCP holds back": f"{conversation.MAX_UNSTORED}",
        "streams of a session": f"{frames.MAX_STREAMS}",
        "streams of other nodes that a node may follow": f"{streams.MAX_FOLLOWED}",
        "generations of a log that count": f"{lineage.MAX_GENERATIONS}",
        "heals and forks of a stream before it is parked": (
            f"{sender.LADDER_COUNT} in {sender.LADDER_S / 60:g} minutes"
        ),
        "hashes noted of a log": f"one every {chains.CHECKPOINT_EVERY} offsets",
        "time for HELLO; for the hub's answer": f"{session.HELLO_TIMEOUT_S:g} s; {introduction.ANSWER_WITHIN_S:g} s",
        "ping; silence after which the other end is gone": (
            f"{conversation.HEARTBEAT_S:g} s; {conversation.SILENCE_S:g} s"
        ),
        "waits between attempts": f"0 to {backoff.FIRST_S:g} s, doubling, to {backoff.CAP_S:g} s",
        "waits after an error that somebody must mend": (f"{backoff.PERMANENT_S / 2:g} to {backoff.PERMANENT_S:g} s"),
        "time for what is on its way when the link stops": (
            f"{uplink.STOP_GRACE_S:g} s at the node, {server.DRAIN_S:g} s at the hub"
        ),
        "connections a second, at once": (
            f"{server.HANDSHAKES_EACH.per_s:g}, {server.HANDSHAKES_EACH.burst:g} of an address;"
            f" {server.HANDSHAKES.per_s:g}, {server.HANDSHAKES.burst:g} of all"
        ),
        "joins a second, at once": (
            f"{enrol.EACH.per_s:g}, {enrol.EACH.burst:g} of an address; {enrol.TOGETHER.per_s:g},"
            f" {enrol.TOGETHER.burst:g} of all"
        ),
        "a token works": f"once, for {join_tokens.TTL_S // 60} minutes",
        "a machine's key works; it is replaced by itself when it is so old": (
            f"{devices.KEY_LIFETIME_S // 86_400} days; {devices.RENEW_AFTER_S // 86_400} days"
        ),
        "the key is shown again within a session": f"every {session.RENEW_EVERY_S / 60:g} minutes",
        "a copy that was not heard of for so long is taken for gone": f"{ratchet.SILENT_MS // 60_000} minutes",
        "calls to one peer under way; a request or a result": (f"{caller.QUOTA}; {chain.MAX_EVENT_BYTES // MIB} MiB"),
    }
