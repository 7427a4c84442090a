"""Benchmarks, each against the best that this machine can do in the same run."""
