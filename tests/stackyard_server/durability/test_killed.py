"""``kill -9`` at random points of mixed load: what was acknowledged is there, nothing is torn or handed out twice."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from stackyard_server.store import Store
from stackyard_server.upkeep import verification
from tests.waiting import until

from .child import Child, Client, found_folder
from .load import Ledger, Load

pytestmark = pytest.mark.slow

LONG = os.environ.get("STACKYARD_LONG") == "1"
FULL = 200
ROUNDS = FULL if LONG else 5


@pytest.mark.promise("kept-when-killed")
def test_a_killed_server_kept_what_it_acknowledged(tmp_path: Path) -> None:
    seed = int(os.environ.get("STACKYARD_SEED") or random.SystemRandom().randrange(10**6))
    print(f"kill -9: {ROUNDS} of {FULL} rounds, STACKYARD_SEED={seed}")
    dice = random.Random(seed)
    folder = tmp_path / "data"
    key = found_folder(folder)
    queue = ""
    ledger = Ledger()
    for number in range(ROUNDS):
        child = Child(folder)
        try:
            if not queue:
                client = Client(child, key)
                queue = client.call("queues.create", name="work")["id"]
                client.close()
            load = Load(child, key, ledger, queue, seed + number)
            # the moment of the kill is what is random here: so many answers later, whatever is under way then
            goal = ledger.acknowledged + dice.randint(10, 150)
            until(
                lambda goal=goal: ledger.acknowledged >= goal,
                f"{goal} answers",
                lambda load=load: load.faults,
            )
        finally:
            child.kill()
        load.join()
        assert load.faults == [], f"round {number}, seed {seed}"
        wrong = ledger.check(folder, queue)
        assert wrong == [], f"round {number}, seed {seed}: {wrong[:5]}"
    print(f"kill -9: {ledger.acknowledged} calls acknowledged, {len(ledger.handed_out)} tasks handed out")
    assert ledger.handed_out
    assert ledger.files
    child = Child(folder)  # it starts, and sweeps what the kills left
    client = Client(child, key)
    drained = []
    while entry := client.call("queues.get_next_task", queue=queue).get("entry"):
        drained.append(entry["task"])
    assert not set(drained) & set(ledger.handed_out)
    assert len(drained) == len(set(drained))
    client.close()
    assert child.stop() == 0
    store = Store(folder)
    found = verification.verify(store)
    assert found["ok"], found["problems"]
    assert list((folder / "files" / "incoming").iterdir()) == []
    store.close()
