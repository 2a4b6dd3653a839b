#!/usr/bin/env bash
# What the build needs of this machine: a shared libpython and objdump for PyInstaller, a C compiler and libzstd for the
# launcher. As root on Debian or Ubuntu they are installed; otherwise the exact line is printed.
set -euo pipefail
python=$1

packages=()
command -v objdump > /dev/null || packages+=(binutils)
probe=$(mktemp)
echo 'int main(void) { return 0; }' | gcc -static -x c -o "$probe" - 2> /dev/null || packages+=(gcc libc6-dev)
rm -f "$probe"
[ -e /usr/include/zstd.h ] || packages+=(libzstd-dev)
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if ! "$python" - <<'PY'
import os, sys, sysconfig
name = sysconfig.get_config_var("INSTSONAME") or ""
if not name.startswith("libpython") or ".so" not in name:
    name = "libpython%d.%d.so.1.0" % sys.version_info[:2]
folders = [sysconfig.get_config_var("LIBDIR"), os.path.join(sys.base_prefix, "lib")]
folders += ["/usr/lib/" + (sysconfig.get_config_var("MULTIARCH") or ""), "/usr/lib", "/lib"]
sys.exit(not any(folder and os.path.exists(os.path.join(folder, name)) for folder in folders))
PY
then
  packages+=("libpython$version")
fi
[ ${#packages[@]} -eq 0 ] && exit 0

line="apt-get install -y --no-install-recommends ${packages[*]}"
if [ "$(id -u)" -eq 0 ] && command -v apt-get > /dev/null; then
  echo "installing what the build needs: ${packages[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $line -qq > /dev/null
else
  echo "the build needs ${packages[*]}: sudo $line" >&2
  exit 1
fi
