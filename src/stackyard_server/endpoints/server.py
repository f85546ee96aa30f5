"""``server``: what this server is and how it is set up."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import API_VERSION, SERVER_VERSION
from ..calls import Call, dispatch
from ..calls.dispatch import endpoint
from ..protocol.error_table import field_error
from ..protocol.fields import table


@endpoint("2.12", access="none")
def info(call: Call) -> dict[str, Any]:
    """The versions, and that this server decides what becomes of lost tasks. Left out: ``uid``."""
    return {
        "version": SERVER_VERSION,
        "build": "",
        "commit": "",
        "api_version": API_VERSION,
        "decides_fate": True,
    }


@endpoint(access="none")
def report_stats_option(call: Call) -> dict[str, Any]:
    """That nothing is ever reported home, and cannot be."""
    return {"supported": False}


@endpoint(access="none", role="admin")
def config(call: Call) -> dict[str, Any]:
    """This server's settings, which hold no secret; with ``path``, the one of that name."""
    found = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(call.services.settings).items()
    }
    path = call.get("path")
    if path is None:
        return found
    if path not in found:
        raise field_error("path", f": no setting is called {path!r}.")
    return {path: found[path]}


@endpoint(access="none", role="admin")
def endpoints(call: Call) -> dict[str, Any]:
    """Every endpoint: its versions, the least role, and the fields it takes."""
    return {
        "endpoints": [
            {
                "name": name,
                "min_version": entry.shown_version,
                "required_role": entry.role if entry.signed_in else None,
                "fields": table().get(name, {}).get("fields", {}),
            }
            for name, entries in sorted(dispatch.known().items())
            for entry in entries
        ]
    }
