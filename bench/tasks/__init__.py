"""Ordinary tasks of a ClearML server: what running, measuring and comparing them takes."""
