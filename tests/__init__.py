"""The project's tests; they mirror ``src``."""
