"""Text from an alert, made safe to show: control characters visible, cuts said, text escaped.

Everything in an alert is written by whoever caused it. These functions never fail, whatever it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

_HIDDEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"  # turn text around, or have no width;
    "\u2060-\u206f\ufeff\ufff9-\ufffb"  # the two joiners are left: scripts and emoji need them
    "\ud800-\udfff"  # a surrogate on its own cannot be encoded as UTF-8
    "\U000e0000-\U000e007f"  # tags: invisible copies of ASCII
)
_UNSEEN = re.compile(f"[{_HIDDEN}]")
_UNSEEN_OR_LINE = re.compile(f"[{_HIDDEN}\t\n]")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\x1b": "\\e", "\x00": "\\0"}


def _name(found: re.Match[str]) -> str:
    char = found.group()
    if char in _SHORT:
        return _SHORT[char]
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def visible(text: str) -> str:
    """Replace what a reader would not see, or what turns text around, by its escape; keep lines."""
    return _UNSEEN.sub(_name, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Like `visible`, and line ends and tabs are escapes too: for titles, labels and headers."""
    return _UNSEEN_OR_LINE.sub(_name, text)


def cut(text: str, limit: int, escape: Callable[[str], str] = lambda text: text) -> str:
    """Return `escape(text)` in at most `limit` characters; what is left out is said at the end.

    `escape` must work character by character and never shorten, so that no escape is cut in two.
    """
    whole = escape(text) if len(text) <= limit else None
    if whole is not None and len(whole) <= limit:
        return whole
    keep = min(len(text), limit)
    while keep > 0:
        note = f"… (cut: {len(text) - keep} characters more)"
        result = escape(text[:keep])
        over = len(result) + len(note) - limit
        if over <= 0:
            return result + note
        keep -= max(1, over // 6)  # no escape used here makes one character longer than ten
    return "…"[:limit]


def text_of(value: Any) -> str:
    """A value of `output_fields` as people read it: strings as they are, the rest as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    try:
        return orjson.dumps(value, default=str).decode()
    except (TypeError, ValueError):  # a lone surrogate, an integer of more than 64 bits, too deep
        return str(value)


def rfc3339(time_ns: int) -> str:
    """UTC with nine digits, as Falco writes `time`; years beyond 1..9999 are drawn to the edge."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    seconds = min(max(seconds, -62_135_596_800), 253_402_300_799)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z".rjust(30, "0")


def slack_escape(text: str) -> str:
    """Slack's three, which is all it asks for: with them no mention and no link can be written.

    Source: Slack, "Formatting text for app surfaces", section "Escaping text".
    """
    return visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def slack_code(text: str) -> str:
    """For inside a code span or block, where Slack formats nothing; a backtick would end it."""
    return slack_escape(text).replace("`", "\u02cb")


_AUTOLINK = re.compile(r"(?<=:)(?=//)|(?<=@)(?=\w)|(?<=\w)(?=\.\w)")


def slack_plain(text: str) -> str:
    """For a message's top-level text: also no bare address or @name that Slack makes a link of."""
    safe = slack_escape(one_line(text))
    for mark in "*_~`":
        safe = safe.replace(mark, f"\u2060{mark}")
    return _AUTOLINK.sub("\u2060", safe)
