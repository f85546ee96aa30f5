"""The services process at work: keeps every slot as the plan says, watches what its agents run, writes what is so.

``step`` does once what is due and never waits for the server; ``run`` does so until the plan's end. What was seen of a
task that an agent's death leaves behind is told to the server, which decides what becomes of it and holds time limits;
beside an official server, which does neither, ``official_fate`` does. What still runs of a task that the server has
failed for its time is killed.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from stackyard.agents import lineage
from stackyard.agents.agent import Agent, Child, Usage
from stackyard.agents.configuration import MARK, Prepared
from stackyard.agents.gpus import Guard
from stackyard.agents.lineage import Adopted, started_at
from stackyard.clearml.client import ServerError
from stackyard.errors import StackyardError
from stackyard.services import containers, loss, official_fate
from stackyard.services.early import Early
from stackyard.services.ended import Ended as EndedTasks
from stackyard.services.files import ABORT, EMBEDDED, FINISH, RUN, Plan, ServicesFiles
from stackyard.services.keeper import GRACE_SECONDS, Ended, Keeper, Phase, Running, counts
from stackyard.services.leftovers import Leftovers
from stackyard.services.unsent import Unsent
from stackyard.services.watch import Task, Watch
from stackyard.services.web_app import WebAppKeeper
from stackyard_server.rules import fate
from stackyard_server.rules.fate import End

log = logging.getLogger(__name__)

STEP_SECONDS = 0.5
#: While agents end: a task's end must be seen before the agent has begun the next.
HASTE_SECONDS = 0.1
GPU_SECONDS = 5.0
STATE_SECONDS = 5.0
#: What the server said is too old to end an agent by.
FRESH_SECONDS = 10.0
#: How long an agent may take to see that its task was failed for its time, before what runs it is killed.
KILL_SECONDS = 10.0
#: Dead processes that may hang on an agent.
MOST_DEAD = 200
#: How long the server may not answer before it is started again.
SERVER_SECONDS = 5.0
#: How long a server that does not answer is waited for at the end, before what is left to tell it is dropped.
JOBS_SECONDS = 15.0
#: A task that an agent took at the moment of the order to end, or later, had only just been taken.
CLOCK_SECONDS = 1.0


class Supervisor:
    """Everything of one machine.

    Args:
        files: where plan, state and key lie.
        plan: what is wanted first.
        watch: asks the server.
        start: starts an agent.
        guard: tells which GPUs are taken.
        clock: monotonic seconds.
        wall: epoch seconds.
        reaps: whether this process is a subreaper, so that what outlives an agent becomes its child.
    """

    def __init__(
        self,
        files: ServicesFiles,
        plan: Plan,
        watch: Watch,
        start: Callable[[Prepared], Running] = Child,
        guard: Guard | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        reaps: bool = False,
    ) -> None:
        self.files = files
        self.plan = plan
        self.watch = watch
        self.guard = guard or Guard(plan.taken_memory_share)
        self.keepers: dict[str, Keeper] = {}
        self.began_at = wall()
        self.metrics_port: int | None = None
        self.server_restarts = 0
        #: Set by a signal: end, and give the tasks to others.
        self.leaving = False
        self._start = start
        self._clock = clock
        self._wall = wall
        self._read_at: int | None = None
        self._gpus_at = self._state_at = float("-inf")
        self._shown: dict[str, Any] = {}
        self._ended = False
        #: Since when no agent has run any more although the end was ordered.
        self._gone_at: float | None = None
        #: Task id -> a task that is asked to stop because its time is over, and when it was seen so last.
        self._stopping: dict[str, tuple[Task, float]] = {}
        #: Task id -> since when its agent has gone on without it.
        self._left: dict[str, float] = {}
        self._limits = official_fate.Limits(lambda: watch.client, watch.do)
        #: Tasks that ran when the order to finish came: these are waited for, later ones given back.
        self._awaited: set[str] | None = None
        #: What is to be done at the server, and at which monotonic second; filled by the watch's thread.
        self._postponed: queue.SimpleQueue[tuple[float, Callable[[], None]]] = queue.SimpleQueue()
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._silent_since: float | None = None
        self._starter: subprocess.Popen[bytes] | None = None
        self._starter_began = 0
        self._leftovers = Leftovers()
        self._unsent = Unsent(lambda: watch.client.connection, clock)
        self._early = Early(lambda: watch.client, watch.do, clock, wall)
        self.ended = EndedTasks(lambda: watch.client, watch.do, clock, wall)
        self.web_app = WebAppKeeper(files)
        self._adopted = Adopted(self._own_children) if reaps else None
        self._next_server_at = 0.0
        self._adopt(plan)
        self._take_over()

    # -- the loop ----------------------------------------------------------------------------------

    def run(self, wake: int) -> None:
        """Step until the plan's end is reached.

        Args:
            wake: a descriptor that can be read when something happened.
        """
        while not self.over():
            self.step()
            self._sleep(wake)
        self.web_app.end()
        self.watch.stop(JOBS_SECONDS)
        self._reap_starter(JOBS_SECONDS)
        self._end_adopted()
        self._ended = True
        self._write_state(self._clock(), force=True)

    def over(self) -> bool:
        """Whether there is nothing left to keep."""
        ending = self.leaving or self.plan.mode != RUN
        if not ending or any(keeper.agent is not None for keeper in self.keepers.values()):
            self._gone_at = None
            return False
        if self._gone_at is None:
            self._gone_at = self._clock()
        settled = self.watch.idle() and self._postponed.empty() and not self._later
        return settled or self._clock() - self._gone_at > JOBS_SECONDS

    def step(self) -> None:
        """Do what is due now."""
        now = self._clock()
        self._follow_plan()
        seen, fresh = (
            self.watch.seen,
            now - self.watch.seen.at < FRESH_SECONDS and self.watch.seen.fault is None,
        )
        self._look_at_gpus(now)
        at_once = self.leaving or self.plan.mode == ABORT or self._too_late()
        self.watch.look_seconds = HASTE_SECONDS if self._ending() else 2.0
        running = seen.running
        for name, keeper in list(self.keepers.items()):
            keeper.hold = self.guard.taken(keeper.prepared.gpu)
            task = running.get(keeper.worker)
            idle = fresh and (task is None or self._is_not_awaited(task))
            before = keeper.phase
            ended = keeper.step(now, idle, at_once)
            if before is not Phase.ENDING and keeper.phase is Phase.ENDING and task is not None:
                self._end_containers(keeper)
            if ended is not None:
                self._follow_end(keeper, ended)
            if keeper.phase is Phase.GONE and keeper.wanted is None and self.plan.mode == RUN:
                del self.keepers[name]
        if fresh:
            if not seen.decides_fate:
                self._limits.hold(seen.tasks, self.plan.queues, self._wall())
            self._follow_stops(now)
            self._report_left(now)
            # at the end each agent ends with all it started
            if not self._ending() and self._leftovers.end(seen, self._on_host()):
                self._look_for_worn()
            folders = {keeper.worker: keeper.prepared.folder for keeper in self.keepers.values()}
            self._early.look(seen.workers, folders, [worker for worker, _ in self._on_host()])
            self._unsent.look(folders.values())
            self.ended.look({k.worker: k.prepared.queue for k in self.keepers.values()})
        self._keep_server(now)
        if not self._ending():  # it stays until the last task has ended
            self.web_app.step(now, self.plan.web_app)
        self._end_adopted()
        while not self._postponed.empty():
            self._later.append(self._postponed.get())
        for at, job in self._later:
            if at <= now or self._ending():
                self.watch.do(job)
        self._later = [(at, job) for at, job in self._later if at > now and not self._ending()]
        self._write_state(now)

    def workers(self) -> Iterable[str]:
        """Ids of this machine's workers."""
        return [keeper.worker for keeper in list(self.keepers.values())]

    def usage(self) -> dict[str, Usage]:
        """Slot -> what its agent uses now."""
        return {name: keeper.agent.usage() for name, keeper in list(self.keepers.items()) if keeper.agent}

    def _sleep(self, wake: int) -> None:
        """Wait for a signal, an agent's end, or the next step."""
        handles = [wake]
        for keeper in self.keepers.values():
            if keeper.agent is not None:
                with suppress(OSError):
                    handles.append(os.pidfd_open(keeper.agent.identity.pid))
        seconds = HASTE_SECONDS if self._ending() else STEP_SECONDS
        ready, _, _ = select.select(handles, [], [], seconds)
        for handle in handles[1:]:
            os.close(handle)
        if wake in ready:
            with suppress(OSError):
                os.read(wake, 4096)

    # -- what is wanted ----------------------------------------------------------------------------

    def _follow_plan(self) -> None:
        try:
            read_at = self.files.plan_file.stat().st_mtime_ns
        except OSError:
            return
        if read_at != self._read_at:
            self._read_at = read_at
            try:
                plan = self.files.plan()
            except StackyardError as error:
                log.error("the plan before goes on: %s", error)
                return
            if plan is not None and plan != self.plan:
                self._adopt(plan)

    def _adopt(self, plan: Plan) -> None:
        self.plan = plan
        self.guard.share = plan.taken_memory_share
        wanted = {agent.slot: agent for agent in plan.agents} if plan.mode == RUN else {}
        for name, keeper in self.keepers.items():
            keeper.wanted = wanted.get(name)
        for name, agent in wanted.items():
            if name not in self.keepers:
                self.keepers[name] = Keeper(agent, self._start)
        if plan.mode == FINISH and self._awaited is None:
            self._awaited = {task.id for task in self.watch.seen.running.values()}
            log.info("told to finish; %d tasks run", len(self._awaited))
        elif plan.mode == RUN:
            self._awaited = None
        elif plan.mode == ABORT:
            log.info("told to abort")

    def _take_over(self) -> None:
        """Keep the agents that a services process before this one left running when it died."""
        for slot, (identity, digest) in self.files.agents_left().items():
            if keeper := self.keepers.get(slot):
                mark = keeper.prepared.environment[MARK]
                keeper.take_over(Agent(identity, mark), digest, self._clock())

    def _ending(self) -> bool:
        return self.leaving or self.plan.mode != RUN

    def _too_late(self) -> bool:
        deadline = self.plan.deadline_at
        return self.plan.mode == FINISH and deadline is not None and self._wall() > deadline

    def _is_not_awaited(self, task: Task) -> bool:
        """Whether a task began only after the order to finish, so that its agent may be ended under it."""
        if self._awaited is None or task.id in self._awaited:
            return False
        ordered = self.plan.ordered_at
        return ordered is not None and task.started is not None and task.started > ordered

    def _look_at_gpus(self, now: float) -> None:
        gpus = {k.prepared.gpu for k in self.keepers.values() if k.prepared.gpu is not None}
        if gpus and now - self._gpus_at >= GPU_SECONDS:
            self._gpus_at = now
            running = self.watch.seen.running
            busy = {k.prepared.gpu for k in self.keepers.values() if k.worker in running}
            self.guard.update(gpus - busy)

    # -- ends of agents and tasks ------------------------------------------------------------------

    def _follow_end(self, keeper: Keeper, ended: Ended) -> None:
        """Containers it left, its registration and its tasks."""
        mark = keeper.prepared.environment.get(MARK, "")
        if keeper.prepared.in_container and self.plan.docker:
            containers.end(self.plan.docker, mark)
        aborting = self.plan.mode == ABORT or self._too_late()
        behind = self._wall() - self._clock()
        ended_at = ended.at + behind
        asked_at = None if ended.asked_at is None else ended.asked_at + behind

        def tell() -> None:
            # it has done so itself, unless it was killed or asked a second time meanwhile
            with suppress(ServerError):
                self.watch.client.call("workers.unregister", worker=ended.worker)
            for task in self.watch.tasks(["in_progress", "stopped"], {ended.worker}):
                if loss.ended_with_agent(task, asked_at):
                    end, number = self._end_of(task, ended, aborting, asked_at)
                    self._lose(loss.Loss(task, end, ended_at, asked_at, number))

        self.watch.do(tell)

    def _end_containers(self, keeper: Keeper) -> None:
        """Stop a container beside its agent, which would take long over it; not waited for."""
        if keeper.prepared.in_container and self.plan.docker:
            mark = keeper.prepared.environment.get(MARK, "")
            threading.Thread(target=containers.end, args=(self.plan.docker, mark), daemon=True).start()

    def _end_of(
        self, task: Task, ended: Ended, aborting: bool, asked_at: float | None
    ) -> tuple[End, int | None]:
        """What is said of a task's end to the server."""
        if asked_at is None:
            return fate.agents_end(ended.status)
        if self.leaving:
            return End.SERVICES_ENDED, None
        ordered_at = self.plan.ordered_at or asked_at
        began_late = task.started is not None and task.started > ordered_at - CLOCK_SECONDS
        return (End.ABORTED if aborting and not began_late else End.JUST_TAKEN), None

    def _lose(self, seen: loss.Loss) -> None:
        """Tell the server of a task that lost its agent; a job of the watch's."""
        client, task = self.watch.client, seen.task
        if self.watch.decides_fate():
            reason = loss.report(client, seen, self._wall())
            log.warning("task %s: %s", task.id, reason or "its end was told too late, and changed nothing")
            return
        found = official_fate.settle(client, seen, self.plan.queues.get(task.queue or ""))
        log.warning("task %s: %s", task.id, found.reason)
        if found.status == "queued":
            again = partial(official_fate.requeue, client, task, found)
            self._postponed.put((self._clock() + found.wait_seconds, again))

    def _report_left(self, now: float) -> None:
        """Tell the server of tasks whose agents go on without them."""
        seen = self.watch.seen
        found = {task.id: task for task in seen.tasks if loss.is_left(task, seen.workers.get(task.worker))}
        self._left = {id: self._left.get(id, now) for id in found}
        for id, since in list(self._left.items()):
            if now - since > fate.LEFT_SECONDS:
                self._left[id] = now  # again, if the server then still counts it as running
                looked_at = self._wall() - (now - seen.at)
                self.watch.do(partial(self._lose, loss.Loss(found[id], End.AGENT_LEFT, looked_at)))

    def _follow_stops(self, now: float) -> None:
        """See to it that nothing still runs of a task that was failed for its time."""
        running = {task.id: task for task in self.watch.seen.tasks}
        for id in set(self._stopping) - set(running):
            ended = partial(self._end_task_of, *self._stopping.pop(id))
            self._postponed.put((now + KILL_SECONDS, ended))
        for task in running.values():
            if fate.is_stopping(task.message) and fate.says(task.reason, fate.TIME_LIMIT):
                self._stopping[task.id] = task, self.watch.seen.ticks

    def _end_task_of(self, task: Task, ran_at: float) -> None:
        """End what still runs of a task that has failed; its agent stays. A job of the watch's.

        Args:
            task: it.
            ran_at: when (``lineage.ticks``) it was seen to run last: what its agent started later is another's.
        """
        now = self.watch.client.call("tasks.get_all", id=[task.id], only_fields=["status"])["tasks"]
        if not now or now[0]["status"] != "failed":
            return
        for keeper in list(self.keepers.values()):
            agent = keeper.agent
            if keeper.worker != task.worker or agent is None:
                continue
            left = agent.started(ran_at)
            for process in left:
                process.signal(signal.SIGKILL)
            if left:
                log.warning("task %s: what still ran of it was killed", task.id)
                if keeper.prepared.in_container and self.plan.docker:
                    containers.end(self.plan.docker, keeper.prepared.environment.get(MARK, ""))

    # -- processes ---------------------------------------------------------------------------------

    def _on_host(self) -> list[tuple[str, Running]]:
        """Worker id and process of the agents whose tasks run on the host."""
        found = [(keeper.worker, keeper.agent, keeper.prepared) for keeper in self.keepers.values()]
        return [(worker, agent) for worker, agent, prepared in found if agent and not prepared.in_container]

    def _look_for_worn(self) -> None:
        """Have agents replaced that many dead processes of their tasks hang on: an agent waits for its own only."""
        for keeper in self.keepers.values():
            if keeper.agent is not None and not keeper.worn:
                keeper.worn = lineage.dead_children(keeper.agent.identity.pid) > MOST_DEAD

    def _own_children(self) -> set[int]:
        agents = {keeper.agent.identity.pid for keeper in self.keepers.values() if keeper.agent}
        others = [self._starter.pid] if self._starter else []
        if self.web_app.process is not None:
            others.append(self.web_app.process.pid)
        return agents | set(others)

    def _end_adopted(self) -> None:
        """End what outlived its agent in spite of all."""
        # what a server's starter leaves us is the server
        if self._adopted is not None and self._starter is None and (left := self._adopted.left()):
            log.warning("%d processes that outlived their agent are ended", len(left))
            lineage.end_all(self._adopted.left, GRACE_SECONDS)

    # -- the embedded server -----------------------------------------------------------------------

    def _keep_server(self, now: float) -> None:
        """Start the embedded server again when it has died."""
        server = self.plan.server
        self._reap_starter(0.0)
        if server.kind != EMBEDDED or not self.watch.seen.silent or self._ending():
            self._silent_since = None
            return
        if self._silent_since is None:
            self._silent_since = now
        if now - self._silent_since < SERVER_SECONDS or now < self._next_server_at or self._starter:
            return
        self._next_server_at = now + 30.0
        self.server_restarts += 1
        log.warning("the embedded server does not answer (%s) and is started again", self.watch.seen.fault)
        command = [sys.executable, "-m", "stackyard.cli.main", "server", "start", "--background"]
        command += ["--folder", str(server.folder)]
        for name, value in server.options.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        self._starter_began = lineage.ticks()
        with self.files.log_file.open("ab") as out:
            self._starter = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def _reap_starter(self, seconds: float) -> None:
        if self._starter is not None:
            with suppress(subprocess.TimeoutExpired):
                self._starter.wait(seconds)
                if self._adopted is not None:
                    self._adopted.spare(self._starter_began, lineage.ticks())
                self._starter = None

    # -- what is so --------------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """What the state file says."""
        fault = self.watch.seen.fault
        return {
            "pid": os.getpid(),
            "started": started_at(os.getpid()),
            "began_at": self.began_at,
            "over": self._ended,
            "mode": "leave" if self.leaving else self.plan.mode,
            "metrics": None if self.metrics_port is None else f"http://127.0.0.1:{self.metrics_port}/metrics",
            "server_fault": fault,
            "server_restarts": self.server_restarts,
            "slots": [keeper.describe() for keeper in self.keepers.values()],
            "counts": counts(self.keepers),
            "web_app": self.web_app.describe(),
        }

    def _write_state(self, now: float, force: bool = False) -> None:
        found = self.describe()
        if force or found != self._shown or now - self._state_at > STATE_SECONDS:
            self._shown, self._state_at = found, now
            try:
                self.files.write_state({**found, "at": self._wall()})
            except OSError as error:
                log.error("the state cannot be written: %s", error)


def listen(supervisor: Supervisor) -> int:
    """End in order on SIGINT and SIGTERM; the descriptor that wakes ``run``."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    os.set_blocking(read, False)

    def leave(_number: int, _frame: object) -> None:
        supervisor.leaving = True
        supervisor.plan = replace(supervisor.plan, ordered_at=time.time())
        for keeper in supervisor.keepers.values():
            keeper.wanted = None

    signal.set_wakeup_fd(write)
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return read
