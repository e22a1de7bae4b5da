"""Build sensor/bpf/sensor.bpf.o again with the recorded compiler, and compare what the kernel would be given.

Compared are instructions, relocations (those of CO-RE in .BTF.ext too), maps and the types that both name;
not the texts of source lines, which may change without a change of the program.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "sensor" / "bpf"
_EXECUTABLE = 4  # SHF_EXECINSTR
_REL = 9  # SHT_REL
_SYMBOLS = 2  # SHT_SYMTAB
_INSTRUCTION = 8

# Words that follow a type in .BTF, by its kind: how many once, how many for each of its parts.
_ONCE = {1: 1, 3: 3, 14: 1, 17: 1}
_PARTS = {4: 3, 5: 3, 6: 2, 13: 2, 15: 3, 19: 3}
_NAMED_PARTS = frozenset({4, 5, 6, 13, 19})  # whose parts begin with a name


@dataclass(frozen=True)
class Section:
    name: str
    type: int
    flags: int
    data: bytes
    link: int
    info: int


class ElfError(ValueError):
    """Not an object of the kind that clang makes for BPF."""


def sections(content: bytes) -> list[Section]:
    """All sections of a little-endian ELF64 file."""
    if content[:6] != b"\x7fELF\x02\x01":
        raise ElfError("not a little-endian ELF64 file")
    at, size, count, names = *struct.unpack_from("<Q", content, 40), *struct.unpack_from("<3H", content, 58)
    rows = [struct.unpack_from("<IIQQQQIIQQ", content, at + size * one) for one in range(count)]
    texts = content[rows[names][4] : rows[names][4] + rows[names][5]]
    return [
        Section(_text(texts, row[0]), row[1], row[2], content[row[4] : row[4] + row[5]], row[6], row[7])
        for row in rows
    ]


def _text(block: bytes, at: int) -> str:
    return block[at : block.index(b"\0", at)].decode("utf-8", "replace")


def symbols(parts: list[Section]) -> list[tuple[str, int, int, int, int]]:
    """(name, section, kind and binding, value, size) of each."""
    table = next(part for part in parts if part.type == _SYMBOLS)
    names = parts[table.link].data
    found = []
    for name, info, _, section, value, size in struct.iter_unpack("<IBBHQQ", table.data):
        label = _text(names, name)
        if not label and section < len(parts):
            label = parts[section].name  # a section's own symbol
        found.append((label, section, info, value, size))
    return found


def relocations(parts: list[Section], part: Section) -> list[str]:
    """Where in the section `part.info` points to, which kind, and to what."""
    named = symbols(parts)
    return [
        f"{offset:#x} type {info & 0xFFFFFFFF} -> {named[info >> 32][0]}+{named[info >> 32][3]:#x}"
        for offset, info in struct.iter_unpack("<QQ", part.data)
    ]


def types(btf: bytes) -> tuple[list[str], bytes]:
    """Every type as one line with its names, and the block of texts."""
    length, type_at, type_length, text_at, text_length = struct.unpack_from("<5I", btf, 4)
    words = struct.unpack(f"<{type_length // 4}I", btf[length + type_at : length + type_at + type_length])
    texts = btf[length + text_at : length + text_at + text_length]
    lines, at = ["void"], 0
    while at < len(words):
        name, info, size = words[at : at + 3]
        kind, count = info >> 24 & 0x1F, info & 0xFFFF
        end = at + 3 + _ONCE.get(kind, 0)
        line = [f"[{len(lines)}] kind {kind} {_text(texts, name)!r} {size}", *map(str, words[at + 3 : end])]
        for _ in range(count if kind in _PARTS else 0):
            part = words[end : end + _PARTS[kind]]
            first = _text(texts, part[0]) if kind in _NAMED_PARTS else str(part[0])
            line.append(":".join([first, *map(str, part[1:])]))
            end += _PARTS[kind]
        lines.append(" ".join(line))
        at = end
    return lines, texts


def core_relocations(ext: bytes, texts: bytes) -> list[str]:
    """What libbpf adapts to the running kernel: instruction, type, access and kind of each."""
    length = struct.unpack_from("<I", ext, 4)[0]
    at, size = struct.unpack_from("<2I", ext, 24)
    block = ext[length + at : length + at + size]
    (record,) = struct.unpack_from("<I", block)
    found, at = [], 4
    while at < len(block):
        section, count = struct.unpack_from("<2I", block, at)
        at += 8
        for _ in range(count):
            instruction, type_, access, kind = struct.unpack_from("<4I", block, at)
            found.append(
                f"{_text(texts, section)}+{instruction:#x} type {type_} {_text(texts, access)} kind {kind}"
            )
            at += record
    return found


def described(content: bytes) -> dict[str, list[str]]:
    """What the kernel and libbpf make of an object, as comparable lines by topic."""
    parts = sections(content)
    found: dict[str, list[str]] = {}
    by_name = {part.name: part for part in parts}
    for part in parts:
        if part.flags & _EXECUTABLE:
            found[f"instructions of {part.name}"] = [
                part.data[at : at + _INSTRUCTION].hex() for at in range(0, len(part.data), _INSTRUCTION)
            ]
        elif part.type == _REL and not parts[part.info].name.startswith(".BTF"):
            found[f"relocations of {parts[part.info].name}"] = relocations(parts, part)
    found["license"] = [by_name["license"].data.hex()]
    at = parts.index(by_name[".maps"])
    found["maps"] = sorted(f"{one[0]} at {one[3]} of {one[4]}" for one in symbols(parts) if one[1] == at)
    found["functions"] = sorted(
        f"{name} in {parts[section].name} at {value} of {size}"
        for name, section, info, value, size in symbols(parts)
        if info & 0xF == 2
    )
    found["types of maps and CO-RE"], texts = types(by_name[".BTF"].data)
    found["CO-RE relocations"] = core_relocations(by_name[".BTF.ext"].data, texts)
    return found


def differences(old: dict[str, list[str]], new: dict[str, list[str]]) -> Iterator[str]:
    """One line for each topic that differs, with the first place where it does."""
    for topic in sorted(old.keys() | new.keys()):
        have, want = old.get(topic, []), new.get(topic, [])
        if have == want:
            continue
        at = next(
            (one for one, (left, right) in enumerate(zip(have, want, strict=False)) if left != right),
            min(len(have), len(want)),
        )
        left, right = (lines[at] if at < len(lines) else "nothing" for lines in (have, want))
        yield f"{topic} ({len(have)}, built again {len(want)}): entry {at} is {left}, built again {right}"


def compiler(recorded: str) -> str | None:
    """A clang of the recorded version: the command."""
    major = recorded.split(".", maxsplit=1)[0]
    for name in filter(None, (os.environ.get("CLANG"), f"clang-{major}", "clang")):
        if shutil.which(name) and _version(name) == recorded:
            return name
    return None


def _version(command: str) -> str:
    told = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"clang version ([0-9.]+)", told)
    return found[1] if found else ""


def main(committed: Path = SOURCE / "sensor.bpf.o") -> int:
    recorded = (SOURCE / "COMPILER").read_text().split()[1]
    clang = compiler(recorded)
    if clang is None:
        major = recorded.split(".")[0]
        print(
            f"the object was built with clang {recorded}, which is not here (apt-get install clang-{major});"
        )
        print("with another clang nothing can be compared: `make bpf` builds anew and records that one")
        return 2
    with tempfile.TemporaryDirectory() as directory:
        built = Path(directory) / "sensor.bpf.o"
        subprocess.run(
            ["/bin/sh", str(ROOT / "scripts" / "build_bpf.sh"), str(built)],
            check=True,
            env=os.environ | {"CLANG": clang},
        )
        old, new = described(committed.read_bytes()), described(built.read_bytes())
    found = list(differences(old, new))
    for line in found:
        print(line)
    if found:
        print("sensor/bpf/sensor.bpf.o is not what its source gives: run `make bpf` and commit the object")
        return 1
    print(f"sensor.bpf.o is what its source gives with clang {recorded}: {', '.join(_sizes(new))}")
    return 0


def _sizes(found: dict[str, list[str]]) -> Iterator[str]:
    instructions = sum(len(lines) for topic, lines in found.items() if topic.startswith("instructions"))
    yield f"{instructions} instructions"
    yield f"{len(found['maps'])} maps"
    yield f"{len(found['CO-RE relocations'])} CO-RE relocations"


if __name__ == "__main__":
    sys.exit(main())
