"""What a process runs: the part of its state that an exec replaces."""

from __future__ import annotations

from dataclasses import dataclass, field

from sensor.event import Exec


@dataclass(slots=True)
class Image:
    """One executed program with its arguments. None is "not known": read from /proc, not from an exec.

    Shared between a process and the children that it forked, so it never changes after it was made.
    """

    argv: tuple[str, ...]
    exepath: str | None  # up to the mount namespace's root
    cwd: str | None  # at exec, without a trailing slash
    env: tuple[str, ...] = ()
    writable: bool | None = None
    upper_layer: bool | None = None
    lower_layer: bool | None = None
    from_memfd: bool | None = None
    ino: int | None = None
    ctime_ns: int | None = None  # since the epoch
    mtime_ns: int | None = None
    _args: str | None = field(default=None, repr=False, compare=False)

    @property
    def exe(self) -> str | None:
        """argv[0], which the caller of exec chose."""
        return self.argv[0] if self.argv else None

    @property
    def args(self) -> str:
        """Everything after argv[0], joined by blanks, as Falco's proc.args."""
        if self._args is None:
            self._args = " ".join(self.argv[1:])
        return self._args

    @classmethod
    def of_exec(cls, exec_: Exec, *, keep_env: bool) -> Image:
        """The image that a successful exec brought."""
        return cls(
            argv=exec_.argv,
            exepath=exec_.exepath,
            cwd=exec_.cwd,
            env=exec_.env if keep_env else (),
            writable=exec_.writable,
            upper_layer=exec_.upper_layer,
            lower_layer=exec_.lower_layer,
            from_memfd=exec_.from_memfd,
            ino=exec_.ino,
            ctime_ns=exec_.ctime_ns,
            mtime_ns=exec_.mtime_ns,
        )
