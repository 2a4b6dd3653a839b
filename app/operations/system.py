"""`system.info`: what this machine is."""

from __future__ import annotations

import os
import platform
import sys
import time

from app import __version__
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


def _memory_bytes() -> int | None:
    if sys.platform != "linux":
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def register(registry: Registry) -> None:
    """Add the operations of this module."""
    registry.register(INFO, info)
