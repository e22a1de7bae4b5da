"""Names from a passwd file that its owner may have made anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sensor.procfs import Procfs
from sensor.users import LIMIT, User, Users

HOST = 1
PID = 100


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """A /proc with the host's init and one process in a container; returns the container's root."""
    for pid, user in ((HOST, "hostroot"), (PID, "boxroot")):
        etc = tmp_path / "proc" / str(pid) / "root" / "etc"
        etc.mkdir(parents=True)
        (etc / "passwd").write_text(f"{user}:x:0:0::/home/{user}:/bin/sh\n")
        (etc / "group").write_text(f"{user}s:x:0:\n")
        space = tmp_path / "proc" / str(pid) / "ns"
        space.mkdir()
        (space / "mnt").touch()
    return tmp_path / "proc" / str(PID) / "root"


def names(roots: Path, clock: Clock | None = None) -> tuple[Users, int, int]:
    proc = Procfs(roots.parents[1])
    host, box = proc.mnt_ns(HOST), proc.mnt_ns(PID)
    assert host is not None
    assert box is not None
    return Users(proc, host_pid=HOST, clock=clock or Clock()), host, box


def test_each_namespace_has_its_own_names(roots: Path) -> None:
    users, host, box = names(roots)
    assert users.user(0, 999, host) == User("hostroot", "/home/hostroot", "/bin/sh")
    assert users.user(0, PID, box) == User("boxroot", "/home/boxroot", "/bin/sh")
    assert users.group(0, PID, box) == "boxroots"
    assert users.user(5, PID, box) is None


def test_a_link_stays_inside_the_root(roots: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside:x:0:0::/:/bin/sh\n")
    passwd = roots / "etc" / "passwd"
    for target in (str(tmp_path / "secret"), "../../../../secret", "../../../1/root/etc/passwd"):
        passwd.unlink()
        passwd.symlink_to(target)
        users, _, box = names(roots)
        assert users.user(0, PID, box) is None, target


def test_a_link_inside_the_root_is_followed(roots: Path) -> None:
    passwd = roots / "etc" / "passwd"
    passwd.rename(roots / "etc" / "real")
    passwd.symlink_to("/etc/real")  # absolute: in the container's own eyes
    users, _, box = names(roots)
    found = users.user(0, PID, box)
    assert found is not None
    assert found.name == "boxroot"


def test_a_fifo_does_not_block(roots: Path) -> None:
    passwd = roots / "etc" / "passwd"
    passwd.unlink()
    os.mkfifo(passwd)
    users, _, box = names(roots)
    assert users.user(0, PID, box) is None


def test_a_directory_or_nothing(roots: Path) -> None:
    passwd = roots / "etc" / "passwd"
    passwd.unlink()
    users, _, box = names(roots)
    assert users.user(0, PID, box) is None
    passwd.mkdir()
    users, _, box = names(roots)
    assert users.user(0, PID, box) is None


def test_a_huge_file_is_not_read(roots: Path) -> None:
    passwd = roots / "etc" / "passwd"
    with passwd.open("ab") as file:
        file.truncate(LIMIT + 1)
    users, _, box = names(roots)
    assert users.user(0, PID, box) is None
    with passwd.open("ab") as file:
        file.truncate(LIMIT)
    users, _, box = names(roots)
    assert users.user(0, PID, box) is not None


def test_a_change_is_seen_and_an_unchanged_file_is_not_read_again(roots: Path) -> None:
    clock = Clock()
    users, _, box = names(roots, clock)
    passwd = roots / "etc" / "passwd"
    assert users.user(7, PID, box) is None
    new = roots / "etc" / "new"
    new.write_text("seven:x:7:7::/:/bin/sh\n")
    new.rename(passwd)
    assert users.user(7, PID, box) is None  # trusted for a while
    clock.now += 3_000_000_000
    assert users.user(7, PID, box) == User("seven", "/", "/bin/sh")
    assert users.user(0, PID, box) is None


def test_names_outlive_the_process_they_were_read_by(roots: Path) -> None:
    clock = Clock()
    users, _, box = names(roots, clock)
    assert users.user(0, PID, box) is not None
    clock.now += 3_000_000_000
    assert users.user(0, 31337, box) is not None  # no such process any more


def test_odd_lines_are_skipped(roots: Path) -> None:
    (roots / "etc" / "passwd").write_bytes(
        b"a:x\n\xff\xfe:x:3:3::/:/s\nn:x:\xd9\xa3:3::/:/s\nlong:x:"
        + b"9" * 5000
        + b":0::/:/s\nfirst:x:4:4::/:/s\n2nd:x:4:4::/:/s\n"
    )
    users, _, box = names(roots)
    four, three = users.user(4, PID, box), users.user(3, PID, box)
    assert four is not None
    assert four.name == "first"
    assert three is not None
    assert three.name == "\ufffd\ufffd"
