"""Mixed load with a ledger: what was acknowledged must be there, what was on its way may be."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from stackyard_server import admin
from stackyard_server.files.stored import StoredFiles
from stackyard_server.store import Store
from stackyard_server.store import files as file_rows

from .child import Child, Client

LOST = (httpx.TransportError, OSError, ValueError)


@dataclass
class Ledger:
    """What the server acknowledged, over all rounds."""

    #: task -> the comment last acknowledged and the one asked for last
    comments: dict[str, tuple[int, int]] = field(default_factory=dict)
    #: task -> statuses that it may have: the last acknowledged, the one asked for last
    statuses: dict[str, set[str]] = field(default_factory=dict)
    #: task -> iterations acknowledged
    points: dict[str, set[int]] = field(default_factory=dict)
    #: path -> digests that it may have
    files: dict[str, set[str]] = field(default_factory=dict)
    enqueued: list[str] = field(default_factory=list)
    handed_out: list[str] = field(default_factory=list)
    #: pulls whose answer was lost: each may have taken one task
    lost_pulls: int = 0
    acknowledged: int = 0

    def check(self, folder: Path, queue: str) -> list[str]:
        """What is not as it was acknowledged; sentences. No server runs."""
        wrong: list[str] = []
        store = Store(folder)
        stored = StoredFiles(store)
        with store.reading() as tx:
            wrong += [f"integrity: {row[0]}" for row in tx.all("PRAGMA integrity_check") if row[0] != "ok"]
            wrong += [f"reference: {row}" for row in tx.all("PRAGMA foreign_key_check")]
            rows = {row[0]: row for row in tx.all("SELECT id, status, comment FROM task")}
            for task, (acknowledged, asked) in self.comments.items():
                if task not in rows:
                    wrong.append(f"task {task} is gone")
                    continue
                _, status, comment = rows[task]
                if int(comment or 0) not in (acknowledged, asked):
                    wrong.append(
                        f"task {task}: comment {comment}, acknowledged {acknowledged}, asked {asked}"
                    )
                if status not in self.statuses[task]:
                    wrong.append(f"task {task}: status {status}, expected one of {self.statuses[task]}")
            for task, iterations in self.points.items():
                found = tx.all(
                    "SELECT s.iter FROM scalar s JOIN metric m ON m.number = s.series WHERE m.owner=?",
                    (task,),
                )
                if iterations - {row[0] for row in found}:
                    wrong.append(f"task {task}: {len(iterations)} points acknowledged, {len(found)} there")
            waiting = [
                row[0]
                for row in tx.all(
                    "SELECT e.task FROM queue_entry e JOIN queue q ON q.number=e.queue WHERE q.id=? ORDER BY position",
                    (queue,),
                )
            ]
            for path, digests in self.files.items():
                file = file_rows.find(tx, path)
                if file is None:
                    wrong.append(f"file {path} is gone")
                elif file.sha256 not in digests:
                    wrong.append(f"file {path} has content that was never sent")
                elif hashlib.sha256(stored.locate(file.blob).read_bytes()).hexdigest() != file.sha256:
                    wrong.append(f"file {path} is torn")
        store.close()
        twice = [task for task in set(self.handed_out) if self.handed_out.count(task) > 1]
        wrong += [f"task {task} was handed out twice" for task in twice]
        wrong += [f"task {task} was handed out and waits" for task in waiting if task in set(self.handed_out)]
        unseen = set(self.enqueued) - set(waiting) - set(self.handed_out)
        if len(unseen) > self.lost_pulls:
            wrong.append(f"{len(unseen)} queued tasks are nowhere, {self.lost_pulls} pulls were cut off")
        return wrong


class Load:
    """Threads that work against one server until it dies.

    Args:
        child: The server.
        key: Whose calls they are.
        ledger: Where acknowledgements go.
        queue: The queue that is filled and emptied.
        seed: Of what is done.
    """

    def __init__(
        self, child: Child, key: admin.First, ledger: Ledger, queue: str, seed: int, threads: int = 4
    ) -> None:
        self.child, self.key, self.ledger, self.queue = child, key, ledger, queue
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.faults: list[str] = []
        self._threads = [
            threading.Thread(target=self._work, args=(random.Random(f"{seed}/{n}"),)) for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait for the threads; the server is gone, or they end after what they do now."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _work(self, dice: random.Random) -> None:
        try:
            client = Client(self.child, self.key)
        except (*LOST, KeyError):
            return
        mine: list[str] = []
        try:
            while not self._ended.is_set():
                if len(mine) < 3 or dice.random() < 0.1:
                    mine.append(self._create(client))
                else:
                    action = dice.choice(
                        [self._comment, self._points, self._upload, self._start, self._queue, self._pull]
                    )
                    action(client, dice.choice(mine))
                with self._lock:
                    self.ledger.acknowledged += 1
        except LOST:
            pass
        except AssertionError as fault:
            self.faults.append(str(fault))
        finally:
            client.close()

    def _create(self, client: Client) -> str:
        task: str = client.call("tasks.create", name="under load", type="testing")["id"]
        with self._lock:
            self.ledger.comments[task] = (0, 0)
            self.ledger.statuses[task] = {"created"}
        return task

    def _comment(self, client: Client, task: str) -> None:
        old = self.ledger.comments[task][0]
        self.ledger.comments[task] = (old, old + 1)
        client.call("tasks.edit", task=task, comment=str(old + 1), force=True)
        self.ledger.comments[task] = (old + 1, old + 1)

    def _start(self, client: Client, task: str) -> None:
        if self.ledger.statuses[task] != {"created"}:
            return
        self.ledger.statuses[task] = {"created", "in_progress"}
        client.call("tasks.started", task=task)
        self.ledger.statuses[task] = {"in_progress"}

    def _queue(self, client: Client, task: str) -> None:
        fresh = self._create(client)
        self.ledger.statuses[fresh] = {"created", "queued"}
        client.call("tasks.enqueue", task=fresh, queue=self.queue)
        with self._lock:
            self.ledger.statuses[fresh] = {"queued"}
            self.ledger.enqueued.append(fresh)

    def _pull(self, client: Client, task: str) -> None:
        try:
            entry: dict[str, Any] = client.call("queues.get_next_task", queue=self.queue).get("entry") or {}
        except LOST:
            with self._lock:
                self.ledger.lost_pulls += 1
            raise
        if entry:
            with self._lock:
                self.ledger.handed_out.append(entry["task"])

    def _points(self, client: Client, task: str) -> None:
        begin = len(self.ledger.points.get(task, ()))
        events = [
            {
                "type": "training_stats_scalar",
                "task": task,
                "metric": "m",
                "variant": "v",
                "iter": i,
                "value": i,
            }
            for i in range(begin, begin + 20)
        ]
        answer = client.send_events(events)
        assert answer["data"].get("added") == 20, answer
        self.ledger.points.setdefault(task, set()).update(range(begin, begin + 20))

    def _upload(self, client: Client, task: str) -> None:
        path = f"load/t.{task}/f.bin"
        content = os.urandom(random.choice((10, 5_000, 300_000)))
        digest = hashlib.sha256(content).hexdigest()
        known = self.ledger.files.get(path, set())
        if known:
            self.ledger.files[path] = known | {digest}
        assert client.upload(path, content).status_code == 200
        self.ledger.files[path] = {digest}
