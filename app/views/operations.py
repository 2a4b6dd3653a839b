"""What can be called, and what an operation asks for and gives, in words: the same in the TUI and the CLI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from app.views.forms.form import Form, build
from app.views.text import clip, fit, safe
from storage.operations.spec import Execution, Kind, OperationSpec

if TYPE_CHECKING:
    from app.config import Settings
    from app.paths import Paths
    from sync.calls.registry import Registry

Where: TypeAlias = Literal["here", "yours", "hub"]
"""Built in and executed on this node; declared by the person who runs it; executed on the hub, whenever it is there."""

_ENDS = ("delete", "remove", "cancel", "purge", "drop", "revoke", "forget")
_EXECUTIONS: dict[Execution, str] = {
    "exactly_once_local": "happens once, whatever crashes",
    "idempotent": "may run again after a crash, which does no harm",
    "at_most_once": "never runs again after a crash: then nobody knows how far it came",
}
_KINDS: dict[Kind, str] = {
    "query": "query: changes nothing",
    "mutation": "mutation: changes something",
    "subscription": "subscription: answers until it is stopped",
}


@dataclass(frozen=True, slots=True)
class OperationRow:
    """An operation in a list; `name` is what to call it by: `hub/…` where the hub executes it.

    `destructive`: it takes something away, or runs a command: ask first. `sensitive`: its input and output are in no
    log.
    """

    name: str
    where: Where
    type: Kind
    description: str
    tags: tuple[str, ...]
    scopes: tuple[str, ...]
    sensitive: bool
    destructive: bool

    @property
    def operation_id(self) -> str:
        """Its id where it is executed."""
        return self.name.removeprefix("hub/")


def operation_row(spec: OperationSpec[Any, Any], where: Where) -> OperationRow:
    """A spec as a row."""
    access = spec.access_control
    some = (" or ".join(access.required_scopes_any),) if access.required_scopes_any else ()
    verb = spec.name.rpartition(".")[2].lower()
    return OperationRow(
        name=f"hub/{spec.operation_id}" if where == "hub" else spec.operation_id,
        where=where,
        type=spec.type,
        description=spec.description,
        tags=spec.tags,
        scopes=(*access.required_scopes, *some),
        sensitive=spec.sensitive,
        destructive=spec.type == "mutation" and (verb.startswith(_ENDS) or spec.operation_id == "shell.run"),
    )


def read_operations(registry: Registry, settings: Settings, paths: Paths, *, hub: bool) -> list[OperationRow]:
    """Everything that can be called from here: what this node executes, and with `hub` what its hub does.

    `registry` is the node's (`app.operations.node_registry`). Takes most of a second the first time: not for the event
    loop. What the hub executes is what this version knows of hubs; subscriptions and what is sensitive cannot be asked
    of it.
    """
    from app.operations import builtin_registry, hub_registry

    builtin = {spec.operation_id for spec in builtin_registry(settings, paths.key_file).list()}
    found = [operation_row(spec, "here" if spec.operation_id in builtin else "yours") for spec in registry.list()]
    return found + [operation_row(spec, "hub") for spec in hub_registry().list() if hub and spec.executions]


def found_in(row: OperationRow, text: str) -> bool:
    """Whether a text occurs in the name, the description or the tags."""
    return text.lower() in f"{row.name} {row.description} {' '.join(row.tags)}".lower()


def operation_line(row: OperationRow, width: int, name_width: int) -> str:
    """An operation in a list: name, kind, description."""
    return clip(f"{safe(row.name):<{name_width}} {row.type:<12} {safe(row.description)}", width)


def operation_lines(row: OperationRow, document: Mapping[str, Any], width: int) -> list[str]:
    """Everything about an operation: what it does, what it needs, its input and output field by field.

    `document` is the spec as `storage.operations.document.describe` gives it.
    """
    where = {"here": "on this node", "yours": "on this node, declared by you", "hub": "on the hub, when it is there"}
    lines = [safe(row.description), "", f"kind     {_KINDS[row.type]}", f"runs     {where[row.where]}"]
    if document["executions"]:
        lines.append(f"crash    {_EXECUTIONS[document['executions'][0]]}")
    if row.sensitive:
        lines.append("log      the log says that it was called, not what was in it")
    lines.append(f"needs    {safe(', '.join(row.scopes)) or 'no scope'}")
    lines += ["", "input", *schema_lines(document["inputSchema"], width)]
    lines += ["", "output", *schema_lines(document["outputSchema"], width, output=True)]
    if document["errors"]:
        lines += ["", "errors"]
        lines += [f"  {safe(one['code'])}: {safe(one['description'])}" for one in document["errors"]]
    return [clip(line, width) for line in lines]


def schema_lines(schema: object, width: int, *, output: bool = False) -> list[str]:
    """A schema field by field: name, what it is, what happens without it. `*` marks what must be there."""
    form = build(schema)
    if form.fields == build({}).fields:
        kind = "nothing" if isinstance(schema, dict) and schema.get("properties") == {} else "any JSON"
        return [f"  {kind}"]
    names = min(24, max(len(_name(form, index)) for index in range(len(form.fields))))
    return [clip(line, width) for line in _lines(form, names, output=output)]


def _name(form: Form, index: int) -> str:
    field = form.fields[index]
    return f"{'  ' if field.group is not None else ''}{safe(field.label)}{'*' if field.required else ''}"


def _lines(form: Form, names: int, *, output: bool) -> Iterator[str]:
    for index, field in enumerate(form.fields):
        hint = field.hint if field.kind != "choice" else f"one of {', '.join(field.choices[:12])}"
        parts = [hint + (" or null" if field.nullable and (output or field.required) else "")]
        if field.default and not output:
            parts.append(f"{field.default} if not given")
        if field.description:
            parts.append(field.description)
        yield f"  {fit(_name(form, index), names)}  {safe(' · '.join(parts))}"
