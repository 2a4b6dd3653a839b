#!/usr/bin/env bash
# Builds the release after this one, dist/spoke-next: the same sources but for the version, one more migration, so that
# an upgrade has something to do and something to undo, and a fault that sleeps until the environment of its service
# wakes it: with NEXT_RELEASE_FAULT_S=2 its projector crashes whenever it has run for two seconds.
set -euo pipefail
cd "$(dirname "$0")/../.."

next=build/next
rm -rf "$next"
mkdir -p "$next"
git ls-files -z app storage sync packaging requirements pyproject.toml LICENSE README.md Makefile \
  | xargs -0 cp --parents -t "$next"
cp -al .venv-build "$next/.venv-build"
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' app/__init__.py)
sed -i "s/$version/${version%.*}.99/" "$next/app/__init__.py"
cat >> "$next/storage/migrations/tenant.py" << 'MIGRATION'
MIGRATIONS = (*MIGRATIONS, "CREATE TABLE of_the_next_release (x INTEGER);")
MIGRATION
cat > "$next/fault" << 'FAULT'
    import os

    if "NEXT_RELEASE_FAULT_S" in os.environ:
        await asyncio.sleep(float(os.environ["NEXT_RELEASE_FAULT_S"]))
        raise RuntimeError("the planted fault")
FAULT
sed -i "/^    not_ready..projector.. = /r $next/fault" "$next/app/services/projector.py"
grep -q 'planted fault' "$next/app/services/projector.py"
(cd "$next" && packaging/build.sh)
cp "$next/dist/spoke" dist/spoke-next
