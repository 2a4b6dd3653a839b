"""Takes secrets out of texts that leave the machine: logs, the configuration as it is shown, the support bundle."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "***"
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"\balk_[A-Za-z0-9_-]+"), f"alk_{MASK}"),
    (re.compile(r"\bspk1\.[a-z0-9.]+"), f"spk1.{MASK}"),
    (re.compile(r"(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {MASK}"),
    (re.compile(r"""(?<=://)[^/\s"']+@"""), f"{MASK}@"),  # to the last @: a password may hold one
)
_NAMED = re.compile(
    r"""(?ix)
    (?P<name>(?P<quote>["']?)[a-z0-9_-]*(?:password|passwd|passphrase|secret|token|api[_-]?key)(?P=quote)\s*[=:]\s*)
    (?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;{}\[\]"']+)"""
)
_SECRET_NAME = re.compile(r"(?i)KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|COOKIE|SESSION")


def redact(text: str, known: Iterable[str] = ()) -> str:
    """The text without keys, tokens, passwords, and private keys; `known` secrets go wherever they stand.

    >>> redact("GET http://ada:pw@proxy/ key=alk_abc Authorization: Bearer abcdef")
    'GET http://***@proxy/ key=alk_*** Authorization: Bearer ***'
    """
    for secret in known:
        text = text.replace(secret, MASK)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return _NAMED.sub(_masked, text)


def _masked(found: re.Match[str]) -> str:
    """A named value without the value; what was JSON stays JSON."""
    if found["value"] in ("null", "true", "false", '""'):
        return found[0]
    quote = found["quote"] or (found["value"][0] if found["value"][0] in "\"'" else "")
    return f"{found['name']}{quote}{MASK}{quote}"


def is_secret_name(name: str) -> bool:
    """Whether a variable of that name may hold a secret."""
    return _SECRET_NAME.search(name) is not None
