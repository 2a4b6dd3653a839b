"""Operations of one namespace, declared by their handlers: input and output are what those are annotated with."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable
from typing import Any

from storage.engine.errors import UsageError
from storage.operations.spec import AccessControl, Handler, Kind, Model, OperationSpec, Subscriber
from sync.calls.registry import Registry

Stream = Subscriber[Any, Any]
Declared = Callable[[Handler[Any, Any]], Handler[Any, Any]]
Json = dict[str, Any] | list[Any] | str | int | float | bool | None
"""Any JSON value."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class NothingInput(Model):
    """Nothing is needed."""


def check_name(name: str) -> str:
    """Return the name of a stream, a queue, a schedule.

    Raises:
        UsageError: it is none.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:40]!r} is no name: letters, digits and . _ : -, at most 128")
    return name


class Group:
    """Registers handlers. Queries need the scope `NAMESPACE:read`, mutations `NAMESPACE:write`."""

    def __init__(self, registry: Registry, namespace: str) -> None:
        self._registry = registry
        self._namespace = namespace

    def query(self, name: str, description: str) -> Declared:
        """An operation that changes nothing."""
        return self._declare(name, "query", description, f"{self._namespace}:read")

    def subscription(self, name: str, description: str) -> Callable[[Stream], Stream]:
        """An operation that answers many times: an async generator."""
        return self._declare(name, "subscription", description, f"{self._namespace}:read")

    def mutation(
        self,
        name: str,
        description: str,
        *,
        sensitive: bool = False,
        scope: str | None = None,
    ) -> Declared:
        """An operation that writes through `context.tx`."""
        needed = scope or f"{self._namespace}:write"
        return self._declare(name, "mutation", description, needed, sensitive=sensitive)

    def _declare(
        self,
        name: str,
        kind: Kind,
        description: str,
        scope: str,
        *,
        sensitive: bool = False,
    ) -> Callable[[Any], Any]:
        def declare(handler: Any) -> Any:
            hints = typing.get_type_hints(handler)
            output = hints.pop("return")
            if kind == "subscription":
                (output,) = typing.get_args(output)
            given = next(iter(hints.values()))
            spec: OperationSpec[Any, Any] = OperationSpec(
                namespace=self._namespace,
                name=name,
                type=kind,
                description=description,
                input_model=given,
                output_model=output,
                access_control=AccessControl(required_scopes=(scope,)),
                transactional=kind == "mutation",
                sensitive=sensitive,
            )
            self._registry.register(spec, handler)
            return handler

        return declare
