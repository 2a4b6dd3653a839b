"""OperationSpec: a named, typed function and what it takes to call it (`reference/alkdev.md` 2.1)."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from storage.engine import Database, Transaction
from storage.operations.abort import Abort

Kind: TypeAlias = Literal["query", "mutation", "subscription"]
Execution: TypeAlias = Literal["exactly_once_local", "idempotent", "at_most_once"]
"""What a crash in the middle of a durable call leads to: nothing has happened and it runs once more, all its effects
being in the file; it runs again, which does no harm; it never runs again, and nobody knows how far it came."""


class Model(BaseModel):
    """Base of inputs and outputs: camelCase in JSON, snake_case in Python, unknown fields refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


I = TypeVar("I", bound=Model)  # noqa: E741 - input
O = TypeVar("O", bound=Model)  # noqa: E741 - output


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls: an id, scopes, and actions per resource (`"type:id" -> actions`)."""

    id: str
    scopes: Sequence[str] = ()
    resources: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccessControl:
    """What a caller needs: all of `required_scopes` and one of `required_scopes_any` (empty: nothing).

    Where `resource_type` is set, also `resource_action` on the resource `TYPE:ID`; the id is what the input holds in
    `resource_field` (as it is in JSON), and `*` where that is None: then only a right to every one of them will do.
    """

    required_scopes: tuple[str, ...] = ()
    required_scopes_any: tuple[str, ...] = ()
    resource_type: str | None = None
    resource_action: str = "execute"
    resource_field: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorDefinition:
    """An error of an operation's own: a handler that raises an exception whose text is `CODE: …` answers with it."""

    code: str
    description: str


class ContextError(RuntimeError):
    """An operation needs what whoever executes it did not give (a database, a way to call): a bug of the caller."""


Compose: TypeAlias = Callable[[str, Any], dict[str, Any]]
"""Calls another operation, by id and input; its output as JSON values."""


@dataclass(frozen=True, slots=True)
class OperationContext:
    """What a handler knows beside its input."""

    request_id: str
    identity: Identity | None = None
    parent_request_id: str | None = None
    session_id: str | None = None
    db: Database | None = None
    """The file that the operation works on."""
    tx: Transaction | None = None
    """Open for handlers of `transactional` operations: their effects commit with the call's outcome in the log."""
    abort: Abort = field(default_factory=Abort)
    """Asked to stop when the caller does not want the answer any more; a handler that takes long looks at it."""

    compose: Compose | None = None
    """How the handler calls other operations (`call`)."""

    def call(self, operation_id: str, value: Any = None) -> dict[str, Any]:
        """Call another operation as part of this one, and return its output as JSON values.

        It is recorded as a child of this call, with the same identity, and not asked for scopes again: whoever may
        call this operation may have done what it is made of. It stops when this call is aborted, and within a
        transactional operation it works in the same transaction. Only from the handler's own thread.

        Raises:
            CallFailed: as it failed.
            ContextError: whoever executes this gives no way to call.
        """
        if self.compose is None:
            raise ContextError("this operation calls others, and nothing here executes them")
        return self.compose(operation_id, {} if value is None else value)

    @property
    def database(self) -> Database:
        """The database. Raises ContextError when there is none."""
        if self.db is None:
            raise ContextError("this operation needs a database")
        return self.db

    @property
    def transaction(self) -> Transaction:
        """The open transaction. Raises ContextError when there is none."""
        if self.tx is None:
            raise ContextError("this operation needs an open transaction")
        return self.tx


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationSpec(Generic[I, O]):
    """The contract of an operation; `operation_id` is `namespace.name`."""

    namespace: str
    name: str
    type: Kind
    description: str
    input_model: builtins.type[I]
    output_model: builtins.type[O]
    version: str = "1.0.0"
    title: str | None = None
    tags: tuple[str, ...] = ()
    access_control: AccessControl = field(default_factory=AccessControl)
    errors: tuple[ErrorDefinition, ...] = ()
    transactional: bool = False
    """The handler writes through `context.tx`, and through nothing else."""
    sensitive: bool = False
    """Input and output are secrets: the log says that the call happened, not what was in it."""
    idempotent: bool = False
    """Running it twice does what running it once does. Queries are, whatever stands here."""

    @property
    def operation_id(self) -> str:
        """The id that callers use."""
        return f"{self.namespace}.{self.name}"

    @property
    def executions(self) -> tuple[Execution, ...]:
        """The execution classes in which a durable call may run it, the default first; none: it cannot be called so.

        Subscriptions have no end to wait for, and what is sensitive must not stand in the log that carries the call.
        """
        if self.type == "subscription" or self.sensitive:
            return ()
        if self.transactional:
            return ("exactly_once_local",)
        return ("idempotent", "at_most_once") if self.idempotent or self.type == "query" else ("at_most_once",)

    @property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the input."""
        return self.input_model.model_json_schema(by_alias=True)

    @property
    def output_schema(self) -> dict[str, Any]:
        """JSON Schema of the output."""
        return self.output_model.model_json_schema(by_alias=True)


Handler: TypeAlias = Callable[[I, OperationContext], O]
"""Does the work. Runs on a worker thread: it may block, and must not touch the event loop."""

Subscriber: TypeAlias = Callable[[I, OperationContext], AsyncIterator[O]]
"""The handler of a subscription: an async generator on the event loop, which it must not block. It is closed when the
caller leaves."""
