"""The journal: alerts on disk, and what became of each at each output."""
