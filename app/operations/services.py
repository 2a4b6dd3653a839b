"""`system.services`: how the services of this process stand. Only a process that runs services offers it."""

from __future__ import annotations

from dataclasses import asdict

from app.operations.declare import Group, NothingInput
from app.services.supervisor import states
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
    """All services, by name."""

    services: list[ServiceOutput]


def register(registry: Registry) -> None:
    """Add the operation."""

    @Group(registry, "system").query("services", "How the services of this node stand.")
    def services(_: NothingInput, __: OperationContext) -> ServicesOutput:
        return ServicesOutput(services=[ServiceOutput(**asdict(states[name])) for name in sorted(states)])
