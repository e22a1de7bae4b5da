"""The registry: every type of output by its name in relay.yaml. Each is imported when it is configured."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from relay.outputs.base import Output

if TYPE_CHECKING:
    from relay.config.settings import OutputSettings

_REGISTRY = {
    "alertmanager": "relay.outputs.alertmanager:Alertmanager",
    "slack": "relay.outputs.slack:Slack",
    "webhook": "relay.outputs.webhook:Webhook",
}
TYPES = tuple(_REGISTRY)
"""The names that `type:` may have."""


def load(type_name: str) -> type[Any]:
    """The output's class; its `settings_type` says what it takes. Raises KeyError for an unknown name."""
    module, _, name = _REGISTRY[type_name].partition(":")
    return cast("type[Any]", getattr(import_module(module), name))


def create(name: str, settings: OutputSettings, public_url: str | None = None) -> Output:
    """An output ready for `start()`. `public_url` is the dashboard's address for links, if it is known."""
    return cast("Output", load(settings.type)(name, settings, public_url))
