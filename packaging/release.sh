#!/usr/bin/env bash
# Makes dist/release: the executable, the Debian package, what is in them (SBOM), hashes, and a signature over all.
set -euo pipefail
cd "$(dirname "$0")/.."
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || echo 1700000000)}"

python=.venv-build/bin/python
version=$($python -c 'import app; print(app.__version__)')
platform=linux-$(uname -m)
name=spoke-$version-$platform
if [ -z "${SPOKE_RELEASE_KEY:-}" ]; then
  echo "a release is signed: make release KEY=private.pem (packaging/sign.py new-key private.pem makes one)" >&2
  exit 1
fi
packaging/deb.sh
rm -rf dist/release
mkdir -p dist/release
cp dist/spoke "dist/release/$name"
cp dist/spoke_"$version"_*.deb dist/release/
$python packaging/sbom.py dist/spoke build/tree/spoke > "dist/release/$name.cdx.json"
(cd dist/release && sha256sum ./* | sed 's|\./||' > SHA256SUMS)
$python packaging/sign.py release --version "$version" --platform "$platform" \
  --glibc "$($python packaging/check_glibc.py build/tree/spoke)" --out "dist/release/$name.sig" dist/release/*
ls -l dist/release
