"""`system.info` and `system.metrics`: what this machine is, and what its node measures about itself."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

from app import __version__
from app.views.metrics import read_metrics
from storage.engine import sqlite_version
from storage.operations.spec import AccessControl, Model, OperationContext, OperationSpec
from sync.calls.registry import Registry


class InfoInput(Model):
    """Nothing is needed."""


class InfoOutput(Model):
    """The machine and the program."""

    hostname: str
    os: str
    release: str
    arch: str
    cpus: int
    memory_bytes: int | None
    """None where the system does not say."""
    uptime_s: float
    spoke_version: str
    python_version: str
    sqlite_version: str


class MetricOutput(Model):
    """A value now."""

    name: str
    help: str
    value: float
    labels: dict[str, str]


class MetricsOutput(Model):
    """What Prometheus would be told."""

    metrics: list[MetricOutput]


METRICS = OperationSpec(
    namespace="system",
    name="metrics",
    type="query",
    description="What the node measures: sizes, streams, queues, sessions, the link.",
    input_model=InfoInput,
    output_model=MetricsOutput,
    access_control=AccessControl(required_scopes=("system:read",)),
)
INFO = OperationSpec(
    namespace="system",
    name="info",
    type="query",
    description="What this machine is: system, processor, memory, versions.",
    input_model=InfoInput,
    output_model=InfoOutput,
    access_control=AccessControl(required_scopes=("system:read",)),
)


def info(_: InfoInput, __: OperationContext) -> InfoOutput:
    """Look at the machine."""
    uname = os.uname()
    return InfoOutput(
        hostname=uname.nodename,
        os=uname.sysname,
        release=uname.release,
        arch=uname.machine,
        cpus=os.cpu_count() or 1,
        memory_bytes=_memory_bytes(),
        uptime_s=round(time.clock_gettime(time.CLOCK_BOOTTIME), 3),
        spoke_version=__version__,
        python_version=platform.python_version(),
        sqlite_version=sqlite_version(),
    )


def metrics(_: InfoInput, context: OperationContext) -> MetricsOutput:
    """Measure."""
    db = context.database
    with db.snapshot() as snapshot:
        found = read_metrics(snapshot, Path(db.path), db.clock(), db.max_bytes)
    return MetricsOutput(
        metrics=[MetricOutput(name=one.name, help=one.help, value=one.value, labels=dict(one.labels)) for one in found]
    )


def _memory_bytes() -> int | None:
    if sys.platform != "linux":
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def register(registry: Registry) -> None:
    """Add the operations of this module."""
    registry.register(INFO, info)
    registry.register(METRICS, metrics)
