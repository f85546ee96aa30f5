"""Up and down of this machine's services, as the command line asks for them.

Decides: which server, which queues, which slots, whose key. What it decided goes into the plan; the services process
does the rest. The embedded server is entered by ``stackyard_server.admin`` only; every other word to a server is the
client's, so an official server is served the same way.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stackyard import extras, stacks
from stackyard.agents import configuration, lineage, queues, slots
from stackyard.agents.agent import Agent
from stackyard.agents.configuration import MARK, Prepared, Surroundings, mark_of
from stackyard.agents.lineage import Group, Identity
from stackyard.agents.queues import AUTO, QueuesFile
from stackyard.clearml import connection
from stackyard.clearml.client import Client, ServerError
from stackyard.clearml.connection import CONFIG_FILE, Connection
from stackyard.errors import StackyardError
from stackyard.machine import docker_engine, hardware
from stackyard.services import containers, embedded, loss, official_fate
from stackyard.services.files import EMBEDDED, FINISH, GIVEN, RUN, Plan, QueueRule, Server, ServicesFiles
from stackyard.services.keeper import AGAIN_SECONDS
from stackyard.services.watch import decides_fate, task_of
from stackyard.settings import Settings
from stackyard.stacks import images
from stackyard.stacks.definition import StackSpec
from stackyard_server.rules import fate
from stackyard_server.rules.fate import End

#: The users whose keys the agents and our side's commands have: login -> name. Neither administers anything, because
#: a task on the host can read both keys.
AGENTS_LOGIN, OWN_LOGIN = "stackyard-agents", "stackyard"
_NAMES = {AGENTS_LOGIN: "Agents", OWN_LOGIN: "Stackyard"}
#: How long agents may take to come up before ``up`` returns all the same.
UP_SECONDS = 45.0
#: What the services process may take besides the tasks it waits for.
END_SECONDS = 60.0
GRACE_SECONDS = 5.0
#: How long agents whose services process is gone may take to end when asked.
ORPHAN_SECONDS = 15.0
LOOPBACK = ("127.", "::1", "localhost")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wishes:
    """What ``stackyard up`` was told."""

    #: A clearml.conf of a server that runs elsewhere; ``None``: the embedded one.
    config: Path | None = None
    queues_file: Path | None = None
    #: Data folder of the embedded server; ``None``: HOME/server.
    folder: Path | None = None
    #: Its settings, as ``stackyard server start`` knows them.
    options: Mapping[str, Any] = field(default_factory=dict)
    #: Port of the services' metrics on the loopback address; 0: a free one.
    metrics_port: int = 0


# -- up ----------------------------------------------------------------------------------------------


def up(settings: Settings, wishes: Wishes, say: Say) -> dict[str, Any]:
    """Have server and agents running as ``queues.toml`` says; what runs already stays.

    Args:
        settings: where Stackyard's home is.
        wishes: what was asked for.
        say: called with one line whenever something was done.

    Returns:
        ``server`` (addresses), ``admin`` (login and password of a new embedded server, else ``None``), ``slots``,
        ``absent`` (queue -> why this machine does not serve it), ``problems``.

    Raises:
        StackyardError: something of it cannot be had; the message says what.
    """
    extras.check("clearml", "no agent can be started")
    files = ServicesFiles(settings.home)
    path = wishes.queues_file or queues.default_path()
    told = queues.read(path)
    offer, held, specs = _offer(settings)
    found, absent = slots.slots_of(told.queues.values(), offer)
    with files.alone():
        before = files.plan()
        running = files.holder()
        first = None
        if running is not None and before is not None and before.mode != RUN:
            raise StackyardError(
                "the services are on their way down; try again when `stackyard down` is done"
            )
        if wishes.config is not None:
            server = _given(settings, files, wishes.config)
        elif running is not None and before is not None and before.server.kind == GIVEN:
            server = before.server
        else:
            server, first = _embedded(settings, files, wishes, before, say)
        left: list[str] = []
        if running is None:
            left = sorted({slot.name for slot in found} & set(files.agents_left()))
            _clear(files, before, RUN, say, keep=set(left))
        with Client(connection.find(settings), patience_seconds=5) as client:
            rules = _queues(client, told, say)
        plan = Plan(
            mode=RUN,
            server=server,
            machine=_machine_name(),
            agents=_agents(files, settings, found, told, server, held, specs),
            queues=rules,
            absent=absent,
            taken_memory_share=told.taken_memory_share,
            docker=_docker(),
        )
        files.write_plan(plan)
        if running is None:
            pid = _start_services(files, wishes.metrics_port)
            say(f"services process {pid} started")
        if left:
            say(f"agents that still ran go on under it: {', '.join(left)}")
        late = _await_agents(files, plan)
    state = files.state()
    return {
        "server": {"kind": server.kind, "web": server.web, "api": server.api, "files": server.files},
        "admin": first,
        "slots": [agent.slot for agent in plan.agents],
        "absent": absent,
        "metrics": state.get("metrics"),
        "problems": late,
    }


def _offer(settings: Settings) -> tuple[slots.MachineOffer, dict[str, str], dict[str, StackSpec]]:
    """What this machine offers, its images (stack -> id), and the stacks whose environments are here."""
    machine = hardware.this_machine()
    defined = stacks.load()
    built = {name: spec for name, spec in defined.items() if stacks.python_of(spec, settings) is not None}
    held: dict[str, str] = {}
    try:
        engine = docker_engine.connect()
        obstacle = None if docker_engine.client_path() else "no docker client is on PATH"
        recorded = images.recorded(settings)
        for name, spec in defined.items():
            if name in recorded and images.why_not(spec, settings, engine) is None:
                held[name] = recorded[name].image_id
    except StackyardError as error:
        obstacle = str(error)
    cores = tuple(sorted(os.sched_getaffinity(0)))
    gpus = tuple(gpu.index for gpu in machine.gpus)
    offer = slots.MachineOffer(
        cores,
        gpus,
        machine.gpu_obstacle,
        obstacle,
        frozenset(held),
        frozenset(built),
        machine.usable_ram_bytes,
    )
    return offer, held, built


def _given(settings: Settings, files: ServicesFiles, path: Path) -> Server:
    """A server that runs elsewhere; our side and the agents come with the key of its clearml.conf."""
    read = connection.read(path, {})
    with Client(read, patience_seconds=5) as client:
        client.call("users.get_current_user")
    configuration.write_private(_own_config(settings), path.read_text(encoding="utf-8"))
    files.write_key(read.access_key, read.secret_key)
    return Server(GIVEN, read.api, read.web, read.files)


def _embedded(
    settings: Settings, files: ServicesFiles, wishes: Wishes, before: Plan | None, say: Say
) -> tuple[Server, dict[str, str] | None]:
    """The embedded server, started unless it runs; login and password of a new one."""
    folder = (wishes.folder or settings.home / "server").absolute()
    first = None
    with embedded.admin() as admin:
        remembered: Mapping[str, Any] = {}
        if before is not None and before.server.kind == EMBEDDED and before.server.folder == str(folder):
            remembered = before.server.options
        runs = embedded.is_held(folder, admin)
        if not runs:
            options = embedded.options(folder, admin, {**remembered, **wishes.options})
            word = admin.start_background(folder, options)
            first = word["admin"]
            say(f"server started (process {word['pid']})")
        urls = admin.public_urls(folder)
        options = {
            **{
                name: value
                for name, value in {**remembered, **wishes.options}.items()
                if name not in embedded.PORTS
            },
            **admin.listening_ports(folder),  # where it is, it is started again
        }
        server = Server(EMBEDDED, urls["api"], urls["web"], urls["files"], str(folder), options)
        own = _own_config(settings)
        if not _opens(server, _key_of(own)):
            _add_user(admin, folder, OWN_LOGIN)
            admin.write_client_config(folder, own, OWN_LOGIN, True)
            if first is not None:  # our side has a key of its own now
                admin.revoke_credentials(folder, first["access_key"])
        if not _opens(server, files.key()):
            _add_user(admin, folder, AGENTS_LOGIN)
            key = admin.add_credentials(folder, AGENTS_LOGIN, f"agents of {_machine_name()}")
            files.write_key(key.access_key, key.secret_key)
    shown = None if first is None else {"login": first["login"], "password": first["password"]}
    return server, shown


def _add_user(admin: Any, folder: Path, login: str) -> None:
    """Make sure that a user of ours is there; nobody is to log in with the password."""
    if login not in {user["login"] for user in admin.list_users(folder)}:
        admin.add_user(folder, login, _NAMES[login], "user", admin.generate_password())


def _own_config(settings: Settings) -> Path:
    return settings.home / CONFIG_FILE


def _key_of(path: Path) -> tuple[str, str] | None:
    try:
        found = connection.read(path, {})
    except StackyardError:
        return None
    return found.access_key, found.secret_key


def _opens(server: Server, key: tuple[str, str] | None) -> bool:
    """Whether a key is good for the server."""
    if key is None:
        return False
    with Client(Connection(server.api, server.web, server.files, *key), patience_seconds=5) as client:
        try:
            client.call("users.get_current_user")
        except ServerError:
            return False
    return True


def _queues(client: Client, told: QueuesFile, say: Say) -> dict[str, QueueRule]:
    """Queue id -> rule, with every queue on the server and its metadata as ``queues.toml`` says."""
    known = {entry["name"]: entry for entry in client.pages("queues.get_all", "queues")}
    rules = {}
    for queue in told.queues.values():
        wanted = queue.metadata()
        items = [{"key": key, "type": "float", "value": value} for key, value in wanted.items()]
        entry = known.get(queue.name)
        if entry is None:
            id = client.call("queues.create", name=queue.name, metadata=items)["id"]
            say(f"queue {queue.name} made")
            entry = {"id": id, "metadata": {}}
        id = entry["id"]
        held = entry.get("metadata") or {}
        values = {key: item.get("value") for key, item in held.items()} if isinstance(held, dict) else {}
        if items and any(values.get(key) != value for key, value in wanted.items()):
            client.call("queues.add_or_update_metadata", queue=id, metadata=items)
        if gone := [key for key in queues.METADATA if key in values and key not in wanted]:
            client.call("queues.delete_metadata", queue=id, keys=gone)
        rules[id] = QueueRule(queue.name, queue.time_limit_seconds, queue.retries)
    return rules


def _agents(
    files: ServicesFiles,
    settings: Settings,
    found: list[slots.Slot],
    told: QueuesFile,
    server: Server,
    held: Mapping[str, str],
    built: Mapping[str, StackSpec],
) -> tuple[Prepared, ...]:
    """Everything the agents are given, written where they look for it."""
    files.agents.mkdir(parents=True, exist_ok=True, mode=0o700)
    entries: dict[str, Any] = {}
    for name, spec in built.items():
        entries |= images.stacks_file(spec, str(stacks.python_of(spec, settings)), held.get(name))
    configuration.write_private(files.agents / "stacks.json", json.dumps(entries, indent=1) + "\n")
    on_loopback = str(urlsplit(server.api).hostname).startswith(LOOPBACK)
    around = Surroundings(
        home=files.home,
        machine=_machine_name(),
        server=files.connection(server),
        passed={name: os.environ[name] for name in told.pass_environment if name in os.environ},
        docker=docker_engine.client_path(),
        network=("host" if on_loopback else None) if told.network == AUTO else told.network,
        mounts=told.mounts,
    )
    return tuple(
        configuration.prepare(slot, slots.allowed_images(told.queues[slot.queue], held), around)
        for slot in found
    )


def _docker() -> str | None:
    client = docker_engine.client_path()
    return str(client) if client else None


def _machine_name() -> str:
    """This machine's name in worker ids."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname().partition(".")[0]) or "machine"


def _start_services(files: ServicesFiles, metrics_port: int) -> int:
    """Start the services process and wait until it holds the lock; its pid."""
    command = [
        sys.executable,
        "-m",
        "stackyard.services",
        str(files.home),
        "--metrics-port",
        str(metrics_port),
    ]
    words = files.folder / "services.out"
    with os.fdopen(os.open(words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd="/"
        )
    end = time.monotonic() + 20
    while time.monotonic() < end:
        holder = files.holder()
        if holder is not None and holder.pid == process.pid:
            return process.pid
        if process.poll() is not None:
            break
        time.sleep(0.05)
    said = words.read_text(errors="replace").strip().splitlines()
    raise StackyardError(
        f"the services process did not start ({said[-1] if said else 'no word'}); see {files.log_file}"
    )


def _await_agents(files: ServicesFiles, plan: Plan) -> list[str]:
    """What is wrong with the agents once they had time to come up."""
    wanted = {agent.worker for agent in plan.agents}
    end = time.monotonic() + UP_SECONDS
    with Client(files.connection(plan.server), patience_seconds=2) as client:
        while True:
            there = {worker["id"] for worker in client.call("workers.get_all")["workers"]}
            if wanted <= there or time.monotonic() > end:
                break
            time.sleep(0.2)
    return [
        f"agent {worker} has not registered within {UP_SECONDS:.0f} s" for worker in sorted(wanted - there)
    ]


# -- down --------------------------------------------------------------------------------------------


def down(settings: Settings, mode: str, limit_seconds: float, say: Say) -> dict[str, Any]:
    """End agents and server; leave nothing behind.

    Args:
        settings: where Stackyard's home is.
        mode: FINISH (wait for running tasks) or ABORT.
        limit_seconds: how long to wait for tasks; those that still run then are aborted.
        say: called with one line whenever something was done.

    Returns:
        ``was_up``; ``ended`` (processes that had to be cleared away); ``aborted`` (ids of tasks).
    """
    files = ServicesFiles(settings.home)
    found: dict[str, Any] = {"was_up": False, "ended": 0, "aborted": []}
    if not files.plan_file.exists():
        return found
    with files.alone():
        plan = files.plan()
        assert plan is not None
        holder = files.holder()
        if holder is not None:
            found["was_up"] = True
            tasks = _running(files, plan, say)
            if tasks and mode == FINISH:
                say(f"waiting for {len(tasks)} running tasks, {fate.shown(limit_seconds)} at most")
            now = time.time()
            files.write_plan(replace(plan, mode=mode, ordered_at=now, deadline_at=now + limit_seconds))
            _await_end(holder, (limit_seconds if mode == FINISH else 0.0) + END_SECONDS)
            found["aborted"] = _aborted(files, plan, tasks)
        elif plan.mode == RUN:
            files.write_plan(replace(plan, mode=mode))
        found["ended"] = _clear(files, plan, mode, say)
        if plan.server.kind == EMBEDDED and plan.server.folder:
            with embedded.admin() as admin:
                pid = admin.stop(Path(plan.server.folder))
            if pid is not None:
                found["was_up"] = True
                say(f"server stopped (process {pid})")
    return found


def _running(files: ServicesFiles, plan: Plan, say: Say) -> list[str]:
    """Ids of the tasks that this machine's agents run."""
    workers = {agent.worker for agent in plan.agents}
    try:
        with Client(files.connection(plan.server), patience_seconds=2) as client:
            found = client.pages("tasks.get_all", "tasks", status=["in_progress"], search_hidden=True)
            return [task.id for entry in found if (task := task_of(entry)).worker in workers]
    except StackyardError as error:
        say(f"! {error}")
        return []


def _aborted(files: ServicesFiles, plan: Plan, tasks: list[str]) -> list[str]:
    """Of these tasks, those that did not come to their own end."""
    if not tasks:
        return []
    try:
        with Client(files.connection(plan.server), patience_seconds=2) as client:
            found = client.call("tasks.get_all", id=tasks, only_fields=["id", "status"], search_hidden=True)
            return [entry["id"] for entry in found["tasks"] if entry["status"] == "stopped"]
    except StackyardError:
        return []


def _await_end(holder: Identity, seconds: float) -> None:
    """Wait for the services process; end it if it takes too long."""
    if holder.wait(seconds):
        return
    holder.signal(signal.SIGTERM)
    if not holder.wait(END_SECONDS / 2):
        holder.signal(signal.SIGKILL)
        holder.wait(GRACE_SECONDS)


def _clear(
    files: ServicesFiles, plan: Plan | None, mode: str, say: Say, keep: Collection[str] = frozenset()
) -> int:
    """End what a services process that is gone left running, and settle its agents' tasks; how many processes.

    Agents are those whose number and start time the state file holds. What else they started is below them, in their
    cgroup, or carries their mark. Those of the slots ``keep`` go on: the next services process takes them over.
    """
    before = {
        slot: Agent(identity, mark_of(slot, files.home))
        for slot, (identity, _) in files.agents_left().items()
    }
    groups = {
        slot["slot"]: group
        for slot in files.state().get("slots", [])
        if (group := Group.at(slot.get("group") or "", mark_of(slot["slot"], files.home)))
    }

    def below(slot: str) -> set[Identity]:
        found = set(groups[slot].members() if slot in groups else ())
        return found | {before[slot].identity, *before[slot].started()} if slot in before else found

    def left() -> set[Identity]:
        # the marks of all slots in one look at every process
        found = set(lineage.marked_for(files.mark_prefix)).union(*map(below, {*before, *groups}))
        alive = {process for process in found if process.pid != os.getpid() and process.alive()}
        kept = (below(slot).union(lineage.marked(mark_of(slot, files.home))) for slot in keep)
        return alive.difference(*kept)

    found = left()
    if plan is None or (not found and files.state().get("over")):
        return 0
    gone = [prepared for prepared in plan.agents if prepared.slot not in keep]
    ordered_at = time.time()
    agents = [agent.identity for agent in before.values() if agent.identity in found]
    end = time.monotonic() + ORPHAN_SECONDS
    while agents and time.monotonic() < end:
        for process in agents:
            process.signal(signal.SIGINT)
        agents = [process for process in agents if not process.wait(AGAIN_SECONDS)]
    lineage.end_all(left, GRACE_SECONDS)
    for slot, group in groups.items():
        if slot not in keep:
            group.remove()
    for prepared in gone:
        if prepared.in_container and plan.docker:
            containers.end(plan.docker, prepared.environment.get(MARK, ""))
    if found:
        say(f"{len(found)} processes that a lost services process had left were ended")
    try:
        with Client(files.connection(plan.server), patience_seconds=5) as client:
            _settle(client, plan, {prepared.worker for prepared in gone}, mode, ordered_at, say)
    except StackyardError as error:
        say(f"! tasks of this machine could not be settled: {error}")
    return len(found)


def _settle(client: Client, plan: Plan, workers: set[str], mode: str, ordered_at: float, say: Say) -> None:
    """Tell the server of the tasks of agents that are gone."""
    decides = decides_fate(client)
    there = {worker["id"] for worker in client.call("workers.get_all")["workers"]}
    for worker in workers & there:
        client.call("workers.unregister", worker=worker)
    for entry in client.pages(
        "tasks.get_all", "tasks", status=["in_progress", "stopped"], search_hidden=True
    ):
        task = task_of(entry)
        if task.worker not in workers or not loss.ended_with_agent(task, ordered_at):
            continue
        end = End.SERVICES_DIED if mode == RUN else End.ABORTED
        seen = loss.Loss(task, end, ended_at=time.time(), asked_at=ordered_at)
        reason: str | None
        if decides:
            reason = loss.report(client, seen, time.time())
        else:
            found = official_fate.settle(client, seen, plan.queues.get(task.queue or ""))
            official_fate.requeue(client, task, found)
            reason = found.reason
        if reason is not None:
            say(f"task {task.id}: {reason}")
