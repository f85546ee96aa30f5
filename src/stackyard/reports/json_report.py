"""The report as versioned JSON: everything but the timelines, which stay beside their records."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from stackyard.reports.report import Report

KIND = "stackyard-report"


def to_json(report: Report) -> dict[str, Any]:
    """The JSON form: plain values, ``api_version`` first, bytes and seconds."""
    plain = dataclasses.asdict(report)
    plain.pop("timelines")
    version = plain.pop("api_version")
    return {"kind": KIND, "api_version": version, **_finite(plain)}


def render(report: Report) -> str:
    """The file's text."""
    return json.dumps(to_json(report), indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def _finite(value: Any) -> Any:
    """``value`` with what JSON cannot say (NaN, infinity) as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value
