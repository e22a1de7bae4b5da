"""relay.yaml: what may stand in it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator

from relay.config.files import Identity
from relay.config.settings import Duration, OutputSettings, Strict
from relay.outputs.urls import http_url_text

_LISTEN = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]]*):(?P<port>\d{1,5})")
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(?::\d{1,5})?|[0-9a-fA-F.]*(?::[0-9a-fA-F.]*){2,}")
TOKEN_LEAST = 20
"""Characters of a token: nobody can count tries against one that may be guessed."""
OUTPUT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def _listen(value: Any) -> Any:
    if isinstance(value, Listen):
        return value
    match = _LISTEN.fullmatch(str(value))
    if match is None or not int(match["port"]) < 65536:
        raise ValueError("is not an address to listen on; write it like 127.0.0.1:2801 or [::]:2801")
    return Listen(match["host"].strip("[]") or "0.0.0.0", int(match["port"]))  # noqa: S104 as written


ListenAddress = Annotated[Listen, BeforeValidator(_listen)]


class Token(Strict):
    """The secret of one program."""

    token: SecretStr = Field(description="sent as `Authorization: Bearer TOKEN`")

    @field_validator("token")
    @classmethod
    def _check_token(cls, token: SecretStr) -> SecretStr:
        if len(token.get_secret_value()) < TOKEN_LEAST:
            raise ValueError(
                f"is shorter than {TOKEN_LEAST} characters; make one with `openssl rand -hex 32`"
            )
        return token


def _tokens(tokens: dict[str, Token]) -> dict[str, Token]:
    secrets = [one.token.get_secret_value() for one in tokens.values()]
    if len(set(secrets)) < len(secrets):
        raise ValueError("two names have the same token")
    for name in tokens:
        if not OUTPUT_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be a name: letters, digits, `.`, `_`, `-`, at most 64")
    return tokens


TokensByName = Annotated[dict[str, Token], AfterValidator(_tokens)]


class Ingest(Strict):
    """Who may post alerts."""

    allow_anonymous: bool = Field(
        default=False, description="true: anyone who reaches the address; false: only from loopback"
    )
    senders: TokensByName = Field(
        default_factory=dict, description="who may post from elsewhere: by token, or by name and token"
    )


class Api(Strict):
    """Programs that may ask; people log in."""

    tokens: TokensByName = Field(default_factory=dict, description="a token for each program, by name")


class General(Strict):
    """All of relay.yaml but the outputs."""

    listen: ListenAddress = Field(Listen("127.0.0.1", 2801), description="address and port")
    public_url: str | None = Field(None, description="how people reach the dashboard; used in links")
    allowed_hosts: tuple[str, ...] = Field((), description="more names that may stand in the Host header")
    data_dir: Path = Field(
        Path("data"), description="where the journal lies; a relative path is to this file"
    )
    dedup_window: Duration = Field(
        172800.0, gt=0, description="for how long the same uuid is known to have been here"
    )
    custom_fields: dict[str, str] = Field(
        default_factory=dict, description="fields added to each alert that has not got them"
    )
    ingest: Ingest = Field(Ingest(), description="who may post alerts")
    api: Api = Field(Api(), description="which programs may ask /api/v1")

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _HOST.fullmatch(name):
                raise ValueError(
                    f"{name!r} is not a host; write it like relay or alerts.example.com:8443, without http://"
                )
        return names

    @field_validator("public_url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        return None if value is None else http_url_text(value).rstrip("/")


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """A configuration that was checked whole."""

    file: Path
    general: General
    outputs: Mapping[str, OutputSettings]
    files: Mapping[Path, Identity] = field(default_factory=dict)  # what it was read from, as it was then

    @property
    def listen(self) -> Listen:
        return self.general.listen

    @property
    def data_dir(self) -> Path:
        return (self.file.parent / self.general.data_dir).resolve()
