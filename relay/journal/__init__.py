"""The journal: alerts on disk, and what became of each at each output."""

from relay.journal.lock import DataDirError
from relay.journal.schema import SchemaError
from relay.journal.sqlite import Journal

__all__ = ["DataDirError", "Journal", "SchemaError"]
