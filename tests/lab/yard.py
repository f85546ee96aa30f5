"""An installed lab: what it was installed with, plays on it, and tasks sent to it as its people send them."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab import bundles, hosts
from tests.lab.hosts import Host, Lab, Result
from tests.waiting import until

PASSWORD = "a password for tests"
GROUPS = {"server": ["head"], "agents": ["one", "two"]}
#: A worker that is gone is taken for lost after so long: sooner than a lab would want it.
SILENCE_SECONDS = 30
_FINAL = ("completed", "failed", "stopped", "closed")
#: What a task does: says that it ran, and works for so long.
_WORK = "import sys, time; print('ran for', sys.argv[1], flush=True); time.sleep(float(sys.argv[1]))"


@dataclass
class Yard:
    """A lab without a way out, and what it was installed with."""

    lab: Lab
    variables: dict[str, Any]
    checked: Result | None = None
    first: Result | None = None
    #: Of the last smoke test.
    smoked_seconds: float = 0.0
    groups: Mapping[str, list[str]] = field(default_factory=lambda: dict(GROUPS))

    @property
    def head(self) -> Host:
        """The server's host."""
        return self.lab.hosts["head"]

    def inventory(self, groups: Mapping[str, list[str]] | None = None, **more: Any) -> Path:
        """The inventory, with other groups or further variables."""
        return self.lab.inventory(groups or self.groups, {**self.variables, **more})

    def play(self, playbook: str, *options: str, **extra: Any) -> Result:
        """Play on the lab as it is meant to be."""
        return self.lab.play(playbook, self.inventory(), *options, extra=extra or None)

    def good(self, playbook: str, *options: str, **extra: Any) -> Result:
        """Play, and have it succeed."""
        result = self.play(playbook, *options, **extra)
        assert result.exit_code == 0, result.output[-4000:]
        return result

    def smoke(self) -> list[dict[str, Any]]:
        """One task on each queue; what ran where."""
        result = self.good("playbooks/verify.yml", "--tags", "smoke")
        self.smoked_seconds = result.seconds
        told = next(task for task in result.tasks if task["name"].endswith("Say what ran where"))
        return [json.loads(row) for row in json.loads(told["message"])]

    # -- tasks ---------------------------------------------------------------------------------------

    def _task(self, words: str) -> Any:
        settings = "STACKYARD_HOME=/var/cache/stackyard/people REQUESTS_CA_BUNDLE=/etc/stackyard/tls/ca.crt"
        folder = "mkdir -p /var/cache/stackyard/code && cd /var/cache/stackyard/code"
        command, _space, rest = words.partition(" ")
        told = f"stackyard task {command} --config /etc/stackyard/keys/lab.conf --json {rest}"
        return json.loads(
            self.head.shell(f"{folder} && echo {shlex.quote(_WORK)} > work.py && {settings} {told}")
        )

    def send(self, seconds: float, queue: str = "cpu") -> str:
        """A task that works for so long; its id."""
        words = f"submit --queue {queue} --stack {bundles.STACK} --name work -- python work.py {seconds:g}"
        return str(self._task(words)["id"])

    def task(self, id: str) -> dict[str, Any]:
        """What a task came to so far."""
        found: dict[str, Any] = self._task(f"show {id}")
        return found

    def await_running(self, id: str, on: str | None = None) -> str:
        """Wait until a task runs; the worker."""

        def runs() -> bool:
            told = self.task(id)
            assert told["status"] not in _FINAL, told["reason"]
            return told["status"] == "in_progress" and (
                on is None or str(told["worker"]).startswith(f"{on}:")
            )

        until(runs, f"task {id} running")
        return str(self.task(id)["worker"])

    def await_end(self, *ids: str) -> list[dict[str, Any]]:
        """Wait until tasks have ended; what each came to."""
        left = list(ids)

        def over() -> bool:
            left[:] = [id for id in left if self.task(id)["status"] not in _FINAL]
            return not left

        until(over, "the end of all tasks")
        return [self.task(id) for id in ids]

    def runs_of(self, id: str) -> int:
        """How often a task's program began, as its whole console says."""
        lines = self.head.shell(
            "REQUESTS_CA_BUNDLE=/etc/stackyard/tls/ca.crt STACKYARD_HOME=/var/cache/stackyard/people "
            f"stackyard task follow --config /etc/stackyard/keys/lab.conf {id} || true"
        )
        return sum(line.startswith("ran for") for line in lines.splitlines())

    def await_workers(self, *names: str) -> None:
        """Wait until these hosts' agents have reported to the server just now."""

        def there() -> bool:
            for name in names:
                told = self.lab.hosts[name].shell(
                    "runuser -u stackyard -- stackyard status --json", check=False
                )
                try:
                    status = json.loads(told)
                except ValueError:
                    return False
                mine = [row for row in status["workers"] if row["id"].startswith(f"{name}:")]
                if status["problems"] or not mine:
                    return False
            return True

        until(there, f"agents of {', '.join(names)}")


def queues_file(folder: Path) -> Path:
    """The lab's queues, with a short silence."""
    path = folder / "queues.toml"
    text = (hosts.ROOT / "agents" / "queues.toml").read_text()
    path.write_text(text.replace("silence_seconds = 180", f"silence_seconds = {SILENCE_SECONDS}"))
    return path


@contextlib.contextmanager
def installed(lab: Lab, check: bool = False) -> Iterator[Yard]:
    """The lab with ``site.yml`` played, from a bundle that is served meanwhile."""
    with bundles.served(bundles.bundle(), lab.gateway) as told:
        variables = {
            "lab_admin_password": PASSWORD,
            "lab_base_images": {bundles.STACK: hosts.BASE},
            "lab_queues_file": str(queues_file(lab.folder)),
            "clearml_agent_drain_seconds": 120,
            **told,
        }
        yard = Yard(lab, variables)
        if check:
            yard.checked = yard.play("site.yml", "--check", "--diff")
        yard.first = yard.good("site.yml")
        yield yard
