"""Falco's condition language: text → tree → Python function."""

from condition.errors import ConditionError
from condition.parser import Dialect, parse

__all__ = ["ConditionError", "Dialect", "parse"]
