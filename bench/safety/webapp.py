"""The official web app's screens and actions in a real browser: against a stand-in and, with ``--webapp``, a build.

A step fails where it does not come to what it waits for, where the policy blocks something, where the page throws, or
where the server refuses a call. What the app calls elsewhere is blocked on purpose and is no failure.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.result import NotHere, Result
from stackyard_server import identity
from tests.stackyard_server.running import Running, running_server
from tests.stackyard_server.web.standin import make_build

from . import screens
from .furnished import furnish

FIGURES = ("webapp_actions_failed",)
LOGIN, PASSWORD = "ada", "correct horse battery"
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
#: How often a step is tried whose browser says that the machine's network changed meanwhile.
AGAIN = 3
#: What the app asks of others, what it does without, and its editor's race with its own page.
NO_FAULT = re.compile(
    r"updates\.clear\.ml|api\.github\.com|unpkg\.com|onboarding\.json|Failed to fetch|status of 404|^[a-z]{1,2}$"
    r"|\bace\b|setShowPrintMargin"
)


def figures(result: Result, quick: bool, options: Any) -> None:
    """What a browser does with the web app, step by step."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise NotHere("no chromium on this machine: apt-get install chromium")
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        builds: list[tuple[str, Path, Callable[..., Iterator[screens.Step]]]] = [
            ("stand-in", make_build(Path(scratch)), screens.of_standin)
        ]
        if options.webapp is not None:
            builds.append(("build", options.webapp, screens.of_app))
        for name, folder, steps in builds:
            done = drive(folder, chromium, steps)
            wrong = {step: faults for step, faults in done.items() if faults}
            failed += len(wrong)
            result.row(part="webapp", driven=name, actions=len(done), failed=wrong)
            print(f"  {name}: {len(done)} actions, {len(wrong)} failed", flush=True)
            for step, faults in wrong.items():
                print(f"    {step}: {faults}", flush=True)
    result.figure("webapp_actions_failed", failed)


def drive(build: Path, chromium: str, steps: Callable[..., Iterator[screens.Step]]) -> dict[str, list[str]]:
    """What went wrong with each step, by its name."""
    from playwright.sync_api import Error

    done: dict[str, list[str]] = {}
    with running_server(webapp=build, role="admin") as server:
        with server.store.writing() as tx:
            identity.add_user(
                tx, int(time.time() * 1000), name="Ada", login=LOGIN, password=PASSWORD, role="admin"
            )
        there = furnish(server)
        with opened(server, chromium) as (page, faults):
            for name, step in steps(page, server, there, (LOGIN, PASSWORD)):
                for _ in range(AGAIN):
                    faults.clear()
                    try:
                        step()
                    except (Error, AssertionError) as fault:
                        faults.append(str(fault).split("\nCall log")[0][:300])
                    if not any("ERR_NETWORK_CHANGED" in fault for fault in faults):
                        break
                done[name] = [one for one in faults if not NO_FAULT.search(one)]
    return done


@contextmanager
def opened(server: Running, chromium: str) -> Iterator[tuple[Any, list[str]]]:
    """A page, and what goes wrong on it."""
    from playwright.sync_api import sync_playwright

    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        page = browser.new_page(base_url=server.web, viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(30_000)
        page.on("console", lambda said: faults.append(said.text[:300]) if said.type == "error" else None)
        page.on("pageerror", lambda fault: faults.append(str(fault)[:300]))
        page.on(
            "response", lambda got: faults.append(f"{got.status} {got.url}") if got.status >= 400 else None
        )
        yield page, faults
        browser.close()
