"""Signs a release with Ed25519.

    sign.py new-key FILE                        makes a private key (PEM, 0600), prints the public one
    sign.py release --key FILE... --version V --platform P --glibc G --out SIG FILE...

FILE of `--key` may also come from SPOKE_RELEASE_KEY (a path; several with a colon between). What a signature is:
app/release.py, which also verifies it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

sys.path.insert(0, str(Path(__file__).parents[1]))
from app.release import Release, ReleaseFile, sign


def new_key(path: Path) -> str:
    """Write a new private key, which nobody else may read, and return its public half in base64."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def read_key(path: Path) -> bytes:
    """The 32 bytes of a private key in PEM.

    Raises:
        SystemExit: it is not an Ed25519 key.
    """
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise SystemExit(f"{path} is not an Ed25519 key: sign.py new-key FILE makes one")
    return key.private_bytes_raw()


def described(path: Path) -> ReleaseFile:
    """Size and hash of a file."""
    data = path.read_bytes()
    return ReleaseFile(len(data), hashlib.sha256(data).hexdigest())


def main() -> None:
    """Run a command line as the module's text says it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("new-key").add_argument("file", type=Path)
    release = commands.add_parser("release")
    inherited = [Path(name) for name in os.environ.get("SPOKE_RELEASE_KEY", "").split(":") if name]
    release.add_argument("--key", type=Path, nargs="+", action="extend", default=[])
    for name in ("--version", "--platform", "--glibc"):
        release.add_argument(name, required=True)
    release.add_argument("--out", type=Path, required=True)
    release.add_argument("files", type=Path, nargs="+")
    given = parser.parse_args()
    if given.command == "new-key":
        print(new_key(given.file))
        return
    keys = [read_key(path) for path in given.key or inherited]
    if not keys:
        raise SystemExit("no key: --key FILE or SPOKE_RELEASE_KEY=FILE; sign.py new-key FILE makes one")
    files = {path.name: described(path) for path in given.files}
    given.out.write_bytes(sign(Release(given.version, given.platform, given.glibc, files), keys))


if __name__ == "__main__":
    main()
