"""Benchmarks: what is claimed of speed, measured against what somebody would take instead, in one run."""
