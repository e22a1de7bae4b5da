"""scripts/check_bpf.py: what is compared, and that a difference is found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.check_bpf import compiler, described, differences, main, sections

ROOT = Path(__file__).resolve().parents[2]
OBJECT = ROOT / "sensor" / "bpf" / "sensor.bpf.o"
RECORDED = (ROOT / "sensor" / "bpf" / "COMPILER").read_text().split()[1]


def tampered(old: bytes, new: bytes) -> list[str]:
    """Which topics differ when bytes of the object are others."""
    content = OBJECT.read_bytes()
    assert old in content
    other = content.replace(old, new, 1)
    return [line.split(" (")[0] for line in differences(described(content), described(other))]


def test_the_same_object_has_no_difference() -> None:
    content = OBJECT.read_bytes()
    found = described(content)
    assert list(differences(found, described(content))) == []
    assert sum(topic.startswith("instructions of tp_btf/") for topic in found) == 4
    assert len(found["CO-RE relocations"]) > 100


def test_one_instruction_is_enough() -> None:
    part = next(one for one in sections(OBJECT.read_bytes()) if one.name == "tp_btf/sys_exit")
    changed = part.data[:8] + bytes([part.data[8] ^ 1]) + part.data[9:]
    assert tampered(part.data, changed) == ["instructions of tp_btf/sys_exit"]


def test_a_relocation_of_co_re_and_a_map_are_compared() -> None:
    parts = {one.name: one.data for one in sections(OBJECT.read_bytes())}
    moved = bytearray(parts[".BTF.ext"])
    moved[-4] ^= 1  # the kind of the last CO-RE relocation
    assert tampered(parts[".BTF.ext"], bytes(moved)) == ["CO-RE relocations"]
    renamed = parts[".BTF"].replace(b"\0max_entries\0", b"\0max_entriez\0")
    assert tampered(parts[".BTF"], renamed) == ["types of maps and CO-RE"]
    related = bytearray(parts[".reltp_btf/sys_exit"])
    related[0] ^= 8
    assert tampered(parts[".reltp_btf/sys_exit"], bytes(related)) == ["relocations of tp_btf/sys_exit"]


needs_clang = pytest.mark.skipif(
    compiler(RECORDED) is None or not Path("/usr/include/bpf/bpf_helpers.h").exists(),
    reason=f"needs clang {RECORDED} and libbpf's headers: sh scripts/system_packages.sh bpf",
)


@needs_clang
def test_the_committed_object_is_what_the_source_gives(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    assert "is what its source gives" in capsys.readouterr().out


@needs_clang
def test_a_change_of_the_source_fails_the_check(tmp_path: Path) -> None:
    # The check of a copy, whose source has one condition changed.
    for name in ("sensor/bpf", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    source = tmp_path / "sensor" / "bpf" / "sensor.bpf.c"
    text = source.read_text()
    assert text.count("if (fd == -100) {") == 1
    source.write_text(text.replace("if (fd == -100) {", "if (fd == -101) {"))
    command = [sys.executable, str(tmp_path / "scripts" / "check_bpf.py")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "instructions of tp_btf/sys_exit" in result.stdout


def test_another_compiler_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CLANG", raising=False)
    assert main() == 2
    said = capsys.readouterr().out
    assert f"built with clang {RECORDED}" in said
    assert "apt-get install clang-" in said
