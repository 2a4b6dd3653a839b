"""OperationSpec: a named, typed function and what it takes to call it (`reference/alkdev.md` 2.1)."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from storage.engine import Database, Transaction
from storage.operations.abort import Abort

Kind: TypeAlias = Literal["query", "mutation", "subscription"]


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
    """What a caller needs: all of `required_scopes` and one of `required_scopes_any` (empty: nothing)."""

    required_scopes: tuple[str, ...] = ()
    required_scopes_any: tuple[str, ...] = ()


class ContextError(RuntimeError):
    """An operation needs a database, and whoever executes it gave none: a bug of the caller."""


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
    transactional: bool = False
    """The handler writes through `context.tx`, and through nothing else."""
    sensitive: bool = False
    """Input and output are secrets: the log says that the call happened, not what was in it."""

    @property
    def operation_id(self) -> str:
        """The id that callers use."""
        return f"{self.namespace}.{self.name}"

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
