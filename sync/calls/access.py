"""Who may call what: an identity's scopes (`storage.scopes`) against what an operation asks for."""

from __future__ import annotations

from storage.operations.spec import AccessControl, Identity
from storage.scopes import grants
from sync.calls.errors import AccessDeniedError


def check_access(access: AccessControl, identity: Identity | None, operation_id: str) -> None:
    """Let the caller pass, or say why not.

    Raises:
        AccessDeniedError: scopes are needed and there is no identity, or it lacks one.
    """
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
