"""Benchmarks: every figure the project quotes comes from a command here. Never part of the tests."""
