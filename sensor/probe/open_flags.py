"""Flags of open as Falco numbers them (PPM_O_*, ppm_events_public.h), whatever the architecture."""

from __future__ import annotations

from sensor.rendering import OPEN_CREAT, OPEN_CREATED, OPEN_DIRECTORY, OPEN_READ, OPEN_TMPFILE, OPEN_WRITE

_O_WRONLY, _O_RDWR, _O_CREAT, _O_TRUNC = 1, 2, 0o100, 0o1000
CREAT = _O_CREAT | _O_WRONLY | _O_TRUNC
"""What the system call creat means."""
_UPPER_LAYER, _LOWER_LAYER = 1 << 15, 1 << 16
_O_TMPFILE_ALONE = 0o20000000

# (bits that must all be set, Falco's bit): the same on every architecture
_COMMON = (
    (_O_CREAT, OPEN_CREAT),
    (0o2000, 1 << 3),  # O_APPEND
    (0o10000, 1 << 4),  # O_DSYNC
    (0o200, 1 << 5),  # O_EXCL
    (0o4000, 1 << 6),  # O_NONBLOCK
    (0o4010000, 1 << 7),  # O_SYNC, which holds O_DSYNC
    (_O_TRUNC, 1 << 8),
    (0o2000000, 1 << 12),  # O_CLOEXEC
)
_OF_ARCH = {
    "x86_64": ((0o40000, 1 << 9), (0o200000, OPEN_DIRECTORY), (0o100000, 1 << 11)),
    "aarch64": ((0o200000, 1 << 9), (0o40000, OPEN_DIRECTORY), (0o400000, 1 << 11)),
}  # O_DIRECT, O_DIRECTORY, O_LARGEFILE
_FMODE_CREATED = 1 << 20


def falco_flags(flags: int, arch: str) -> int:
    """The bits of a call's flags in Falco's numbers."""
    access = flags & 3
    found = OPEN_WRITE if access == _O_WRONLY else OPEN_READ | OPEN_WRITE if access == _O_RDWR else OPEN_READ
    for bits, bit in _COMMON + _OF_ARCH[arch]:
        if flags & bits == bits:
            found |= bit
    if flags & _O_TMPFILE_ALONE:  # its other bit is O_DIRECTORY, which nobody asked for
        found = found & ~OPEN_DIRECTORY | OPEN_TMPFILE
    return found


def falco_mode(flags: int, mode: int) -> int:
    """The mode counts only where a file may be made."""
    return mode & 0o7777 if flags & (_O_CREAT | _O_TMPFILE_ALONE) else 0


def of_file(fmode: int, overlay: int, upper: int) -> int:
    """What the opened file itself tells: made by this call, and on which layer of an overlay it is."""
    found = OPEN_CREATED if fmode & _FMODE_CREATED else 0
    if overlay:
        found |= _UPPER_LAYER if upper else _LOWER_LAYER
    return found
