"""The files of a machine's key while it is replaced: whatever breaks, the machine has a key that the hub takes."""

from __future__ import annotations

from pathlib import Path

from storage.private_file import sync
from sync.link.device import DeviceKey, load_device_key, open_device_key, request_rotation
from sync.link.frames import Rotation


class DeviceKeys:
    """`device.pem`, and beside it `.next` (asked for, not yet taken) and `.previous` (what it was before)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = path.with_name(f"{path.name}.next")
        self._previous = path.with_name(f"{path.name}.previous")

    def current(self) -> DeviceKey:
        """The key that opens sessions.

        Raises:
            DeviceKeyError: there is none, others may read it, or it is no key.
        """
        return load_device_key(self._path)

    def previous(self) -> DeviceKey | None:
        """The key before; a hub that was restored from a backup may know that one only.

        Raises:
            DeviceKeyError: others may read it, or it is no key.
        """
        return load_device_key(self._previous) if self._previous.exists() else None

    def begin_rotation(self, hub_id: str, node_id: str) -> Rotation:
        """Make the new key, on disk when this returns, and the request for it; asking again asks for the same key.

        Raises:
            DeviceKeyError: the key cannot be read.
            OSError: the new one cannot be written.
        """
        return request_rotation(self.current(), open_device_key(self._next), hub_id, node_id)

    def finish_rotation(self) -> DeviceKey:
        """The hub has the new key on its disk: it is ours from now on.

        Raises:
            DeviceKeyError: no rotation was begun.
            OSError: the files cannot be written; the old key still counts.
        """
        new = load_device_key(self._next)
        self.current().save(self._previous)
        self._next.replace(self._path)
        sync(self._path.parent)
        return new


def remove_device_keys(path: Path) -> None:
    """Remove the key of this machine, what it was before and what it was to be; on disk when this returns.

    Raises:
        OSError: one cannot be removed.
    """
    for suffix in ("", ".next", ".previous"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    sync(path.parent)
