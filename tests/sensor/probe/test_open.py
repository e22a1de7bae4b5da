"""Opened files, by the thing itself."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sensor.rendering import OPEN_FLAGS, flags_text
from tests.sensor.probe.watched import files, seen

pytestmark = pytest.mark.bpf


def test_every_way_to_name_a_file(tmp_path: Path) -> None:
    (tmp_path / "dir" / "sub").mkdir(parents=True)
    (tmp_path / "dir" / "secret").write_text("x")
    (tmp_path / "link").symlink_to("dir/secret")
    events = seen(f"""
        os.chdir({str(tmp_path / "dir")!r})
        os.open("secret", os.O_RDONLY)
        os.open("./sub/..//secret", os.O_RDONLY)
        at = os.open("sub", os.O_RDONLY | os.O_DIRECTORY)
        os.open("../secret", os.O_RDONLY, dir_fd=at)
        os.open("/../{tmp_path}/dir/secret", os.O_RDONLY)
        os.open("../link", os.O_RDONLY)
        """)
    found = [(one.name, one.nameraw, one.kernel_path) for _, one in files(events)]
    at = str(tmp_path)
    secret = f"{at}/dir/secret"
    assert found == [
        (secret, "secret", secret),
        (secret, "./sub/..//secret", secret),
        (f"{at}/dir/sub", "sub", f"{at}/dir/sub"),
        (secret, "../secret", secret),
        (secret, f"/../{at}/dir/secret", secret),
        (f"{at}/link", "../link", secret),
    ]


def test_parameters_are_resolved_as_in_falco(tmp_path: Path) -> None:
    events = seen(f"""
        at = os.open({str(tmp_path)!r}, os.O_RDONLY | os.O_DIRECTORY)
        try: os.open("missing", os.O_RDONLY, dir_fd=at)
        except OSError: pass
        """)
    (first, directory), (second, missing) = files(events, "openat")
    assert first.params["name"] == str(tmp_path)
    assert second.params == {"dirfd": directory.fd, "name": f"{tmp_path}/missing"}
    assert (second.res, missing.fd, missing.kernel_path) == (-2, -1, None)


def test_flags_mode_and_inode(tmp_path: Path) -> None:
    new = tmp_path / "new"
    events = seen(f"""
        os.umask(0)
        os.open({str(new)!r}, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_EXCL, 0o741)
        os.open({str(new)!r}, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o777)
        os.open({str(tmp_path)!r}, os.O_RDWR | os.O_TMPFILE, 0o600)
        os.open({str(tmp_path)!r}, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK)
        """)
    one, two, three, four = [file for _, file in files(events)]
    texts = [flags_text(file.flags, OPEN_FLAGS) for file in (one, two, three, four)]
    assert texts == [
        "O_TRUNC|O_EXCL|O_CREAT|O_WRONLY|O_CLOEXEC|O_F_CREATED",
        "O_APPEND|O_CREAT|O_RDWR|O_CLOEXEC",
        "O_RDWR|O_CLOEXEC|O_TMPFILE",
        "O_DIRECTORY|O_NONBLOCK|O_RDONLY|O_CLOEXEC",
    ]
    assert [file.mode for file in (one, two, three, four)] == [0o741, 0o777, 0o600, 0]
    assert (one.ino, one.dev) == (new.stat().st_ino, new.stat().st_dev)


def test_the_other_calls_that_open(tmp_path: Path) -> None:
    made = tmp_path / "made"
    events = seen(f"""
        path = {str(made).encode()!r}
        libc.syscall(85, path, 0o640)
        libc.syscall(2, path, os.O_RDONLY)
        how = struct.pack("QQQ", os.O_RDWR | os.O_CREAT, 0o600, 0)
        libc.syscall(437, -100, path, how, len(how))
        """)
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers in this test are x86-64's")
    found = [(event.type, flags_text(file.flags, OPEN_FLAGS), file.mode) for event, file in files(events)]
    assert found == [
        ("creat", "O_TRUNC|O_CREAT|O_WRONLY|O_F_CREATED", 0o640),
        ("open", "O_RDONLY", 0),
        ("openat2", "O_CREAT|O_RDWR", 0o600),
    ]


def test_a_name_that_cannot_be_read_is_an_event() -> None:
    ((event, file),) = files(seen("libc.syscall(257 if os.uname().machine == 'x86_64' else 56, -100, 8, 0)"))
    assert (event.res, file.nameraw, file.name) == (-14, "", "<UNKNOWN>")


def test_long_and_strange_names(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 255) / ("e" * 255) / ("f" * 255)
    deep.mkdir(parents=True)
    name = "ä\n\udcff"  # a byte that is not UTF-8
    (deep / name).write_text("x")
    events = seen(f"""
        os.chdir({os.fsencode(deep)!r})
        os.open({os.fsencode(name)!r}, os.O_RDONLY)
        """)
    ((_, file),) = files(events)
    assert file.name == file.kernel_path == f"{deep}/ä\n\ufffd"


def test_a_root_of_its_own_is_where_paths_begin(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "shadow").write_text("x")
    events = seen(f"""
        os.chroot({str(tmp_path)!r})
        os.chdir("/etc")
        os.open("shadow", os.O_RDONLY)
        """)
    ((_, file),) = files(events)
    assert file.name == file.kernel_path == "/etc/shadow"


def test_links_that_are_made(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("x")
    events = seen(f"""
        os.chdir({str(tmp_path)!r})
        os.symlink("/etc/shadow", "soft")
        os.link("old", "hard")
        """)
    if os.uname().machine != "x86_64":
        pytest.skip("libc makes links with other calls here")
    soft = next(one for one in events if one.type == "symlink")
    hard = next(one for one in events if one.type in ("link", "linkat"))
    assert soft.params == {"res": 0, "target": "/etc/shadow", "linkpath": f"{tmp_path}/soft"}
    assert (hard.params["oldpath"], hard.params["newpath"]) == (f"{tmp_path}/old", f"{tmp_path}/hard")


def test_the_time_is_that_of_the_event(tmp_path: Path) -> None:
    before = time.time_ns()
    events = seen(f"os.open({str(tmp_path)!r}, os.O_RDONLY)")
    slack = 50_000_000  # the wall clock may be set while the machine runs
    assert before - slack <= events[0].time_ns <= time.time_ns() + slack
    assert [one.num for one in events] == list(range(1, len(events) + 1))


def test_a_directory_that_was_moved_or_removed_meanwhile(tmp_path: Path) -> None:
    for name in ("moved", "gone"):
        (tmp_path / name).mkdir()
    (tmp_path / "moved" / "file").write_text("x")
    events = seen(f"""
        os.chdir({str(tmp_path / "moved")!r})
        os.rename({str(tmp_path / "moved")!r}, {str(tmp_path / "here")!r})
        os.open("file", os.O_RDONLY)
        os.chdir({str(tmp_path / "gone")!r})
        os.rmdir({str(tmp_path / "gone")!r})
        try: os.open("file", os.O_RDONLY)
        except OSError: pass
        """)
    (_, moved), (event, gone) = files(events)
    assert moved.name == moved.kernel_path == f"{tmp_path}/here/file"
    assert (gone.name, event.res) == (f"{tmp_path}/gone/file", -2)


def test_mounts_are_crossed_upward(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    (tmp_path / "at" / "inner").mkdir(parents=True)
    events = seen(f"""
        assert libc.unshare(0x20000) == 0 and libc.mount(b"", b"/", None, 1 << 18 | 1 << 14, None) == 0
        for part in ({str(tmp_path / "at")!r}, {str(tmp_path / "at" / "inner")!r}):
            os.makedirs(part, exist_ok=True)
            assert libc.mount(b"none", part.encode(), b"tmpfs", 0, None) == 0
        os.chdir({str(tmp_path / "at" / "inner")!r})
        os.close(os.open("new", os.O_WRONLY | os.O_CREAT))
        """)
    ((_, file),) = files(events)
    assert file.name == file.kernel_path == f"{tmp_path}/at/inner/new"
