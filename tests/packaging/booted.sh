#!/usr/bin/env bash
# Services under a real systemd: boots bare Debian root file systems with systemd as process 1 of a space of its own, and
# does there what a person would: booted.sh bookworm trixie. Prints what that person typed and saw.
# Needs root, cgroup v2, dist/spoke, dist/spoke-next, the Debian package, and the root file systems of rootfs.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=${SPOKE_ROOTFS_CACHE:-/var/cache/spoke-rootfs}

cannot() {
  echo "cannot: $*" >&2
  exit 1
}
[ "$(id -u)" -eq 0 ] || cannot "needs root"
unshare --mount --net --pid --fork true 2> /dev/null || cannot "this machine allows no mounts"
cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
[ -n "$cgroups" ] && mkdir "$cgroups/spoke-$$" 2> /dev/null || cannot "no cgroup v2 that can be written"

work=$(mktemp -d)
init= # systemd, as this machine numbers it
clear_groups() { # what systemd made in there; it takes a moment until who was killed is gone
  for _ in $(seq 50); do
    if find "$cgroups/spoke-$$" "$@" -depth -type d -exec rmdir {} + 2> /dev/null; then break; fi
    sleep 0.1
  done
}
end() {
  if [ -n "$init" ]; then kill -9 "$init" 2> /dev/null || true; fi
  clear_groups
  rm -rf "$work"
}
trap end EXIT
mkdir "$work/download"
. tests/packaging/sign_releases.sh
sign_releases "$work/download"
cp dist/spoke_*.deb "$work/download/spoke.deb"

# In new spaces, before systemd is there. $1: the root file system, as lower layer; $2: what is copied in; $3: a folder.
boot=$(
  cat << 'BOOT'
set -eu
ip link set lo up
mount --make-rprivate /
mkdir "$3"
mount -t tmpfs none "$3"
mkdir "$3/upper" "$3/work" "$3/m"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$3/upper,workdir=$3/work" "$3/m"
cd "$3/m"
cp "$2"/* root/
printf '127.0.0.1 localhost edge\n' > etc/hosts
echo edge > etc/hostname
ln -sf /dev/null etc/systemd/system/console-getty.service # nobody sits there
ln -sf /dev/null etc/systemd/system/systemd-modules-load.service
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 none run
mount -t tmpfs -o mode=755 none dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=1777 none dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for name in null zero full random urandom tty console; do
  touch "dev/$name"
  [ "$name" = console ] || mount --bind "/dev/$name" "dev/$name"
done
pivot_root . mnt
umount -l /mnt
exec env -i container=spoke-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --show-status=no < /dev/null
BOOT
)
steps=$(
  cat << 'STEPS'
export HOME=/root LANG=C.UTF-8 PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd
as() {
  printf '\n# %s\n' "$*"
  code=0
  sh -c "$*" 2>&1 || code=$?
  [ $code = 0 ] || echo "(exit code $code)"
}
must() { as "$@"; [ $code = 0 ] || { echo "FAILED"; journalctl -n 40 --no-pager; exit 1; }; }
title() { printf '\n## %s\n' "$*"; }
wait_for() { for _ in $(seq 300); do if sh -c "$1" > /dev/null 2>&1; then return; fi; sleep 0.1; done; echo "FAILED: $1"; exit 1; }
property() { systemctl show --value -p "$2" "$1"; }
same() { [ "$1" = "$2" ] || { echo "FAILED: $1 is not $2"; exit 1; }; }
first=$(ls | grep linux | grep -v sig | head -1)
second=$(ls | grep linux | grep -v sig | tail -1)
# Whoever works on the services' data does so as their account.
printf '#!/bin/sh\nexec setpriv --reuid spoke --regid spoke --clear-groups env SPOKE_DATA_DIR=/var/lib/spoke SPOKE_CONFIG=/etc/spoke/spoke.toml "$@"\n' > /usr/bin/as-spoke
chmod 755 /usr/bin/as-spoke

wait_for 'systemctl is-system-running | grep -q "running\|degraded"'
echo "Debian $(cat /etc/debian_version), $(systemctl --version | head -1), no Python"
as 'cat /proc/1/comm; systemctl is-system-running'

title The Debian package
must 'dpkg -i spoke.deb'
must 'systemctl enable --now spoke'
same "$(property spoke ActiveState)" active
must 'systemctl show -p Type,NotifyAccess,Result,NRestarts,WatchdogUSec,User spoke'
must 'journalctl -u spoke -o cat --no-pager'
must 'as-spoke spoke record --title first -- uname -s'
must 'systemd-analyze security spoke --no-pager | tail -1'

title SIGKILL
before=$(property spoke MainPID)
must 'systemctl kill -s SIGKILL spoke'
wait_for "[ \$(systemctl show --value -p NRestarts spoke) = 1 ] && systemctl is-active spoke"
[ "$(property spoke MainPID)" != "$before" ]
must 'systemctl show -p ActiveState,NRestarts spoke; as-spoke spoke session list'

title The watchdog
must 'mkdir -p /run/systemd/system/spoke.service.d; printf "[Service]\nWatchdogSec=3\n" > /run/systemd/system/spoke.service.d/watchdog.conf; systemctl daemon-reload; systemctl restart spoke'
told=$(property spoke WatchdogTimestampMonotonic)
wait_for "[ \$(systemctl show --value -p WatchdogTimestampMonotonic spoke) -gt $told ]"
must 'systemctl show -p WatchdogUSec,NRestarts spoke'
must 'systemctl kill -s SIGSTOP spoke # it hangs'
wait_for "[ \$(systemctl show --value -p NRestarts spoke) = 1 ] && systemctl is-active spoke"
must 'journalctl -u spoke -o cat --no-pager | grep -i watchdog'
must 'as-spoke spoke health ready'

title Stop, remove, purge
must 'systemctl stop spoke; systemctl show -p ActiveState,Result,ExecMainStatus spoke'
must 'dpkg -P spoke; ls -d /etc/spoke /var/lib/spoke /usr/lib/spoke 2>&1; systemctl is-enabled spoke; true'
rm -rf /run/systemd/system/spoke.service.d; systemctl daemon-reload

title The one file: a node and a hub
chmod 755 "$first"
must "./$first init --name edge --no-input"
must "./$first install --hub"
must 'stat -c "%A %U:%G %n" /etc/spoke/spoke.toml /var/lib/spoke'
must 'as-spoke spoke hub init --name localhost'
must 'systemctl restart spoke-hub; systemctl is-active spoke spoke-hub'
must 'as-spoke spoke health --hub ready'
must 'mkdir /run/systemd/system/spoke-hub.service.d; printf "[Service]\nEnvironment=\"SPOKE_HUB_OPTIONS=--host 127.0.0.1 --port 443\"\nAmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n" > /run/systemd/system/spoke-hub.service.d/port.conf; systemctl daemon-reload; systemctl restart spoke-hub; as-spoke spoke health --hub ready'
must 'rm -r /run/systemd/system/spoke-hub.service.d; systemctl daemon-reload; systemctl restart spoke-hub'
must 'systemd-analyze security spoke-hub --no-pager | tail -1'
must 'as-spoke spoke hub token create | as-spoke sh -c "cat > /var/lib/spoke/token"; as-spoke spoke join wss://localhost:7710 --token-file /var/lib/spoke/token; rm /var/lib/spoke/token'
must 'systemctl restart spoke; as-spoke spoke record --title second -- uname -s; as-spoke spoke sync now --wait'

title A release that does not work: it migrates, is ready, and crashes two seconds later
mkdir -p /etc/spoke/release-keys; cp workshop.pub /etc/spoke/release-keys/
must 'mkdir -p /etc/systemd/system/spoke.service.d; printf "[Service]\nEnvironment=NEXT_RELEASE_FAULT_S=2\n" > /etc/systemd/system/spoke.service.d/fault.conf; systemctl daemon-reload'
as "spoke upgrade --gate 10 $second"
same $code 1
must 'systemctl is-active spoke spoke-hub; spoke install status; as-spoke spoke session list; as-spoke spoke db check'

title The same release without the fault
must 'rm -r /etc/systemd/system/spoke.service.d; systemctl daemon-reload'
must "spoke upgrade $second"
must 'systemctl is-active spoke spoke-hub; spoke --version; as-spoke spoke db copies'
must 'spoke rollback --restore; systemctl is-active spoke spoke-hub; spoke --version'
must 'as-spoke spoke session list; as-spoke spoke health ready; as-spoke spoke health --hub ready'

title Away
must "spoke uninstall --purge --name edge"
must 'ls -d /usr/local/lib/spoke /var/lib/spoke /etc/systemd/system/spoke* 2>&1; systemctl list-units --all "spoke*" --no-legend; true'
as 'systemctl is-system-running'
STEPS
)

for suite in "$@"; do
  root=$cache/$suite-systemd
  if [ ! -d "$root" ]; then
    [ -d "$cache/$suite" ] || cannot "no $cache/$suite: make rootfs-test fetches it"
    echo "adding systemd to a copy of $cache/$suite" >&2
    rm -rf "$root.new"
    cp -a "$cache/$suite" "$root.new"
    cp /etc/resolv.conf "$root.new/etc/"
    chroot "$root.new" sh -euc 'export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
      apt-get update; apt-get install -y --no-install-recommends systemd systemd-sysv dbus' \
      > "$cache/$suite-systemd.log" 2>&1 || cannot "no mirror, see $cache/$suite-systemd.log"
    mv "$root.new" "$root"
  fi
  (
    echo "$BASHPID" > "$cgroups/spoke-$$/cgroup.procs"
    exec unshare --mount --uts --ipc --net --cgroup --pid --fork \
      sh -euc "$boot" boot "$root" "$work/download" "$work/$suite" > "$work/$suite.log" 2>&1
  ) &
  outer=$!
  for _ in $(seq 100); do
    init=$(cat "/proc/$outer/task/$outer/children" 2> /dev/null) && [ -n "$init" ] \
      && [ "$(cat "/proc/${init% }/comm")" = systemd ] && break
    sleep 0.1
  done
  init=${init% }
  nsenter -t "$init" -a env -i sh -euc "$steps" || { cat "$work/$suite.log" >&2; exit 1; }
  kill -9 "$init"
  wait "$outer" || true
  init=
  clear_groups -mindepth 1
done
