"""Values: how literals are read and how the values of events are brought into a form that compares."""

from __future__ import annotations

import ipaddress
import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from condition.fields import FieldInfo, Kind

Address: TypeAlias = tuple[int, int]
"""IP version and the address as a number. An IPv4-mapped IPv6 address is the IPv4 one, as in Falco."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,32}")
_FLOAT = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,4})?")


@dataclass(frozen=True, slots=True)
class Network:
    """An address range: an address is inside if its version fits and `number & mask == base`."""

    version: int
    base: int
    mask: int

    def holds(self, address: Address | None) -> bool:
        return address is not None and address[0] == self.version and address[1] & self.mask == self.base


@dataclass(frozen=True, slots=True)
class Dynamic:
    """The right side of a comparison with a DYNAMIC field: its text, and its number if it is one."""

    text: str
    number: int | float | None


def number(text: str) -> int | float | None:
    """A number as people write it (12, -1.5, 0x1f); None if it is not one."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if _HEX.fullmatch(text):
        return int(text, 16)
    if _FLOAT.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else None
    return None


@lru_cache(maxsize=4096)
def address(text: str) -> Address | None:
    """A textual address; None if it is not one."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.version, int(found)


def network(text: str) -> Network | None:
    """`10.0.0.0/8`, or one address; bits beyond the mask do not count. None if it is neither."""
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return Network(found.version, int(found.network_address), int(found.netmask))


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def text_of(value: Any) -> str:
    """A value of any type as text: as JSON would write it, strings without quotes."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # Python refuses to write numbers of thousands of digits, which an alert may hold.
        return str(value) if value.bit_length() < 4096 else hex(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def dynamic(value: Any) -> Dynamic:
    """The right side from the value of another field."""
    return Dynamic(text_of(value), value if is_number(value) else None)


def to_bytes(text: str) -> bytes:
    """The bytes that a string was made of; works for every string."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


_HEX_BYTES = re.compile(r"(?:[0-9a-fA-F]{2})+")


def literal(text: str, op: str, info: FieldInfo) -> Any:
    """A literal in the form that fields of this kind compare with. Raises ValueError: what would be right."""
    kind = info.kind
    if kind is Kind.NUMBER:
        return _number_literal(text, info)
    if kind is Kind.BOOL:
        if text not in ("true", "false"):
            raise ValueError(f"'{text}' is not a boolean: {info.name} is true or false")
        return text == "true"
    if kind is Kind.BYTES:
        if not op.startswith("b"):
            return to_bytes(text)
        if not _HEX_BYTES.fullmatch(text):
            raise ValueError(f"'{text}' is not a string of hex digits, two for each byte, as {op} takes it")
        return bytes.fromhex(text)
    if kind is Kind.IP:
        found = address(text)
        if found is None:
            raise ValueError(f"'{text}' is not an IP address, as {info.name} needs one (a range: fd.net)")
        return found
    if kind is Kind.NET:
        net = network(text)
        if net is None:
            raise ValueError(f"'{text}' is not a network such as 10.0.0.0/8, nor an IP address")
        return net
    return Dynamic(text, number(text)) if kind is Kind.DYNAMIC else text


def _number_literal(text: str, info: FieldInfo) -> int | float:
    if info.names is not None:
        named = info.names.get(text.lower())
        if named is None:
            raise ValueError(f"'{text}' is not a {info.name}: one of {', '.join(info.names)}")
        return named
    value = number(text)
    if value is None:
        raise ValueError(f"'{text}' is not a number, as {info.name} needs one")
    return value


def from_field(value: Any, left: Kind, right: Kind) -> Any:
    """The value of a field on the right in the form that `left` compares with."""
    if left is Kind.DYNAMIC or right is Kind.DYNAMIC:
        return dynamic(value)
    if left is Kind.IP:
        return address(value)
    if left is Kind.NET:
        return network(value)
    return value
