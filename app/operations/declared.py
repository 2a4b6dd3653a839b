"""Operations of the user's own: commands with a JSON Schema in the configuration; Python files when run from source.

[operations."backup.run"]
description = "Copy the data to the shelf."
argv = ["/usr/local/bin/backup", "{target}"]
input.properties.target = {type = "string", pattern = "^[a-z]+$"}
input.required = ["target"]
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pydantic
from pydantic import ConfigDict

from app.config import ConfigError, OperationSettings
from app.operations.declare import Json
from app.operations.process import run_program
from storage.engine.payload import dumps
from storage.graphs.attributes import check_attributes, check_schema
from storage.graphs.errors import GraphError
from storage.operations.spec import AccessControl, Model, OperationContext, OperationSpec
from sync.calls.errors import ExecutionError
from sync.calls.registry import Registry

_ID = re.compile(r"[a-z][a-z0-9_-]*\.[a-zA-Z][a-zA-Z0-9_-]*")


class DeclaredInput(Model):
    """Whatever the JSON Schema of the operation allows."""

    model_config = ConfigDict(extra="allow", frozen=True)
    schema_text: ClassVar[str] = "{}"

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fits(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("the input is an object")
        try:
            check_attributes("input", cls.schema_text, value)
        except GraphError as error:
            raise ValueError(str(error)) from error
        return value

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The schema as the configuration has it."""
        found: dict[str, Any] = json.loads(cls.schema_text)
        return found


class CommandOutput(Model):
    """What the command wrote. `result` is its standard output as JSON where `output = "json"`, else None."""

    result: Json
    stdout: str
    stderr: str
    duration_ms: float
    truncated: bool
    """Only the first and the last part of an output was kept."""


def register(registry: Registry, operations: Mapping[str, OperationSettings]) -> None:
    """Add the declared commands.

    Raises:
        ConfigError: an id or a schema cannot be used, or an id is taken; names the operation.
    """
    for operation_id, settings in operations.items():
        if not _ID.fullmatch(operation_id):
            raise ConfigError(f'operations."{operation_id}": an id is NAMESPACE.NAME, such as backup.run')
        schema = {"type": "object", "additionalProperties": False, **settings.input}
        try:
            check_schema(operation_id, schema)
        except GraphError as error:
            raise ConfigError(f'operations."{operation_id}".input: {error}') from error
        namespace, _, name = operation_id.partition(".")
        model = type("DeclaredInput", (DeclaredInput,), {"schema_text": dumps(schema), "__module__": __name__})
        spec: OperationSpec[Any, CommandOutput] = OperationSpec(
            namespace=namespace,
            name=name,
            type=settings.type,
            description=settings.description or " ".join(settings.argv),
            input_model=model,
            output_model=CommandOutput,
            access_control=AccessControl(required_scopes=settings.scopes or (f"{namespace}:{name}",)),
            idempotent=settings.idempotent,
        )
        try:
            registry.register(spec, partial(_run, settings))
        except ValueError as error:
            raise ConfigError(f'operations."{operation_id}": {error}') from error


def _run(settings: OperationSettings, value: DeclaredInput, context: OperationContext) -> CommandOutput:
    given: dict[str, Any] = value.model_extra or {}
    ended = run_program(
        argv_of(settings.argv, given),
        context,
        timeout_s=settings.timeout_s,
        limit_bytes=settings.output_limit_bytes,
        cwd=settings.cwd,
        environment=settings.environment,
        stdin=dumps(given).encode() if settings.stdin == "json" else None,
    )
    if ended.exit_code != 0:
        raise ExecutionError(
            f"{settings.argv[0]} ended with exit code {ended.exit_code}",
            details={"exitCode": ended.exit_code, "stdout": ended.out.text(), "stderr": ended.err.text()},
        )
    result = None
    if settings.output == "json":
        try:
            result = json.loads(ended.out.text())
        except (ValueError, RecursionError) as error:
            raise ExecutionError(f"{settings.argv[0]} did not write JSON: {error}") from error
    return CommandOutput(
        result=result,
        stdout="" if settings.output == "json" else ended.out.text(),
        stderr=ended.err.text(),
        duration_ms=ended.duration_ms,
        truncated=ended.out.truncated or ended.err.truncated,
    )


def argv_of(template: tuple[str, ...], given: Mapping[str, Any]) -> list[str]:
    """The command with its arguments; no shell is involved.

    A part that is nothing but `{name}` is left out when the input has no such field. Values that are not text become
    JSON.

    >>> argv_of(("ls", "{flag}", "--at={at}", "{path}"), {"at": 7, "path": "/"})
    ['ls', '--at=7', '/']
    """
    found = []
    for part in template:
        alone = re.fullmatch(r"\{(\w+)\}", part)
        if alone and alone[1] not in given:
            continue
        found.append(re.sub(r"\{(\w+)\}", lambda name: _text(given[name[1]]) if name[1] in given else "", part))
    return found


def _text(value: Any) -> str:
    if isinstance(value, str):
        if "\0" in value:
            raise ExecutionError("an argument cannot hold a NUL character")
        return value
    return dumps(value)


def load_files(registry: Registry, folder: Path) -> None:
    """Run `register(registry)` of every `*.py` in the folder, by name; a folder that is not there holds none.

    The code runs as the user who runs Spoke: whoever may write into the folder may do everything.

    Raises:
        ConfigError: a file cannot be loaded; names it.
    """
    for path in sorted(folder.glob("*.py")):
        try:
            spec = importlib.util.spec_from_file_location(f"spoke_operations_{path.stem}", path)
            assert spec is not None, "a .py file has a loader"
            assert spec.loader is not None, "a .py file has a loader"
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            module.register(registry)
        except Exception as error:
            raise ConfigError(f"{path}: {type(error).__name__}: {error}") from error
