"""What becomes of a task that was lost or runs too long: how often it is tried again, when, and in which words. Pure.

The one owner of that decision, and the server's third door beside ``app`` and ``admin``: the standard library only, no
clock, no store. This server decides by it: its watchdog, and ``tasks.lost``, where those who look after agents say
what they saw. Beside an official server, which does not know it, ``stackyard.services.official_fate`` decides by it. A
matrix that makes a run again asks it too. Nobody else knows these bounds and words; docs/faults.md tells them.

How often a task was tried again stands in one place, its runtime property RETRIES. Instants are epoch milliseconds.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .task_status import ARCHIVED, IN_PROGRESS, STOPPED, STOPPING

# -- words -------------------------------------------------------------------------------------------
# The first word of a status_reason is for programs and stays; what follows the colon is for people and may change. A
# reason without one of these words was given by whoever ended the task: its own code, its agent or a person.

#: What runs tasks failed (a machine, an agent, the network), not the task's code: worth another try.
INFRASTRUCTURE = "infrastructure"
#: The task ran longer than it or its queue allows.
TIME_LIMIT = "time_limit"
#: A signal from outside that nobody of those who run the task sent.
KILLED = "killed"

#: What an agent says of a task that it has ended because somebody asked for that.
STOPPED_AS_ASKED = "task was stopped by tasks.stop"
#: What an agent that was asked to end itself says of its task's stop.
AGENTS_REASONS = ("", "user abort")

# -- bounds ------------------------------------------------------------------------------------------

#: The runtime property that counts how often a lost task was tried again since a user queued it.
RETRIES = "stackyard_retries"
#: How often a lost task is tried again where neither its queue nor the server's settings say, and what they may say.
USUAL_RETRIES = 2
MOST_RETRIES = 100
#: How long a task may be silent where nobody says, minutes.
USUAL_SILENCE_MINUTES = 120.0
#: How long a task that was asked to stop may take, and how long beyond a limit of its own it may run before it is
#: asked: its supervisor holds that limit, and delivers what there is.
USUAL_GRACE_SECONDS = 60.0
#: How long after its end something of an ended run may still speak.
ECHO_MS = 10_000
#: A report so soon after a task changed may have been under way before.
REPORT_MS = 5_000
#: What two instants may differ by that were taken by different processes.
CLOCK_MS = 1_000
#: How long a task may have run that its agent "had only just taken" when it was told to end: those who look after
#: agents hear of a task with some delay.
JUST_MS = 30_000
#: How long an agent must have gone on without a task before that is taken for its loss.
LEFT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long to wait before each further try."""

    first_seconds: float
    growth: float
    longest_seconds: float

    def seconds(self, tries: int) -> float:
        """How long to wait where it was tried again so often before."""
        # beyond so many the longest is long reached, and the power too large for a number
        return min(self.longest_seconds, self.first_seconds * self.growth ** min(tries, 64))


#: Of a task that goes back to its queue: others pass it meanwhile.
TASK_PAUSES = Pauses(10, 2, 640)
#: Of a run that a matrix makes again as a task of its own: the matrix waits.
RUN_PAUSES = Pauses(5, 4, 300)


# -- what was decided --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a task, and the words for it."""

    status: Literal["queued", "stopped", "failed"]
    reason: str
    message: str = ""
    #: Where it is queued again: how often it was tried again then, and how long it waits, seconds.
    tries: int = 0
    wait_seconds: int = 0
    #: It goes to the head of its queue, not to the end.
    first: bool = False


# -- lost --------------------------------------------------------------------------------------------


class End(enum.StrEnum):
    """How a run came to an end that was not its own, as those saw it who look after its agent."""

    #: The agent died of a signal: the number is the signal's.
    AGENT_KILLED = "agent_killed"
    #: The agent ended although nobody asked: the number is its exit status.
    AGENT_EXITED = "agent_exited"
    #: The agent says that it does something else.
    AGENT_LEFT = "agent_left"
    #: The services of the machine were told to end, and ended their agents.
    SERVICES_ENDED = "services_ended"
    #: The services of the machine died, and the agent after them.
    SERVICES_DIED = "services_died"
    #: The agent was told to end when it had only just taken the task: nothing is lost, where the instants agree.
    JUST_TAKEN = "just_taken"
    #: Agent and task were told to end.
    ABORTED = "aborted"


_WORDS = {
    End.AGENT_KILLED: "the agent was killed by signal {number}",
    End.AGENT_EXITED: "the agent ended with status {number}",
    End.AGENT_LEFT: "its agent goes on without it",
    End.SERVICES_ENDED: "the services of its machine were ended",
    End.SERVICES_DIED: "the services of its machine had died",
    End.JUST_TAKEN: "its agent was ended when it had only just taken it",
    End.ABORTED: "aborted by stackyard down",
}
VANISHED = "worker vanished"
#: Of a task that had run for longer than its agent's end says.
ENDED_UNDER_IT = "its agent was told to end while it ran"


def words(end: End, number: int | None = None) -> str:
    """An end in words."""
    return _WORDS[end].format(number="(unknown)" if number is None else number)


def agents_end(status: int) -> tuple[End, int]:
    """The end of an agent that nobody asked to end, from its exit status as ``subprocess`` has it, and its number."""
    return (End.AGENT_KILLED, -status) if status < 0 else (End.AGENT_EXITED, status)


@dataclass(frozen=True, slots=True)
class Lost:
    """A task that lost who ran it, as its server knows it."""

    status_message: str
    status_reason: str
    #: Whether it came from a queue that is still there.
    has_queue: bool
    #: How often it was tried again since a user queued it.
    tries: int
    #: How often it may be.
    retries: int
    #: Whether its worker said that it started it: only then the loss counts.
    was_started: bool = True
    #: Whether somebody put it away: then nobody waits for it.
    is_archived: bool = False


def lost(task: Lost, why: str, message: str = "", ended_by: str = "") -> Fate:
    """What becomes of a lost task.

    Args:
        task: The task.
        why: How it was lost, for people.
        message: Its new status_message.
        ended_by: What that says beside, where the task has ended.
    """
    ended = f"{message} {ended_by}".strip()
    because = reason(INFRASTRUCTURE, why)
    if is_stopping(task.status_message):
        if says(task.status_reason, TIME_LIMIT):
            return Fate("failed", task.status_reason, ended)
        return Fate("stopped", f"{because} while the task was asked to stop", ended)
    if task.is_archived:
        return Fate("stopped", f"{because}; archived, so not tried again", ended)
    if not task.has_queue:
        return Fate("stopped", f"{because}; no queue to try it again from", ended)
    if not task.was_started:
        wait = round(TASK_PAUSES.seconds(0))
        text = f"{because} before it started the task; queued again, in {wait} s"
        return Fate("queued", text, message, task.tries, wait)
    if task.tries < task.retries:
        wait = round(TASK_PAUSES.seconds(task.tries))
        text = f"{because}; queued again ({task.tries + 1} of {task.retries}), in {wait} s"
        return Fate("queued", text, message, task.tries + 1, wait)
    return Fate("failed", f"{because}; tried again {task.tries} of {task.retries} times", ended)


def reported(
    task: Lost,
    end: End,
    number: int | None = None,
    *,
    started: int | None = None,
    asked: int | None = None,
) -> Fate:
    """What becomes of a task of which those who look after its agent say how its run ended.

    Args:
        task: The task.
        end: What they say.
        number: The number that belongs to it.
        started: When the run began.
        asked: When the agent was told to end; None: it was not.
    """
    why, stopping = words(end, number), is_stopping(task.status_message)
    if end is End.ABORTED and not (stopping and says(task.status_reason, TIME_LIMIT)):
        return Fate("stopped", why)
    if end is End.JUST_TAKEN:
        if started is None or asked is None or asked - started > JUST_MS:
            why = ENDED_UNDER_IT
        elif task.has_queue and not stopping and not task.is_archived:
            return Fate("queued", f"{why}; queued again", tries=task.tries, first=True)
    return lost(task, why)


def is_of_this_run(
    status: str,
    status_reason: str,
    *,
    started: int | None,
    changed: int | None,
    ended: int | None,
    asked: int | None,
) -> bool:
    """Whether what was seen of an agent's end is about the run that the server knows of the task now.

    A report may come late or twice: by then the task may be queued again, run elsewhere, or have ended by itself.

    Args:
        status: The task's.
        status_reason: The task's.
        started: When its present run began.
        changed: When its status changed last.
        ended: When the agent ended; None: by a clock that cannot be compared.
        asked: When it was told to, and may have stopped its task itself; None: it was not.
    """
    if status == IN_PROGRESS:
        return started is None or ended is None or started <= ended + CLOCK_MS
    own = status == STOPPED and status_reason in AGENTS_REASONS
    return own and asked is not None and (changed or 0) >= asked - CLOCK_MS


def is_left(
    status_message: str,
    *,
    started: int | None,
    changed: int | None,
    claimed: int | None,
    reported: int | None,
) -> bool:
    """Whether an agent's report that does not name a task means that it goes on without it.

    An agent that ends a task says so; where the task's own process says at the same moment that it begins, the later
    word stands and nobody is left to take it back. A task that somebody runs again by hand still names the worker it
    had before: unless it is to stop anyway, the worker must have claimed this run.

    Args:
        status_message: Of the task, which is in progress.
        started: When it began.
        changed: When its status changed last.
        claimed: When that worker last said that it runs it.
        reported: When the worker last reported; None: it has only registered.
    """
    began = started or 0
    if reported is None or (not is_stopping(status_message) and (claimed or 0) < began - REPORT_MS):
        return False
    return reported > max(changed or 0, began) + REPORT_MS


@dataclass(frozen=True, slots=True)
class Silent:
    """A task that a worker runs, or took, and when anything was heard of it last."""

    id: str
    task: Lost
    #: Its last sign of life, of any kind.
    last_sign: int
    #: The worker that reported it last.
    worker: str | None
    #: How long it may be silent, milliseconds.
    allowed: int


def silent(found: Silent, now: int, listening_since: int) -> Fate | None:
    """What becomes of a task that gives no sign of life; None while its silence may mean nothing.

    Args:
        found: The task.
        now: Epoch milliseconds.
        listening_since: Since when the server could hear workers: silence before that is no sign of anything.
    """
    if now - max(found.last_sign, listening_since) <= found.allowed:
        return None
    heard = shown((now - found.last_sign) / 1000)
    message = f"No sign of life from worker {found.worker or '(unknown)'} for {heard}."
    return lost(found.task, VANISHED, message, "Ended by the watchdog.")


# -- over time ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Running:
    """A task in progress.

    Time counts from ``tasks.started``, which an agent says as soon as it takes a task, so its preparations count too.
    """

    started: int
    #: Since when it is asked to stop, for whatever reason; None: it is not.
    asked: int | None = None
    #: Its own limit, and that of the queue it came from, seconds.
    own_limit_seconds: float | None = None
    queue_limit_seconds: float | None = None
    queue_name: str = ""


@dataclass(frozen=True, slots=True)
class OverTime:
    """What to do with a task whose time is over: ask it to stop, or fail it."""

    action: Literal["ask", "fail"]
    reason: str
    message: str


def over_time(task: Running, now: int, grace_seconds: float = USUAL_GRACE_SECONDS) -> OverTime | None:
    """What becomes of a task that runs; None while it may go on, or is on its way out.

    Its queue's limit is held at once. A limit of its own is its supervisor's to hold; the turn here comes a grace
    later, for tasks whose supervisor is gone or does not care.

    Args:
        task: The task.
        now: Epoch milliseconds.
        grace_seconds: How long that is, and how long a task may take that was asked to stop.
    """
    ran, grace = (now - task.started) / 1000, grace_seconds
    limits = []
    if task.queue_limit_seconds:
        limits.append((task.queue_limit_seconds, 0.0, f"queue {task.queue_name}'s limit"))
    if task.own_limit_seconds:
        limits.append((task.own_limit_seconds, grace, "its own limit"))
    passed = [(limit, whose) for limit, late, whose in limits if ran > limit + late]
    if not passed:
        return None
    limit, whose = min(passed)
    text = f"ran {shown(ran)}, {whose} is {shown(limit)}"
    if task.asked is None:
        return OverTime("ask", reason(TIME_LIMIT, text), STOPPING)
    if (now - task.asked) / 1000 > grace:
        late_text = f"{text}; it did not stop when asked"
        return OverTime("fail", reason(TIME_LIMIT, late_text), "Ended by the server.")
    return None


def said_to_end(
    status: str, said: str | None, *, held_status: str, held: str | None
) -> tuple[str, str | None]:
    """Status and reason of a task that is said to have stopped, failed or completed.

    One that was asked to stop because its time was over, and does, has failed, for that reason and no other.

    Args:
        status: What it is said to be.
        said: The reason given.
        held_status: The status it has.
        held: The reason it has.
    """
    asked = held_status == IN_PROGRESS and says(held, TIME_LIMIT)
    if asked and status in ("stopped", "failed") and not says(said, TIME_LIMIT):
        return "failed", held
    return status, said


def is_echo(status_reason: str | None, changed: int | None, now: int) -> bool:
    """Whether a task that is said to start now was ended on request so lately that a dying part of its run speaks.

    Args:
        status_reason: The ended task's.
        changed: When it ended, epoch milliseconds.
        now: Epoch milliseconds.
    """
    as_asked = status_reason == STOPPED_AS_ASKED or says(status_reason, TIME_LIMIT)
    return as_asked and changed is not None and now - changed < ECHO_MS


# -- a matrix's runs ---------------------------------------------------------------------------------


def is_infrastructure(kind: str) -> bool:
    """Whether a failure of that kind is not the task's own, so that it may be tried again."""
    return kind in (INFRASTRUCTURE, KILLED)


# -- the count, and words ----------------------------------------------------------------------------


def tries(runtime: Mapping[str, Any] | None) -> int:
    """How often a task was tried again, from its runtime properties; what is no number counts for nothing."""
    value = (runtime or {}).get(RETRIES)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return 0
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return 0
    return int(number) if math.isfinite(number) and 0 < number < 1e6 else 0


def with_tries(runtime: Mapping[str, Any] | None, count: int) -> dict[str, Any]:
    """Runtime properties with that count; none is kept of no try."""
    rest = {name: value for name, value in (runtime or {}).items() if name != RETRIES}
    return {**rest, RETRIES: count} if count else rest


def reason(word: str, text: str) -> str:
    """A ``status_reason`` that begins with that word."""
    return f"{word}: {text}"


def says(status_reason: str | None, word: str) -> bool:
    """Whether a ``status_reason`` begins with that word."""
    return (status_reason or "").startswith(f"{word}:")


def is_archived(system_tags: Iterable[str] | None) -> bool:
    """Whether a task with these system tags was put away."""
    return ARCHIVED in (system_tags or ())


def is_stopping(status_message: str | None) -> bool:
    """Whether a ``status_message`` says that somebody asked the task to stop."""
    return status_message == STOPPING


def shown(seconds: float) -> str:
    """A length of time in words: its two largest units."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
