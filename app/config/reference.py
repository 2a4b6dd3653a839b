"""The configuration explained: the reference page, the JSON Schema, and settings as rows. Pure.

All of it is made from `app.config.settings`; docs/config.md and docs/spoke.toml are held against it by a test.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from app.config.layers import PREFIX, Origin
from app.config.loading import Loaded, dotted
from app.config.positions import Key
from app.config.settings import Settings
from app.redact import MASK, redact

COMPUTED = {
    ("name",): "the name of this machine",
    ("fs", "roots"): "the home folder",
}
"""Defaults that differ from machine to machine."""
NAMED = {"commands": "NAME", "operations": "NAME", "arguments": "ARGUMENT", "keys": "ID"}


@dataclass(frozen=True, slots=True)
class Known:
    """A key that there is: what it may hold, and what it is without one."""

    key: Key
    type: str
    default: str
    description: str


@dataclass(frozen=True, slots=True)
class Row:
    """A setting as it is: a secret is masked; None is not set."""

    key: str
    value: Any
    origin: Origin

    def text(self, *, origin: bool) -> str:
        """As a line like those of the file."""
        value = "(not set)" if self.value is None else json.dumps(self.value, ensure_ascii=False)
        return f"{self.key} = {value}" + (f"  # {self.origin}" if origin else "")


def rows(loaded: Loaded) -> list[Row]:
    """Every setting, in the order of the reference; tables of named things are given key by key."""
    return [Row(dotted(key), _plain(value), loaded.origin(key)) for key, value in values((), loaded.settings)]


def values(key: Key, value: Any) -> Iterator[tuple[Key, Any]]:
    """Every value below a key, as it is, secrets too."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from values((*key, name), getattr(value, name))
    elif isinstance(value, dict) and key[-1] in NAMED:
        for name, one in value.items():
            yield from values((*key, name), one)
    else:
        yield key, value


def _plain(value: Any) -> Any:
    match value:
        case SecretStr():
            return MASK
        case Path() | str():
            return redact(str(value))
        case list() | tuple():
            return [_plain(one) for one in value]
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case _:
            return value


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of spoke.toml, for editors."""
    made = Settings.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "spoke.toml"}


def known(model: type[BaseModel] = Settings, above: Key = ()) -> Iterator[Known]:
    """Every key; NAME stands where a table of named things has names."""
    fields = model.model_fields.items()
    for name, field in sorted(fields, key=lambda one: _table(one[1]) is not None):  # tables come after values
        key = (*above, name, NAMED[name]) if name in NAMED else (*above, name)
        below = _table(field)
        if below is not None:
            yield from known(below, key)
        else:
            default = COMPUTED.get(key) or _default(field)
            yield Known(key, _type(field.annotation), default, field.description or "")


def _table(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a table, or of each table of a table of named ones."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _type(annotation: Any) -> str:
    text = inspect.formatannotation(annotation) if not isinstance(annotation, type) else annotation.__name__
    options = [one for one in get_args(annotation) if one is not type(None)]
    if options and all(isinstance(one, str) for one in options):
        return ", ".join(f"`{one}`" for one in options)
    if text.startswith(("list", "tuple")):
        return "list of texts"
    if text.startswith("dict"):
        return "text" if text == "dict[str, str]" else "table"
    names = {"str": "text", "int": "integer", "float": "number", "bool": "true or false", "Path": "path"}
    names["SecretStr"] = "text, secret"
    return " or ".join(dict.fromkeys(names[one.__name__] for one in options or [annotation]))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    return "" if value is None else json.dumps(_plain(value))


def page() -> str:
    """docs/config.md."""
    text = [_HEAD]
    table: Key | None = None
    for one in known():
        if one.key[:-1] != table:
            table = one.key[:-1]
            title = f"`[{'.'.join(table)}]`" if table else "Top of the file"
            text += ["", f"## {title}", ""]
            if (said := model_of(table).__doc__) and table:
                text += [said.strip(), ""]
            text += ["| key | type | default | what |", "|---|---|---|---|"]
        default = f"`{one.default}`" if one.default[:1] in ('"', "[", "{") or one.default.isalnum() else one.default
        default = "required" if one.default == "required" else default
        text.append(f"| `{one.key[-1]}` | {one.type} | {default} | {one.description} |".replace("  |", " |"))
    return "\n".join(text) + "\n"


def model_of(table: Key) -> type[BaseModel]:
    """The model of a table, NAME and all."""
    model: type[BaseModel] = Settings
    for name in table:
        if name in model.model_fields:
            model = _table(model.model_fields[name]) or model
    return model


_HEAD = f"""# Configuration

<!-- made from app/config/settings.py: SPOKE_UPDATE_GOLDEN=1 .venv/bin/python -m pytest tests/app/config -->

`~/.config/spoke/spoke.toml` (root: `/etc/spoke/spoke.toml`; `--config FILE` and `SPOKE_CONFIG` name another). What is
said later wins:

1. the defaults below;
2. what `spoke join` wrote (`hub.json` in the data directory);
3. the file;
4. the environment: `{PREFIX}HUB__URL` is `[hub] url`; lists and tables are JSON. A secret may lie in a file:
   `{PREFIX}HUB__API_KEY_FILE=/run/secrets/key`;
5. the command line: `spoke --set api.port=9100 run`.

```sh
spoke init --no-input            # writes a file with everything in it, commented out
spoke config show --origin       # every value, and what set it
spoke config check               # every problem at once, with file and line
spoke config schema > spoke.schema.json    # for editors
```

While `spoke run` or the terminal UI runs, a change of the file is taken at once: the services begin anew with it (the
log says which keys have changed); `[ui]`, `[keys]`, `[log]` and `[storage]` change without that. `ui.mouse` and
`ui.max_fps` wait for the next start of the terminal UI. A file that is wrong changes nothing; the log has every
problem, with its line. SIGHUP (`systemctl reload spoke`) makes `spoke run` look at once; a terminal UI ends with it,
for its terminal is gone. `spoke hub run` goes by `[log]` and `[storage]` alone, and takes changes in the same way."""
