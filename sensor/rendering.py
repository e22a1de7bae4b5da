"""Numbers of the kernel as the words that Falco's rules compare: flags, errors, capabilities."""

from __future__ import annotations

import errno
import socket
from functools import lru_cache

# In the order of Falco's table (flags_table.c, file_flags), which is the order in the text.
OPEN_FLAGS: tuple[tuple[int, str], ...] = (
    (1 << 11, "O_LARGEFILE"),
    (1 << 10, "O_DIRECTORY"),
    (1 << 9, "O_DIRECT"),
    (1 << 8, "O_TRUNC"),
    (1 << 7, "O_SYNC"),
    (1 << 6, "O_NONBLOCK"),
    (1 << 5, "O_EXCL"),
    (1 << 4, "O_DSYNC"),
    (1 << 3, "O_APPEND"),
    (1 << 2, "O_CREAT"),
    (3, "O_RDWR"),
    (2, "O_WRONLY"),
    (1, "O_RDONLY"),
    (1 << 12, "O_CLOEXEC"),
    (1 << 13, "O_TMPFILE"),
    (1 << 14, "O_F_CREATED"),
    (1 << 15, "FD_UPPER_LAYER"),
    (1 << 16, "FD_LOWER_LAYER"),
)
OPEN_READ, OPEN_WRITE, OPEN_CREAT, OPEN_DIRECTORY = 1, 2, 1 << 2, 1 << 10
OPEN_TMPFILE, OPEN_CREATED = 1 << 13, 1 << 14

LINK_FLAGS = ((0x400, "AT_SYMLINK_FOLLOW"), (0x1000, "AT_EMPTY_PATH"))

PTRACE_REQUESTS: dict[int, str] = {
    0: "PTRACE_TRACEME",
    1: "PTRACE_PEEKTEXT",
    2: "PTRACE_PEEKDATA",
    3: "PTRACE_PEEKUSR",
    4: "PTRACE_POKETEXT",
    5: "PTRACE_POKEDATA",
    6: "PTRACE_POKEUSR",
    7: "PTRACE_CONT",
    8: "PTRACE_KILL",
    9: "PTRACE_SINGLESTEP",
    12: "PTRACE_GETREGS",
    13: "PTRACE_SETREGS",
    14: "PTRACE_GETFPREGS",
    15: "PTRACE_SETFPREGS",
    16: "PTRACE_ATTACH",
    17: "PTRACE_DETACH",
    18: "PTRACE_GETFPXREGS",
    19: "PTRACE_SETFPXREGS",
    21: "PTRACE_OLDSETOPTIONS",
    24: "PTRACE_SYSCALL",
    25: "PTRACE_GET_THREAD_AREA",
    26: "PTRACE_SET_THREAD_AREA",
    30: "PTRACE_ARCH_PRCTL",
    31: "PTRACE_SYSEMU",
    32: "PTRACE_SYSEMU_SINGLESTEP",
    33: "PTRACE_SINGLEBLOCK",
    0x4200: "PTRACE_SETOPTIONS",
    0x4201: "PTRACE_GETEVENTMSG",
    0x4202: "PTRACE_GETSIGINFO",
    0x4203: "PTRACE_SETSIGINFO",
    0x4204: "PTRACE_GETREGSET",
    0x4205: "PTRACE_SETREGSET",
    0x4206: "PTRACE_SEIZE",
    0x4207: "PTRACE_INTERRUPT",
    0x4208: "PTRACE_LISTEN",
    0x4209: "PTRACE_PEEKSIGINFO",
    0x420A: "PTRACE_GETSIGMASK",
    0x420B: "PTRACE_SETSIGMASK",
}

CAPABILITIES: tuple[str, ...] = tuple(
    f"CAP_{name}"
    for name in [
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
        "PERFMON",
        "BPF",
        "CHECKPOINT_RESTORE",
    ]
)
"""By bit number, as in linux/capability.h."""

# Both names of one number are shown, as Falco does.
_ALIASES = {1: "AF_LOCAL|AF_UNIX", 16: "AF_ROUTE|AF_NETLINK"}
FAMILIES: dict[int, str] = {
    family.value: _ALIASES.get(family.value, family.name) for family in socket.AddressFamily
}
FAMILIES.setdefault(17, "AF_PACKET")


@lru_cache(maxsize=1024)
def flags_text(value: int, table: tuple[tuple[int, str], ...]) -> str:
    """The names of the bits, joined by `|` in the table's order; "0" when there is none."""
    names = []
    for bits, name in table:
        if value & bits == bits:
            names.append(name)
            value &= ~bits
    return "|".join(names) or "0"


@lru_cache(maxsize=256)
def result_text(res: int) -> str:
    """SUCCESS, or the error's name: ENOENT."""
    if res >= 0:
        return "SUCCESS"
    return errno.errorcode.get(-res, str(res))


@lru_cache(maxsize=256)
def capabilities_text(bits: int) -> str:
    """The names of the capabilities, joined by blanks in the order of their numbers."""
    return " ".join(name for number, name in enumerate(CAPABILITIES) if bits >> number & 1)
