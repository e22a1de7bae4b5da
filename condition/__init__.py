"""Falco's condition language."""
