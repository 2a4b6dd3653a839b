"""The registry: operations by id, and the one way to execute them."""

from __future__ import annotations

import difflib
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pydantic

from storage.engine.errors import EngineError
from storage.operations.spec import Handler, I, Model, O, OperationContext, OperationSpec
from sync.calls.access import check_access
from sync.calls.errors import CallFailed, ExecutionError, NotFoundError, OperationNotFoundError, ValidationError


@dataclass(frozen=True, slots=True)
class Operation:
    """A registered operation."""

    spec: OperationSpec[Any, Any]
    handler: Handler[Any, Any]


class Registry:
    """Operations by id. Fill it at start; executing is safe from any thread."""

    def __init__(self) -> None:
        self._operations: dict[str, Operation] = {}
        self._filling = threading.RLock()
        self._waiting: list[tuple[frozenset[str], Callable[[Registry], None]]] = []

    def register_later(self, namespaces: Iterable[str], fill: Callable[[Registry], None]) -> None:
        """Add operations that are slow to make: `fill` runs when one of their namespaces is asked for, or a list."""
        self._waiting.append((frozenset(namespaces), fill))

    def _load(self, namespace: str | None) -> None:
        if not self._waiting:
            return
        with self._filling:  # two threads that ask at once: the second one finds everything there
            due = [entry for entry in self._waiting if namespace is None or namespace in entry[0]]
            for _, fill in due:
                fill(self)
            self._waiting = [entry for entry in self._waiting if entry not in due]

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
        self._load(None)
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

    def is_transactional(self, operation_id: str) -> bool:
        """Whether the operation writes through `context.tx`; False for one that there is not."""
        found = self._find(operation_id)
        return found is not None and found.spec.transactional

    def is_sensitive(self, operation_id: str) -> bool:
        """Whether input and output of the operation must not be logged; False for one that there is not."""
        found = self._find(operation_id)
        return found is not None and found.spec.sensitive

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
        except EngineError as error:
            raise _refused(error) from error
        except Exception as error:
            raise ExecutionError(f"{type(error).__name__}: {error}") from error
        return output

    def _find(self, operation_id: str) -> Operation | None:
        self._load(operation_id.partition(".")[0])
        return self._operations.get(operation_id)

    def _get(self, operation_id: str) -> Operation:
        found = self._find(operation_id)
        if found is None:
            self._load(None)
            near = difflib.get_close_matches(operation_id, self._operations, n=3, cutoff=0.5)
            raise OperationNotFoundError(
                f"no operation {operation_id!r}",
                details={"operationId": operation_id},
                hint=f"did you mean {', '.join(near)}?" if near else "",
            )
        return found


def _refused(error: EngineError) -> CallFailed:
    """What storage refuses, in the protocol's words; everything keeps its message and its next step."""
    if isinstance(error, LookupError):
        return NotFoundError(str(error), hint=error.hint)
    if isinstance(error, ValueError):
        return ValidationError(str(error), hint=error.hint or "correct the input")
    return ExecutionError(str(error), hint=error.hint)


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
