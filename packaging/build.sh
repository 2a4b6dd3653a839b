#!/usr/bin/env bash
# Builds dist/spoke from the clean runtime environment .venv-build: the folder build/tree/spoke (PyInstaller), the
# launcher, and both in one file. The same input gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."

python=.venv-build/bin/python
glibc_floor=2.36 # Debian 12; a build elsewhere may need less, never more
export PYTHONHASHSEED=0 LC_ALL=C.UTF-8 TZ=UTC
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || echo 1700000000)}"
export PYINSTALLER_ZLIB_COMPRESSION_LEVEL=0 # the code is compressed with the rest, and not again at each import
export PYINSTALLER_CONFIG_DIR="$PWD/build/cache" # --clean empties it: not that of a build beside this one
umask 022
mkdir -p build dist

echo "building dist/spoke (about a minute)"
$python packaging/build_info.py .venv-build/report.json "$(git rev-parse HEAD 2> /dev/null || true)" \
  "$(git status --porcelain --untracked-files=no 2> /dev/null || true)" > build/build.json
log=build/pyinstaller.log
if ! $python -m PyInstaller --noconfirm --clean --log-level WARN \
  --distpath build/tree --workpath build/pyinstaller packaging/spoke.spec > "$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
glibc=$($python packaging/check_glibc.py build/tree/spoke "$glibc_floor")
packaging/launcher/compile.sh build/launcher
version=$($python -c 'import app; print(app.__version__)')
$python packaging/pack.py build/launcher build/tree/spoke "$version" dist/spoke.new
mv dist/spoke.new dist/spoke
echo "dist/spoke: $(stat -c %s dist/spoke | awk '{ printf "%.1f MB", $1 / 1e6 }'), needs glibc $glibc or newer"
