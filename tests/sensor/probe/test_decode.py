"""Bytes to events, without a kernel: what is right, and what anybody could make of it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.event import Event, Exec, File, Socket
from sensor.probe import addresses, paths
from sensor.probe.decode import Decoder
from sensor.probe.executable import writable
from sensor.probe.kernel import encoded, possible_cpus
from sensor.probe.record import ANCESTOR, CHUNK, CHUNKS_AT, HEAD, INODE, MAGIC, SOCK, TASK, Inode, Tag, Type
from sensor.table import BY_EVENT, SYSTEM_CALLS
from tests.sensor.events import task

BOOT = 1_700_000_000_000_000_000


def a_task(pid: int = 10, comm: bytes = b"cat", flags: int = 1) -> bytes:
    ids = (0, 0, -1, pid, 5, 34816, pid, pid, pid, 1, 2, flags)
    return TASK.pack(pid, pid, 77, *ids, 1, 2, 3, 4, comm, b"bash")


def record(type_: int = Type.SYSCALL, nr: int = 257, res: int = 3, **parts: bytes) -> bytes:
    """`parts` are chunks by the names of their tags; args are those of an openat of O_RDONLY."""
    chunks = b""
    for name, content in parts.items():
        chunks += CHUNK.pack(Tag[name.rstrip("_").upper()], len(content)) + content
        chunks += bytes(-len(chunks) % 4)
    args = (0xFFFFFF9C, 0, 0, 0, 0, 0)
    length = CHUNKS_AT + len(chunks)
    head = HEAD.pack(MAGIC, length, type_, nr, 1, 1000, res, *args, len(chunks), 0)
    return head + a_task() + a_task(11) + chunks


def decoded(data: bytes) -> Event:
    event = Decoder("x86_64", BOOT).decode(data)
    assert event is not None
    return event


def test_an_open() -> None:
    event = decoded(
        record(
            str0=b"../shadow\0",
            dir0=b"init.d\0etc\0",
            kpath=b"shadow\0etc\0",
            inode=INODE.pack(7, 0, 1, 2, 3, 4, 8 << 20 | 300, 0o100640, 0, 42, 0, 1 << 20, 1, 0),
            ancestors=ANCESTOR.pack(5, 0, 6, b"bash"),
            cgroup=b"a.scope\0system.slice\0",
            cgroup_=b"",
        )
    )
    assert event.detail == File(
        fd=3,
        name="/etc/shadow",
        nameraw="../shadow",
        kernel_path="/etc/shadow",
        flags=1 | 1 << 14 | 1 << 16,
        mode=0,
        dev=8 << 8 | 300 & 0xFF | (300 & ~0xFF) << 12,
        ino=7,
    )
    assert (event.type, event.time_ns, event.num, event.cpu, event.res) == ("openat", BOOT + 1000, 1, 1, 3)
    assert event.task.cgroup == "/system.slice/a.scope\n/"
    assert (event.task.session_comm, event.task.loginuid, event.task.ancestors[0].comm) == (
        "bash",
        -1,
        "bash",
    )


def test_a_process_that_does_much_is_decoded_once() -> None:
    decoder = Decoder("x86_64", BOOT)
    one, two = decoder.decode(record(str0=b"/a\0")), decoder.decode(record(str0=b"/b\0"))
    assert one is not None
    assert two is not None
    assert one.task is two.task


@pytest.mark.parametrize(
    ("walk", "path"),
    [
        (b"", "/"),
        (b"c\0b\0a\0", "/a/b/c"),
        (b"c\0b\0\0", "<UNKNOWN>/b/c"),
        (b"memfd:x\0\0\0", "memfd:x"),
        (b"memfd:x\0", "/memfd:x"),
        (b"\xff\0", "/\ufffd"),
    ],
)
def test_walks(walk: bytes, path: str) -> None:
    assert paths.walked(walk)[0] == path


@pytest.mark.parametrize(
    ("directory", "name", "path"),
    [
        ("/etc", "shadow", "/etc/shadow"),
        ("/etc", "../../..", "/"),
        ("/etc", "", "/etc"),
        ("/", "a/./b//c/", "/a/b/c"),
        ("/x", "//etc//shadow", "/etc/shadow"),
        ("/x", "/..a/.b", "/..a/.b"),
        (None, "../a", "/a"),
        (None, "b", "<UNKNOWN>/b"),
    ],
)
def test_joined(directory: str | None, name: str, path: str) -> None:
    assert paths.joined(directory, name) == path


@given(st.binary(max_size=2000))
def test_random_bytes_are_counted(data: bytes) -> None:
    decoder = Decoder("x86_64", BOOT)
    assert decoder.decode(data) is None
    assert decoder.corrupt == 1


TAGS = [tag.name.lower() for tag in Tag]


@given(
    st.sampled_from([*Type, 0, 9]),
    st.sampled_from([call.x86_64 for call in SYSTEM_CALLS if call.x86_64 is not None] + [0, 511]),
    st.integers(-(2**63), 2**63 - 1),
    st.dictionaries(st.sampled_from(TAGS), st.binary(max_size=120), max_size=8),
)
def test_a_record_of_any_content_is_an_event_or_is_counted(
    type_: int, nr: int, res: int, parts: dict[str, bytes]
) -> None:
    decoder = Decoder("x86_64", BOOT)
    event = decoder.decode(record(type_, nr, res, **parts))
    assert (event is None) == (decoder.corrupt == 1)
    if event is not None:
        assert event.type
        assert isinstance(event.detail, File | Socket | Exec | None)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=8))
def test_a_damaged_record_never_ends_the_watch(at: int, damage: bytes) -> None:
    data = record(str0=b"/etc/shadow\0", kpath=b"shadow\0etc\0", ancestors=ANCESTOR.pack(5, 0, 6, b"bash"))
    at %= len(data)
    decoder = Decoder("x86_64", BOOT)
    decoder.decode(data[:at] + damage + data[at + len(damage) :])
    assert decoder.decode(data[:at]) is None


def sock(family: int, local: bytes, lport: int, remote: bytes, rport: int, state: int = 1) -> bytes:
    return SOCK.pack(family, 6, lport, rport, local.ljust(16, b"\0"), remote.ljust(16, b"\0"), state, 0)


def sockaddr(address: bytes, port: int, family: int = 2) -> bytes:
    head = struct.pack("<H", family) + struct.pack(">H", port)
    return head + address if family != 10 else head + bytes(4) + address


HERE, PEER, MEANT = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), bytes([10, 0, 0, 3])


@pytest.mark.parametrize(
    ("passed", "remote"),
    [
        (None, ("10.0.0.2", 443)),
        (sockaddr(MEANT, 80), ("10.0.0.3", 80)),  # a load balancer in the kernel chose the peer
        (sockaddr(MEANT, 80, family=0), ("10.0.0.3", 80)),  # AF_UNSPEC on a v4 socket is v4
        (sockaddr(bytes(4), 0, family=0), ("10.0.0.2", 443)),
        (sockaddr(MEANT, 80)[:6], ("10.0.0.2", 443)),  # too short: the kernel refuses it
    ],
)
def test_whom_the_caller_meant(passed: bytes | None, remote: tuple[str, int]) -> None:
    found, connected = addresses.socket(5, sock(2, HERE, 999, PEER, 443), passed, connect=True)
    assert (found.remote, found.local, connected) == (remote, ("10.0.0.1", 999), True)
    assert found.peer == (None if remote == ("10.0.0.2", 443) else ("10.0.0.2", 443))


@pytest.mark.parametrize("decoy", [sockaddr(MEANT, 80), struct.pack("<H", 1) + b"/dev/log\0"])
def test_an_address_passed_with_what_is_sent_on_a_connection_misleads_nobody(decoy: bytes) -> None:
    found, _ = addresses.socket(5, sock(2, HERE, 999, PEER, 443), decoy, connect=False)
    assert (found.remote, found.path, found.peer) == (("10.0.0.2", 443), None, None)


def test_addresses_without_a_peer_and_mapped_ones() -> None:
    nobody, _ = addresses.socket(5, sock(2, bytes(4), 0, bytes(4), 0, state=7), None, connect=True)
    assert (nobody.remote, addresses.tuple_text(nobody)) == (None, "0.0.0.0:0->0.0.0.0:0")
    mapped = bytes(10) + b"\xff\xff" + PEER
    six, _ = addresses.socket(5, sock(10, mapped, 1, mapped, 2), sockaddr(mapped, 2, family=10), connect=True)
    assert (six.local, six.remote) == (("10.0.0.2", 1), ("10.0.0.2", 2))


@pytest.mark.parametrize(
    ("changes", "uid", "gid", "capabilities", "answer"),
    [
        ({}, 5, 5, 0, True),  # the owner
        ({}, 7, 7, 0, False),
        ({"mode": 0o100020}, 7, 6, 0, True),
        ({"mode": 0o100002}, 7, 6, 0, False),  # the group's bits count, not the others'
        ({"mode": 0o100002}, 7, 7, 0, True),
        ({}, 7, 7, 1 << 1, True),  # CAP_DAC_OVERRIDE
        ({"sflags": 1}, 5, 5, 1 << 1, False),  # a file system that is read-only
        ({"iflags": 8}, 5, 5, 1 << 1, False),  # immutable
        ({"uid": 0xFFFFFFFF}, 0, 0, 1 << 1, False),  # an owner that is not mapped
    ],
)
def test_who_may_write_to_a_program(
    changes: dict[str, int], uid: int, gid: int, capabilities: int, answer: bool
) -> None:
    values = dict.fromkeys(Inode._fields, 0) | {"uid": 5, "gid": 6, "mode": 0o100755} | changes
    assert writable(Inode(**values), task(uid=uid, gid=gid, cap_effective=capabilities)) is answer


def test_calls_as_the_program_reads_them() -> None:
    layout = "=BB2b2bbbBbH4x"  # enabled, kind, strings, directories, fd, address, message, how, number
    openat2, sendmsg, symlink = [encoded(BY_EVENT[one], 7) for one in ("openat2", "sendmsg", "symlink")]
    assert struct.unpack(layout, openat2) == (1, 1, 1, -1, 0, -2, -1, -1, 0, 2, 7)
    assert struct.unpack(layout, sendmsg) == (1, 3, -1, -1, -2, -2, 0, 1, 1, 0, 7)
    assert struct.unpack(layout, symlink) == (1, 2, 0, 1, -2, -1, -1, -1, 0, 0, 7)


@pytest.mark.parametrize(("text", "count"), [("0\n", 1), ("0-3\n", 4), ("0-3,8-11\n", 12)])
def test_possible_cpus(text: str, count: int) -> None:
    assert possible_cpus(text) == count
