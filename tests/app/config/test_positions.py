"""Which line says what: of any TOML text, the lines that TOML itself would name."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.positions import Key, line_of_error, positions

NAMES = st.text("abc_-1", min_size=1, max_size=4).map(lambda name: "k" + name) | st.just("a.b") | st.just("ä ö")
VALUES = st.sampled_from(
    [
        "1",
        "true",
        '"x"',
        "'[t]'",
        '"""\na = 1\n[b]\n"""',
        "'''\n#'''",
        "[\n 1, # no\n\n 2,\n]",
        "{ x = 1, y = { z = 2 } }",
    ]
)


@given(st.lists(st.tuples(st.sampled_from("tkc-"), NAMES, VALUES), max_size=12))
def test_every_key_has_the_line_on_which_its_statement_begins(statements: list[tuple[str, str, str]]) -> None:
    text = ""
    table: Key = ()
    expected: dict[Key, int] = {}
    tables: set[str] = set()
    keys: set[Key] = set()
    for kind, name, value in statements:
        line = text.count("\n") + 1
        if kind == "t":
            if name in tables or (name,) in keys:
                continue
            tables.add(name)
            table = (name,)
            text += f"[{json.dumps(name, ensure_ascii=False)}]  # a table\n"
            expected[table] = line
        elif kind == "k":
            key = (*table, name)
            if key in keys or name in tables:
                continue
            keys.add(key)
            text += f"{json.dumps(name, ensure_ascii=False)} = {value}\n"
            expected[key] = line
        else:
            text += "# [no.table] x = 1\n" if kind == "c" else "\n"
    tomllib.loads(text)
    found = positions(text)
    assert {key: found.get(key) for key in expected} == expected
    assert {key for key in found if key not in expected and "x" not in key and "y" not in key} == set()


def test_dotted_keys_and_headers_have_lines_too() -> None:
    text = 'a.b.c = 1\n\n[x."y.z"]\nq = { r = 1 }\n[[list]]\nn = 1\n'
    found = positions(text)
    assert found[("a", "b", "c")] == 1
    assert found[("x", "y.z")] == 3
    assert found[("x", "y.z", "q", "r")] == 4
    assert found[("list", "n")] == 6


def test_the_line_of_a_syntax_error() -> None:
    for text, line in (("a = 1\nb = \n", 2), ("a = 1\n\nx", 3), ('a = """\n\n', 2)):
        with pytest.raises(tomllib.TOMLDecodeError) as caught:
            tomllib.loads(text)
        assert line_of_error(caught.value, text) == line, text
