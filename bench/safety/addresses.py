"""The addresses that the unmodified SDK prints: whether each leads to a page here, after sign-in too."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from bench.result import NotHere, Result
from tests.stackyard_server.clients import printed
from tests.stackyard_server.clients.conftest import FLOWS, clients_python, environment, run_script
from tests.stackyard_server.running import running_server

FIGURES = ("sdk_addresses_not_found",)


def figures(result: Result, quick: bool, options: Any) -> None:
    """What the SDK prints: addresses that lead nowhere."""
    python = clients_python()
    if python is None:
        raise NotHere("no Python with clearml and clearml-agent: set STACKYARD_CLIENTS_PYTHON")
    with running_server() as server, tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        script = Path(shutil.copy(FLOWS / "addresses.py", home))
        said = run_script(python, script, env=environment(server, home), folder=home)
        addresses = printed.addresses_in(server, said)
        lost = printed.not_found(server, addresses)
        result.row(
            part="addresses", printed=sum(map(len, addresses.values())), of=len(addresses), not_found=lost
        )
        result.figure("sdk_addresses_not_found", len(lost))
