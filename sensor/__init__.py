"""Outrider's sensor: eBPF events judged by Falco's rules."""
