#!/usr/bin/env bash
# The life of an installation, in a fresh Debian root file system, by a person without privileges: install, join a hub,
# work offline, upgrade, go back, uninstall. Prints what that person types and sees: install.sh trixie
# Needs dist/spoke, dist/spoke-next (next_release.sh), and what rootfs.sh needs.
set -euo pipefail
cd "$(dirname "$0")/../.."
suite=${1:-trixie}
root=${SPOKE_ROOTFS_CACHE:-/var/cache/spoke-rootfs}/$suite

skip() {
  echo "skipped: $*"
  exit 0
}
[ "$(id -u)" -eq 0 ] || skip "needs root"
[ -d "$root" ] || skip "no $root: make rootfs-test fetches it"
unshare --mount --net --pid --fork true 2> /dev/null || skip "this machine allows no mounts"

# Two releases, signed as `make release` does it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/download"
. tests/packaging/sign_releases.sh
sign_releases "$work/download"

inside=$(
  cat << 'INSIDE'
set -eu
ip link set lo up
root=$2/root
mkdir "$root"
mount -t tmpfs none "$root"
mkdir "$root/upper" "$root/work" "$root/m"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$root/upper,workdir=$root/work" "$root/m"
mount -t proc proc "$root/m/proc"
mount --rbind /dev "$root/m/dev"
echo 127.0.0.1 localhost edge > "$root/m/etc/hosts"
mkdir -p "$root/m/home/ada/download" "$root/m/home/hub"
cp "$2"/download/* "$root/m/home/ada/download"
cp "$2"/download/spoke-*"$(uname -m)" "$root/m/home/hub/"
chown -R 1000:1000 "$root/m/home/ada"
chown -R 1001:1001 "$root/m/home/hub"
exec env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 chroot "$root/m" sh -euc "$STEPS"
INSIDE
)
# `as USER TEXT` types a line as that user; a service in the background ends with its own line.
steps=$(
  cat << 'STEPS'
as() {
  user=$1; shift
  echo
  [ "$user" = root ] && echo "root# $*" || echo "$user\$ $*"
  case $user in ada) id=1000 home=/home/ada;; hub) id=1001 home=/home/hub;; root) id=0 home=/root;; esac
  code=0
  (cd $home && setpriv --reuid $id --regid $id --clear-groups \
    env HOME=$home PATH="$home/.local/bin:$PATH" sh -c "$*" 2>&1) || code=$?
  [ $code = 0 ] || echo "(exit code $code)"
}
must() { as "$@"; [ $code = 0 ] || { echo "FAILED"; exit 1; }; }
title() { printf '\n## %s\n' "$*"; }
wait_for() { for _ in $(seq 100); do if sh -c "$1" > /dev/null 2>&1; then return; fi; sleep 0.2; done; echo "FAILED: $1"; exit 1; }
first=$(ls /home/ada/download | grep -v next | grep -v sig | grep -v pub | head -1)
second=$(ls /home/ada/download | grep -v sig | grep -v pub | tail -1)
echo "Debian $(cat /etc/debian_version), no Python, no systemd as process 1"
! command -v python3

title A hub, on the same machine to keep this short
mv "/home/hub/$first" /home/hub/spoke; rm /home/hub/spoke-*; chmod 755 /home/hub/spoke
must hub './spoke hub init --name localhost'
must hub './spoke hub token create > token.txt'
must hub './spoke hub run > hub.log 2>&1 & echo started'
wait_for 'grep -q "hub listens" /home/hub/hub.log'
install -o 1000 -m 600 /home/hub/token.txt /home/ada/token.txt

title Install
must ada "chmod +x download/$first; download/$first install"
must ada 'spoke --version; command -v spoke; ls .local/lib/spoke/releases'
must ada 'spoke install status'
must ada 'spoke selftest > /dev/null 2>&1; echo $?'

title Join
must ada 'spoke join wss://localhost:7710 --token-file token.txt'
must ada 'spoke run > spoke.log 2>&1 & echo started'
wait_for "test -S /home/ada/.local/share/spoke/spoke.sock"
must ada 'spoke record --title online -- uname -s'
must ada 'spoke sync now --wait'

title Work offline
must hub 'kill $(cat .local/share/spoke/hub/hub.lock); sleep 1'
must ada 'spoke record --title offline -- sh -c "echo written without a hub"'
must ada 'spoke sync status'
must hub './spoke hub run > hub.log 2>&1 & echo started again'
must ada 'spoke sync now --wait'
must ada 'spoke session list'

title Upgrade
must ada 'mkdir -p .config/spoke/release-keys; cp download/workshop.pub .config/spoke/release-keys/'
as ada "spoke upgrade download/$second"
must ada 'kill $(cat .local/share/spoke/daemon.lock); sleep 2'
as ada "mkdir changed; cp download/$second* changed/; printf x >> changed/$second; spoke upgrade changed/$second"
must ada "spoke upgrade download/$second"
must ada 'spoke --version; spoke install status'
must ada 'spoke record --title after -- echo "written by the new release"'

title Go back
as ada 'spoke rollback'
must ada 'spoke rollback --restore'
must ada 'spoke --version; spoke session list; spoke db check'

title Uninstall
must ada 'spoke uninstall --yes'
must ada 'rm -r .cache/spoke; find . -name spoke\* -not -path "./download/*" -not -path "./changed/*" | sort'

title The same for the machine, by root
cp "/home/ada/download/$first" "/home/ada/download/$second" "/home/ada/download/$second.sig" /root/
mkdir -p /etc/spoke/release-keys; cp /home/ada/download/workshop.pub /etc/spoke/release-keys/
must root "./$first install"
must root 'getent passwd spoke'
install -d -o spoke -g spoke -m 700 /var/lib/spoke # systemd does that
must root 'setpriv --reuid spoke --regid spoke --clear-groups env SPOKE_DATA_DIR=/var/lib/spoke SPOKE_CONFIG=/etc/spoke/spoke.toml spoke record -- uname -s'
must root "spoke upgrade $second"
must root 'spoke rollback --restore'
must root 'find /var/lib/spoke -not -user spoke'
must root 'spoke install status'
must root 'spoke uninstall --yes; ls -A /usr/local/bin /usr/local/lib'
STEPS
)
STEPS=$steps unshare --mount --net --pid --fork sh -euc "$inside" inside "$root" "$work"
