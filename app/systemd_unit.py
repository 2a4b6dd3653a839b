"""The systemd unit of a node, for packages and `spoke install`."""

from __future__ import annotations


def system_unit(command: str, *, account: str = "spoke") -> str:
    """The text of `spoke.service` for a machine: `command` (an absolute path) runs as `account`.

    Data is in /var/lib/spoke, the configuration in /etc/spoke. The service sees the rest of the machine read-only and
    no home folders; what its operations may see is widened with `systemctl edit spoke`.
    """
    return f"""[Unit]
Description=Spoke, a node that keeps working without a network
Documentation=man:spoke(1)
After=network.target

[Service]
ExecStart={command} run
ExecReload=/bin/kill -HUP $MAINPID
Environment=SPOKE_DATA_DIR=/var/lib/spoke SPOKE_CONFIG=/etc/spoke/spoke.toml
User={account}
StateDirectory=spoke
StateDirectoryMode=0700
CacheDirectory=spoke
CacheDirectoryMode=0700
UMask=0077
Restart=on-failure
RestartSec=2
CapabilityBoundingSet=
AmbientCapabilities=
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
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
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources

[Install]
WantedBy=multi-user.target
"""
