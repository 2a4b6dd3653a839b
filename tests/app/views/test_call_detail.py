"""The pane about a call: every line fits and is safe, whatever the payload; how much of it is read does not grow."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.services.projector import catch_up
from app.views.call_detail import MOST_CHARACTERS, CallDetail, Payload, facts, read_detail
from app.views.calls import Call, read_calls
from app.views.text import safe
from app.views.waterfall import call_tree
from storage.engine import Database
from tests.app.views.recorded import SESSION, START, began, ended, publish

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
payloads = (
    st.none()
    | values.map(json.dumps).map(lambda text: Payload(text, len(text)))
    | st.builds(Payload, st.text(max_size=300), st.just(10_000_000))
)


@given(payloads, payloads, st.none() | st.text(max_size=80), st.text(max_size=40), st.integers(1, 120), st.booleans())
def test_lines_fit_and_are_safe(
    given_in: Payload | None, given_out: Payload | None, error: str | None, name: str, width: int, ascii_only: bool
) -> None:
    call = Call("r", None, name, "failed", 0.0, 1.0, 1.0, error)
    detail = CallDetail(call, name, error, given_in, given_out, [(name, "other", True), (name, "r", False)])
    lines = facts(detail, call_tree([call]), width, lambda _: "now", ascii_only=ascii_only)
    for fact in lines:
        assert cell_len(fact.text) <= max(20, width)
        assert safe(fact.text) == fact.text
        assert not ascii_only or fact.text.isascii()
    assert {fact.jump for fact in lines} <= {None, "r"}


def test_a_large_payload_is_read_up_to_a_limit(tenant: Database) -> None:
    publish(tenant, START, began("big", 0, "fs.read", input={"text": "x" * 1_000_000}), ended("big", 1, "E"))
    catch_up(tenant)
    with tenant.snapshot() as snapshot:
        (call,) = read_calls(snapshot, SESSION)
        detail = read_detail(snapshot, SESSION, call)
    assert detail is not None
    assert detail.input is not None
    assert (len(detail.input.text), detail.input.length) == (MOST_CHARACTERS, 1_000_011)
    text = [fact.text for fact in facts(detail, call_tree([call]), 60, lambda _: "now")]
    assert "error    E: it did not go␛[31m" in text
    assert text[-1] == "  … enter on the call: all of it"
