"""Outrider's relay: takes alerts, keeps them, delivers them, and says what became of each."""
