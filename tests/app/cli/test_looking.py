"""`spoke sql`, `find` and `tail` as they are used, and what they refuse."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from app.cli.exit_codes import ExitCode
from storage.tenants import open_tenant_database
from tests.app.cli.test_cli import Spoke, check_refused, node, spoke  # noqa: F401

HOSTILE = "a\x1b[31mb\u202ec\x9b1m\n,\"'"


def put(file: Path, topic: str, *payloads: str) -> None:
    db = open_tenant_database(file)
    with db.transaction() as tx:
        db.stream(topic).append([("k", text, 1_800_000_000 + at) for at, text in enumerate(payloads)], tx)
    db.close()


def lines(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


# -- sql -------------------------------------------------------------------------------------------------------------


def test_sql_sees_what_was_just_recorded(spoke: Spoke) -> None:  # noqa: F811
    spoke("record", "--title", HOSTILE, "--", "true")
    code, out, err = spoke("sql", "select title, x'00ff' as b, null as n, 1.5 as r, 1e999 as i from sessions", "--json")
    assert (code, err) == (0, "")
    assert lines(out) == [{"title": HOSTILE, "b": {"base64": "AP8="}, "n": None, "r": 1.5, "i": None}]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)
    code, out, _ = spoke("sql", "select title, x'00ff' as b, null as n from sessions", "--csv")
    assert list(csv.reader(io.StringIO(out))) == [["title", "b", "n"], [HOSTILE, "00ff", ""]]
    code, out, _ = spoke("sql", "select title, x'00ff' as b, null as n from sessions")
    assert out.splitlines()[2].split("  ")[0].startswith("a␛[31mb\\u202ec\\x9b1m␊")
    assert out.count("\n") == 3
    assert spoke("sql", "select * from sessions where 0", "--json")[:2] == (0, "")
    assert lines(spoke("sql", "select 1 as a, 2 as a, 3 as a_2", "--json")[1]) == [{"a": 1, "a_2": 3, "a_3": 2}]


def test_sql_refuses(spoke: Spoke, node: Path) -> None:  # noqa: F811
    for query, code, words in (
        ("selec", ExitCode.DATA, "character 1"),
        ("select nope from sessions", ExitCode.DATA, "character 8"),
        ("delete from sessions", ExitCode.DENIED, "only reading"),
        ("attach 'x' as x", ExitCode.DENIED, "only reading"),
    ):
        check_refused(spoke("sql", query), code, words)
    endless = "with recursive n(x) as (values (1) union all select x + 1 from n) select count(*) from n"
    check_refused(spoke("sql", endless, "--timeout", "0.01"), ExitCode.TEMPORARY, "0.01 s")
    check_refused(spoke("sql", "select 1", "--hub"), ExitCode.USAGE, "no hub")
    check_refused(spoke("sql", "select 1", "--tenant", "../../x"), ExitCode.USAGE, "no tenant")
    check_refused(spoke("sql", "select 1", "--hub", "--tenant", "x"), ExitCode.USAGE)
    check_refused(spoke("sql", "select 1", "--csv", "--json"), ExitCode.USAGE)


def test_sql_on_a_hub(spoke: Spoke, node: Path) -> None:  # noqa: F811
    spoke("hub", "tenant", "create", "acme")
    put(node / "hub" / "tenant-acme.db", "mine", "{}")
    assert lines(spoke("sql", "--hub", "select slug from organizations", "--json")[1]) == [{"slug": "acme"}]
    assert lines(spoke("sql", "--tenant", "acme", "select topic from _honker_stream", "--json")[1]) == [
        {"topic": "mine"}
    ]
    check_refused(spoke("sql", "--tenant", "other", "select 1"), ExitCode.USAGE, "tenants here: acme")


# -- find ------------------------------------------------------------------------------------------------------------


def test_find(spoke: Spoke, node: Path) -> None:  # noqa: F811
    spoke("record", "--", "echo", HOSTILE)
    code, out, err = spoke("find", HOSTILE, "--json")
    assert (code, err) == (0, "")
    found = lines(out)
    assert [one["kind"] for one in found] == ["calls", "events", "events", "events"]
    for one in found:
        snippet = str(one["snippet"])[int(str(one["start"])) : int(str(one["end"]))]
        assert json.loads(f'"{snippet}"') == HOSTILE
    code, out, _ = spoke("find", "ECHO", "--in", "calls")
    assert (code, out.count("\n")) == (0, 1)
    assert re.match(r"call    [0-9a-f]{8} [0-9a-f]{8} +operation .*command\.echo", out)
    assert "\x1b" not in spoke("find", "echo")[1]
    assert "\x1b[1m" in spoke("--color", "always", "find", "echo")[1]
    assert spoke("find", "nothing holds this", "--json")[:2] == (ExitCode.FAILURE, "")
    assert len(lines(spoke("find", "call.", "--limit", "1", "--json", "--in", "events")[1])) == 1
    check_refused(spoke("find", ""), ExitCode.USAGE)
    check_refused(spoke("find", "x" * 1_001), ExitCode.USAGE)


# -- tail ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def stream(spoke: Spoke, node: Path) -> Path:  # noqa: F811
    spoke("status")
    file = node / "tenant-local.db"
    texts = [
        json.dumps({"type": "t.even" if n % 2 == 0 else "t.odd", "n": n, "deep": {"x": [n]}}) for n in range(2_500)
    ]
    put(file, "mine", *texts)
    return file


def numbers(out: str) -> list[int]:
    return [line["payload"]["n"] for line in lines(out)]  # type: ignore[index]


def test_where_from_and_count(spoke: Spoke, stream: Path) -> None:  # noqa: F811
    tail = ("tail", "mine", "--json")
    assert numbers(spoke(*tail, "--from", "-4", "--where", "type=t.odd")[1]) == [2_497, 2_499]
    assert numbers(spoke(*tail, "--from", "0", "--where", "deep.x.0=1203")[1]) == [1_203]
    assert numbers(spoke(*tail, "--from", "0", "--where", "n=249?", "--where", "type=*even", "--count", "3")[1]) == [
        2_490,
        2_492,
        2_494,
    ]
    assert numbers(spoke(*tail, "--from", "0", "--count", "1500")[1]) == list(range(1_500))
    code, out, err = spoke(*tail, "--where", "type=none")
    assert (code, out, "of 10 events" in err) == (0, "", True)
    code, out, _ = spoke(*tail, "--from", "-2", "--follow", "--count", "1", "--where", "type=t.odd")
    assert numbers(out) == [2_499]
    check_refused(spoke(*tail, "--where", "type"), ExitCode.USAGE, "FIELD=VALUE")


def test_times(spoke: Spoke, node: Path) -> None:  # noqa: F811
    spoke("status")
    texts = (
        '{"type": "a", "timestamp": "2026-01-02T03:04:05.678Z"}',
        '{"type": "b"}',
        '{"type": "c", "timestamp": "\\u001b"}',
    )
    put(node / "tenant-local.db", "mine", *texts, "no event")
    shown = {
        form: [
            line[11:].split("  ")[0].strip() for line in spoke("tail", "mine", "--time-format", form)[1].splitlines()
        ]
        for form in ("clock", "iso", "raw")
    }
    assert shown["clock"] == ["03:04:05.678", "", "", ""]
    assert shown["iso"] == ["2026-01-02T03:04:05.678Z", *(f"2027-01-15T08:00:0{n}.000Z" for n in (1, 2, 3))]
    assert shown["raw"] == ["1767323045678", *(f"18000000{n:02}000" for n in (1, 2, 3))]
    for line in spoke("tail", "mine", "--time-format", "relative")[1].splitlines():
        assert re.match(r" *\d  +(\d+ \w+ ago|in \d+ \w+|now)  ", line)


def test_what_a_foreign_program_wrote_is_one_line_each(spoke: Spoke, node: Path) -> None:  # noqa: F811
    spoke("status")
    pretty = '{\n  "type": "x",\r\n  "big": 123456789012345678901234567890, "text": "\u202e\x9b"\n}'
    put(node / "tenant-local.db", "mine", pretty, "not\njson \x1b[31m", '["no", "event"]', "[" * 5_000)
    code, out, err = spoke("tail", "mine", "--json")
    assert (code, err) == (0, "")
    first, *rest = lines(out)
    assert "123456789012345678901234567890" in out
    assert first["payload"] == json.loads(pretty)
    assert [one["type"] for one in rest] == [None, None, None]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)
    assert spoke("tail", "mine", "--where", "type=x", "--json")[1].count("\n") == 1
