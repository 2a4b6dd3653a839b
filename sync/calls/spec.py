"""OperationSpec: a named, typed function and what it takes to call it (`reference/alkdev.md` 2.1)."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from sync.calls.access import AccessControl, Identity

Kind: TypeAlias = Literal["query", "mutation", "subscription"]


class Model(BaseModel):
    """Base of inputs and outputs: camelCase in JSON, snake_case in Python, unknown fields refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


I = TypeVar("I", bound=Model)  # noqa: E741 - input
O = TypeVar("O", bound=Model)  # noqa: E741 - output


@dataclass(frozen=True, slots=True)
class OperationContext:
    """What a handler knows beside its input."""

    request_id: str
    identity: Identity | None = None
    parent_request_id: str | None = None
    session_id: str | None = None


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
