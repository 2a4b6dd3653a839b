#!/bin/sh
# compile.sh OUT: the launcher, static, so that it starts wherever the kernel does. The same input gives the same bytes.
exec gcc -static -Os -s -std=c2x -Wall -Wextra -Wconversion -Wshadow -Wpedantic -Werror -Wl,--build-id=none \
  -o "$1" "$(dirname "$0")/launcher.c" -lzstd
