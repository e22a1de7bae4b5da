"""Benchmarks: one command each, every figure beside a baseline of the same run."""
