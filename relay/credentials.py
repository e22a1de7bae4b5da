"""Tokens of the configuration: whose a request carries."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from pydantic import SecretStr


class Tokens:
    """Names by token. Only digests are kept, and each is compared, so that time tells nothing of them."""

    def __init__(self, tokens: Mapping[str, SecretStr]) -> None:
        self._digests = {name: _digest(token.get_secret_value()) for name, token in tokens.items()}

    def __bool__(self) -> bool:
        return bool(self._digests)

    def bearer(self, authorization: str) -> str | None:
        """Of the token in an Authorization header; None if it is none of ours."""
        scheme, _, token = authorization.partition(" ")
        return self._name(token.strip()) if scheme.lower() == "bearer" else None

    def bearer_or_basic(self, authorization: str) -> str | None:
        """The same, also with name and token as user and password: Falco has them in the URL."""
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "basic":
            return self.bearer(authorization)
        try:
            user, _, token = base64.b64decode(text.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return None
        name = self._name(token)
        return name if name == user else None

    def _name(self, token: str) -> str | None:
        given, found = _digest(token), None
        for name, digest in self._digests.items():
            if hmac.compare_digest(given, digest):
                found = name
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
