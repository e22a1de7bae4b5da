"""One program at a time owns a data directory."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"}


class DataDirError(RuntimeError):
    """The data directory cannot be used; str() says why and what would be right."""


class DataDirLock:
    """Holds `lock` in the directory until released or the process ends."""

    def __init__(self, data_dir: Path, mounts: Path = MOUNTS) -> None:
        kind = filesystem(data_dir, mounts)
        if kind in _REMOTE:
            raise DataDirError(
                f"{data_dir} is on {kind}: SQLite's locks and syncs are not safe there; use a local disk"
            )
        path = data_dir / "lock"
        # Not what a link points to: it is emptied, perhaps by root.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._file, 4096, 0).decode("utf-8", "replace")
            os.close(self._file)
            raise DataDirError(f"{data_dir} is in use by {_described(holder)}") from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps({"pid": os.getpid(), "since": int(time.time())}).encode(), 0)

    def release(self) -> None:
        os.close(self._file)


def _described(holder: str) -> str:
    try:
        said = json.loads(holder)
        since = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(said["since"]))
        return f"process {int(said['pid'])} since {since}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def filesystem(path: Path, mounts: Path = MOUNTS) -> str:
    """The type of the file system that holds `path`, as the list of mounts names it."""
    target = os.path.realpath(path)
    best, kind = "", ""
    for line in mounts.read_text(errors="replace").splitlines():
        _, mount, fstype, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        inside = target == mount or target.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, fstype
    return kind
