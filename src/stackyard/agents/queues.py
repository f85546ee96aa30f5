"""``agents/queues.toml``: the queues of an installation and what a machine offers them, checked.

Reads that one file. Knows no server and no machine: what of it this machine can serve is ``slots``' question.
May import errors, settings and toml_tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackyard import toml_tables
from stackyard.errors import BadInputError
from stackyard.settings import base
from stackyard.toml_tables import Fields
from stackyard_server.rules import fate

FILE = "queues.toml"
#: ``slots`` of a queue that gets one agent for each GPU.
GPUS = "gpus"
#: ``network`` that leaves the choice to us.
AUTO = "auto"
DEPLOYMENTS = ("agent", "container")
#: What the ordinary tasks of a queue run in: a stack with what they list, or the environment that agents make.
ENVIRONMENTS = ("stack", "agent")
#: What of a queue the server is told, as its metadata.
METADATA = ("time_limit_seconds", "retries", "silence_seconds")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_MOUNT = r"/[^:,]*:/[^:,]*(:r[ow])?"
#: What a queue may say of its containers alone: the most that a task gets.
_CONTAINER_KEYS = ("cpus", "memory", "shm")
_QUEUE_KEYS = (
    *("about", "deployment", "slots", "cores", "stacks", "default_stack", "environment"),
    *_CONTAINER_KEYS,
    *("time_limit_seconds", "retries", "silence_seconds"),
)


@dataclass(frozen=True)
class Queue:
    """One queue."""

    name: str
    #: "agent": on the host; "container": in a container.
    deployment: str
    #: Agents of a machine; ``None``: one for each GPU.
    slots: int | None = 1
    #: Cores of each slot; ``None``: the machine's, shared evenly.
    cores: int | None = None
    #: Names of the stacks it serves; ``None``: every stack the machine has.
    stacks: tuple[str, ...] | None = None
    #: The stack of ordinary tasks that ask for none; ``None``: the first that is here.
    default_stack: str | None = None
    #: One of ENVIRONMENTS.
    environment: str = ENVIRONMENTS[0]
    #: What a container gets that asks for nothing, and the most it may ask for; ``None``: from the machine.
    cpus: float | None = None
    memory_bytes: int | None = None
    shm_bytes: int | None = None
    time_limit_seconds: float | None = None
    #: Further tries of a task that the infrastructure lost; ``None``: the server's own rule.
    retries: int | None = None
    silence_seconds: float | None = None
    about: str = ""

    @property
    def in_container(self) -> bool:
        """Whether its tasks run in containers."""
        return self.deployment == "container"

    def serves(self, stack: str) -> bool:
        """Whether a task on that stack may run from this queue."""
        return self.stacks is None or stack in self.stacks

    def metadata(self) -> dict[str, str]:
        """What the server is to enforce, as the queue's metadata."""
        held = {name: getattr(self, name) for name in METADATA}
        return {name: f"{value:.15g}" for name, value in held.items() if value is not None}


@dataclass(frozen=True)
class QueuesFile:
    """Everything ``queues.toml`` says."""

    queues: Mapping[str, Queue] = field(default_factory=dict)
    #: Names of variables that agents get from the shell of ``stackyard up``.
    pass_environment: tuple[str, ...] = ()
    #: Share of a GPU's memory that others may use before it counts as taken.
    taken_memory_share: float = 0.1
    #: "auto", or a docker network.
    network: str = AUTO
    #: "HOST:CONTAINER[:ro]".
    mounts: tuple[str, ...] = ()


def default_path() -> Path:
    """``agents/queues.toml`` of the checkout this code runs from, else of the current folder."""
    return base() / "agents" / FILE


def read(path: Path) -> QueuesFile:
    """What ``path`` says.

    Raises:
        BadInputError: it cannot be read, or a key or value in it cannot be used.
    """
    fields = Fields(str(path), toml_tables.read(path))
    fields.keys(fields.document, "", ["queues", "agents", "containers"])
    found = {name: _queue(fields, name, about) for name, about in fields.table("queues").items()}
    if not found:
        raise BadInputError(f"{path}: names no queue; write a table [queues.NAME] for each")
    agents, containers = fields.table("agents"), fields.table("containers")
    fields.keys(agents, "agents", ["pass_environment", "taken_memory_share"])
    fields.keys(containers, "containers", ["network", "mounts"])
    return QueuesFile(
        queues=found,
        pass_environment=fields.texts(
            agents,
            "agents",
            "pass_environment",
            _VARIABLE,
            "a list of variables' names: letters, digits and _",
        )
        or (),
        taken_memory_share=fields.share(agents, "agents", "taken_memory_share", 0.1),
        network=fields.text(containers, "containers", "network", AUTO),
        mounts=fields.texts(containers, "containers", "mounts", _MOUNT, "a list of /HOST:/CONTAINER[:ro]")
        or (),
    )


def _queue(fields: Fields, name: str, table: Any) -> Queue:
    where = f"queues.{name}"
    if not _NAME.fullmatch(name):
        raise fields.bad(where, f"is named {name!r}", "a name of letters, digits and ._- (64 at most)")
    if not isinstance(table, dict):
        raise fields.bad(where, f"is {table!r}", f"a table [{where}]")
    fields.keys(table, where, _QUEUE_KEYS)
    deployment = fields.text(table, where, "deployment", DEPLOYMENTS[0])
    if deployment not in DEPLOYMENTS:
        raise fields.bad(f"{where}.deployment", f"is {deployment!r}", fields.one_of(deployment, DEPLOYMENTS))
    if deployment != "container" and (held := [key for key in _CONTAINER_KEYS if key in table]):
        expected = 'nothing: a task on the host is held by "cores" alone; only containers have more limits'
        raise fields.bad(f"{where}.{held[0]}", f"is {table[held[0]]!r}", expected)
    environment = fields.text(table, where, "environment", ENVIRONMENTS[0])
    if environment not in ENVIRONMENTS:
        expected = fields.one_of(environment, ENVIRONMENTS)
        raise fields.bad(f"{where}.environment", f"is {environment!r}", expected)
    if deployment == "container" and environment != ENVIRONMENTS[0]:
        expected = 'it left out: in a container nothing is installed; such a queue has deployment = "agent"'
        raise fields.bad(f"{where}.environment", f"is {environment!r}", expected)
    stacks = fields.texts(table, where, "stacks")
    default = fields.text(table, where, "default_stack", "") if "default_stack" in table else None
    if default is not None and stacks is not None and default not in stacks:
        expected = f"one that the queue serves: {', '.join(stacks)}"
        raise fields.bad(f"{where}.default_stack", f"is {default!r}", expected)

    def whole(key: str, low: int, high: int = 10_000) -> int | None:
        return fields.whole(table, where, key, low, low, high) if key in table else None

    def size(key: str) -> int | None:
        return fields.size(table[key], f"{where}.{key}") if key in table else None

    return Queue(
        name=name,
        deployment=deployment,
        slots=None if table.get("slots") == GPUS else fields.whole(table, where, "slots", 1, 0, 10_000),
        cores=whole("cores", 1),
        stacks=stacks,
        default_stack=default,
        environment=environment,
        cpus=fields.positive(table, where, "cpus", None),
        memory_bytes=size("memory"),
        shm_bytes=size("shm"),
        time_limit_seconds=fields.positive(table, where, "time_limit_seconds", None),
        retries=whole("retries", 0, fate.MOST_RETRIES),
        silence_seconds=fields.positive(table, where, "silence_seconds", None),
        about=fields.text(table, where, "about", "") if table.get("about") else "",
    )
