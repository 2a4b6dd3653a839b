"""An operation's contract as a JSON document: what lists show, and what a node tells its hub."""

from __future__ import annotations

from typing import Any

from storage.operations.spec import OperationSpec


def describe(spec: OperationSpec[Any, Any]) -> dict[str, Any]:
    """An operation's spec as its document (`reference/alkdev.md` 2.1)."""
    access = spec.access_control
    control: dict[str, Any] = {"requiredScopes": list(access.required_scopes)}
    if access.required_scopes_any:
        control["requiredScopesAny"] = list(access.required_scopes_any)
    if access.resource_type is not None:
        control |= {"resourceType": access.resource_type, "resourceAction": access.resource_action}
    return {
        "operationId": spec.operation_id,
        "version": spec.version,
        "type": spec.type,
        "description": spec.description,
        "inputSchema": spec.input_schema,
        "outputSchema": spec.output_schema,
        "errors": [{"code": error.code, "description": error.description} for error in spec.errors],
        "accessControl": control,
        "executions": list(spec.executions),
    }
