"""`system.services`: how the services of this process stand. Only a process that runs services offers it."""

from __future__ import annotations

from app.operations.declare import Group, NothingInput
from app.services.supervisor import health
from storage.operations.spec import Model, OperationContext
from sync.calls.registry import Registry


class ServiceOutput(Model):
    """A service. `since` is unix seconds; `failures` are crashes that followed one another."""

    name: str
    state: str
    since: float
    failures: int
    error: str | None


class ServicesOutput(Model):
    """All services, by name; why this node is not ready, nothing when it is; the version of the program that runs."""

    services: list[ServiceOutput]
    not_ready: list[str]
    version: str


def register(registry: Registry) -> None:
    """Add the operation."""

    @Group(registry, "system").query("services", "How the services of this node stand.")
    def services(_: NothingInput, __: OperationContext) -> ServicesOutput:
        return ServicesOutput.model_validate(health())
