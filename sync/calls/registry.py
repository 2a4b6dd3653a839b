"""The registry: operations by id, and the one way to execute them."""

from __future__ import annotations

import difflib
import inspect
import json
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pydantic

from storage.engine.errors import EngineError
from storage.operations.spec import Handler, I, Model, O, OperationContext, OperationSpec, Subscriber
from sync.calls import counting
from sync.calls.access import check_access
from sync.calls.errors import (
    CallFailed,
    DeclaredError,
    ExecutionError,
    NotFoundError,
    OperationNotFoundError,
    ValidationError,
)


@dataclass(frozen=True, slots=True)
class Operation:
    """A registered operation."""

    spec: OperationSpec[Any, Any]
    handler: Handler[Any, Any] | Subscriber[Any, Any]


class Registry:
    """Operations by id. Fill it at start; executing is safe from any thread."""

    def __init__(self) -> None:
        self._operations: dict[str, Operation] = {}
        self._filling = threading.RLock()
        self._loading = False
        self._waiting: list[tuple[frozenset[str], Callable[[Registry], None]]] = []

    def register_later(self, namespaces: Iterable[str], fill: Callable[[Registry], None]) -> None:
        """Add operations that are slow to make: `fill` runs when one of their namespaces is asked for, or a list."""
        self._waiting.append((frozenset(namespaces), fill))

    def _load(self, namespace: str | None) -> None:
        if not self._waiting:
            return
        with self._filling:  # two threads that ask at once: the second one finds everything there
            self._loading = True
            due = [entry for entry in self._waiting if namespace is None or namespace in entry[0]]
            try:
                for _, fill in due:
                    fill(self)
                self._waiting = [entry for entry in self._waiting if entry not in due]
            finally:
                self._loading = False

    def register(self, spec: OperationSpec[I, O], handler: Handler[I, O] | Subscriber[I, O]) -> None:
        """Add an operation; the handler of a subscription is an async generator function, any other is not.

        Raises:
            ValueError: the id is taken, or the handler is not of the operation's kind.
        """
        if (spec.type == "subscription") != inspect.isasyncgenfunction(handler):
            raise ValueError(f"operation {spec.operation_id}: subscriptions, and only they, are async generators")
        if not self._loading and any(spec.namespace in names for names, _ in self._waiting):
            raise ValueError(f"the namespace {spec.namespace} is the program's own")
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

    def admit(self, operation_id: str, input_value: object, context: OperationContext) -> None:
        """As `check`, and the caller may call it. Runs nothing.

        Raises:
            OperationNotFoundError, AccessDeniedError, ValidationError: why not.
        """
        operation = self._get(operation_id)
        _callable(operation)
        self._admit(operation, input_value, context)

    def count(self, operation_id: str, ended: counting.Ended) -> None:
        """Count the end of a call of an operation that there is."""
        if self._find(operation_id) is not None:
            counting.note(operation_id, ended)

    def is_transactional(self, operation_id: str) -> bool:
        """Whether the operation writes through `context.tx`; False for one that there is not."""
        found = self._find(operation_id)
        return found is not None and found.spec.transactional

    def is_sensitive(self, operation_id: str) -> bool:
        """Whether input and output of the operation must not be logged; False for one that there is not."""
        found = self._find(operation_id)
        return found is not None and found.spec.sensitive

    def execute(
        self, operation_id: str, input_value: object, context: OperationContext, *, trusted: bool = False
    ) -> Model:
        """Find, check access, validate, run, look at what comes out.

        Args:
            operation_id: `namespace.name`.
            input_value: decoded JSON.
            context: who calls, and from where.
            trusted: another operation calls as part of itself (`OperationContext.call`): access was checked there.

        Raises:
            CallFailed: with the protocol's code; every other exception of a handler becomes one of the operation's own
                errors, or EXECUTION_ERROR.
        """
        operation = self._get(operation_id)
        _callable(operation)
        value = self._admit(operation, input_value, context, trusted=trusted)
        try:
            output: Model = _fitting(operation.spec, operation.handler(value, context))
        except Exception as error:
            raise map_error(error, operation.spec) from error
        return output

    async def subscribe(
        self, operation_id: str, input_value: object, context: OperationContext
    ) -> AsyncGenerator[Model, None]:
        """Find, check access, validate, and pass on what the subscription yields until it ends or is closed.

        Raises:
            CallFailed: as `execute`.
        """
        operation = self._get(operation_id)
        if operation.spec.type != "subscription":
            raise ValidationError(f"{operation_id} is a {operation.spec.type}: call it")
        value = self._admit(operation, input_value, context)
        outputs: Any = operation.handler(value, context)
        try:
            async for output in outputs:
                yield _fitting(operation.spec, output)
        except Exception as error:
            raise map_error(error, operation.spec) from error
        finally:
            await outputs.aclose()

    def _admit(
        self, operation: Operation, input_value: object, context: OperationContext, *, trusted: bool = False
    ) -> Any:
        spec = operation.spec
        if not trusted:
            given = input_value if isinstance(input_value, dict) else None
            check_access(spec.access_control, context.identity, spec.operation_id, given)
        return validate(spec, input_value)

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


def _callable(operation: Operation) -> None:
    if operation.spec.type == "subscription":
        raise ValidationError(f"{operation.spec.operation_id} is a subscription: subscribe to it")


def map_error(error: Exception, spec: OperationSpec[Any, Any]) -> CallFailed:
    """An exception of a handler in the protocol's words (`reference/alkdev.md` 2.9).

    An error whose text is, or begins with, a code that the operation declares (`CODE: …`) keeps that code.
    """
    if isinstance(error, CallFailed):
        return error
    code, _, rest = str(error).partition(":")
    if any(code == declared.code for declared in spec.errors):
        return DeclaredError(code, rest.strip() or code)
    if isinstance(error, EngineError):
        return _refused(error)
    return ExecutionError(f"{type(error).__name__}: {error}")


def _fitting(spec: OperationSpec[Any, O], output: object) -> O:
    """The output as what the operation promises; anything else is a bug of its handler, and told as such."""
    if isinstance(output, spec.output_model):
        return output
    try:
        return spec.output_model.model_validate(output)
    except pydantic.ValidationError as error:
        raise ExecutionError(f"{spec.operation_id} gave what its output schema does not allow: {error}") from error


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
            hint=f"`spoke operations schema {spec.operation_id}` shows it",
        ) from error


def _problem(item: Mapping[str, Any]) -> str:
    where = ".".join(str(step) for step in item["loc"])
    return f"{where}: {item['msg']}" if where else str(item["msg"])
