#!/bin/sh
# Compiles sensor/bpf/sensor.bpf.c and records the compiler; usage: build_bpf.sh [output]
# With an output it writes only that file, so that a check can compare without touching the tree.
set -eu
cd "$(dirname "$0")/../sensor/bpf"
recorded=$(cut -d' ' -f2 COMPILER)
CLANG=${CLANG:-$(command -v "clang-${recorded%%.*}" || echo clang)}
output=${1:-sensor.bpf.o}
# Line and debug texts hold the builder's paths; BTF, which CO-RE needs, stays.
"$CLANG" -O2 -g -Wall -Werror -target bpf -mcpu=v3 -fdebug-compilation-dir=. \
    -c sensor.bpf.c -o "$output"
strip=$(command -v llvm-strip || ls /usr/bin/llvm-strip-* 2>/dev/null | tail -n 1 || true)
[ -n "$strip" ] || { echo "llvm-strip is missing; install with: apt-get install llvm" >&2; exit 1; }
"$strip" -g "$output"
[ $# -gt 0 ] || "$CLANG" --version | sed -n 's/.*clang version \([0-9.]*\).*/clang \1/p' > COMPILER
