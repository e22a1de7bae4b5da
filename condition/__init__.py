"""Falco's condition language: text → tree → Python function."""

from condition.assume import ALWAYS, NEVER, assume
from condition.ast import walk
from condition.caution import Caution, cautions
from condition.check import check
from condition.compile import compile_condition, compile_conditions
from condition.errors import ConditionError
from condition.fields import FieldInfo, Fields, Kind, Many, UnknownFieldError
from condition.interpret import interpret
from condition.parser import Dialect, parse

__all__ = [
    "ALWAYS",
    "NEVER",
    "Caution",
    "ConditionError",
    "Dialect",
    "FieldInfo",
    "Fields",
    "Kind",
    "Many",
    "UnknownFieldError",
    "assume",
    "cautions",
    "check",
    "compile_condition",
    "compile_conditions",
    "interpret",
    "parse",
    "walk",
]
