"""The services process at work: keeps every slot as the plan says, watches what its agents run, writes what is so.

``step`` does once what is due and never waits for the server; ``run`` does so until the plan's end. A task that an
agent's death leaves behind is told to the server as lost, one that an agent had only just taken when it was asked to
end is given back; one that runs longer than its queue allows is asked to stop, and ended if it does not.
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

import psutil

from stackyard.agents.agent import Agent, Child, Usage, started_at
from stackyard.agents.configuration import MARK, Prepared
from stackyard.agents.gpus import Guard
from stackyard.services import containers, loss
from stackyard.services.keeper import Ended, Keeper, Phase, Running, counts
from stackyard.services.site import ABORT, EMBEDDED, FINISH, RUN, Plan, Site
from stackyard.services.watch import Task, Watch

log = logging.getLogger(__name__)

STEP_SECONDS = 0.5
#: While agents end: a task's end must be seen before the agent has begun the next.
HASTE_SECONDS = 0.1
GPU_SECONDS = 5.0
STATE_SECONDS = 5.0
#: What the server said is too old to end an agent by.
FRESH_SECONDS = 10.0
#: How long until a task that does not seem to have heard is asked again.
AGAIN_SECONDS = 5.0
#: How long an agent must have gone on without a task before that is taken for its loss.
ABANDONED_SECONDS = 10.0
#: How long a task may take to stop before what runs it is ended.
STOP_SECONDS = 30.0
#: How long the server may not answer before it is started again.
SERVER_SECONDS = 5.0
#: How long a server that does not answer is waited for at the end, before what is left to tell it is dropped.
JOBS_SECONDS = 15.0
#: A task that an agent had for less when it was asked to end had only just been taken.
CLOCK_SECONDS = 1.0


class Supervisor:
    """Everything of one machine.

    Args:
        site: the files.
        plan: what is wanted first.
        watch: asks the server.
        start: starts an agent.
        guard: tells which GPUs are taken.
        clock: monotonic seconds.
        wall: epoch seconds.
    """

    def __init__(
        self,
        site: Site,
        plan: Plan,
        watch: Watch,
        start: Callable[[Prepared], Running] = Child,
        guard: Guard | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.site = site
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
        #: Task id -> when it was asked to stop, because its time is over, first and last.
        self._stopping: dict[str, tuple[float, float]] = {}
        #: Task id -> since when its agent has gone on without it.
        self._abandoned: dict[str, float] = {}
        #: Tasks that ran when the order to finish came: these are waited for, later ones given back.
        self._awaited: set[str] | None = None
        #: What is to be done at the server, and at which monotonic second; filled by the watch's thread.
        self._postponed: queue.SimpleQueue[tuple[float, Callable[[], None]]] = queue.SimpleQueue()
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._silent_since: float | None = None
        self._starter: subprocess.Popen[bytes] | None = None
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
        self.watch.stop(JOBS_SECONDS)
        self._reap_starter(JOBS_SECONDS)
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
            self._hold_limits(now)
            self._settle_abandoned(now)
        self._keep_server(now)
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
            read_at = self.site.plan_file.stat().st_mtime_ns
        except OSError:
            return
        if read_at != self._read_at:
            plan = self.site.plan()
            self._read_at = read_at
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
        for slot, (identity, digest) in self.site.agents_left().items():
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
        since = self._wall() - (self._clock() - ended.since)

        def tell() -> None:
            # it has done so itself, unless it was killed or asked a second time meanwhile
            with suppress(loss.ServerError):
                self.watch.client.call("workers.unregister", worker=ended.worker)
            for task in self.watch.tasks(["in_progress", "stopped"], {ended.worker}):
                asked = ended.asked and loss.ended_with_agent(task, since - CLOCK_SECONDS)
                if asked or task.status == "in_progress":
                    self._settle(task, ended, aborting, since)

        self.watch.do(tell)

    def _end_containers(self, keeper: Keeper) -> None:
        """Stop a container beside its agent, which would take long over it; not waited for."""
        if keeper.prepared.in_container and self.plan.docker:
            mark = keeper.prepared.environment.get(MARK, "")
            threading.Thread(target=containers.end, args=(self.plan.docker, mark), daemon=True).start()

    def _settle(self, task: Task, ended: Ended, aborting: bool, since: float) -> None:
        client = self.watch.client
        began_late = (
            task.started is not None and task.started > (self.plan.ordered_at or since) - CLOCK_SECONDS
        )
        if ended.asked and not self.leaving:
            if aborting and not began_late:
                log.info("task %s was aborted", task.id)
                client.call(
                    "tasks.stopped", task=task.id, force=True, status_reason="aborted by stackyard down"
                )
            else:
                log.info("task %s is given back", task.id)
                loss.give_back(
                    client, task, "its agent was ended when it had only just taken it; queued again"
                )
            return
        self._lose(task, "the services of its machine were ended" if ended.asked else ended.words)

    def _lose(self, task: Task, why: str) -> None:
        """Tell the server that the infrastructure lost a task."""
        client = self.watch.client
        found = loss.verdict(task, self.plan.queues.get(task.queue or ""), why)
        log.warning("task %s: %s", task.id, found.reason)
        wait = loss.apply(client, task, found)
        if wait is not None:
            self._postponed.put((self._clock() + wait, lambda: loss.requeue(client, task, found)))

    def _settle_abandoned(self, now: float) -> None:
        seen = self.watch.seen
        found = {task.id: task for task in seen.tasks if loss.abandoned(task, seen.workers.get(task.worker))}
        self._abandoned = {id: self._abandoned.get(id, now) for id in found}
        for id, since in list(self._abandoned.items()):
            if now - since > ABANDONED_SECONDS:
                self._abandoned[id] = now  # again, if the server then still counts it as running
                self.watch.do(partial(self._lose, found[id], "its agent goes on without it"))

    def _hold_limits(self, now: float) -> None:
        running = {task.id: task for task in self.watch.seen.tasks}
        for gone in set(self._stopping) - set(running):
            del self._stopping[gone]
        for task in running.values():
            if task.started is None:
                continue
            reason = loss.over_time(task, self.plan.queues.get(task.queue or ""), self._wall() - task.started)
            if reason is None:
                continue
            first, last = self._stopping.get(task.id, (now, float("-inf")))
            if now - first > STOP_SECONDS:
                words = f"{reason}; it did not stop when asked"
                self._stopping[task.id] = (now, now)
                self.watch.do(partial(self._fail, task, words))
                # its agent sees that within a poll and ends it; one that hangs does not
                self._postponed.put((now + STOP_SECONDS / 3, partial(self._end_task_of, task)))
            elif task.message != loss.STOPPING and now - last > AGAIN_SECONDS:
                # again, because an agent that has only just taken its task writes over the message
                if task.id not in self._stopping:
                    log.warning("task %s: %s", task.id, reason)
                self._stopping[task.id] = (first, now)
                self.watch.do(partial(self._ask_to_stop, task, reason))

    def _ask_to_stop(self, task: Task, reason: str) -> None:
        self.watch.client.call("tasks.stop", task=task.id, status_reason=reason)

    def _fail(self, task: Task, reason: str) -> None:
        self.watch.client.call("tasks.failed", task=task.id, force=True, status_reason=reason)

    def _end_task_of(self, task: Task) -> None:
        """End what still runs of a task that is over; its agent stays."""
        for keeper in list(self.keepers.values()):
            agent = keeper.agent
            if keeper.worker != task.worker or agent is None:
                continue
            ended = False
            with suppress(psutil.Error):
                for process in psutil.Process(agent.identity.pid).children(recursive=True):
                    with suppress(psutil.Error):
                        if (
                            process.environ().get("CLEARML_TASK_ID") == task.id
                            or task.id in process.cmdline()
                        ):
                            process.kill()
                            ended = True
            if ended:
                log.warning("task %s: what still ran of it was killed", task.id)
                if keeper.prepared.in_container and self.plan.docker:
                    containers.end(self.plan.docker, keeper.prepared.environment.get(MARK, ""))

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
        with self.site.log_file.open("ab") as out:
            self._starter = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def _reap_starter(self, seconds: float) -> None:
        if self._starter is not None:
            with suppress(subprocess.TimeoutExpired):
                self._starter.wait(seconds)
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
        }

    def _write_state(self, now: float, force: bool = False) -> None:
        found = self.describe()
        if force or found != self._shown or now - self._state_at > STATE_SECONDS:
            self._shown, self._state_at = found, now
            try:
                self.site.write_state({**found, "at": self._wall()})
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
