#!/bin/sh
# Sees to the system packages that a purpose needs (Debian or Ubuntu): installs what is missing where
# that is allowed, otherwise names the command. usage: system_packages.sh venv|run|test|bpf|bench
set -eu

has() { command -v "$1" >/dev/null 2>&1; }
libbpf() { ldconfig -p 2>/dev/null | grep -q 'libbpf\.so\.1' || /sbin/ldconfig -p 2>/dev/null | grep -q 'libbpf\.so\.1'; }

missing=""
want() { missing="$missing $1"; }
case "${1:-}" in
venv) want python3-venv ;;
run) libbpf || want libbpf1 ;;
bench) has strace || want strace ;;
test)
    libbpf || want libbpf1
    has strace || want strace
    has curl || want curl
    has openssl || want openssl
    has chromium || has chromium-browser || has google-chrome || want chromium
    has prometheus-alertmanager || has alertmanager || want prometheus-alertmanager
    ;;
bpf)
    # The compiler that made the object, so that a build of today can be compared with it.
    recorded=$(cut -d' ' -f2 "$(dirname "$0")/../sensor/bpf/COMPILER")
    clang="clang-${recorded%%.*}"
    if ! has "$clang" && ! clang --version 2>/dev/null | grep -qF "clang version $recorded"; then
        want "$clang"
    fi
    has llvm-strip || ls /usr/bin/llvm-strip-* >/dev/null 2>&1 || want llvm
    [ -e /usr/include/bpf/bpf_helpers.h ] || want libbpf-dev
    ;;
*) echo "usage: $0 venv|run|test|bpf" >&2; exit 2 ;;
esac
[ -n "$missing" ] || exit 0

command="apt-get install -y --no-install-recommends$missing"
if has apt-get && [ "$(id -u)" = 0 ]; then
    echo "installing:$missing"
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    if { apt-get update -q && $command; } >"$log" 2>&1; then
        rm -f "$log"
        exit 0
    fi
    tail -n 5 "$log" >&2
    echo "could not install:$missing (the whole story: $log)" >&2
    case "$missing" in
    *clang-*) echo "the eBPF object was built with clang $recorded, which this release may not have: \`make bpf\`" \
        "with another (CLANG=clang) builds anew and records it, \`make bpf-check\` needs this one" >&2 ;;
    esac
else
    echo "missing:$missing; install with: sudo $command" >&2
fi
# What the tests or the sensor cannot do without these, they say themselves.
[ "$1" = run ] || [ "$1" = test ] || [ "$1" = bench ]
