"""One SELECT of a person's own: it reads, and can do nothing else; wrong SQL says where."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.engine import Database, EngineError
from storage.query import BadQueryError, OnlyReadingError, TooLongError, select


def ask(db: Database, sql: str, timeout_s: float = 60) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    with select(Path(db.path), sql, timeout_s=timeout_s) as answer:
        return answer.columns, list(answer.rows)


def everything(db: Database) -> list[Any]:
    names = [row["name"] for row in db.query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    facts = db.query("SELECT * FROM pragma_user_version, pragma_journal_mode")
    return [facts, *(db.query(f'SELECT * FROM "{name}"') for name in names)]


def test_it_reads(tenant: Database) -> None:
    tenant.stream("s").publish({"a": 1})
    assert ask(tenant, "select topic, payload ->> '$.a' as a from _honker_stream") == (("topic", "a"), [("s", 1)])
    assert ask(tenant, "select id from sessions") == (("id",), [])
    assert ask(tenant, "with recursive n(x) as (values (1) union all select x + 1 from n where x < 3) select x from n")[
        1
    ] == [(1,), (2,), (3,)]
    assert ask(tenant, "pragma table_info(sessions)")[1]
    assert ask(tenant, "select value from json_each('[1, 2]')")[1] == [(1,), (2,)]
    assert ask(tenant, "explain query plan select * from sessions")[1]


@pytest.mark.parametrize(
    "sql",
    [
        "insert into node_facts values ('a', 'b')",
        "update node_facts set value = 'x'",
        "delete from node_facts",
        "replace into node_facts values ('node_id', 'x')",
        "with x as (select 1) insert into node_facts select 'a', 'b' from x",
        "create table x (a)",
        "create temp table x (a)",
        "create virtual table x using fts5(a)",
        "drop table node_facts",
        "alter table node_facts add column x",
        "create trigger t after insert on node_facts begin select 1; end",
        "attach 'other.db' as other",
        "detach main",
        "vacuum",
        "vacuum into 'copy.db'",
        "reindex",
        "analyze",
        "begin immediate",
        "commit",
        "savepoint x",
        "pragma user_version = 9",
        "pragma journal_mode = delete",
        "pragma query_only = 0",
        "pragma writable_schema = 1",
        "pragma wal_checkpoint(truncate)",
        "pragma temp_store_directory = '/'",
        "pragma optimize",
        "pragma incremental_vacuum",
        "select 1; delete from node_facts",
    ],
)
def test_nothing_can_be_written(tenant: Database, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before, files = everything(tenant), sorted(tmp_path.iterdir())
    with pytest.raises(OnlyReadingError) as refused:
        ask(tenant, sql)
    assert refused.value.hint
    assert everything(tenant) == before
    assert sorted(tmp_path.iterdir()) == files


@pytest.mark.parametrize("name", ["load_extension('x')", "fts3_tokenizer('x')", "honker_enqueue(1, 2, 3, 4, 5, 6, 7)"])
def test_functions_that_do_more_than_computing(tenant: Database, name: str) -> None:
    with pytest.raises(BadQueryError, match=r"not authorized|no such function"):
        ask(tenant, f"select {name}")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("selec 1", "character 1: selec 1"),
        ("select * form x", "character 10: form x"),
        ("select 'ü', nope", "character 13: nope"),
        ("select 1,\n  nope", "line 2, character 3: nope"),
        ("select * from nope", "no such table: nope"),
        ("select 1; select 2", "more than one"),
        ("", "asks for nothing"),
        ("-- only a comment", "asks for nothing"),
        ("select ?", "binding"),
        ("select cast(x'ff' as text)", "not UTF-8"),
        ("select zeroblob(2000000000)", "too big"),
        ("select '" + "(" * 5_000, "character"),
        ("select " + "(" * 5_000, "ecursion"),
        ("select json('{')", "malformed JSON"),
    ],
)
def test_wrong_sql_says_where(tenant: Database, sql: str, words: str) -> None:
    with pytest.raises(BadQueryError) as refused:
        ask(tenant, sql)
    assert words in str(refused.value)


@given(st.text(max_size=60))
def test_whatever_is_typed_is_an_answer_or_an_error_of_ours(text: str) -> None:
    with pytest.raises(EngineError), select(Path("/dev/null"), f"select ( {text}", timeout_s=60) as answer:
        list(answer.rows)


def test_a_query_without_end_is_interrupted(tenant: Database) -> None:
    ticks = count()
    endless = "with recursive n(x) as (values (1) union all select x + 1 from n) select {} from n"
    for what in ("count(*)", "x"):
        asked = select(Path(tenant.path), endless.format(what), timeout_s=5, clock=lambda: next(ticks))
        with pytest.raises(TooLongError) as late, asked as answer:
            for _ in answer.rows:
                pass
        assert "5 s" in str(late.value)
        assert "--timeout" in late.value.hint


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(EngineError), select(tmp_path / "absent.db", "select 1", timeout_s=1):
        pass
    assert list(tmp_path.iterdir()) == []
