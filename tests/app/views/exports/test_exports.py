"""Exports keep to the schemas of their formats, whatever the calls are named and however they lie."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.projector import catch_up
from app.views.calls import Call, CallStatus
from app.views.exports import FORMATS, Trace, read_trace
from app.views.exports.chrome import lanes_of
from app.views.exports.mermaid import MOST_CALLS
from app.views.exports.trace import MessageRow
from app.views.sessions import SessionRow
from app.views.waterfall import call_tree
from storage.engine import Database
from tests.app.views.exports import schemas
from tests.app.views.recorded import CALLS, START, publish

NOW_MS = 1_795_507_260_000.0
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=y>',
    "a:b;c#d%%{init: {}}%%",
    "section x\ngantt\n click c1 href",
    "\x1b[2J\u202e",
    "\x00",
    "end",
    "&lt;",
    "`$(x)`",
]

names = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
statuses: st.SearchStrategy[CallStatus] = st.sampled_from(["pending", "running", "completed", "failed", "aborted"])
times = st.none() | st.floats(0, 1e15) | st.integers(0, 20).map(float)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    number = draw(st.integers(0, 12))
    known = draw(st.booleans())
    calls = []
    for index in range(number):
        start = draw(times.filter(lambda t: t is not None)) if known else draw(times)
        calls.append(
            Call(
                request_id=draw(st.sampled_from(["", "x", "<"])) + str(index),
                parent_id=draw(st.none() | st.integers(0, number).map(str)),
                operation_id=draw(names),
                status=draw(statuses),
                started_ms=start,
                completed_ms=draw(times),
                duration_ms=draw(st.none() | st.floats(0, 1e300)),
                error=draw(st.none() | names),
            )
        )
    return trace_of(calls, title=draw(names))


def trace_of(calls: list[Call], title: str = "t") -> Trace:
    attributes = {
        call.request_id: json.dumps(
            {
                "requestId": call.request_id,
                "operationId": call.operation_id,
                "status": call.status,
                "input": {call.operation_id: call.error},
                "output": call.operation_id * 20,
            }
        )
        for call in calls
    }
    session = SessionRow("5e55", title, title, "failed", None, None, 1_795_507_000_000, len(calls), 0, 0)
    messages = [MessageRow("m", title, title, None, [("p", title, json.dumps({"text": title})), ("q", "x", "[1]")])]
    return Trace(session, call_tree(calls), attributes, messages, NOW_MS)


def rendered(trace: Trace, name: str) -> Any:
    return json.loads(FORMATS[name].render(trace))


@given(traces())
def test_otlp_is_a_tree_of_spans_with_ids_derived_from_ours(trace: Trace) -> None:
    document = rendered(trace, "otlp")
    jsonschema.validate(document, schemas.OTLP)
    root, *spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert "parentSpanId" not in root
    assert {span["traceId"] for span in spans} <= {root["traceId"]}
    known = {span["spanId"] for span in [root, *spans]}
    assert len(known) == len(spans) + 1
    assert [span["name"] for span in spans] == [call.operation_id for call in trace.tree.calls]
    for span in spans:
        assert span["parentSpanId"] in known
        assert 0 <= int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]) < 2**64
    assert document == rendered(trace, "otlp")


@given(traces())
def test_events_of_a_lane_are_nested_or_apart(trace: Trace) -> None:
    document = rendered(trace, "chrome")
    jsonschema.validate(document, schemas.CHROME)
    events = [event for event in document["traceEvents"] if event["ph"] == "X"]
    assert [event["name"] for event in events] == [call.operation_id for call in trace.tree.calls]
    check_lanes([(e["ts"], e["ts"] + e["dur"]) for e in events], [e["tid"] for e in events])


def check_lanes(spans: list[tuple[int, int]], lanes: list[int]) -> None:
    for lane in set(lanes):
        stack: list[int] = []
        for start, end in sorted(
            (s for s, on in zip(spans, lanes, strict=True) if on == lane), key=lambda s: (s[0], -s[1])
        ):
            while stack and stack[-1] <= start:
                stack.pop()
            assert not stack or end <= stack[-1]
            stack.append(end)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)), max_size=40), st.data())
def test_lanes_are_reused(raw: list[tuple[int, int]], data: st.DataObject) -> None:
    spans = [(start, start + length) for start, length in raw]
    parents = [data.draw(st.integers(-1, index - 1)) for index in range(len(spans))]
    lanes = lanes_of(spans, parents)
    check_lanes(spans, lanes)
    assert set(lanes) == set(range(1, max(lanes, default=0) + 1))


def test_calls_one_after_another_share_a_lane_and_parallel_ones_do_not() -> None:
    assert lanes_of([(0, 100), (0, 10), (10, 20), (15, 30), (30, 40)], [-1, 0, 0, 0, 0]) == [1, 1, 1, 2, 1]


class Page(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)


TAGS = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "table", "tr", "td"),
    *("details", "summary", "b", "pre", "i"),
}


@given(traces())
def test_the_page_holds_no_markup_but_its_own(trace: Trace) -> None:
    text = FORMATS["html"].render(trace)
    page = Page()
    page.feed(text)
    page.close()
    assert page.tags <= TAGS
    assert page.attributes <= {"lang", "charset", "http-equiv", "content", "class", "style"}
    assert not set(text) & {chr(code) for code in range(32)} - {"\n"}
    assert "://" not in re.sub(r"<(h1|p|pre|title|b|h3|summary)\b.*", "", text)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_readable_on_the_page(name: str) -> None:
    page = Page()
    page.feed(FORMATS["html"].render(trace_of([Call("1", None, name, "completed", 0, 1, 1, None)], title=name)))
    if name.isprintable():
        assert any(name in text for text in page.text)


TASK = re.compile(r"    [^:#;%\n]*(?:#\d+;[^:#;%\n]*)* :(?:done|crit|crit, done|active), c\d+, \d+, \d+")


@given(traces())
def test_a_chart_is_one_plain_line_a_call(trace: Trace) -> None:
    first, *lines = FORMATS["mermaid"].render(trace).splitlines()
    assert first == "gantt"
    body = [line for line in lines if not line.startswith("    %%")]
    assert re.fullmatch(r"    title [^:#;%\n]+(#\d+;[^:#;%\n]*)*|    title (#\d+;[^:#;%\n]*)+", body[0])
    assert body[1:3] == ["    dateFormat x", "    axisFormat %H:%M:%S"]
    assert len(body) == 3 + len(trace.tree.calls)
    for line in body[3:]:
        assert TASK.fullmatch(line), line
        start, end = line.rsplit(", ", 2)[1:]
        assert int(start) < int(end)


def test_a_chart_of_many_calls_says_that_it_is_cut() -> None:
    text = FORMATS["mermaid"].render(
        trace_of([Call(str(i), None, "x", "completed", i, i + 1, 1, None) for i in range(900)])
    )
    assert f"%% the first {MOST_CALLS} of 900 calls" in text
    assert len(text) < 50_000


@given(traces())
def test_our_own_document(trace: Trace) -> None:
    document = rendered(trace, "json")
    jsonschema.validate(document, schemas.DOCUMENT)
    assert [call["requestId"] for call in document["calls"]] == [call.request_id for call in trace.tree.calls]


def test_a_session_of_the_database(tenant: Database) -> None:
    publish(tenant, START, *CALLS)
    catch_up(tenant)
    with tenant.snapshot() as snapshot:
        trace = read_trace(snapshot, "5e55", NOW_MS)
    root, run, listing, *_, failed, running = rendered(trace, "otlp")["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (root["name"], run["parentSpanId"]) == ("fix the build", root["spanId"])
    assert int(listing["endTimeUnixNano"]) - int(run["startTimeUnixNano"]) == 2_500_000_000
    assert failed["status"] == {"code": 2, "message": "TIMEOUT: it did not go\x1b[31m"}
    assert running["status"] == {"code": 0}
    assert rendered(trace, "json")["calls"][1]["input"] == {"path": "/"}
    assert ":active, c4, 1795507206000, 1795507260000" in FORMATS["mermaid"].render(trace)
