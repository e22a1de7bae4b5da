"""What the live probe needs of the machine: what is missing, exactly, and how to give it."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sensor.probe import ProbeError

BTF = Path("/sys/kernel/btf/vmlinux")
LOCKDOWN = Path("/sys/kernel/security/lockdown")
STATUS = Path("/proc/self/status")
PID_NAMESPACE = Path("/proc/self/ns/pid")
_HOST_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO: the same on every machine

OLDEST = (5, 8)
"""The BPF ring buffer, CAP_BPF and CAP_PERFMON came with it."""
_ACCOUNTED = (5, 11)  # since then memory of maps is charged to the cgroup, not to the memlock limit
MEMLOCK = 128 * 1024 * 1024
"""Bytes of locked memory that are enough, before that."""

_SYS_ADMIN, _SYS_RESOURCE = 21, 24
NEEDED = {39: "CAP_BPF", 38: "CAP_PERFMON"}
WANTED = {
    19: ("CAP_SYS_PTRACE", "what other users' processes ran before the sensor started"),
    2: ("CAP_DAC_READ_SEARCH", "names of users in containers"),
}
"""What is not known without them."""
_SYSCALL = {"x86_64": 321, "aarch64": 280}


@dataclass(frozen=True, slots=True)
class Facts:
    """The machine and this process, as far as the probe depends on them."""

    system: str
    arch: str
    release: str
    btf: bool
    libbpf: str | None  # why it cannot be used
    capabilities: int  # effective
    lockdown: str  # the file's text
    host_pids: bool
    seccomp: bool
    memlock: int  # bytes; -1 is no limit
    bpf_error: int  # of a try to make a map; 0: it worked


def gather() -> Facts:
    """How it is here."""
    arch = platform.machine()
    status = _status()
    return Facts(
        system=sys.platform,
        arch=arch,
        release=platform.release(),
        btf=BTF.exists(),
        libbpf=_libbpf(),
        capabilities=int(status.get("CapEff", "0"), 16),
        lockdown=_read(LOCKDOWN),
        host_pids=_host_pids(),
        seccomp=status.get("Seccomp", "0") != "0",
        memlock=resource.getrlimit(resource.RLIMIT_MEMLOCK)[0],
        bpf_error=_try_bpf(arch),
    )


def check_requirements() -> list[str]:
    """What keeps the live probe from running here; empty when nothing does."""
    return problems(gather())


def check_wanted() -> list[str]:
    """What the probe can run without, and what is lost then."""
    return wanting(gather())


def problems(facts: Facts) -> list[str]:
    """One line for each thing that is missing, with how to give it."""
    if not facts.system.startswith("linux"):
        return [f"eBPF is Linux's; this is {facts.system}: run the sensor on Linux"]
    found = []
    if facts.arch not in _SYSCALL:
        found.append(f"the machine is {facts.arch}; the sensor knows x86_64 and aarch64")
    version = _version(facts.release)
    if version < OLDEST:
        found.append(f"the kernel is {facts.release}; the sensor needs 5.8 or newer")
    if not facts.btf:
        found.append(f"{BTF} is missing: use a kernel with CONFIG_DEBUG_INFO_BTF=y (and /sys mounted)")
    if facts.libbpf is not None:
        found.append(facts.libbpf)
    lacking = (
        [] if _has(facts, _SYS_ADMIN) else [name for bit, name in NEEDED.items() if not _has(facts, bit)]
    )
    found += [f"{name} is missing: {_give(name)}" for name in lacking]
    if "[confidentiality]" in facts.lockdown:
        found.append(
            "kernel lockdown is `confidentiality`, which forbids eBPF to read kernel memory: boot with"
            " lockdown=integrity or without it"
        )
    if not facts.host_pids:
        found.append("this is a pid namespace of its own: run on the host, or a container with `pid: host`")
    if not lacking and facts.bpf_error:
        found.append(_refused(facts))
    if OLDEST <= version < _ACCOUNTED and not _has(facts, _SYS_RESOURCE) and 0 <= facts.memlock < MEMLOCK:
        found.append(
            f"locked memory is limited to {facts.memlock} bytes, and kernels before 5.11 count maps as such:"
            " ulimit -l unlimited, LimitMEMLOCK=infinity of systemd, or give CAP_SYS_RESOURCE"
        )
    return found


def wanting(facts: Facts) -> list[str]:
    """One line for each capability that is not there, with what is not known without it."""
    lacking = [text for bit, text in WANTED.items() if not _has(facts, bit)]
    return [f"{name} is missing, and with it {what}: {_give(name)}" for name, what in lacking]


def _give(name: str) -> str:
    short = name.removeprefix("CAP_")
    return f"run as root, or give it (container: `cap_add: [{short}]`; systemd: `AmbientCapabilities={name}`)"


def _refused(facts: Facts) -> str:
    name = errno.errorcode.get(facts.bpf_error, str(facts.bpf_error))
    if facts.bpf_error == errno.ENOSYS and not facts.seccomp:
        return "the kernel has no bpf(): use one with CONFIG_BPF_SYSCALL=y"
    if facts.seccomp:
        return (
            f"bpf() is refused by seccomp ({name}): allow bpf in the profile; a container's is set with"
            " security_opt, systemd's with SystemCallFilter="
        )
    return (
        f"bpf() is refused ({name}) although the capabilities are there: they count only outside user"
        " namespaces, and a security module must allow it"
    )


def _has(facts: Facts, bit: int) -> bool:
    return bool(facts.capabilities >> bit & 1)


def _version(release: str) -> tuple[int, int]:
    parts = release.split(".", 2)
    with suppress(ValueError, IndexError):
        return int(parts[0]), int("".join(one for one in parts[1] if one.isdecimal()))
    return _ACCOUNTED  # a name of its own: the other checks decide


def _status() -> dict[str, str]:
    lines = (line.partition(":") for line in _read(STATUS).splitlines())
    return {name: value.strip() for name, _, value in lines}


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _host_pids() -> bool:
    try:
        return PID_NAMESPACE.stat().st_ino == _HOST_PID_NAMESPACE
    except OSError:
        return False


def _libbpf() -> str | None:
    from sensor.probe.libbpf import library  # noqa: PLC0415  only where there is a kernel to load into

    try:
        library()
    except ProbeError as error:
        return str(error)
    return None


def _try_bpf(arch: str) -> int:
    """Make the smallest map there is; the error's number, or 0."""
    attributes = (ctypes.c_uint32 * 18)(2, 4, 8, 1)  # BPF_MAP_TYPE_ARRAY, sizes of key and value, entries
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    fd = syscall(
        ctypes.c_long(_SYSCALL.get(arch, -1)),
        ctypes.c_int(0),  # BPF_MAP_CREATE
        ctypes.byref(attributes),
        ctypes.c_uint(ctypes.sizeof(attributes)),
    )
    if fd < 0:
        return ctypes.get_errno()
    os.close(fd)
    return 0
