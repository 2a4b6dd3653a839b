"""The registry: operations by id, and the one way to execute them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pydantic

from sync.calls.access import check_access
from sync.calls.errors import CallFailed, ExecutionError, OperationNotFoundError, ValidationError
from sync.calls.spec import Handler, I, Model, O, OperationContext, OperationSpec


@dataclass(frozen=True, slots=True)
class Operation:
    """A registered operation."""

    spec: OperationSpec[Any, Any]
    handler: Handler[Any, Any]


class Registry:
    """Operations by id. Fill it at start; executing is safe from any thread."""

    def __init__(self) -> None:
        self._operations: dict[str, Operation] = {}

    def register(self, spec: OperationSpec[I, O], handler: Handler[I, O]) -> None:
        """Add an operation.

        Raises:
            ValueError: the id is taken.
        """
        if spec.operation_id in self._operations:
            raise ValueError(f"operation {spec.operation_id} is registered twice")
        self._operations[spec.operation_id] = Operation(spec, handler)

    def list(self) -> list[OperationSpec[Any, Any]]:
        """Every spec, by id."""
        return [self._operations[key].spec for key in sorted(self._operations)]

    def get_spec(self, operation_id: str) -> OperationSpec[Any, Any]:
        """Return a spec.

        Raises:
            OperationNotFoundError: there is none; the message names the nearest ones.
        """
        return self._get(operation_id).spec

    def check(self, operation_id: str, input_value: object) -> None:
        """Tell whether a call could be executed: the operation exists and the input fits. Runs nothing.

        Raises:
            OperationNotFoundError, ValidationError: why not.
        """
        validate(self._get(operation_id).spec, input_value)

    def execute(self, operation_id: str, input_value: object, context: OperationContext) -> Model:
        """Find, check access, validate, run.

        Args:
            operation_id: `namespace.name`.
            input_value: decoded JSON.
            context: who calls, and from where.

        Raises:
            CallFailed: with the protocol's code; every other exception of a handler becomes EXECUTION_ERROR.
        """
        operation = self._get(operation_id)
        check_access(operation.spec.access_control, context.identity, operation_id)
        value = validate(operation.spec, input_value)
        try:
            output: Model = operation.handler(value, context)
        except CallFailed:
            raise
        except Exception as error:
            raise ExecutionError(f"{type(error).__name__}: {error}") from error
        return output

    def _get(self, operation_id: str) -> Operation:
        found = self._operations.get(operation_id)
        if found is None:
            near = difflib.get_close_matches(operation_id, self._operations, n=3, cutoff=0.5)
            raise OperationNotFoundError(
                f"no operation {operation_id!r}",
                details={"operationId": operation_id},
                hint=f"did you mean {', '.join(near)}?" if near else "",
            )
        return found


def validate(spec: OperationSpec[I, O], value: object) -> I:
    """Return the input as the operation's model.

    Raises:
        ValidationError: names every field that does not fit.
    """
    try:
        # Through JSON, so that the strictness is that of JSON input and not of Python values.
        return spec.input_model.model_validate_json(json.dumps(value), strict=True)
    except pydantic.ValidationError as error:
        problems = [_problem(item) for item in error.errors(include_url=False, include_input=False)]
        raise ValidationError(
            f"input of {spec.operation_id}: {'; '.join(problems)}",
            details={"problems": problems},
            hint=f"`spoke operations {spec.operation_id}` shows the schema",
        ) from error


def _problem(item: Mapping[str, Any]) -> str:
    where = ".".join(str(step) for step in item["loc"])
    return f"{where}: {item['msg']}" if where else str(item["msg"])
