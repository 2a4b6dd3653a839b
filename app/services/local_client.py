"""A client of the local API, for commands: one call, one answer."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

TIMEOUT_S = 5.0


class NoDaemonError(Exception):
    """Nobody answers on the socket."""


def ask(path: Path, operation: str, value: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the output of an operation that the running services execute.

    Raises:
        NoDaemonError: there is no socket, or whoever listens there does not answer, or refuses.
    """
    request = {"type": "call.requested", "id": "1", "payload": {"operationId": operation, "input": value or {}}}
    output: dict[str, Any] = _exchange(path, request, "call.responded")["output"]["data"]
    return output


def ask_health(path: Path) -> dict[str, Any]:
    """Return what `system.services` does, without a call: looking every few seconds leaves no trace in the log.

    Raises:
        NoDaemonError: as `ask`.
    """
    return _exchange(path, {"type": "__health", "id": "1", "payload": {}}, "__health")


def _exchange(path: Path, request: dict[str, Any], expected: str) -> dict[str, Any]:
    """Send one line and return the payload of the answer."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT_S)
            client.connect(str(path))
            with client.makefile("rw", encoding="utf-8") as lines:
                print(json.dumps(request), file=lines, flush=True)
                answer = json.loads(lines.readline() or "null")
    except (OSError, ValueError) as error:
        raise NoDaemonError(str(error)) from error
    if not isinstance(answer, dict) or answer.get("type") != expected:
        raise NoDaemonError(str((answer or {}).get("payload", {}).get("message", "no answer")))
    payload: dict[str, Any] = answer["payload"]
    return payload
