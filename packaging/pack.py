"""Makes one file of a folder: pack.py LAUNCHER FOLDER VERSION OUT. The same folder gives the same bytes.

The format is described in launcher/launcher.c, which reads it.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from pathlib import Path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"SPOKE\0\0\1"
LEVEL = 19
WINDOW_LOG = 25  # 32 MB: the launcher unpacks in one piece, so a window costs no memory
JOB_BYTES = 20 << 20
JOBS = 2  # at a time; always two, since the bytes depend on it


def pack(launcher: bytes, folder: Path, version: str) -> bytes:
    """Return the bytes of the file that unpacks `folder` and becomes `folder/spoke`.

    Raises:
        ValueError: something in the folder is neither a regular file nor a folder, or has a blank in its name.
    """
    contents, lines = [], []
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file() or len(name.split()) != 1:
            raise ValueError(f"{name} cannot be packed: only files whose names have no blanks")
        data = path.read_bytes()
        mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
        lines.append(f"{mode:o} {len(data)} {hashlib.sha256(data).hexdigest()} {name}\n")
        contents.append(data)
    manifest = "".join(lines).encode()
    whole = b"".join(contents)
    packed, packed_manifest = _compress(whole), _compress(manifest)
    name = f"{version}-{hashlib.sha256(manifest).hexdigest()[:16]}".encode()
    footer = struct.pack("<QQQQ56s8s", len(packed), len(whole), len(packed_manifest), len(manifest), name[:55], MAGIC)
    return launcher + packed + packed_manifest + footer


def _compress(data: bytes) -> bytes:
    options = {
        zstd.CompressionParameter.compression_level: LEVEL,
        zstd.CompressionParameter.window_log: WINDOW_LOG,
        zstd.CompressionParameter.checksum_flag: 1,
        zstd.CompressionParameter.nb_workers: JOBS,
        zstd.CompressionParameter.job_size: JOB_BYTES,
        zstd.CompressionParameter.overlap_log: 9,
    }
    return zstd.compress(data, options=options)


if __name__ == "__main__":
    launcher, folder, version, out = sys.argv[1:]
    Path(out).write_bytes(pack(Path(launcher).read_bytes(), Path(folder), version))
    Path(out).chmod(0o755)
