"""Ordinary ClearML tasks: the stack that one runs on, and the environment that holds what it lists beyond the stack.

``choice`` says which stack and why; ``making`` makes the environment, or finds it made; ``__main__`` is the process
that ``stackyard_task.chosen`` asks. May import errors, settings, stacks and ``stackyard_task``'s pure shapes.
"""
