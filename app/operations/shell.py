"""`shell.run`: commands that the configuration names, with typed arguments; never a free shell."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import Field

from app.config import ArgumentSettings, CommandSettings
from app.operations.process import run_program
from storage.operations.spec import AccessControl, Model, OperationContext, OperationSpec
from sync.calls.errors import ValidationError
from sync.calls.registry import Registry

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


class RunInput(Model):
    """Which command of the configuration, with which arguments."""

    command: str
    arguments: dict[str, str | int | float | bool] = Field(default_factory=dict)


class RunOutput(Model):
    """How the command ended. An exit code other than 0 is an answer, not an error of the call."""

    argv: list[str]
    exit_code: int
    """Negative: the number of the signal that ended it."""
    duration_ms: float
    stdout: str
    stderr: str
    stdout_bytes: int
    stderr_bytes: int
    truncated: bool
    """Only the first and the last part of an output was kept."""


RUN = OperationSpec(
    namespace="shell",
    name="run",
    type="mutation",
    description="Run a command that the configuration names, with typed arguments.",
    input_model=RunInput,
    output_model=RunOutput,
    access_control=AccessControl(required_scopes=("shell:run",)),
)


def arguments_of(name: str, command: CommandSettings, given: Mapping[str, object]) -> list[str]:
    """Return the argv for the given arguments.

    Raises:
        ValidationError: an argument is unknown, missing, of another type, or does not match its pattern.
    """
    problems = [f"{key}: no such argument" for key in given if key not in command.arguments]
    texts: dict[str, str] = {}
    for key, declared in command.arguments.items():
        value = given.get(key, declared.default)
        problem = _problem(declared, value)
        if problem:
            problems.append(f"{key}: {problem}")
        else:
            texts[key] = str(value).lower() if isinstance(value, bool) else str(value)
    if problems:
        raise ValidationError(f"arguments of {name}: {'; '.join(problems)}", details={"problems": problems})
    return [re.sub(r"\{(\w+)\}", lambda found: texts.get(found[1], found[0]), part) for part in command.argv]


def _problem(declared: ArgumentSettings, value: object) -> str | None:
    if value is None:
        return "is required"
    if not isinstance(value, _TYPES[declared.type]) or (isinstance(value, bool) and declared.type != "boolean"):
        return f"must be of type {declared.type}"
    if isinstance(value, str) and ("\0" in value or value.startswith("-")) and declared.pattern is None:
        return "must not begin with '-' (an option) unless the configuration gives a pattern that allows it"
    if declared.pattern is not None and not re.fullmatch(declared.pattern, str(value)):
        return f"must match {declared.pattern}"
    return None


class Shell:
    """The handler, bound to the allowed commands."""

    def __init__(self, commands: Mapping[str, CommandSettings]) -> None:
        self._commands = commands

    def run(self, value: RunInput, context: OperationContext) -> RunOutput:
        """Run one command to its end (`app.operations.process`)."""
        command = self._commands.get(value.command)
        if command is None:
            known = ", ".join(sorted(self._commands)) or "none"
            raise ValidationError(
                f"no command {value.command!r} (known: {known})",
                hint=f"name it in the configuration: [commands.{value.command}] argv = […]",
            )
        argv = arguments_of(value.command, command, value.arguments)
        ended = run_program(
            argv,
            context,
            timeout_s=command.timeout_s,
            limit_bytes=command.output_limit_bytes,
            cwd=command.cwd,
            environment=command.environment,
        )
        return RunOutput(
            argv=argv,
            exit_code=ended.exit_code,
            duration_ms=ended.duration_ms,
            stdout=ended.out.text(),
            stderr=ended.err.text(),
            stdout_bytes=ended.out.total,
            stderr_bytes=ended.err.total,
            truncated=ended.out.truncated or ended.err.truncated,
        )


def register(registry: Registry, commands: Mapping[str, CommandSettings]) -> None:
    """Add the operations of this module."""
    registry.register(RUN, Shell(commands).run)
