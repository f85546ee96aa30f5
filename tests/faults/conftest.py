"""Engine fixtures for the faults that need containers."""

from tests.engine import base_image, engine, stack_image

__all__ = ["base_image", "engine", "stack_image"]
