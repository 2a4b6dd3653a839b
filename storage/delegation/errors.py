"""What delegation across tenants refuses; nothing was written when one of these is raised."""

from __future__ import annotations

from storage.engine.errors import EngineError
from storage.identity.errors import IdentityError


class DelegationError(IdentityError):
    """A delegation that cannot be."""


class UnknownDelegationError(IdentityError, LookupError):
    """There is no such delegation."""

    hint = "`spoke hub delegation list` shows those that there are"


class UnsettledError(EngineError):
    """Some delegations or files could not be reached; what is wanted is kept and will be tried again."""

    hint = "`spoke hub delegation list` shows why; mend the file, then: spoke hub delegation reconcile"
