"""A stream that is recorded and replayed: the same events, and clear words about a file that is none."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sensor.event import Event, Lost
from sensor.probe import ProbeError, ProbeOptions
from sensor.probe.decode import Decoder
from sensor.probe.kernel import Kernel
from sensor.probe.record import Tag, Type
from sensor.probe.recorder import Recorder
from sensor.probe.recording import Loss, Writer
from sensor.probe.replay import ReplayProbe
from tests.sensor.probe.test_decode import BOOT, record
from tests.sensor.probe.watched import Child

RECORDS = [record(str0=b"/etc/shadow\0"), record(Type.EXEC, argv=b"id\0"), record(Type.EXIT, res=256)]


def replayed(file: Path, *, now: bool = False) -> list[Event | Lost]:
    probe = ReplayProbe(file, now=now)
    probe.open()
    found: list[Event | Lost] = []
    while batch := probe.read_batch(0):
        found += batch
    probe.close()
    probe.close()
    return found


def written(file: Path) -> bytes:
    with Writer(file, "x86_64", BOOT) as writer:
        writer.record(RECORDS[0])
        writer.lost(Loss(5, 3))
        for one in RECORDS[1:]:
            writer.record(one)
    return file.read_bytes()


def test_everything_comes_back_in_its_order(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    written(file)
    decoder = Decoder("x86_64", BOOT)
    first, second, third = [decoder.decode(one) for one in RECORDS]
    assert replayed(file) == [first, Lost(BOOT + 5, 3), second, third]
    assert file.stat().st_mode & 0o777 == 0o600


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_text("precious")
    with pytest.raises(FileExistsError):
        Writer(tmp_path / "a.rec", "x86_64", BOOT)


def test_times_can_be_moved_to_now(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    written(file)
    before = time.time_ns()
    times = [one.time_ns for one in replayed(file, now=True)]
    assert before <= max(times) <= time.time_ns()
    assert max(times) - min(times) == 995  # as far from each other as they were
    assert replayed(file)[0].time_ns == BOOT + 1000


def test_a_damaged_record_counts_as_lost(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    with Writer(file, "x86_64", BOOT) as writer:
        writer.record(RECORDS[0])
        writer.record(RECORDS[1][:-3])
    event, lost = replayed(file)
    assert isinstance(event, Event)
    assert lost == Lost(event.time_ns, 1)


def test_a_file_that_is_cut_anywhere_is_read_up_to_there(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.rec")
    counts = set()
    for end in range(len(whole)):
        file = tmp_path / "cut.rec"
        file.write_bytes(whole[:end])
        with suppress(ProbeError):  # the header is cut
            counts.add(len(replayed(file)))
    assert counts == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda whole: b"", "not a stream"),
        (lambda whole: b"scap" + whole, "not a stream"),
        (lambda whole: whole.replace(b'"layout":1', b'"layout":9'), "layout 9"),
        (lambda whole: whole.replace(b'"arch":"x86_64"', b'"arch":"mips64"'), "mips64"),
        (lambda whole: whole.replace(b'{"layout"', b'["layout"'), "header is damaged"),
    ],
)
def test_what_cannot_be_replayed_says_why(tmp_path: Path, change: object, said: str) -> None:
    file = tmp_path / "a.rec"
    whole = written(file)
    assert callable(change)
    file.write_bytes(change(whole))
    with pytest.raises(ProbeError, match=said):
        replayed(file)
    with pytest.raises(ProbeError, match="No such file"):
        replayed(tmp_path / "none")


@pytest.mark.bpf
def test_a_replay_gives_the_events_that_were_seen(tmp_path: Path) -> None:
    code = """
        server = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(server.getsockname())
        os.fork() and os.wait()
        os.open("/etc/passwd", os.O_RDONLY)
        os.execv("/bin/true", ["true", "x"])
        """
    with Child(code) as child:
        kernel = Kernel(ProbeOptions(scope_pid=child.pid))
        kernel.open()
        child.go()
        records = kernel.take(10_000)
        kernel.close()
    with Writer(tmp_path / "a.rec", os.uname().machine, BOOT) as writer:
        for one in records:
            writer.record(one)
    decoder = Decoder(os.uname().machine, BOOT)
    live = [decoder.decode(one) for one in records]
    assert {one.type for one in live if one is not None} >= {
        "connect",
        "clone",
        "openat",
        "execve",
        "procexit",
    }
    assert replayed(tmp_path / "a.rec") == live


@pytest.mark.bpf
def test_a_recorder_writes_until_it_is_told_and_counts_losses(tmp_path: Path) -> None:
    count, file = 3_000, tmp_path / "a.rec"
    with Child(f"for _ in range({count}): os.close(os.open('/', os.O_RDONLY))") as child:
        recorder = Recorder(file, ProbeOptions(scope_pid=child.pid, ring_bytes=65_536))
        recorder.open()
        stop = threading.Event()
        child.go()  # before the first read: most of it is lost
        stop.set()
        recorder.run(stop, None)
    found = replayed(file)
    assert recorder.lost > 0
    assert recorder.records + recorder.lost == count + 1
    assert sum(one.count if isinstance(one, Lost) else 1 for one in found) == count + 1
    with pytest.raises(ProbeError, match="File exists"):
        Recorder(file, ProbeOptions()).open()


def test_tags_are_the_programs() -> None:
    source = (Path(__file__).parents[3] / "sensor" / "bpf" / "sensor.bpf.c").read_text()
    names = source[source.index("enum tag {") : source.index("};", source.index("enum tag {"))]
    listed = [name.strip().split(" ")[0] for name in names.split("{")[1].split(",") if name.strip()]
    assert listed == [f"T_{tag.name}" for tag in Tag]
