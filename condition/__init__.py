"""Falco's condition language: text → tree → Python function."""

from condition.ast import walk
from condition.check import check
from condition.compile import compile_condition
from condition.errors import ConditionError
from condition.fields import FieldInfo, Fields, Kind, Many, UnknownFieldError
from condition.interpret import interpret
from condition.parser import Dialect, parse

__all__ = [
    "ConditionError",
    "Dialect",
    "FieldInfo",
    "Fields",
    "Kind",
    "Many",
    "UnknownFieldError",
    "check",
    "compile_condition",
    "interpret",
    "parse",
    "walk",
]
