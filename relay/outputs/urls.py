"""Checking addresses from the configuration."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import SecretStr


def http_url_text(text: str) -> str:
    """Raise ValueError (without the value: it may hold a token) unless it is an http(s) URL."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or any(char <= " " or char == "\x7f" for char in text):
        raise ValueError("is not an address; expected https://host/path")
    return text


def http_url(value: SecretStr) -> SecretStr:
    """The same for a secret."""
    http_url_text(value.get_secret_value())
    return value
