"""The unmodified SDK: scripts that fork, and addresses that it asks for."""

from __future__ import annotations

from typing import Any

from bench.result import Result

FIGURES = ("forked_sdk_runs_clean_of_50", "sdk_addresses_not_found")


def figures(result: Result, quick: bool, options: Any) -> str:
    """Why it is not measured; "" where it is."""
    return "no SDK is driven yet"
