"""Where services keep their files, and what is in them: plan, state, key, lock. No process, no network.

HOME/services/plan.json (what is wanted, written by ``control``), state.json (what is, written by the services
process), services.lock (held by that process; the kernel lets go of it whatever ends it), services.log.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stackyard.agents.configuration import Prepared, mark_of, write_private
from stackyard.agents.lineage import Identity, started_at
from stackyard.clearml.connection import CONFIG_FILE, Connection
from stackyard.errors import StackyardError
from stackyard_task.records import RecordError, from_json, read_json

#: What the plan asks for: keep running; end when tasks have; end and abort tasks. STARTING: ``up`` starts a server, or
#: was cut off before it knew the agents.
RUN, FINISH, ABORT, STARTING = "run", "finish", "abort", "starting"
EMBEDDED, GIVEN = "embedded", "given"


@dataclass(frozen=True)
class QueueRule:
    """What is enforced on the tasks of a queue."""

    name: str
    time_limit_seconds: float | None = None
    retries: int | None = None


@dataclass(frozen=True)
class Server:
    """The server of this machine's agents."""

    #: EMBEDDED (started and kept running by us) or GIVEN.
    kind: str
    api: str
    web: str
    files: str
    #: Data folder of the embedded one.
    folder: str | None = None
    #: What the embedded one is started with.
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WebApp:
    """The web app that is kept beside server and agents."""

    host: str
    port: int
    #: Where browsers find it.
    address: str
    #: Folders whose reports it shows.
    reports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is wanted on this machine."""

    mode: str
    server: Server
    machine: str
    agents: tuple[Prepared, ...] = ()
    #: Queue id -> rule.
    queues: Mapping[str, QueueRule] = field(default_factory=dict)
    #: Queue -> why this machine has no agent for it.
    absent: Mapping[str, str] = field(default_factory=dict)
    taken_memory_share: float = 0.1
    #: The real docker client; ``None``: there is none.
    docker: str | None = None
    #: ``None``: none is wanted.
    web_app: WebApp | None = None
    #: Epoch seconds of the order to end, and of the moment when waiting for tasks is over.
    ordered_at: float | None = None
    deadline_at: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON writes it."""
        return asdict(self)


@dataclass(frozen=True)
class SlotState:
    """What the services process says of one slot."""

    slot: str
    queue: str
    worker: str
    phase: str
    restarts: int
    hold: str | None
    trouble: str | None
    pid: int | None
    started: int | None
    cores: tuple[int, ...]
    gpu: int | None
    digest: str = ""
    #: Folder of the cgroup of all that its agent started.
    group: str | None = None


@dataclass(frozen=True)
class WebAppState:
    """What the services process says of the web app."""

    address: str
    #: "starting", "running" (it takes connections), or "waiting" for its next start.
    phase: str
    pid: int | None
    restarts: int
    trouble: str | None


@dataclass(frozen=True)
class State:
    """What of the services process' last word is read by others; there is more in it."""

    #: Epoch seconds of the word.
    at: float = 0.0
    over: bool = False
    metrics: str | None = None
    slots: tuple[SlotState, ...] = ()
    web_app: WebAppState | None = None


class ServicesFiles:
    """The files of one installation's services.

    Args:
        home: Stackyard's home.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()
        self.folder = self.home / "services"
        self.agents = self.home / "agents"
        self.plan_file = self.folder / "plan.json"
        self.state_file = self.folder / "state.json"
        self.lock_file = self.folder / "services.lock"
        self.log_file = self.folder / "services.log"
        self.web_log = self.folder / "web.log"
        #: The clearml.conf of our side's commands.
        self.own_config = self.home / CONFIG_FILE
        self.key_file = self.agents / "key.json"

    @property
    def mark_prefix(self) -> str:
        """How the marks of all agents of this installation begin."""
        return mark_of("", self.home)

    def plan(self) -> Plan | None:
        """What is wanted; ``None``: nothing was ever.

        Raises:
            StackyardError: the file is not a plan.
        """
        values = _read(self.plan_file)
        if values is None:
            return None
        try:
            return from_json(Plan, values, str(self.plan_file))
        except RecordError as error:
            raise StackyardError(
                f"{error}: not a plan of this version; remove it, then run stackyard up"
            ) from error

    def write_plan(self, plan: Plan) -> None:
        """Say what is wanted."""
        self._make()
        write_private(self.plan_file, json.dumps(plan.to_json(), indent=1) + "\n")

    def state(self) -> dict[str, Any]:
        """What the services process last said; empty if it never did, or said nothing that can be read."""
        with suppress(StackyardError):
            return self.last_word()
        return {}

    def last_word(self) -> dict[str, Any]:
        """What the services process last said: the values of a State and more; empty if it never did.

        Raises:
            StackyardError: the file cannot be read, or a value in it has the wrong type.
        """
        values = _read(self.state_file) or {}
        try:
            from_json(State, values, str(self.state_file))
        except RecordError as error:
            raise StackyardError(str(error)) from error
        return values

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Say what is."""
        write_private(self.state_file, json.dumps(state, indent=1) + "\n")

    def agents_left(self) -> dict[str, tuple[Identity, str]]:
        """Slot -> an agent that runs, by the last word of a services process, and the digest of what it was given."""
        found = {}
        for slot in self.state().get("slots", []):
            identity = Identity(slot["pid"] or 0, slot["started"] or 0)
            if slot["pid"] and identity.alive():
                found[slot["slot"]] = (identity, slot.get("digest", ""))
        return found

    def key(self) -> tuple[str, str] | None:
        """The agents' access key and secret; ``None``: there is none yet."""
        values = _read(self.key_file)
        if values is None:
            return None
        try:
            key = from_json(_Key, values, str(self.key_file))
        except RecordError as error:
            raise StackyardError(f"{error}; remove it, then run stackyard up") from error
        return key.access_key, key.secret_key

    def write_key(self, access_key: str, secret_key: str) -> None:
        """Keep the agents' key."""
        self.agents.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self.key_file, json.dumps({"access_key": access_key, "secret_key": secret_key}) + "\n")

    def connection(self, server: Server) -> Connection:
        """How agents, and who looks after them, come to the server.

        Raises:
            StackyardError: their key is missing.
        """
        key = self.key()
        if key is None:
            raise StackyardError(f"{self.key_file} is missing; run stackyard up")
        return Connection(server.api, server.web, server.files, *key, source=str(self.key_file))

    def holder(self) -> Identity | None:
        """The services process that runs; ``None``: none does."""
        try:
            with self.lock_file.open("r+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    pid = int(file.read().strip() or 0)
                    return Identity(pid, started_at(pid) or 0)
        except (FileNotFoundError, ValueError):
            pass
        return None

    def hold(self) -> int | None:
        """The descriptor that holds the lock until it is closed; ``None``: another process has it."""
        self._make()
        number = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(number)
            return None
        try:
            os.ftruncate(number, 0)
            os.write(number, f"{os.getpid()}\n".encode())
        except OSError as error:
            os.close(number)
            raise OSError(error.errno, error.strerror, str(self.lock_file)) from error
        return number

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One up or down at a time."""
        self._make()
        number = os.open(self.folder / "order.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
            yield
        finally:
            os.close(number)

    def _make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)


@dataclass(frozen=True)
class _Key:
    access_key: str
    secret_key: str


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        return read_json(dict[str, Any], path)
    except RecordError as error:
        raise StackyardError(str(error)) from error
