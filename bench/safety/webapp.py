"""The official web app's screens and actions, against a stand-in and, with ``--webapp``, against a build."""

from __future__ import annotations

from typing import Any

from bench.result import Result

FIGURES = ("webapp_actions_failed",)


def figures(result: Result, quick: bool, options: Any) -> str:
    """Why it is not measured; "" where it is."""
    return "no web app is driven yet"
