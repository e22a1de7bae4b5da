"""Container ids: cgroup paths as the runtimes write them, and paths that only resemble them."""

import pytest

from sensor.containers import Containers, container_in

A = "a1" * 32
B = "0b" * 32
UID = "3f2b8a64-9c1d-4e5f-8a7b-0c1d2e3f4a5b"
SYSTEMD_UID = UID.replace("-", "_")

CORPUS = [
    # runtime, driver and version, path
    ("docker", "cgroupfs v1", f"/docker/{A}"),
    ("docker", "cgroupfs v2", f"/docker/{A}/init"),
    ("docker", "systemd", f"/system.slice/docker-{A}.scope"),
    ("docker", "rootless", f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{A}.scope"),
    ("docker", "systemd parent under cgroupfs", f"/system.slice:docker:{A}"),
    ("docker", "cri-dockerd", f"/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice/docker-{A}.scope"),
    ("podman", "cgroupfs", f"/libpod_parent/libpod-{A}"),
    ("podman", "systemd", f"/machine.slice/libpod-{A}.scope/container"),
    ("podman", "rootless", f"/user.slice/user-1.slice/user@1.service/user.slice/libpod-{A}.scope/container"),
    ("podman", "split", f"/system.slice/web.service/libpod-payload-{A}"),
    ("kubernetes", "containerd, cgroupfs", f"/kubepods/burstable/pod{UID}/{A}"),
    ("kubernetes", "guaranteed, cgroupfs", f"/kubepods/pod{UID}/{A}"),
    ("kubernetes", "static pod", f"/kubepods/besteffort/pod{UID.replace('-', '')}/{A}"),
    (
        "containerd",
        "systemd",
        f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SYSTEMD_UID}.slice/cri-containerd-{A}.scope",
    ),
    (
        "containerd",
        "systemd parent, cgroupfs",
        f"/system.slice/containerd.service/kubepods-burstable-pod{SYSTEMD_UID}.slice:cri-containerd:{A}",
    ),
    ("containerd", "nerdctl", f"/user.slice/nerdctl-{A}.scope"),
    ("cri-o", "systemd", f"/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice/crio-{A}.scope"),
    (
        "cri-o",
        "systemd v2 with crun",
        f"/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice/crio-{A}.scope/container",
    ),
    ("cri-o", "cgroupfs", f"/kubepods/burstable/pod{UID}/crio-{A}"),
    ("docker", "several hierarchies", f"/\n/user.slice\n/docker/{A}\n/docker/{A}"),
    ("podman", "in docker", f"/docker/{B}/libpod_parent/libpod-{A}"),
    ("kubernetes", "kind: a pod in docker", f"/docker/{B}/kubelet/kubepods/besteffort/pod{UID}/{A}"),
    (
        "docker",
        "in podman, hierarchies differ",
        f"/machine.slice/libpod-{B}.scope\n/machine.slice/libpod-{B}.scope/docker/{A}",
    ),
]


@pytest.mark.parametrize(("runtime", "case", "path"), CORPUS, ids=[f"{r}-{c}" for r, c, _ in CORPUS])
def test_containers_are_found(runtime: str, case: str, path: str) -> None:
    assert container_in(path) == (runtime, A), case
    assert Containers().id_of(path) == A[:12]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/user.slice/user-0.slice/session-3.scope",
        "/system.slice/docker.service",
        f"/default/{A}",  # bare ctr: any two-level cgroup has this form
        f"/machine.slice/libpod-conmon-{A}.scope",  # the monitor, not the container
        f"/machine.slice/crio-conmon-{A}.scope",
        f"/docker/{A[:-1]}",  # 63 digits
        f"/docker/{A}0",
        f"/docker/{A.upper()}",
        f"/x-docker-{A}.scope",  # not at the start of a segment
        f"/docker-{A}.scope.evil",
        f"/notkubepods/podx/{A}",
        "/system.slice/docker-compose.scope",
    ],
)
def test_the_host_is_no_container(path: str) -> None:
    assert container_in(path) is None
    assert Containers().id_of(path) == "host"


def test_the_memory_of_paths_is_bounded() -> None:
    containers = Containers()
    for number in range(10_000):
        containers.id_of(f"/user.slice/{number}")
    assert len(containers._ids) <= 4096
    assert containers.id_of(f"/docker/{B}") == B[:12]
