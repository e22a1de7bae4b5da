"""32-bit calls, made with int 0x80: other numbers, the same events."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sensor.table import BY_EVENT, I386
from tests.sensor.probe.watched import executed, files, seen, sockets

pytestmark = [
    pytest.mark.bpf,
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="int 0x80 is x86's"),
]

# call(number, five arguments): text and bytes are put below 4 GiB, where 32 bits reach them.
CALL = """
def low(content=bytes(4096)):
    page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, prot=7)
    page.write(content)
    kept.append(page)
    return ctypes.addressof(ctypes.c_char.from_buffer(page))

kept = []
# Of edi, esi, edx, ecx, r8d, r9d it makes eax, ebx, ecx, edx, esi, edi, saving rbx and rbp.
CODE = low(bytes.fromhex("5355 89f8 89f3 4189d2 89ca 4489d1 4489c6 4489cf 31ed cd80 5d5bc3"))
entry = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint32] * 6)(CODE)
def call(number, *args):
    args = [low(one + b"\\0") if isinstance(one, bytes) else one & 0xffffffff for one in args]
    return entry(number, *(args + [0] * 5)[:5])
"""


def ran(code: str) -> str:
    return CALL + "\n" + "\n".join(line.strip() for line in code.strip().splitlines())


def test_files_are_opened_with_other_numbers(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    path = str(tmp_path / "a").encode()
    events = seen(
        ran(f"""
        os.chdir({str(tmp_path)!r})
        call(5, {path!r}, os.O_RDONLY)
        call(295, -100, b"./a", os.O_RDWR)
        call(8, b"b", 0o600)
        call(5, b"none", os.O_RDONLY)
        call(257, 1, 2, 3)
        call(2**31 + 5, {path!r}, 0)
        """)
    )
    found = [
        (event.type, file.name, file.kernel_path, event.res is not None and event.res >= 0)
        for event, file in files(events)
    ]
    at = f"{tmp_path}/a"
    assert found == [
        ("open", at, at, True),
        ("openat", at, at, True),
        ("creat", f"{tmp_path}/b", f"{tmp_path}/b", True),
        ("open", f"{tmp_path}/none", None, False),
    ]
    # 257 is openat of 64-bit programs, and another call here.
    assert [one.type for one in events] == ["open", "openat", "creat", "open", "procexit"]


def test_sockets_by_their_own_calls_and_by_socketcall() -> None:
    events = seen(
        ran("""
        server = socket.create_server(("127.0.0.1", 0))
        port = struct.pack(">H", server.getsockname()[1])
        address = low(struct.pack("<H", 2) + port + socket.inet_aton("127.0.0.1") + bytes(8))
        one = call(359, 2, 1, 0)
        call(362, one, address, 16)
        two = call(102, 1, low(struct.pack("<3I", 2, 2, 0)))
        call(102, 3, low(struct.pack("<3I", two, address, 16)))
        call(102, 11, low(struct.pack("<6I", two, low(b"abcd"), 4, 0, address, 16)))
        call(102, 16, low(struct.pack("<3I", two, low(struct.pack("<7I", address, 16, 0, 0, 0, 0, 0)), 0)))
        call(102, 2**32 - 900 + 5, low(b"/etc/passwd"))
        """)
    )
    made = [one for one in events if one.type == "socket"]
    assert [one.params["domain"] for one in made] == [2, 2, 2]  # the first is the server
    ends = [socket.remote for _, socket in sockets(events, "connect")]
    assert len(ends) == 2
    assert ends[0] == ends[1]
    ((sent, to),) = sockets(events, "sendto")
    ((_, message),) = sockets(events, "sendmsg")
    assert (sent.params["size"], to.remote, message.remote) == (4, ends[0], ends[0])
    assert files(events) == []


def test_every_event_of_the_table_has_its_number() -> None:
    assert set(I386) == set(BY_EVENT)


def test_an_exec_with_the_other_number_is_an_exec() -> None:
    events = seen(
        ran("""
        call(11, b"/none", 0, 0)
        call(11, b"/bin/true", low(struct.pack("<2I", low(b"true"), 0)), 0)
        """)
    )
    failed = next(one for one in events if one.type == "execve")
    assert (failed.res, failed.params["filename"]) == (-2, "/none")
    assert [image.argv for _, image in executed(events)] == [("true",)]
