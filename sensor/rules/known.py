"""Every field that Falco 0.44 knows (`falco --list`, with the plugins container and k8smeta), by kind.

A rule that names another field is wrong, as in Falco. One that names a field which stands here, but which the
sensor does not have, is left out.
"""

from __future__ import annotations

import re

from condition.ast import Field
from condition.fields import FieldInfo, Kind, Many, UnknownFieldError

_TABLE = {
    Kind.STRING: """
        evt.time evt.time.s evt.time.iso8601 evt.datetime evt.datetime.s evt.pluginname evt.plugininfo
        evt.source evt.asynctype evt.hostname evt.latency.human evt.outputtime evt.dir evt.type syscall.type
        evt.category evt.args evt.arg! evt.info evt.res evt.io_dir evt.abspath! evt.infra.docker.name
        evt.infra.docker.container.id evt.infra.docker.container.name evt.infra.docker.container.image
        proc.exe proc.pexe proc.aexe? proc.exepath proc.pexepath proc.aexepath? proc.name proc.pname
        proc.aname? proc.args? proc.aargs? proc.cmdline proc.pcmdline proc.acmdline? proc.exeline proc.env?
        proc.aenv? proc.cwd proc.sname proc.sid.exe proc.sid.exepath proc.vpgid.name proc.vpgid.exe
        proc.vpgid.exepath proc.pgid.name proc.pgid.exe proc.pgid.exepath proc.stdin.type proc.stdout.type
        proc.stderr.type proc.stdin.name proc.stdout.name proc.stderr.name
        thread.cap_permitted thread.cap_inheritable thread.cap_effective thread.nametid thread.cgroups
        thread.cgroup!
        fd.type fd.typechar fd.name fd.directory fd.filename fd.l4proto fd.sockfamily fd.uid fd.containername
        fd.containerdirectory fd.cproto fd.sproto fd.lproto fd.rproto fd.cip.name fd.sip.name fd.lip.name
        fd.rip.name fd.nameraw fd.types?
        fs.path.name fs.path.nameraw fs.path.source fs.path.sourceraw fs.path.target fs.path.targetraw
        fdlist.nums fdlist.names fdlist.cips fdlist.sips fdlist.cports fdlist.sports
        syslog.facility.str syslog.severity.str syslog.message
        user.name user.homedir user.shell user.loginname group.name
        container.id container.full_id container.name container.image container.image.id container.type
        container.mounts container.mount! container.mount.source! container.mount.dest! container.mount.mode!
        container.mount.rdwr! container.mount.propagation! container.image.repository container.image.tag
        container.image.digest container.healthcheck container.liveness_probe container.readiness_probe
        container.ip container.cni.json container.label! container.labels
        k8s.pod.name k8s.ns.name k8s.pod.id k8s.pod.uid k8s.pod.sandbox_id k8s.pod.full_sandbox_id
        k8s.pod.label! k8s.pod.labels k8s.pod.ip k8s.pod.cni.json k8s.rc.name k8s.rc.id k8s.rc.label!
        k8s.rc.labels k8s.svc.name k8s.svc.id k8s.svc.label! k8s.svc.labels k8s.ns.id k8s.ns.label!
        k8s.ns.labels k8s.rs.name k8s.rs.id k8s.rs.label! k8s.rs.labels k8s.deployment.name
        k8s.deployment.id k8s.deployment.label! k8s.deployment.labels
        k8smeta.pod.name k8smeta.pod.uid k8smeta.pod.label! k8smeta.pod.labels k8smeta.pod.ip k8smeta.ns.name
        k8smeta.ns.uid k8smeta.ns.label! k8smeta.ns.labels k8smeta.deployment.name k8smeta.deployment.uid
        k8smeta.deployment.label! k8smeta.deployment.labels k8smeta.svc.name k8smeta.svc.uid
        k8smeta.svc.label! k8smeta.svc.labels k8smeta.rs.name k8smeta.rs.uid k8smeta.rs.label!
        k8smeta.rs.labels k8smeta.rc.name k8smeta.rc.uid k8smeta.rc.label! k8smeta.rc.labels
    """,
    Kind.NUMBER: """
        evt.num evt.rawtime evt.rawtime.s evt.rawtime.ns evt.reltime evt.reltime.s evt.reltime.ns evt.latency
        evt.latency.s evt.latency.ns evt.latency.quantized evt.deltatime evt.deltatime.s evt.deltatime.ns
        evt.type.is! evt.cpu evt.buflen evt.rawres evt.wait_latency evt.count evt.count.error
        evt.count.error.file evt.count.error.net evt.count.error.memory evt.count.error.other evt.count.exit
        evt.count.procinfo evt.count.threadinfo evt.around! evt.buflen.in evt.buflen.out evt.buflen.file
        evt.buflen.file.in evt.buflen.file.out evt.buflen.net evt.buflen.net.in evt.buflen.net.out
        proc.cmdnargs proc.cmdlenargs proc.loginshellid proc.tty proc.pid proc.ppid proc.apid? proc.vpid
        proc.pvpid proc.sid proc.vpgid proc.pgid proc.duration proc.ppid.duration proc.pid.ts proc.ppid.ts
        proc.exe_ino proc.exe_ino.ctime proc.exe_ino.mtime proc.exe_ino.ctime_duration_proc_start
        proc.exe_ino.ctime_duration_pidns_start proc.pidns_init_start_ts proc.fdopencount proc.fdlimit
        proc.fdusage proc.vmsize proc.vmrss proc.vmswap proc.nthreads proc.nchilds
        thread.pfmajor thread.pfminor thread.tid thread.vtid thread.exectime thread.totexectime thread.cpu
        thread.cpu.user thread.cpu.system thread.vmsize thread.vmrss thread.vmsize.b thread.vmrss.b
        fd.num fd.port fd.cport fd.sport fd.lport fd.rport fd.proto fd.dev fd.dev.major fd.dev.minor fd.ino
        syslog.facility syslog.severity user.uid user.loginuid group.gid util.cnt
        container.start_ts container.duration
    """,
    Kind.BOOL: """
        evt.is_async evt.failed evt.is_io evt.is_io_read evt.is_io_write evt.is_wait evt.is_syslog
        evt.is_open_read evt.is_open_write evt.is_open_exec evt.is_open_create
        proc.is_exe_writable proc.is_exe_upper_layer proc.is_exe_lower_layer proc.is_exe_from_memfd
        proc.is_sid_leader proc.is_vpgid_leader proc.is_pgid_leader proc.is_container_healthcheck
        proc.is_container_liveness_probe proc.is_container_readiness_probe thread.ismain
        fd.is_server fd.connected fd.name_changed fd.is_upper_layer fd.is_lower_layer
        container.privileged container.host_pid container.host_network container.host_ipc
    """,
    Kind.BYTES: "evt.buffer",
    Kind.IP: "fd.ip fd.cip fd.sip fd.lip fd.rip",
    Kind.NET: "fd.net fd.cnet fd.snet fd.lnet fd.rnet",
    Kind.DYNAMIC: "evt.rawarg!",
}
"""`!`: needs an argument, `?`: may have one."""

KINDS: dict[str, Kind] = {}
_ARGUMENT: dict[str, bool] = {}
for _kind, _names in _TABLE.items():
    for _word in _names.split():
        KINDS[_word.rstrip("!?")] = _kind
        if _word[-1] in "!?":
            _ARGUMENT[_word[:-1]] = _word[-1] == "!"

_MANY = {
    **dict.fromkeys(("proc.aname", "proc.aexe", "proc.aexepath", "proc.acmdline", "proc.apid"), Many.ANY),
    **dict.fromkeys(("proc.aenv", "proc.aargs"), Many.ANY),
    **dict.fromkeys(("fd.ip", "fd.net", "fd.port", "fd.proto"), Many.PAIR),
    **dict.fromkeys(("k8smeta.pod.labels", "k8smeta.ns.labels", "k8smeta.deployment.labels"), Many.LIST),
    **dict.fromkeys(("k8smeta.svc.name", "k8smeta.svc.uid", "k8smeta.svc.label"), Many.LIST),
    **dict.fromkeys(("k8smeta.svc.labels", "k8smeta.rs.labels", "k8smeta.rc.labels"), Many.LIST),
    "fd.types": Many.LIST,
}
_DOTTED = """
    evt.arg evt.rawarg evt.abspath evt.type.is thread.cgroup container.label k8s.pod.label k8s.ns.label
    k8s.rc.label k8s.svc.label k8s.rs.label k8s.deployment.label
"""
DOTTED = tuple(f"{name}." for name in _DOTTED.split())
"""Fields whose argument may also follow a dot: evt.arg.flags."""

DEPRECATED = frozenset(
    {"evt.dir", "evt.latency", "evt.latency.s", "evt.latency.ns", "evt.latency.human", "evt.wait_latency"}
)

_NAME = re.compile(r"[a-zA-Z0-9_]+(?:\.[a-zA-Z0-9_/-]+)+", re.ASCII)


def _split(name: str, arg: str | None) -> tuple[str, str | None]:
    """evt.arg.flags is evt.arg with the argument flags."""
    if arg is None and name not in KINDS:
        for prefix in DOTTED:
            if name.startswith(prefix) and len(name) > len(prefix):
                return prefix[:-1], name[len(prefix) :]
    return name, arg


def resolve(name: str, arg: str | None) -> FieldInfo:
    """The field without a value. Raises UnknownFieldError, in Falco's words, where Falco does not know it."""
    base, given = _split(name, arg)
    kind = KINDS.get(base)
    if kind is None:
        raise UnknownFieldError(f"filter_check called with nonexistent field {name}")
    if given is None and _ARGUMENT.get(base, False):
        raise UnknownFieldError(f"filter_check called with nonexistent field {name}: it needs an argument")
    if given is not None and base not in _ARGUMENT:
        raise UnknownFieldError(
            f"filter_check called with nonexistent field {name}[{given}]: {name} takes none"
        )
    many = _MANY.get(base, Many.ONE)
    if many is Many.ANY and given is not None:
        many = Many.ONE
    return FieldInfo(name, kind, _absent, many)


def _absent(event: object) -> None:
    return None


def is_known(field: Field) -> bool:
    """Whether Falco knows the field, and takes it with this argument."""
    try:
        resolve(field.name, field.arg)
    except UnknownFieldError:
        return False
    return True


def longest(text: str, start: int) -> str | None:
    """The longest name of a field that begins at `start`, as Falco reads output texts."""
    found = _NAME.match(text, start)
    if found is None:
        return None
    name = found[0]
    while name not in KINDS and _split(name, None)[0] not in KINDS:
        shorter = max(name.rfind(char) for char in "._-/")
        # A name may end within a word: %proc.pnameX is proc.pname and an X.
        name = name[:-1] if shorter < len(name) - 1 else name[:shorter]
        if "." not in name:
            return None
    return name


def takes_argument(name: str) -> bool:
    """Whether brackets after this name belong to it."""
    return name in _ARGUMENT
