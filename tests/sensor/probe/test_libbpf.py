"""Failures of libbpf and of the kernel's verifier in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.check_bpf import sections
from sensor.probe import ProbeError
from sensor.probe.kernel import OBJECT
from sensor.probe.libbpf import Object

pytestmark = pytest.mark.bpf


def test_what_the_verifier_says_is_in_the_error(tmp_path: Path) -> None:
    content = OBJECT.read_bytes()
    part = next(one for one in sections(content) if one.name == "tp_btf/sched_process_exit").data
    broken = tmp_path / "broken.o"
    broken.write_bytes(content.replace(part, b"\xff" + part[1:]))
    loaded = Object(broken)
    with pytest.raises(ProbeError) as error:
        loaded.load()
    loaded.close()
    loaded.close()
    assert "the kernel does not take the eBPF program (EINVAL, Invalid argument)" in str(error.value)
    assert "BEGIN PROG LOAD LOG" in str(error.value)
    assert "on_exit" in str(error.value)


def test_a_file_that_is_no_object_and_names_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "none.o").write_text("nothing")
    with pytest.raises(ProbeError, match=r"none\.o cannot be opened"):
        Object(tmp_path / "none.o")
    loaded = Object(OBJECT)
    with pytest.raises(ProbeError, match="no map nonsense"):
        loaded.map("nonsense")
    with pytest.raises(ProbeError, match="no program nonsense"):
        loaded.attach("nonsense")
    loaded.close()
