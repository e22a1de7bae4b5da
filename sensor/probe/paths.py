"""Paths as the kernel's walk gives them, and as Falco writes them."""

from __future__ import annotations

from functools import lru_cache

UNKNOWN = "<UNKNOWN>"
"""Falco's word for a directory that is not known."""


@lru_cache(maxsize=4096)
def walked(content: bytes) -> tuple[str, bool]:
    """The path of a walk's components, and whether it hangs on a root.

    Components come from the leaf up, NUL after each; one empty one at the end: the walk was cut; two: what
    was walked hangs on no root (a memfd), and the path is its name alone.
    """
    parts = content.split(b"\0")
    parts.pop()
    marks = 0
    while marks < 2 and parts and not parts[-1]:
        marks += 1
        parts.pop()
    text = b"/".join(reversed(parts)).decode("utf-8", "replace")
    if marks == 2:
        return text, False
    return (f"{UNKNOWN}/{text}" if marks else f"/{text}"), True


def collapsed(path: str) -> str:
    """Without `.`, `..`, `//` and a slash at the end; links are not followed."""
    if "//" not in path and "/." not in path and not path.endswith("/"):
        return path
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    text = "/".join(parts)
    return text if text.startswith(UNKNOWN) else f"/{text}"


def joined(directory: str | None, name: str) -> str:
    """`name` made absolute by text alone, as Falco's fd.name; a directory that is not known is said."""
    if name.startswith("/"):
        return collapsed(name)
    return collapsed(f"{directory if directory is not None else UNKNOWN}/{name}")
