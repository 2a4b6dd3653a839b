"""Who may call what: an identity's scopes (`storage.scopes`) against what an operation asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storage.operations.spec import AccessControl, Identity
from storage.scopes import covers_resource, grants
from sync.calls.errors import AccessDeniedError


def check_access(
    access: AccessControl, identity: Identity | None, operation_id: str, value: Mapping[str, Any] | None = None
) -> None:
    """Let the caller pass, or say why not. `value` is the input as it came: it names the resource.

    Raises:
        AccessDeniedError: something is needed and there is no identity, or it lacks a scope or the right to the
            resource. Ids of resources are compared (the original took any resource of the type).
    """
    _check_scopes(access, identity, operation_id)
    if access.resource_type is None:
        return
    named = value.get(access.resource_field) if access.resource_field is not None and value is not None else None
    resource = f"{access.resource_type}:{named if isinstance(named, str) and ':' not in named else '*'}"
    held = {name: frozenset(actions) for name, actions in identity.resources.items()} if identity is not None else {}
    if not covers_resource(held, resource, access.resource_action):
        who = identity.id if identity is not None else "an unknown caller"
        raise AccessDeniedError(
            f"{who} may not call {operation_id}: needs {access.resource_action} on {resource}",
            details={"resource": resource, "action": access.resource_action},
            hint="ask the owner of this machine for a right to that resource",
        )


def _check_scopes(access: AccessControl, identity: Identity | None, operation_id: str) -> None:
    if not access.required_scopes and not access.required_scopes_any:
        return
    held = identity.scopes if identity is not None else ()
    missing = [wanted for wanted in access.required_scopes if not any(grants(have, wanted) for have in held)]
    some = access.required_scopes_any
    if some and not any(grants(have, wanted) for wanted in some for have in held):
        missing.append(" or ".join(some))
    if missing:
        who = identity.id if identity is not None else "an unknown caller"
        raise AccessDeniedError(
            f"{who} may not call {operation_id}: needs {', '.join(missing)}",
            details={"requiredScopes": missing},
            hint="ask the owner of this machine for a key with that scope",
        )


def owner(uid: int) -> Identity:
    """The person at this machine, who can open its database: may do everything."""
    return Identity(f"local:{uid}", ("*",), {"*": ("*",)})
