"""The systemd units of a node, for packages and `spoke install`."""

from __future__ import annotations

from pathlib import Path

ACCOUNT = "spoke"
NAME = "spoke.service"
SYSTEM_DATA, SYSTEM_CONFIG = Path("/var/lib/spoke"), Path("/etc/spoke/spoke.toml")
"""Where a service of the machine has its data and configuration."""

_UNIT = """[Unit]
Description=Spoke, a node that keeps working without a network
Documentation=man:spoke(1)
After=network.target
"""
# Ten minutes to start: opening the database may migrate it. Five of silence: a long transaction is no hang.
_SERVICE = """
[Service]
Type=notify
NotifyAccess=main
WatchdogSec=5min
TimeoutStartSec=10min
ExecStart={command} run
ExecReload=/bin/kill -HUP $MAINPID
Environment={environment}
UMask=0077
Restart=on-failure
RestartSec=2
"""
_ANYBODY = """LockPersonality=yes
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
"""
_MACHINE = """StateDirectory=spoke
StateDirectoryMode=0700
CacheDirectory=spoke
CacheDirectoryMode=0700
CapabilityBoundingSet=
AmbientCapabilities=
MemoryDenyWriteExecute=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
"""


def system_unit(command: str, *, account: str = ACCOUNT) -> str:
    """The text of `spoke.service` for a machine: `command` (an absolute path) runs as `account`.

    Data is in /var/lib/spoke, the configuration in /etc/spoke. The service sees the rest of the machine read-only and
    no home folders; what its operations may see is widened with `systemctl edit spoke`.
    """
    service = _service(command, SYSTEM_DATA, SYSTEM_CONFIG)
    return f"{_UNIT}{service}User={account}\n{_MACHINE}{_ANYBODY}\n[Install]\nWantedBy=multi-user.target\n"


def user_unit(command: str, data_dir: Path, config_file: Path) -> str:
    """The text of `spoke.service` for one person, below `systemctl --user`.

    It sees what that person sees, and starts what that person may start: what would hide files needs privileges that a
    user's systemd need not have, and programs that compile as they run need memory that can be written and executed.
    """
    return f"{_UNIT}{_service(command, data_dir, config_file)}{_ANYBODY}\n[Install]\nWantedBy=default.target\n"


def _service(command: str, data_dir: Path, config_file: Path) -> str:
    variables = (f"SPOKE_DATA_DIR={data_dir}", f"SPOKE_CONFIG={config_file}")
    return _SERVICE.format(command=_word(command), environment=" ".join(_word(each) for each in variables))


def _word(text: str) -> str:
    """As systemd reads it back: specifiers doubled, in quotes where it must be."""
    text = text.replace("%", "%%")
    if not set(text) & set(" \t\"'\\"):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
