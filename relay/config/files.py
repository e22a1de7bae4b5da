"""The files that a configuration is read from, and whether they are still the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from relay.config.settings import SECRET_FILE

Identity: TypeAlias = tuple[int, ...] | None
"""Two of one path differ when the path leads to another file, or the file was written; None: unreadable."""


def identity(path: Path) -> Identity:
    """Symbolic links are followed: a mounted secret changes by a link that leads elsewhere."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def named_in(value: Any) -> Iterator[Path]:
    """The paths that stand under keys like `x_file`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if str(key).endswith(SECRET_FILE) and isinstance(inner, str):
                yield Path(inner)
            else:
                yield from named_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named_in(inner)
