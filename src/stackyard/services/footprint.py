"""What the platform itself weighs on this machine: the services process, its web app and agents, without their tasks.

The server tells its own weight on its own ``/metrics``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from stackyard.services.supervisor import Supervisor


@dataclass(frozen=True)
class Weight:
    """What one process weighs now.

    Args:
        component: "services", "web-app" or "agent".
        slot: of an agent; else "".
        rss_bytes: resident.
        pss_bytes: each page counted by the share of those that map it; ``None``: it may not be read.
        cpu_seconds: since it started.
    """

    component: str
    slot: str
    rss_bytes: int
    pss_bytes: int | None
    cpu_seconds: float


def weights(supervisor: Supervisor) -> list[Weight]:
    """What every part of the platform weighs that this process knows; parts that do not run are not there."""
    parts: list[tuple[str, str, int]] = [("services", "", os.getpid())]
    if supervisor.web_app.process is not None:
        parts.append(("web-app", "", supervisor.web_app.process.pid))
    for name, keeper in list(supervisor.keepers.items()):
        agent = keeper.agent
        if agent is not None:
            parts.append(("agent", name, agent.identity.pid))
    return list(_weighed(parts))


def _weighed(parts: Iterable[tuple[str, str, int]]) -> Iterable[Weight]:
    for component, slot, pid in parts:
        try:
            process = psutil.Process(pid)
            times, rss = process.cpu_times(), process.memory_info().rss
        except psutil.Error:
            continue
        yield Weight(component, slot, rss, proportional(pid), times.user + times.system)


def proportional(pid: int) -> int | None:
    """A process's proportional memory, bytes; ``None``: the kernel does not tell us."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return None
    line = next((line for line in text.splitlines() if line.startswith("Pss:")), None)
    return None if line is None else int(line.split()[1]) * 1024


def below(pid: int) -> Weight | None:
    """What all that a process started weighs now, without itself; ``None``: it runs nothing."""
    rss, cpu, found = 0, 0.0, False
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return None
    for process in children:
        try:
            times, memory = process.cpu_times(), process.memory_info().rss
        except psutil.Error:
            continue
        rss, cpu, found = rss + memory, cpu + times.user + times.system, True
    return Weight("task", "", rss, None, cpu) if found else None
