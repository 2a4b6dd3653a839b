#!/usr/bin/env bash
# The built file and the Debian package in bare Debian root file systems without Python: rootfs.sh bookworm trixie
# Needs root, debootstrap and, the first time, a Debian mirror; without them it says so and leaves with 0.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=${SPOKE_ROOTFS_CACHE:-/var/cache/spoke-rootfs}

skip() {
  echo "skipped: $*"
  exit 0
}
[ "$(id -u)" -eq 0 ] || skip "needs root"
unshare --mount --pid --fork true 2> /dev/null || skip "this machine allows no mounts"

# What runs in there, in a mount and process space of its own. $1: the root file system, as lower layer.
inside=$(
  cat << 'INSIDE'
set -eu
root=$(mktemp -d)
mount -t tmpfs none "$root"
mkdir "$root/upper" "$root/work" "$root/m"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$root/upper,workdir=$root/work" "$root/m"
mount -t proc proc "$root/m/proc"
mount --rbind /dev "$root/m/dev"
cp dist/spoke "$root/m/usr/local/bin/spoke"
cp dist/spoke_*.deb "$root/m/root/spoke.deb"
mkdir -p "$root/m/home/user" && chown 1000:1000 "$root/m/home/user"
mount --bind "$root/m/home/user" "$root/m/home/user"
mount -t tmpfs -o mode=1777 none "$root/m/tmp"
exec env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 HOME=/root \
  chroot "$root/m" sh -euc "$STEPS"
INSIDE
)
steps=$(
  cat << 'STEPS'
step() { echo "  - $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
user() { setpriv --reuid 1000 --regid 1000 --clear-groups env HOME=/home/user "$@"; }
contains() { case $1 in *"$2"*) ;; *) fail "no '$2' in: $1" ;; esac; }
! command -v python3 || fail "there is a Python in here"

step "root: version, selftest"
contains "$(spoke --version)" "spoke "
spoke selftest > /root/selftest 2>&1 || { cat /root/selftest; exit 1; }

step "an unprivileged user: record, show, the demo with 2 000 calls"
user spoke record --title bare -- sh -c 'spoke record -- ls /; exit 3' > /dev/null 2>&1 || [ $? -eq 3 ]
contains "$(user spoke session show)" command.ls
contains "$(user spoke session list --json)" '"bare"'
user spoke demo --calls 2000 > /root/demo 2>&1 || grep -q 'kill came too late' /root/demo || { cat /root/demo; exit 1; }
[ "$(ls /home/user/.cache/spoke | wc -l)" = 1 ] || fail "not unpacked once"

step "noexec /tmp: nothing there is needed"
rm -rf /home/user/.cache /tmp/*
mount -o remount,noexec /tmp
contains "$(user spoke --version)" "spoke "
[ -z "$(ls -A /tmp)" ] || fail "something is left in /tmp"

step "read-only home: unpacked in /tmp"
rm -rf /home/user/.cache
mount -o remount,exec /tmp
mount -o remount,bind,ro /home/user
contains "$(user env SPOKE_DATA_DIR=/tmp/data spoke status)" spoke
[ -d /tmp/spoke-1000 ] || fail "not in /tmp"

step "read-only home and noexec /tmp: said, exit code 73; with SPOKE_CACHE it runs"
rm -rf /tmp/*
mount -o remount,noexec /tmp
code=0; said=$(user spoke --version 2>&1) || code=$?
[ $code = 73 ] || fail "exit code $code"
contains "$said" "/home/user/.cache/spoke: Read-only file system"
contains "$said" "/tmp/spoke-1000: mounted noexec"
install -d -o 1000 -g 1000 /srv/cache
contains "$(user env SPOKE_CACHE=/srv/cache spoke --version)" "spoke "

step "the Debian package: installed, used, removed, purged"
rm -rf /usr/local/bin/spoke /root/.cache
dpkg -i /root/spoke.deb > /root/dpkg 2>&1 || { cat /root/dpkg; exit 1; }
contains "$(spoke --version)" "spoke "
getent passwd spoke > /dev/null || fail "no account"
[ ! -e /root/.cache ] || fail "the package unpacks"
spoke selftest > /root/selftest 2>&1 || { cat /root/selftest; exit 1; }
echo '# mine' >> /etc/spoke/spoke.toml
dpkg -r spoke > /dev/null
grep -q mine /etc/spoke/spoke.toml || fail "the configuration is gone"
dpkg -P spoke > /dev/null 2>&1
[ ! -e /etc/spoke/spoke.toml ] || fail "purge left the configuration"
STEPS
)

for suite in "$@"; do
  root=$cache/$suite
  if [ ! -d "$root" ]; then
    command -v debootstrap > /dev/null || skip "apt-get install debootstrap"
    echo "fetching $suite into $root (about two minutes)"
    mkdir -p "$cache"
    rm -rf "$root.new"
    debootstrap --variant=minbase "$suite" "$root.new" > "$cache/$suite.log" 2>&1 || skip "no mirror, see $cache/$suite.log"
    mv "$root.new" "$root"
  fi
  echo "Debian $(cat "$root/etc/debian_version")"
  STEPS=$steps unshare --mount --pid --fork sh -euc "$inside" inside "$root"
done
echo "all good"
