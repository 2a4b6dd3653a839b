"""The systemd units of a node and of a hub, for packages and `spoke install`."""

from __future__ import annotations

from pathlib import Path

ACCOUNT = "spoke"
NAME, HUB = "spoke.service", "spoke-hub.service"
SYSTEM_DATA, SYSTEM_CONFIG = Path("/var/lib/spoke"), Path("/etc/spoke/spoke.toml")
"""Where a service of the machine has its data and configuration."""

_UNIT = """[Unit]
Description=Spoke, {what}
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
ExecStart={command} {words}
ExecReload=/bin/kill -HUP $MAINPID
Environment={environment}
UMask=0077
Restart=on-failure
RestartSec=2
"""
_NODE = ("a node that keeps working without a network", "run")
# systemd makes words of it. A drop-in that sets it is kept over upgrades, which write the unit anew.
_HUB = ("a hub of nodes that keep working without a network", "hub run $SPOKE_HUB_OPTIONS")
_HUB_MORE = """Environment="SPOKE_HUB_OPTIONS=--host 0.0.0.0"
LimitNOFILE=16384
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


def unit_names(*, node: bool, hub: bool) -> tuple[str, ...]:
    """The units that there are, of a node, of a hub, of both."""
    return (*((NAME,) if node else ()), *((HUB,) if hub else ()))


def system_unit(command: str, *, hub: bool = False, account: str = ACCOUNT) -> str:
    """The text of `spoke.service`, or with `hub` `spoke-hub.service`, for a machine: `command` runs as `account`.

    `command` is an absolute path. Data is in /var/lib/spoke, the configuration in /etc/spoke, for both. The service
    sees the rest of the machine read-only and no home folders; what its operations may see is widened with
    `systemctl edit spoke`.
    """
    walls = f"User={account}\n{_MACHINE}{_ANYBODY}"
    return _unit(command, SYSTEM_DATA, SYSTEM_CONFIG, walls, "multi-user.target", hub=hub)


def user_unit(command: str, data_dir: Path, config_file: Path, *, hub: bool = False) -> str:
    """The same for one person, below `systemctl --user`.

    It sees what that person sees, and starts what that person may start: what would hide files needs privileges that a
    user's systemd need not have, and programs that compile as they run need memory that can be written and executed.
    """
    return _unit(command, data_dir, config_file, _ANYBODY, "default.target", hub=hub)


def _unit(command: str, data_dir: Path, config_file: Path, walls: str, target: str, *, hub: bool) -> str:
    what, words = _HUB if hub else _NODE
    variables = (f"SPOKE_DATA_DIR={data_dir}", f"SPOKE_CONFIG={config_file}")
    service = _SERVICE.format(
        command=_word(command), words=words, environment=" ".join(_word(each) for each in variables)
    )
    more = _HUB_MORE if hub else ""
    return f"{_UNIT.format(what=what)}{service}{more}{walls}\n[Install]\nWantedBy={target}\n"


def _word(text: str) -> str:
    """As systemd reads it back: specifiers doubled, in quotes where it must be."""
    text = text.replace("%", "%%")
    if not set(text) & set(" \t\"'\\"):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
