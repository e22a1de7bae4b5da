"""The relay's configuration: relay.yaml, checked whole before anything starts."""

from relay.config.load import load
from relay.config.model import General, Listen, RelayConfig
from relay.config.yaml_lines import ConfigError, Problem

__all__ = ["ConfigError", "General", "Listen", "Problem", "RelayConfig", "load"]
