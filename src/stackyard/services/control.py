"""Up and down of this machine's services, as the command line asks for them.

Decides: which server, which queues, which slots, whose key. What it decided goes into the plan; the services process
does the rest. The embedded server is entered by ``stackyard_server.admin`` only; every other word to a server is the
client's, so an official server is served the same way.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
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
from stackyard.counting import count
from stackyard.errors import BadInputError, StackyardError
from stackyard.machine import docker_engine, hardware
from stackyard.services import containers, embedded, loss, official_fate, serving
from stackyard.services.files import (
    EMBEDDED,
    FINISH,
    GIVEN,
    RUN,
    STARTING,
    Plan,
    QueueRule,
    Server,
    ServicesFiles,
)
from stackyard.services.keeper import AGAIN_SECONDS
from stackyard.services.serving import Say
from stackyard.services.serving import WebAppWishes as WebAppWishes
from stackyard.services.serving import Wishes as Wishes
from stackyard.services.watch import decides_fate, task_of
from stackyard.settings import Settings
from stackyard.stacks import derived, images, pythons
from stackyard.stacks.definition import StackSpec
from stackyard_server.rules import fate
from stackyard_server.rules.fate import End

#: How long agents may take to come up before ``up`` returns all the same.
UP_SECONDS = 45.0
#: What the services process may take besides the tasks it waits for.
END_SECONDS = 60.0
GRACE_SECONDS = 5.0
#: How long agents whose services process is gone may take to end when asked.
ORPHAN_SECONDS = 15.0
LOOPBACK = ("127.", "::1", "localhost")

# -- up ----------------------------------------------------------------------------------------------


def up(
    settings: Settings, wishes: Wishes, say: Say, made: Callable[[dict[str, str]], None] = lambda first: None
) -> dict[str, Any]:
    """Have server and agents running as ``queues.toml`` says; what runs already stays.

    A server that it starts is in the plan before it runs: whatever ends ``up``, ``down`` and ``status`` know of it.

    Args:
        settings: where Stackyard's home is.
        wishes: what was asked for.
        say: called with one line whenever something was done.
        made: called as soon as a new embedded server has an administrator, with their login and password.

    Returns:
        ``server`` (addresses), ``web_app`` (its address, or ``None``), ``admin`` (login and password of a new embedded
        server, else ``None``), ``slots``, ``absent`` (queue -> why this machine does not serve it), ``notes``,
        ``problems``.
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
        web_app = serving.web_app(files, wishes, before)
        first = None
        if running is not None and before is not None and before.mode != RUN:
            raise StackyardError(
                "the services are on their way down; try again when `stackyard down` is done"
            )
        if before is not None:
            serving.refuse_another(files, wishes, before, running is not None)
        if wishes.config is not None:
            server = serving.given(settings, files, wishes.config)
        elif before is not None and before.mode == RUN and before.server.kind == GIVEN:
            server = before.server
        else:
            server, first = serving.embedded_one(
                settings, files, wishes, before, f"{web_app.address}/compare" if web_app else None, say, made
            )
        left: list[str] = []
        if running is None:
            left = sorted({slot.name for slot in found} & set(files.agents_left()))
            _clear(files, before, RUN, say, keep=set(left))
        with Client(connection.find(settings), patience_seconds=5) as client:
            rules = _queues(client, told, say)
        plan = Plan(
            mode=RUN,
            server=server,
            machine=serving.machine_name(),
            agents=_agents(files, settings, found, told, server, held, specs),
            queues=rules,
            absent=absent,
            taken_memory_share=told.taken_memory_share,
            docker=_docker(),
            web_app=web_app,
        )
        files.write_plan(plan)
        if running is None:
            pid = _start_services(files, wishes.metrics_port)
            say(f"services process {pid} started")
        if left:
            say(f"agents that still ran go on under it: {', '.join(left)}")
        late = _await_agents(files, plan)
    state = files.state()
    if wishes.metrics_port and not state.get("metrics"):
        late.append(f"the agents' metrics have no port: {wishes.metrics_port} is taken; see {files.log_file}")
    return {
        "server": {"kind": server.kind, "web": server.web, "api": server.api, "files": server.files},
        "admin": first,
        "slots": [agent.slot for agent in plan.agents],
        "absent": absent,
        "metrics": state.get("metrics"),
        "web_app": web_app.address if web_app else None,
        "notes": configuration.left_out(os.environ) if plan.agents else [],
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
        for name, image in images.recorded(settings).items():
            # refused: it was derived from another version of its base, so nothing runs on it
            with suppress(BadInputError):
                spec = defined.get(name) or derived.without_name(name, settings)
                if spec is not None and images.why_not(spec, settings, engine) is None:
                    held[name] = image.image_id
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


def _queues(client: Client, told: QueuesFile, say: Say) -> dict[str, QueueRule]:
    """Queue id -> rule, with every queue on the server and its metadata as ``queues.toml`` says."""
    known = {entry["name"]: entry for entry in client.pages("queues.get_all", "queues")}
    rules = {}
    for queue in told.queues.values():
        wanted = queue.metadata()
        items = [{"key": key, "type": "float", "value": value} for key, value in wanted.items()]
        entry = known.get(queue.name)
        if entry is None:
            entry = _make_queue(client, queue.name, items, say)
        id = entry["id"]
        held = entry.get("metadata") or {}
        values = {key: item.get("value") for key, item in held.items()} if isinstance(held, dict) else {}
        if items and any(values.get(key) != value for key, value in wanted.items()):
            client.call("queues.add_or_update_metadata", queue=id, metadata=items)
        if gone := [key for key in queues.METADATA if key in values and key not in wanted]:
            client.call("queues.delete_metadata", queue=id, keys=gone)
        rules[id] = QueueRule(queue.name, queue.time_limit_seconds, queue.retries)
    return rules


def _make_queue(client: Client, name: str, items: list[dict[str, Any]], say: Say) -> dict[str, Any]:
    """The server's entry of a queue that was not there; another machine's ``up`` may make it at the same moment."""
    try:
        id = client.call("queues.create", name=name, metadata=items)["id"]
    except ServerError:
        found = [entry for entry in client.pages("queues.get_all", "queues") if entry["name"] == name]
        if not found:
            raise
        return dict(found[0])
    say(f"queue {name} made")
    return {"id": id, "metadata": {}}


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
        machine=serving.machine_name(),
        server=files.connection(server),
        passed={name: os.environ[name] for name in told.pass_environment if name in os.environ},
        shell=dict(os.environ),
        pythons=pythons.every() if any(slot.makes_environments for slot in found) else {},
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
    """What is wrong with the agents once they, and the services process' first word, had time to come."""
    wanted = {agent.worker for agent in plan.agents}
    end = time.monotonic() + UP_SECONDS
    with Client(files.connection(plan.server), patience_seconds=2) as client:
        while True:
            there = {worker["id"] for worker in client.call("workers.get_all")["workers"]}
            holder = files.holder()
            state = files.state()
            spoke = holder is None or state.get("pid") == holder.pid
            shown = state.get("web_app") or {}
            serves = plan.web_app is None or (
                shown.get("address") == plan.web_app.address and shown.get("phase") == "running"
            )
            if (wanted <= there and spoke and serves) or time.monotonic() > end:
                break
            time.sleep(0.2)
    late = []
    if plan.web_app is not None and not serves:
        late.append(f"the web app does not answer at {plan.web_app.address}; see `stackyard logs web`")
    return late + [
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
        elif plan.mode in (RUN, STARTING):
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
    if plan is None or (not found and (files.state().get("over") or not plan.agents)):
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
    for prepared in gone:
        configuration.leave(Path(prepared.folder))
    for slot, group in groups.items():
        if slot not in keep:
            group.remove()
    for prepared in gone:
        if prepared.in_container and plan.docker:
            containers.end(plan.docker, prepared.environment.get(MARK, ""))
    if found:
        ended = count(len(found), "process", "processes")
        say(f"{ended} that a lost services process had left {'was' if len(found) == 1 else 'were'} ended")
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
