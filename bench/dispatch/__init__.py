"""Benchmarks of the dispatch through a ClearML server: pick-up, start, overhead, parity, footprint."""
