"""Where things are on this machine; the only module that decides it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

TENANT = "local"
"""The tenant of a spoke until it joins a hub that gives it another."""


class NoHomeError(Exception):
    """There is no folder to keep files in."""

    hint = "set HOME, or SPOKE_DATA_DIR and SPOKE_CONFIG"


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders and files of one node."""

    data_dir: Path
    config_file: Path

    @property
    def tenant_db(self) -> Path:
        """The database of this node."""
        return self.data_dir / f"tenant-{TENANT}.db"

    @property
    def hub_file(self) -> Path:
        """Address, key and CA of the hub, mode 0600, written by `spoke join`."""
        return self.data_dir / "hub.json"

    @property
    def device_key(self) -> Path:
        """The private key of this machine, mode 0600, made by `spoke join`."""
        return self.data_dir / "device.pem"

    @property
    def socket(self) -> Path:
        """The local API of the services of this data directory."""
        return self.data_dir / "spoke.sock"

    @property
    def inbox(self) -> Path:
        """The drop folder, unless the configuration names another."""
        return self.data_dir / "inbox"

    @property
    def operations(self) -> Path:
        """Python files with operations of the user's own, when run from source; beside the configuration."""
        return self.config_file.parent / "operations"

    @property
    def themes(self) -> Path:
        """Themes of the terminal UI, a TOML file each; beside the configuration."""
        return self.config_file.parent / "themes"

    @property
    def api_keys(self) -> Path:
        """Hashes of the keys to the local API on a port, mode 0600."""
        return self.data_dir / "api-keys.json"

    @property
    def key_file(self) -> Path:
        """The keys of the secrets, mode 0600."""
        return self.data_dir / "keyring.json"

    @property
    def log_file(self) -> Path:
        """What happened while the terminal UI ran the services."""
        return self.data_dir / "tui.log"

    @property
    def hub_dir(self) -> Path:
        """The files of the hub, when this machine is one."""
        return self.data_dir / "hub"

    @property
    def hub_certificates(self) -> Path:
        """The hub's CA and server certificate, made by `spoke hub init`."""
        return self.hub_dir / "tls"

    @property
    def system_db(self) -> Path:
        """The hub's own database."""
        return self.hub_dir / "system.db"

    @property
    def databases(self) -> tuple[Path, ...]:
        """The databases that are here: the node's, those of a hub's tenants, the hub's own.

        That one comes last: a backup in this order knows every account and key that its tenants' files speak of.
        """
        tenants = sorted(self.hub_dir.glob("tenant-*.db"))
        return tuple(path for path in (self.tenant_db, *tenants, self.system_db) if path.is_file())

    @property
    def backup_lock(self) -> Path:
        """Held while a backup is made."""
        return self.data_dir / "backup.lock"

    @property
    def reserve(self) -> Path:
        """Space that is given back to the disk when it is full, so that the link can begin a session."""
        return self.data_dir / "reserve"

    @property
    def daemon_lock(self) -> Path:
        """Held by the process that runs the services of this data directory."""
        return self.data_dir / "daemon.lock"


def resolve(data_dir: Path | None = None, config_file: Path | None = None) -> Paths:
    """Return the paths: the argument, else SPOKE_DATA_DIR / SPOKE_CONFIG, else the platform's place.

    root keeps its data in /var/lib/spoke and its configuration in /etc/spoke; everybody else in the XDG folders.

    Raises:
        NoHomeError: nobody says where this account's folders are.
    """
    root = os.geteuid() == 0
    data = data_dir or _env("SPOKE_DATA_DIR")
    config = config_file or _env("SPOKE_CONFIG")
    try:
        if data is None:
            data = Path("/var/lib/spoke") if root else Path(platformdirs.user_data_dir("spoke"))
        if config is None:
            folder = Path("/etc/spoke") if root else Path(platformdirs.user_config_dir("spoke"))
            config = folder / "spoke.toml"
    except RuntimeError as error:  # no HOME, and an account that the system does not know: a container's
        raise NoHomeError("HOME is not set, and this account has no home folder") from error
    return Paths(data.absolute(), config.absolute())


def _env(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None
