"""The reference, the example and the schema are those of the code."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import jsonschema
import pydantic
import pytest

from app.config import Settings, read
from app.config.reference import known, page, rows, schema
from app.config.template import template
from app.paths import Paths

DOCS = Path(__file__).parents[3] / "docs"


def taken(text: str) -> str:
    """The file with every `#key = …` taken."""
    return "\n".join(line[1:] if line[:1] == "#" and line[:2] != "# " else line for line in text.splitlines())


@pytest.mark.parametrize(("name", "made"), [("config.md", page()), ("spoke.toml", template({}))])
def test_the_docs_are_those_of_the_code(name: str, made: str) -> None:
    if os.environ.get("SPOKE_UPDATE_GOLDEN"):
        (DOCS / name).write_text(made)
    assert (DOCS / name).read_text() == made, "SPOKE_UPDATE_GOLDEN=1 makes it anew"


def test_every_key_says_what_it_is() -> None:
    assert [one.key for one in known() if not one.description] == []


def test_the_example_fits_the_schema_with_nothing_and_with_everything_taken() -> None:
    text = (DOCS / "spoke.toml").read_text()
    jsonschema.Draft202012Validator.check_schema(schema())
    for said in (text, taken(text)):
        jsonschema.validate(tomllib.loads(said), schema())
        Settings(**tomllib.loads(said))
    everything = tomllib.loads(taken(text))
    plain = {one.key for one in known() if not {"NAME", "ARGUMENT", "ID"} & set(one.key)}
    assert plain == {key for key in plain if _has(everything, key)}, "every key is in it"


def _has(values: object, key: tuple[str, ...]) -> bool:
    for name in key:
        if not isinstance(values, dict) or name not in values:
            return False
        values = values[name]
    return True


@pytest.mark.parametrize(
    "wrong", [{"nmae": "x"}, {"hub": {"ulr": 1}}, {"api": {"port": 70_000}}, {"log": {"level": "x"}}]
)
def test_the_schema_refuses_what_spoke_refuses(wrong: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema())
    with pytest.raises(pydantic.ValidationError):
        Settings(**wrong)  # type: ignore[arg-type]


def test_rows_show_no_secret(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "spoke.toml")
    paths.config_file.write_text('[hub]\napi_key = "planted"\nproxy = "http://ada:planted@proxy:3128"\n')
    found = rows(read(paths, (), {}))
    assert "planted" not in json.dumps([row.text(origin=True) for row in found])
    shown = {row.key: row for row in found}
    assert shown["hub.api_key"].text(origin=True) == f'hub.api_key = "***"  # {paths.config_file}:2'
    assert shown["hub.ca"].text(origin=True) == "hub.ca = (not set)  # default"
