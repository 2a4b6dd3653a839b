"""The commented spoke.toml that `spoke init` writes; made from the settings. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.config.positions import Key
from app.config.reference import COMPUTED, NAMED, known, model_of


def template(said: Mapping[Key, Any]) -> str:
    """A spoke.toml with every key, commented out but for those in `said`; without the tables of named things."""
    lines = [
        "# The configuration of Spoke; docs/config.md explains it.",
        "# A line that begins with `#key =` shows a default; take the # away to change it. `spoke config check` tells",
        "# whether all is well. What runs takes changes at once.",
    ]
    table: Key = ()
    for one in known():
        if any(name in NAMED.values() for name in one.key):
            continue
        if one.key[:-1] != table:
            table = one.key[:-1]
            lines += ["", f"[{'.'.join(table)}]", f"# {(model_of(table).__doc__ or '').strip()}"]
        else:
            lines.append("")
        lines.append(f"# {one.description}")
        if one.key in said:
            lines.append(f"{one.key[-1]} = {json.dumps(said[one.key], ensure_ascii=False)}")
        else:
            computed = one.key in COMPUTED or not one.default
            lines.append(f"#{one.key[-1]} = " + (_EXAMPLES[one.key] if computed else one.default))
    return "\n".join([*lines, *_NAMED_EXAMPLES]) + "\n"


_EXAMPLES: dict[Key, str] = {
    ("name",): '"workshop-pc"',
    ("hub", "url"): '"wss://hub.example:7710"',
    ("hub", "api_key"): '"alk_…"',
    ("hub", "ca"): '"-----BEGIN CERTIFICATE-----…"',
    ("hub", "ca_file"): '"/etc/ssl/company-ca.pem"',
    ("hub", "pin_sha256"): f'"{"0123456789abcdef" * 4}"',
    ("hub", "hub_id"): '"0123456789abcdef0123456789abcdef"',
    ("hub", "proxy"): '"http://proxy.example:3128"',
    ("fs", "roots"): '["/srv/data"]',
    ("ingest", "folder"): '"/srv/inbox"',
    ("api", "port"): "9100",
    ("retention", "max_age_days"): "365",
    ("retention", "max_events"): "10000000",
    ("retention", "max_bytes"): "10000000000",
    ("storage", "max_bytes"): "10000000000",
    ("log", "file"): '"/var/log/spoke/spoke.log"',
    ("ui", "theme"): '"high-contrast"',
    ("ui", "max_fps"): "4",
    ("ui", "pager_json"): '"jless"',
}
"""What stands in the commented file where there is no default that could."""
_NAMED_EXAMPLES = """
# Commands that `spoke call shell.run` may run, and nobody else's; no shell is involved.
#[commands.disk]
#argv = ["df", "-h", "{path}"]
#description = "Free space."
#[commands.disk.arguments.path]
#default = "/"

# Operations of your own: a command with a JSON Schema.
#[operations."team.total"]
#argv = ["/usr/local/bin/total"]
#stdin = "json"
#output = "json"
#input = { type = "object", properties = { week = { type = "integer" } }, required = ["week"] }

# Keys of the terminal UI, by the id of what they do; `?` there shows them.
#[keys]
#"view.copy" = "c"
""".rstrip().splitlines()
