#!/usr/bin/env bash
# Builds dist/spoke from the clean runtime environment .venv-build. The same input gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."

export PYTHONHASHSEED=0
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || echo 1700000000)}"
echo "building dist/spoke (about a minute)"
log=$(mktemp)
if ! .venv-build/bin/python -m PyInstaller --noconfirm --clean --log-level WARN \
  --distpath dist --workpath build/pyinstaller packaging/spoke.spec > "$log" 2>&1; then
  cat "$log" >&2
  rm -f "$log"
  exit 1
fi
rm -f "$log"
echo "dist/spoke: $(stat -c %s dist/spoke | awk '{ printf "%.1f MB", $1 / 1e6 }')"
