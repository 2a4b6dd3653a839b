#!/usr/bin/env bash
# Makes dist/spoke_VERSION_ARCHITECTURE.deb of build/tree/spoke. The same input gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."

export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || echo 1700000000)}"
umask 022

python=.venv-build/bin/python
tree=build/tree/spoke
root=build/deb
rm -rf "$root"
mkdir -p "$root"/{DEBIAN,usr/lib,usr/bin,usr/lib/systemd/system,etc/spoke,usr/share/man/man1,usr/share/doc/spoke} \
  "$root"/usr/share/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}
dist/spoke --unpack "$root/usr/lib/spoke"
ln -s ../lib/spoke/spoke "$root/usr/bin/spoke"
cp packaging/deb/spoke.toml "$root/etc/spoke/"
cp LICENSE "$root/usr/share/doc/spoke/copyright"
$python -c 'from app.systemd_unit import system_unit; print(system_unit("/usr/bin/spoke"), end="")' \
  > "$root/usr/lib/systemd/system/spoke.service"
$python -c 'from app.systemd_unit import system_unit; print(system_unit("/usr/bin/spoke", hub=True), end="")' \
  > "$root/usr/lib/systemd/system/spoke-hub.service"
complete() { "$tree/spoke" completion "$1"; }
complete bash > "$root/usr/share/bash-completion/completions/spoke"
complete zsh > "$root/usr/share/zsh/vendor-completions/_spoke"
complete fish > "$root/usr/share/fish/vendor_completions.d/spoke.fish"
"$tree/spoke" man | gzip -9n > "$root/usr/share/man/man1/spoke.1.gz"

version=$($python -c 'import app; print(app.__version__)')
architecture=$(dpkg --print-architecture)
out=dist/spoke_${version}_$architecture.deb
cat > "$root/DEBIAN/control" << CONTROL
Package: spoke
Version: $version
Architecture: $architecture
Maintainer: Spoke maintainers <maintainers@localhost>
Installed-Size: $(du -sk --apparent-size "$root/usr" | cut -f1)
Depends: libc6 (>= $($python packaging/check_glibc.py "$tree")), zlib1g, passwd
Section: utils
Priority: optional
Description: node that keeps working without a network
 An embedded SQLite database that is data store, message bus and event log in
 one file; sessions of calls recorded; sent to a hub exactly once.
CONTROL
echo /etc/spoke/spoke.toml > "$root/DEBIAN/conffiles"
install -m 755 packaging/deb/{postinst,prerm,postrm} "$root/DEBIAN/"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) > "$root/DEBIAN/md5sums"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group --threads-max=1 -Zxz --build "$root" "$out" > /dev/null
echo "$out: $(stat -c %s "$out" | awk '{ printf "%.1f MB", $1 / 1e6 }')"
