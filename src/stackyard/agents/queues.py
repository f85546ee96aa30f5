"""``agents/queues.toml``: the queues of an installation and what a machine offers them, checked.

Reads that one file. Knows no server and no machine: what of it this machine can serve is ``slots``' question.
May import errors and settings.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackyard.errors import BadInputError
from stackyard.settings import base
from stackyard_server.rules import fate

FILE = "queues.toml"
#: ``slots`` of a queue that gets one agent for each GPU.
GPUS = "gpus"
#: ``network`` that leaves the choice to us.
AUTO = "auto"
DEPLOYMENTS = ("agent", "container")
#: What of a queue the server is told, as its metadata.
METADATA = ("time_limit_seconds", "retries", "silence_seconds")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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
        return {name: f"{value:g}" for name, value in held.items() if value is not None}


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
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInputError(f"{path}: cannot be read ({error})") from error
    top = _Table(str(path), table)
    top.only("queues", "agents", "containers")
    queues = {}
    for name, about in top.table("queues").values.items():
        if not _NAME.fullmatch(name):
            raise BadInputError(f"{path}: queue {name!r}: letters, digits and ._- are allowed, 64 at most")
        queues[name] = _queue(name, _Table(f"{path}: [queues.{name}]", about))
    if not queues:
        raise BadInputError(f"{path}: names no queue; write a table [queues.NAME] for each")
    agents = top.table("agents")
    agents.only("pass_environment", "taken_memory_share")
    containers = top.table("containers")
    containers.only("network", "mounts")
    passed = agents.texts("pass_environment") or ()
    for variable in passed:
        if not _VARIABLE.fullmatch(variable):
            raise BadInputError(f"{agents.where}: {variable!r} in pass_environment is not a variable's name")
    share = agents.number("taken_memory_share", 0.1)
    if not 0 <= share <= 1:
        raise BadInputError(f"{agents.where}: taken_memory_share is {share:g}, expected 0 to 1")
    mounts = containers.texts("mounts") or ()
    for mount in mounts:
        if not re.fullmatch(r"/[^:,]*:/[^:,]*(:r[ow])?", mount):
            raise BadInputError(f"{containers.where}: mount {mount!r}, expected /HOST:/CONTAINER or with :ro")
    return QueuesFile(queues, passed, share, containers.text("network", AUTO) or AUTO, mounts)


def _queue(name: str, table: _Table) -> Queue:
    table.only(
        "about",
        "deployment",
        "slots",
        "cores",
        "stacks",
        "time_limit_seconds",
        "retries",
        "silence_seconds",
    )
    deployment = table.text("deployment", "agent")
    if deployment not in DEPLOYMENTS:
        raise BadInputError(
            f"{table.where}: deployment is {deployment!r}, expected {' or '.join(DEPLOYMENTS)}"
        )
    slots = table.values.get("slots", 1)
    if slots != GPUS:
        slots = table.whole("slots", 1, least=0)
    return Queue(
        name=name,
        deployment=str(deployment),
        slots=None if slots == GPUS else slots,
        cores=table.whole("cores", None, least=1),
        stacks=table.texts("stacks"),
        time_limit_seconds=table.positive("time_limit_seconds"),
        retries=table.whole("retries", None, least=0, most=fate.MOST_RETRIES),
        silence_seconds=table.positive("silence_seconds"),
        about=table.text("about", "") or "",
    )


@dataclass(frozen=True)
class _Table:
    """A TOML table whose values are asked for by kind."""

    where: str
    values: Any

    def __post_init__(self) -> None:
        if not isinstance(self.values, dict):
            raise BadInputError(f"{self.where}: expected a table, found {self.values!r}")

    def only(self, *names: str) -> None:
        for name in self.values:
            if name not in names:
                raise BadInputError(f"{self.where}: key {name!r} is unknown; allowed: {', '.join(names)}")

    def table(self, name: str) -> _Table:
        return _Table(f"{self.where}: [{name}]", self.values.get(name, {}))

    def text(self, name: str, default: str | None) -> str | None:
        value = self.values.get(name, default)
        if value is not None and not isinstance(value, str):
            raise BadInputError(f"{self.where}: {name} is {value!r}, expected a text")
        return value

    def texts(self, name: str) -> tuple[str, ...] | None:
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadInputError(f"{self.where}: {name} is {value!r}, expected a list of texts")
        return tuple(value)

    def number(self, name: str, default: float) -> float:
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadInputError(f"{self.where}: {name} is {value!r}, expected a number")
        return float(value)

    def positive(self, name: str) -> float | None:
        if name not in self.values:
            return None
        value = self.number(name, 0.0)
        if not value > 0:
            raise BadInputError(f"{self.where}: {name} is {value:g}, expected more than 0")
        return value

    def whole(self, name: str, default: int | None, least: int, most: int = 10_000) -> Any:
        value = self.values.get(name, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise BadInputError(
                f"{self.where}: {name} is {value!r}, expected a whole number from {least} to {most}"
            )
        return value
