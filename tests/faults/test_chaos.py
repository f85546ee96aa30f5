"""Many tiny tasks over four agents while agents, tasks and the services process are killed at random.

Each task writes a line into a ledger when its work begins and one when it ends. One whose machine's side was killed
may begin again, and end again if its results had not been delivered; one that does not end has failed with a reason.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.installation.lab import FINAL, Lab, lab

pytestmark = pytest.mark.whole

SEED = 20261122
AGENTS = 4
FULL, REDUCED = 500, 24
#: A victim is sought this often, on average.
KILL_SECONDS = 4.0
#: So long without any task ending means that something hangs.
STILL_SECONDS = 180.0


@pytest.mark.long
def test_each_task_of_many_ends_once_or_fails_with_a_reason(tmp_path: Path) -> None:
    usual = FULL if os.environ.get("STACKYARD_LONG") else REDUCED
    count = int(os.environ.get("STACKYARD_CHAOS_TASKS") or usual)
    if count != FULL:
        print(f"reduced: {count} tasks of {FULL}; STACKYARD_LONG=1 runs them all")
    chance, ledger = random.Random(SEED), tmp_path / "ledger"
    ledger.touch()
    begun = time.monotonic()
    with lab(tmp_path / "lab", slots=AGENTS, retries=3) as made:
        ids = {
            made.submit("count", ledger=str(ledger), name=str(number), seconds=0.3): str(number)
            for number in range(count)
        }
        kills = harass(made, set(ids), chance)
        ended = statuses(made, set(ids))
        lines = Counter(tuple(line.split()) for line in ledger.read_text().splitlines())
        made.quiet()
        documents = {id: made.task(id) for id, status in ended.items() if status != "completed"}
        # killed between its work's end and the delivery of its results, a task is run again
        tries = {
            name: 1 + int((made.task(id).get("runtime") or {}).get("stackyard_retries", 0))
            for id, name in ids.items()
            if lines["end", name] > 1
        }
        retried = sum(1 for name in ids.values() if lines["begin", name] > 1)
    took = time.monotonic() - begun
    print(
        f"{count} tasks in {took:.0f} s: {dict(Counter(ended.values()))}; {dict(kills)} killed; "
        f"{retried} tasks began more than once"
    )
    for id, document in documents.items():
        print(f"  {ids[id]}: {document['status']}: {document.get('status_reason')}")
    twice = [name for name, allowed in tries.items() if lines["end", name] > allowed]
    unfinished = [
        ids[id] for id, status in ended.items() if status == "completed" and not lines["end", ids[id]]
    ]
    silent = [ids[id] for id, document in documents.items() if not document.get("status_reason")]
    assert unfinished == [], "completed without having ended"
    assert silent == [], "failed without a reason"
    assert twice == [], "ended more often than it was tried"
    assert sum(kills.values()) > 0


def harass(made: Lab, ids: set[str], chance: random.Random) -> Counter[str]:
    """Kill something every now and then until every task has its final status; what was killed."""
    kinds: dict[str, tuple[int, Callable[[Lab, random.Random], bool]]] = {
        "agents": (4, kill_agent),
        "workloads": (4, kill_workload),
        "supervisors": (2, kill_supervisor),
        "services processes": (1, kill_services),
    }
    kills: Counter[str] = Counter()
    done, changed_at = 0, time.monotonic()
    next_at = time.monotonic() + KILL_SECONDS
    while True:
        now_done = sum(status in FINAL for status in statuses(made, ids).values())
        if now_done == len(ids):
            return kills
        if now_done != done:
            done, changed_at = now_done, time.monotonic()
        assert time.monotonic() - changed_at < STILL_SECONDS, f"{done} of {len(ids)} ended, and nothing moves"
        if time.monotonic() >= next_at:
            next_at = time.monotonic() + chance.uniform(0.5, 1.5) * KILL_SECONDS
            kind = chance.choices(list(kinds), [weight for weight, _ in kinds.values()])[0]
            kills[kind] += kinds[kind][1](made, chance)
        time.sleep(0.5)


def kill_agent(made: Lab, chance: random.Random) -> bool:
    slots = [slot for slot in made.files.state().get("slots", []) if slot["pid"]]
    return bool(slots) and killed(chance.choice(slots)["pid"])


def kill_workload(made: Lab, chance: random.Random) -> bool:
    return killed_one_of(made, chance, "stackyard_task.child")


def kill_supervisor(made: Lab, chance: random.Random) -> bool:
    return killed_one_of(made, chance, "dispatched.py")


def kill_services(made: Lab, chance: random.Random) -> bool:
    holder = made.files.holder()
    if holder is None or not holder.signal(signal.SIGKILL):
        return False
    made.stackyard(*made.up_words)  # as whoever looks after the machine would
    return True


def killed_one_of(made: Lab, chance: random.Random, word: str) -> bool:
    found = []
    for process in made.processes():
        with suppress(psutil.Error):
            if word in process.cmdline():
                found.append(process.pid)
    return bool(found) and killed(chance.choice(sorted(found)))


def killed(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def statuses(made: Lab, ids: set[str]) -> dict[str, str]:
    """Task id -> status, of our tasks."""
    with made.client as client:
        found = client.pages("tasks.get_all", "tasks", only_fields=["id", "status"], order_by=["id"])
        return {entry["id"]: entry["status"] for entry in found if entry["id"] in ids}
