"""Records config/examples/demo.rec: an intruder's session, played for real in namespaces of its own, as root.

Nothing outside is changed: it writes only to memory file systems in a mount namespace of its own. To tell
nothing of the machine, the session has an environment of its own and the root's cgroups, init is called
systemd, and the loader's libraries are left out.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from pathlib import Path

from sensor.event import File
from sensor.probe import ProbeOptions
from sensor.probe.decode import Decoder
from sensor.probe.kernel import Kernel
from sensor.probe.record import ANCESTOR
from sensor.probe.recording import Writer

OUTPUT = Path(__file__).resolve().parent.parent / "config" / "examples" / "demo.rec"
OWN = ("/root", "/tmp", "/var/log", "/dev/shm")  # noqa: S108  memory file systems over these
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C"}
SESSION = """
cd /root
mkdir -p .ssh .aws
echo key > .ssh/id_rsa; echo aws_access_key_id > .aws/credentials
whoami; sleep 0.4
cat /etc/shadow; sleep 0.5
ln -s /etc/shadow /tmp/backup; cat /tmp/backup; sleep 0.4
find /root -name id_rsa; sleep 0.4
grep -r aws_access_key_id /root/.aws; sleep 0.4
cp /bin/ls /dev/shm/.x; /dev/shm/.x /; sleep 0.4
cp /bin/bash /tmp/nginx; /tmp/nginx -c 'sh -c id; true'; sleep 0.4
ln /etc/shadow /tmp/shadow; sleep 0.4
perl -e '$n = "x"; $f = syscall(319, $n, 1); open($o, ">&=", $f); open($i, "<", "/bin/true");
  binmode $_ for $o, $i; print $o do { local $/; <$i> }; $o->flush; exec { "/proc/self/fd/$f" } "kworker"'
sleep 0.4
shred -u .ssh/id_rsa; sleep 0.4
> /var/log/auth.log
"""
_NEW_MOUNTS, _PRIVATE = 0x00020000, 1 << 18 | 1 << 14  # CLONE_NEWNS; MS_PRIVATE | MS_REC
_INIT, _SYSTEMD = 1, b"systemd"
_LOADER = ("/lib/", "/usr/lib/", "/etc/ld.so.cache")
_RECORDS = 100_000


def session(gate: int, told: int) -> None:
    """Become the session, once the gate opens; its own leader, a child of init."""
    if os.fork():
        os._exit(0)
    os.setsid()
    for tasks in Path("/sys/fs/cgroup").glob("**/cgroup.procs"):
        if tasks.parent.parent == Path("/sys/fs/cgroup"):
            tasks.write_text(str(os.getpid()))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(_NEW_MOUNTS) == 0, os.strerror(ctypes.get_errno())
    assert libc.mount(b"none", b"/", None, ctypes.c_ulong(_PRIVATE), None) == 0
    for directory in OWN:
        assert libc.mount(b"tmpfs", directory.encode(), b"tmpfs", ctypes.c_ulong(0), None) == 0
    os.chdir("/root")
    null, (commands, typed) = os.open("/dev/null", os.O_RDWR), os.pipe()
    os.write(typed, SESSION.encode())
    os.write(told, str(os.getpid()).encode())
    os.read(gate, 1)
    for fd, source in enumerate((commands, null, null)):
        os.dup2(source, fd)
    os.closerange(3, 64)
    os.execve("/bin/bash", ["-bash"], ENVIRONMENT)  # noqa: S606


def neutral(record: bytes) -> bytes:
    """With another name for init, wherever it is an ancestor."""
    at = 0
    while (at := record.find(_INIT.to_bytes(8, "little"), at)) >= 0:
        if len(record) >= at + ANCESTOR.size:
            _, _, start, comm = ANCESTOR.unpack_from(record, at)
            if comm.rstrip(b"\0") == _init_name():
                renamed = ANCESTOR.pack(_INIT, 0, start, _SYSTEMD)
                record = record[:at] + renamed + record[at + ANCESTOR.size :]
        at += 1
    return record


def _init_name() -> bytes:
    return Path("/proc/1/comm").read_bytes().rstrip(b"\n")


def main() -> int:
    gate, opened = os.pipe()
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        session(gate, tell)
    os.waitpid(child, 0)
    pid = int(os.read(told, 32))
    boot = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    kernel, decoder, records = Kernel(ProbeOptions(scope_pid=pid)), Decoder(platform.machine(), boot), []
    kernel.open()
    os.write(opened, b"x")
    ended = False
    while not ended:
        kernel.wait(1)
        for record in kernel.take(_RECORDS):
            event = decoder.decode(record)
            assert event is not None
            ended |= event.type == "procexit" and event.task.pid == pid
            loader = isinstance(event.detail, File) and event.detail.name.startswith(_LOADER)
            if event.task.comm != "python" and not loader:
                records.append(neutral(record))
    assert kernel.counts().lost == 0
    kernel.close()
    OUTPUT.unlink(missing_ok=True)
    with Writer(OUTPUT, platform.machine(), boot) as writer:
        for record in records:
            writer.record(record)
    OUTPUT.chmod(0o644)
    print(f"{OUTPUT}: {len(records)} records, {OUTPUT.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
