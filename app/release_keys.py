"""The public keys whose releases `spoke upgrade` takes: those built in, and those that the machine's owner added.

To trust a key of your own: one file a key, its public half in base64 as `packaging/sign.py new-key` prints it, in the
folder `release-keys` beside the configuration file, named `NAME.pub`.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from app.release import KEY_BYTES, ReleaseError

BUILT_IN: dict[str, str] = {}
"""Name -> public key in base64. The project's own goes in here once there is one; a fork puts its own."""


def trusted(folder: Path) -> dict[str, bytes]:
    """Name -> public key, of the built-in ones and of those in `folder`, which need not exist.

    Raises:
        ReleaseError: a file in there is not a key.
    """
    texts = dict(BUILT_IN)
    if folder.is_dir():
        texts.update((path.stem, path.read_text(errors="replace")) for path in sorted(folder.glob("*.pub")))
    return {name: _key(name, text) for name, text in texts.items()}


def _key(name: str, text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ReleaseError(f"the release key {name} is no Ed25519 public key in base64", "mend or delete its file")
    return key
