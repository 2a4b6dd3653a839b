"""Every state of the link in words, in metrics, and what its details tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.views.link import ASCII_GLYPHS, GLYPHS, link_details, link_line, outbox_lines
from app.views.metrics import read_metrics
from storage.engine import Database
from sync.spoke.status import STATES, LinkStatus, State, StreamStatus, pause, read_status, resume, write_status

STREAM = StreamStatus("call-protocol", 1_207, 1_200, 7, 60_000)
LINK = LinkStatus("live", 60_000, "wss://hub.example", "h", None, None, None, None, 0, (STREAM,))
WORDS: dict[State, str] = {
    "unpaired": "· UNPAIRED (no hub) · 7 events wait",
    "offline": "○ OFFLINE 1 min · retry in 12.0 s · 7 unsent",
    "connecting": "◌ CONNECTING · 7 unsent",
    "authenticating": "◍ AUTHENTICATING · 7 unsent",
    "catching-up": "◐ CATCHING-UP · 7 unsent",
    "live": "● LIVE · 7 unsent",
    "draining": "◑ DRAINING · 7 unsent",
    "refused": "✗ REFUSED(REVOKED) · retry in 12.0 s · 7 unsent",
    "paused": "‖ PAUSED 1 min · 7 unsent",
}


def in_state(state: State) -> LinkStatus:
    if state == "refused":
        return replace(LINK, state=state, error_code="REVOKED", error="gone", hint="ask", retry_at_ms=132_000)
    return replace(LINK, state=state, retry_at_ms=132_000 if state == "offline" else None)


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_a_word_and_a_glyph_of_its_own(state: State) -> None:
    assert link_line(in_state(state), 120_000, running=True) == WORDS[state]
    plain = link_line(in_state(state), 120_000, running=True, ascii_only=True)
    assert plain.startswith(f"{ASCII_GLYPHS[state]} {state.upper()}")
    assert len(set(GLYPHS.values())) == len(set(ASCII_GLYPHS.values())) == len(STATES)


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_a_metric(tenant: Database, tmp_path: Path, state: State) -> None:
    if state != "unpaired":
        with tenant.transaction() as tx:
            write_status(tx, state=state, at_ms=1, hub_url="wss://hub.example", hub_id="h")
    with tenant.snapshot() as snapshot:
        found = read_metrics(snapshot, tmp_path / "x.db", 0)
    states = {metric.labels["state"]: metric.value for metric in found if metric.name == "spoke_link_state"}
    assert states == {name: float(name == state) for name in STATES}


def test_nothing_is_called_synced_that_the_hub_does_not_have() -> None:
    never = replace(STREAM, acked_offset=0, unsent=1_207, acked_at_ms=None)
    text = "\n".join(link_details(replace(LINK, streams=(never, STREAM)), 120_000, running=True))
    assert "at 1 207, hub has 0, 1 207 unsent, never acked" in text
    assert "at 1 207, hub has 1 200, 7 unsent, acked 1 min ago" in text
    assert "sync" not in text.lower()


def test_details_tell_of_generations_refusals_gaps_clocks_and_problems() -> None:
    stream = replace(STREAM, generation=3, refused=2, gaps=1)
    link = replace(in_state("refused"), streams=(stream,), skew_ms=-90_000, breaks=2)
    lines = link_details(link, 120_000, running=True)
    assert lines[0] == WORDS["refused"]
    assert lines[2:5] == [
        "problem    REVOKED: gone",
        "           ask",
        "clock      this machine's is 1m30s behind the hub's",
    ]
    assert lines[5].endswith("generation 3, 2 refused, 1 gap")
    assert "clock" not in "\n".join(link_details(replace(link, skew_ms=60_000), 0, running=True))


def test_a_link_that_nobody_runs_is_stopped_and_may_be_paused(tenant: Database) -> None:
    with tenant.transaction() as tx:
        write_status(tx, state="offline", at_ms=1, hub_url="wss://hub.example", hub_id="h")
        assert pause(tx, 60_000)
        assert not pause(tx, 70_000)
    with tenant.snapshot() as snapshot:
        link = read_status(snapshot)
    assert link_details(link, 120_000, running=False)[::2][:2] == [
        "○ STOPPED (paused) · 0 unsent",
        "paused     1 min ago; to go on: spoke sync resume",
    ]
    with tenant.transaction() as tx:
        assert resume(tx)
        assert not resume(tx)
    with tenant.snapshot() as snapshot:
        assert "Start it: spoke run" in "\n".join(link_details(read_status(snapshot), 0, running=False))


def test_the_outbox_is_weighed_by_a_sample_and_its_oldest_is_told(tenant: Database) -> None:
    with tenant.transaction() as tx:
        write_status(tx, state="offline", at_ms=1, hub_url="wss://hub.example", hub_id="h")
        tenant.stream("call-protocol").append([("key", '"' + "é" * 10 + '"', 60)], tx)
    with tenant.snapshot() as snapshot:
        few = read_status(snapshot)
    assert (few.unsent, few.unsent_bytes, few.unsent_since_ms) == (1, 25, 60_000)
    assert outbox_lines(few, 120_000) == ["outbox     1 event, about 25 B, the oldest 1 min ago"]
    with tenant.transaction() as tx:
        tenant.stream("call-protocol").append([(None, "1" * 100, 70)] * 5_000, tx)
    with tenant.snapshot() as snapshot:
        many = read_status(snapshot)
    assert 0.95 < many.unsent_bytes / (25 + 5_000 * 100) < 1.05
    assert "outbox     5 001 events, about " in "\n".join(link_details(many, 120_000, running=True))
    assert not outbox_lines(replace(many, streams=()), 0)
    assert not outbox_lines(replace(many, state="unpaired"), 0)
