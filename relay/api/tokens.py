"""Bearer tokens of the configuration: which one a request carries."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from pydantic import SecretStr


class Tokens:
    """Names by token. Only digests are kept, and each is compared, so that time tells nothing of them."""

    def __init__(self, tokens: Mapping[str, SecretStr]) -> None:
        self._digests = {name: _digest(token.get_secret_value()) for name, token in tokens.items()}

    def name(self, authorization: str) -> str | None:
        """Of the token in an Authorization header; None if it is none of ours."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        given, found = _digest(token.strip()), None
        for name, digest in self._digests.items():
            if hmac.compare_digest(given, digest):
                found = name
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
